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
    /// Its text as it was written.
    pub(super) text: String,
}

impl Source {
    /// A problem at a byte offset.
    pub(super) fn problem(&self, at: usize, text: impl Into<String>) -> Problem {
        self.problem_of(at, String::new(), text)
    }

    /// A problem of what stands at a path.
    pub(super) fn problem_of(&self, at: usize, path: String, text: impl Into<String>) -> Problem {
        let (line, column) = self.line_column(at);
        Problem { place: Place::Text { file: self.file.clone(), line, column }, path, text: text.into() }
    }

    /// Line and column of a byte offset, both from 1.
    pub(super) fn line_column(&self, at: usize) -> (usize, usize) {
        line_column(&self.text, at)
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
