//! Sentences in lines no wider than a terminal, broken between words.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// A text whose first line begins behind `indent` columns; the others are indented by as many. A word that fits into
/// no line is broken.
pub fn wrapped(text: &str, indent: usize, width: usize) -> String {
    let room = width.saturating_sub(indent).max(1);
    let (mut told, mut column) = (String::new(), 0);
    for word in text.split(' ').flat_map(|word| pieces(word, room)) {
        let length = word.width();
        if column > 0 && column + 1 + length > room {
            told.push('\n');
            told.extend(std::iter::repeat_n(' ', indent));
            column = 0;
        } else if column > 0 {
            told.push(' ');
            column += 1;
        }
        told.push_str(&word);
        column += length;
    }
    told
}

/// A word in parts of so many columns at the most.
fn pieces(word: &str, room: usize) -> Vec<String> {
    let mut pieces = vec![String::new()];
    let mut column = 0;
    for letter in word.chars() {
        let length = letter.width().unwrap_or_default();
        if column > 0 && column + length > room {
            pieces.push(String::new());
            column = 0;
        }
        pieces.last_mut().expect("there is one").push(letter);
        column += length;
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_between_words_and_what_follows_is_indented() {
        assert_eq!(wrapped("now 1 running: full", 4, 80), "now 1 running: full");
        assert_eq!(wrapped("one two three four", 2, 11), "one two\n  three\n  four");
        assert_eq!(wrapped("0123456789 a", 2, 8), "012345\n  6789 a");
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        let text = format!("{} {} end", "漢字".repeat(30), "x".repeat(200));
        for width in 10..120 {
            let told = format!("{:7}{}", "", wrapped(&text, 7, width));
            assert!(told.lines().all(|line| line.width() <= width), "{width}:\n{told}");
        }
    }
}
