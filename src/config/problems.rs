//! What is wrong with what people wrote: every problem at once, each with its place.

use std::fmt;

use serde::Serialize;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The file with line and column, or the environment variable.
    pub place: Place,
    /// The JSON path, such as `jobs[2].podConfig.parallelism`; empty for the whole.
    pub path: String,
    /// What was found, and what is allowed: one sentence.
    pub text: String,
}

/// Where a problem stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Place {
    /// A place in a text file; line and column count from 1.
    Text {
        /// As the file was named.
        file: String,
        /// From 1.
        line: usize,
        /// From 1, in characters.
        column: usize,
    },
    /// A layer of the settings, such as `environment DB_PORT`.
    Source {
        /// The layer.
        source: String,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text { file, line, column } => write!(f, "{file}:{line}:{column}"),
            Self::Source { source } => f.write_str(source),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.place)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.text)
    }
}

/// Everything that is wrong with one file or with the settings; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.len();
        writeln!(f, "{count} problem{}:", if count == 1 { "" } else { "s" })?;
        self.0.iter().try_for_each(|problem| writeln!(f, "  {problem}"))
    }
}

impl std::error::Error for Problems {}

/// ` (did you mean "x"?)` where a known word is near enough, else nothing.
pub fn nearest<'a>(found: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let best = known.into_iter().map(|word| (strsim::jaro_winkler(&found.to_lowercase(), &word.to_lowercase()), word));
    match best.max_by(|a, b| a.0.total_cmp(&b.0)) {
        Some((score, word)) if score > NEAR_ENOUGH => format!(" (did you mean \"{word}\"?)"),
        _ => String::new(),
    }
}

/// Below this Jaro-Winkler similarity a suggestion puzzles more than it helps.
const NEAR_ENOUGH: f64 = 0.8;
