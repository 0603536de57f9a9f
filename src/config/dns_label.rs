//! Names that are labels of DNS.

/// Whether a text is a label as of RFC 1123, however long: small letters, digits and `-`, a letter or digit at both ends.
pub fn is_label(text: &str) -> bool {
    let is_end = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.starts_with(is_end) && text.ends_with(is_end) && text.chars().all(|c| is_end(c) || c == '-')
}
