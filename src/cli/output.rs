//! How answers are printed.

use std::io::{self, Write};

use clap::ValueEnum;
use serde::Serialize;

use crate::{harmless::harmless_lines, tables::wrap::wrapped};

/// How an answer is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    /// For people.
    Table,
    /// For programs.
    Json,
    /// For programs, and readable.
    Yaml,
}

/// How a document is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// JSON.
    Json,
    /// YAML.
    Yaml,
}

impl Output {
    /// What programs read; none for people.
    pub(super) fn format(self) -> Option<Format> {
        match self {
            Self::Table => None,
            Self::Json => Some(Format::Json),
            Self::Yaml => Some(Format::Yaml),
        }
    }

    /// Prints a value for programs, or for people what they read of it.
    pub(super) fn print(self, value: &impl Serialize, table: impl FnOnce() -> String) -> anyhow::Result<()> {
        match self.format() {
            Some(format) => format.print(value),
            None => print(&table()),
        }
    }
}

impl Format {
    /// The text of a value, without a line break at its end.
    pub(super) fn text(self, value: &impl Serialize) -> anyhow::Result<String> {
        Ok(match self {
            Self::Json => serde_json::to_string_pretty(value)?,
            Self::Yaml => serde_yaml_ng::to_string(value)?.trim_end().to_owned(),
        })
    }

    /// Prints it.
    pub(super) fn print(self, value: &impl Serialize) -> anyhow::Result<()> {
        print(&self.text(value)?)
    }
}

/// Columns of a table that goes elsewhere than to a terminal.
const WIDTH_ELSEWHERE: usize = 100;

/// How wide a table may be.
pub(super) fn width() -> usize {
    terminal().map_or(WIDTH_ELSEWHERE, |(width, _)| width)
}

/// Columns and lines of the terminal, where standard output is one.
pub(super) fn terminal() -> Option<(usize, usize)> {
    let (terminal_size::Width(width), terminal_size::Height(height)) = terminal_size::terminal_size_of(io::stdout())?;
    // A terminal that does not know its size says 0.
    (width > 0 && height > 0).then_some((width.into(), height.into()))
}

/// Prints the answer of a command; colours only where they can be seen.
pub(super) fn print(text: &str) -> anyhow::Result<()> {
    let mut stdout = anstream::stdout().lock();
    writeln!(stdout, "{}", text.trim_end())?;
    Ok(stdout.flush()?)
}

/// The columns of standard error, where it is a terminal.
fn errors_width() -> Option<usize> {
    let (terminal_size::Width(width), _) = terminal_size::terminal_size_of(io::stderr())?;
    (width > 0).then_some(width.into())
}

/// What is told behind so many columns, without a word that a terminal would break.
fn fitted(text: &str, behind: usize) -> String {
    let text = harmless_lines(text);
    let Some(width) = errors_width() else { return text };
    let line = |(number, line): (usize, &str)| {
        let rest = line.trim_start_matches(' ');
        let lead = line.len() - rest.len();
        let indent = if number == 0 { behind } else { lead + 2 };
        format!("{:lead$}{}", "", wrapped(rest, indent, width))
    };
    text.split('\n').enumerate().map(line).collect::<Vec<_>>().join("\n")
}

/// Tells on standard error what is worth knowing.
pub(super) fn warn(text: &str) {
    let style = anstyle::AnsiColor::Yellow.on_default().bold();
    anstream::eprintln!("{style}warning{style:#}: {}", fitted(text, "warning: ".len()));
}

/// Tells on standard error what went wrong.
pub(super) fn complain(text: &str) {
    let style = anstyle::AnsiColor::Red.on_default().bold();
    anstream::eprintln!("{style}error{style:#}: {}", fitted(text.trim_end(), "error: ".len()));
}

/// Whoever reads the answer has gone, as `head` does.
pub(super) fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
