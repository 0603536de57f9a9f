//! The commands about queues.

use std::{path::Path, time::Duration};

use anyhow::Context;
use clap::Args;
use serde_json::Value;

use crate::{
    cli::server::{Asking, Output, Telling, print},
    clock::sleep,
    tables,
};

/// Which JobConfigs are meant.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct Whom {
    /// The name of the JobConfig.
    name: Option<String>,
    /// All of them.
    #[arg(long)]
    all: bool,
}

/// Which JobConfigs, and who says it.
#[derive(Debug, Args)]
pub(super) struct Order {
    #[command(flatten)]
    whom: Whom,
    #[command(flatten)]
    telling: Telling,
}

/// Shows how JobConfigs are, or one of them.
pub(super) async fn status(config: Option<&Path>, name: Option<&str>, asking: &Asking) -> anyhow::Result<()> {
    let path: Vec<&str> = std::iter::once("jobs").chain(name).collect();
    let told = asking.server.ask(config, &path).await?;
    print(
        match (asking.output, name) {
            (Output::Json, _) => serde_json::to_string_pretty(&told)?,
            (Output::Table, Some(_)) => tables::details(&told),
            (Output::Table, None) => tables::overview(&told, &asking.server.ask(config, &["members"]).await?),
        }
        .trim_end(),
    )
}

/// Tells why the last Jobs of a JobConfig were started or were not.
pub(super) async fn why(config: Option<&Path>, name: &str, asking: &Asking) -> anyhow::Result<()> {
    let told = asking.server.ask(config, &["jobs", name, "why"]).await?;
    match asking.output {
        Output::Json => print(&serde_json::to_string_pretty(&told)?),
        Output::Table => {
            let lines = told["lines"].as_array().map(Vec::as_slice).unwrap_or_default();
            lines.iter().filter_map(|line| line.as_str()).try_for_each(print)
        }
    }
}

/// Between two questions how many Jobs still live.
const DRAIN_ASKED_EVERY: Duration = Duration::from_secs(1);

impl Whom {
    /// The path of an action on them.
    fn path<'a>(&'a self, action: &'a str) -> Vec<&'a str> {
        self.name.as_deref().map_or_else(|| vec![action], |name| vec!["jobs", name, action])
    }

    fn told(&self) -> &str {
        self.name.as_deref().unwrap_or("all JobConfigs")
    }
}

impl Order {
    /// Pauses or resumes.
    pub(super) async fn pause(&self, config: Option<&Path>, paused: bool) -> anyhow::Result<()> {
        let (action, done) = if paused { ("pause", "paused") } else { ("resume", "resumed") };
        self.telling.tell(config, &self.whom.path(action)).await?;
        print(&format!("{} {done}", self.whom.told()))
    }

    /// Asks for a Job now.
    pub(super) async fn run_now(&self, config: Option<&Path>) -> anyhow::Result<()> {
        let told = self.telling.tell(config, &self.whom.path("run")).await?;
        print(&format!("{}: {} asked for; it is created as soon as there is room", self.whom.told(), told["asked"]))
    }

    /// Pauses, and waits until nothing lives any more.
    pub(super) async fn drain(&self, config: Option<&Path>, timeout: Duration) -> anyhow::Result<()> {
        self.pause(config, true).await?;
        let path: Vec<&str> = std::iter::once("jobs").chain(self.whom.name.as_deref()).collect();
        let waiting = async {
            let mut before = None;
            loop {
                let told = self.telling.server.ask(config, &path).await?;
                let live = told.as_array().map_or_else(|| live_jobs(&told), |all| all.iter().map(live_jobs).sum());
                if before.replace(live) != Some(live) {
                    print(&format!("{live} live"))?;
                }
                if live == 0 {
                    return anyhow::Ok(());
                }
                sleep(DRAIN_ASKED_EVERY).await;
            }
        };
        tokio::time::timeout(timeout, waiting).await.with_context(|| {
            format!("Jobs still live after {}; {} stays paused", humantime::format_duration(timeout), self.whom.told())
        })?
    }
}

fn live_jobs(job: &Value) -> usize {
    job["live"].as_array().map_or(0, Vec::len)
}
