//! Names as SQL quotes them: the only dynamic text in our statements.

/// A name in double quotes, safe to stand in a statement.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
