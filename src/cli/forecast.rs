//! The commands that tell what another configuration would have done.

use std::{path::PathBuf, time::Duration};

use clap::Args;
use serde_json::{Value, json};

use crate::{
    cli::{
        files,
        globals::Globals,
        modules::pairs,
        output::{Output, print, width},
        server::{Asking, Server},
        watch::duration,
    },
    tables,
};

/// What to change, and how far to look back.
#[derive(Debug, Args)]
pub(super) struct Forecasting {
    /// The name of the queue's JobConfig; without it all of them.
    name: Option<String>,
    /// How far to look back, at the most 7d.
    #[arg(long, default_value = LAST, value_parser = duration, value_name = "DURATION")]
    last: Duration,
    /// A key to change: JSON, else a text; null takes it away.
    ///
    /// A key of the JobConfig that is named, else NAME.KEY; limits.KEY and
    /// pools.NAME.KEY are those of jobs.json.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    #[command(flatten)]
    asking: Asking,
}

/// Another jobs.json.
#[derive(Debug, Args)]
pub(super) struct Planning {
    /// The other jobs.json.
    file: PathBuf,
    /// Also ask a running job-chief what it would have done with the messages of
    /// late.
    #[arg(long)]
    forecast: bool,
    /// How far to look back, at the most 7d.
    #[arg(long, default_value = LAST, value_parser = duration, requires = "forecast", value_name = "DURATION")]
    last: Duration,
    #[command(flatten)]
    asking: Asking,
}

/// How far is looked back where nobody says.
const LAST: &str = "24h";

impl Forecasting {
    /// Asks, and prints what is answered.
    pub(super) async fn run(&self, globals: &Globals) -> anyhow::Result<()> {
        let words = json!({ "name": self.name, "last": told(self.last), "set": pairs(&self.set)? });
        let told = ask(&self.asking.server, globals, &words).await?;
        self.asking.output.print(&told, || tables::forecast::forecast(&told, width()))
    }
}

impl Planning {
    /// It needs nobody but the files.
    pub(super) fn needs_answer(&self) -> bool {
        self.forecast
    }

    /// Prints what would change.
    pub(super) fn print(&self, globals: &Globals) -> anyhow::Result<()> {
        let planned = files::planned(globals, &self.file)?;
        self.asking.output.print(&planned.report(), || planned.changes.to_string())
    }

    /// Prints what would change, and what that would have done.
    pub(super) async fn run(&self, globals: &Globals) -> anyhow::Result<()> {
        let planned = files::planned(globals, &self.file)?;
        let words = json!({ "last": told(self.last), "file": planned.text });
        let forecast = ask(&self.asking.server, globals, &words).await?;
        if self.asking.output == Output::Table {
            let table = tables::forecast::forecast(&forecast, width());
            return print(&format!("{}\n\n{table}", planned.changes));
        }
        let mut report = planned.report();
        report["forecast"] = forecast;
        self.asking.output.print(&report, String::new)
    }
}

fn told(last: Duration) -> String {
    humantime::format_duration(last).to_string()
}

async fn ask(server: &Server, globals: &Globals, words: &Value) -> anyhow::Result<Value> {
    server.any_way(globals).await?.ask_long(&["forecast"], words).await
}
