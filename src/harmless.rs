//! Texts of others, made safe for a terminal.

/// What stands for a character that is not shown.
const REPLACEMENT: char = '\u{fffd}';

/// One line without anything that steers a terminal or turns the direction of what follows.
pub fn harmless(text: &str) -> String {
    text.chars().map(|char| if steers(char) { REPLACEMENT } else { char }).collect()
}

/// The same for a text whose line breaks are its own, such as a list of problems.
pub fn harmless_lines(text: &str) -> String {
    text.split('\n').map(harmless).collect::<Vec<_>>().join("\n")
}

/// It moves the cursor, colours, or turns the direction of what follows.
pub fn steers(char: char) -> bool {
    char.is_control()
        || matches!(char, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_steers_a_terminal() {
        assert_eq!(harmless("a\u{1b}[31mb\r\nc\td\u{9b}e\u{202e}f"), "a�[31mb��c�d�e�f");
        assert_eq!(harmless("ümlaut 漢字 → …"), "ümlaut 漢字 → …");
        assert_eq!(harmless_lines("a:\n  b\u{7}\n"), "a:\n  b�\n");
    }
}
