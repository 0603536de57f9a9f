//! A file of a module, read once and filled for each deployment.

use crate::{
    config::problems::Problem,
    modules::{
        placeholder::{PLACEHOLDERS_MAX, Token, Use, foreign_sign, masked, scan},
        source::Source,
        tree::{self, Tree},
    },
};

/// The largest file: a ConfigMap of modules holds several.
pub(super) const FILE_BYTES_MAX: usize = 256 << 10;

/// What is said of a character that signs are made of.
const PRIVATE_USE: &str = "a character of Unicode's private use area: write it as an escape, as \"\\uE000\"";

/// A file with its placeholders and its documents.
#[derive(Clone, Debug)]
pub(super) struct Template {
    pub(super) source: Source,
    pub(super) tokens: Vec<Token>,
    pub(super) documents: Vec<Tree>,
    /// What comments say of placeholders: offset, name, text.
    pub(super) help: Vec<(usize, String, String)>,
    /// The tokens that are placeholders; the others stand in comments.
    seen: Vec<usize>,
}

impl Template {
    /// Reads a file.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub(super) fn read(source: Source) -> Result<Self, Vec<Problem>> {
        let bytes = source.written().len();
        if bytes > FILE_BYTES_MAX {
            let what = format!("it has {bytes} bytes, allowed are {FILE_BYTES_MAX}: make two files of it");
            return Err(vec![source.problem(0, what)]);
        }
        let tokens = scan(&source.text).map_err(|at| {
            let what = format!("more than {PLACEHOLDERS_MAX} placeholders: make two files of it");
            vec![source.problem(at, what)]
        })?;
        if let Some(found) = unreadable(&source, &tokens) {
            return Err(vec![found]);
        }
        let masked = masked(&source.text, &tokens);
        let read = tree::read(&source, &masked, &tokens);
        let mut problems = read.problems;
        let is_whole = read.broken.is_none();
        let mut wrong_tokens = 0;
        for (number, token) in tokens.iter().enumerate() {
            let is_seen = read.seen.contains(&number);
            match &token.found {
                // Behind what is no YAML any more nobody knows what is a comment.
                Err(what) if is_seen || (!is_whole && !in_comment_line(&source.text, token.range.start)) => {
                    wrong_tokens += 1;
                    problems.push(source.problem(token.range.start, what.as_str()));
                }
                Ok(_) if is_whole && !is_seen && source.text[token.range.clone()].contains(['\n', '\r']) => {
                    problems.push(source.problem(token.range.start, "a placeholder in a comment ends on its line"));
                }
                _ => {}
            }
        }
        // What is no YAML for want of the end of a placeholder needs no other words.
        problems.extend(read.broken.filter(|_| wrong_tokens == 0));
        if !problems.is_empty() {
            return Err(problems);
        }
        let help = read.comments.into_iter().filter_map(|(at, text)| said(at, &text)).collect();
        Ok(Self { source, tokens, documents: read.documents, help, seen: read.seen })
    }

    /// Reads a file in which nothing is a placeholder.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub(super) fn plain(source: Source) -> Result<Self, Vec<Problem>> {
        if let Some(found) = unreadable(&source, &[]) {
            return Err(vec![found]);
        }
        let read = tree::read(&source, &source.text, &[]);
        let problems: Vec<Problem> = read.problems.into_iter().chain(read.broken).collect();
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Self { source, tokens: vec![], documents: read.documents, help: vec![], seen: vec![] })
    }

    /// Its placeholders where they stand, with their numbers.
    pub(super) fn uses(&self) -> impl Iterator<Item = (usize, &Token, &Use)> {
        self.tokens.iter().enumerate().filter_map(|(number, token)| {
            let found = token.found.as_ref().ok().filter(|_| self.seen.contains(&number))?;
            Some((number, token, found))
        })
    }
}

/// The first character that a template may not have.
fn unreadable(source: &Source, tokens: &[Token]) -> Option<Problem> {
    if let Some((at, c)) = source.text.char_indices().find(|(_, c)| !is_readable(*c)) {
        let code = u32::from(c);
        let what = format!(
            "readers of YAML refuse or misread the character U+{code:04X}: write it as an escape in double quotes, as \"\\u{code:04X}\", and take it out of comments"
        );
        return Some(source.problem(at, what));
    }
    let mut returns = source.text.match_indices('\r').map(|(at, _)| at);
    if let Some(at) = returns.find(|at| !source.text[at + 1..].starts_with('\n')) {
        return Some(source.problem(at, "a carriage return without a line feed behind it: end lines with a line feed"));
    }
    foreign_sign(&source.text, tokens).map(|at| source.problem(at, PRIVATE_USE))
}

/// Whether all readers of YAML take a character for the same: it is printable, and none that ends a line only in YAML 1.1.
///
/// Source: YAML 1.2.2, 5.1 (`c-printable`) and 5.4.
fn is_readable(c: char) -> bool {
    match c {
        '\t' | '\n' | '\r' => true,
        '\u{2028}' | '\u{2029}' | '\u{fffe}' | '\u{ffff}' => false,
        _ => !c.is_control(),
    }
}

fn in_comment_line(text: &str, at: usize) -> bool {
    let line = text[..at].rfind(['\n', '\r']).map_or(0, |at| at + 1);
    text[line..at].trim_start().starts_with('#')
}

/// `@name text` of a comment.
fn said(at: usize, comment: &str) -> Option<(usize, String, String)> {
    let (name, text) = comment.trim().strip_prefix('@')?.split_once(char::is_whitespace)?;
    Some((at, name.to_owned(), text.trim().to_owned()))
}
