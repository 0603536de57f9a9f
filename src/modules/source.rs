//! A file of a module, and places in it.

use crate::config::{
    json::line_column,
    problems::{Place, Problem},
};

/// Problems that are told of a module; after so many the rest is noise.
pub(super) const PROBLEMS_MAX: usize = 100;

/// A file with its text.
#[derive(Clone, Debug)]
pub(super) struct Source {
    /// Its path below the module's folder.
    pub(super) file: String,
    /// Its text as it was written, with a break behind its last line.
    pub(super) text: String,
    /// The bytes that were written.
    written: usize,
}

impl Source {
    /// A file with a text of one or more lines.
    ///
    /// A last line without a break gets one: readers of YAML differ about what a block of text is that ends with it. The
    /// byte order mark that some editors put before a text is no part of it.
    pub(super) fn new(file: String, text: &str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let end = if text.ends_with('\n') { "" } else { "\n" };
        Self { file, text: format!("{text}{end}"), written: text.len() }
    }

    /// Its text without a break that it did not have.
    pub(super) fn written(&self) -> &str {
        &self.text[..self.written]
    }

    /// A problem at a byte offset.
    pub(super) fn problem(&self, at: usize, text: impl Into<String>) -> Problem {
        self.problem_of(at, String::new(), text)
    }

    /// A problem of what stands at a path.
    pub(super) fn problem_of(&self, at: usize, path: String, text: impl Into<String>) -> Problem {
        let (line, column) = self.line_column(at);
        Problem { place: Place::Text { file: self.file.clone(), line, column }, path, text: text.into() }
    }

    /// Line and column of a byte offset, both from 1; no line is behind the last one that was written.
    pub(super) fn line_column(&self, at: usize) -> (usize, usize) {
        line_column(self.written(), at)
    }
}

/// In the order in which they stand in the files; each once, at most [`PROBLEMS_MAX`].
pub(super) fn sorted(mut problems: Vec<Problem>) -> Vec<Problem> {
    problems.sort_by_key(|problem| match &problem.place {
        Place::Text { file, line, column } => (file.clone(), *line, *column),
        Place::Source { .. } => (String::new(), 0, 0),
    });
    problems.dedup();
    problems.truncate(PROBLEMS_MAX);
    problems
}
