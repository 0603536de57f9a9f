//! What a shell reads to complete our commands.

use clap::ValueEnum;
use clap_complete::{Generator, generate, shells};

use crate::cli::output::print;

/// A shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Shell {
    /// Bash.
    Bash,
    /// Zsh.
    Zsh,
    /// Fish.
    Fish,
}

impl Shell {
    /// Prints the completions of a command.
    pub(super) fn complete(self, command: clap::Command) -> anyhow::Result<()> {
        match self {
            Self::Bash => write(shells::Bash, command),
            Self::Zsh => write(shells::Zsh, command),
            Self::Fish => write(shells::Fish, command),
        }
    }
}

fn write(shell: impl Generator, mut command: clap::Command) -> anyhow::Result<()> {
    let mut text = vec![];
    generate(shell, &mut command, "job-chief", &mut text);
    print(&String::from_utf8_lossy(&text))
}
