//! The command that looks at everything.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;

use crate::{
    cli::server::{Output, print},
    doctor::examine::{Words, examine},
};

/// How it is printed.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// How the lines are printed.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

impl Options {
    /// Looks at everything, with 1 as the exit code if something does not work.
    pub(super) async fn run(
        &self,
        config: Option<&Path>,
        kubeconfig: &Option<PathBuf>,
        context: &Option<String>,
    ) -> anyhow::Result<ExitCode> {
        let environment: BTreeMap<String, String> = std::env::vars().collect();
        let words = Words { config, kubeconfig: kubeconfig.as_ref(), context: context.as_ref() };
        let report = examine(words, &environment).await;
        match self.output {
            Output::Json => print(&serde_json::to_string_pretty(&report)?)?,
            Output::Table => print(&report.to_string())?,
        }
        Ok(if report.has_failed() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}
