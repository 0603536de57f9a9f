//! The command that looks at everything.

use std::process::ExitCode;

use crate::{
    cli::{
        globals::Globals,
        output::{Output, width},
    },
    doctor::examine::{Words, examine},
};

/// Looks at everything, with 1 as the exit code if something does not work.
pub(super) async fn run(globals: &Globals, output: Output) -> anyhow::Result<ExitCode> {
    let words =
        Words { config: globals.config(), kubeconfig: globals.kubeconfig.as_ref(), context: globals.context.as_ref() };
    let report = examine(words, &globals.environment()).await;
    output.print(&report, || report.shown(width()))?;
    Ok(if report.has_failed() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
