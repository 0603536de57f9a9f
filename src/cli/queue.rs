//! The commands that change something about queues.

use std::time::Duration;

use anyhow::Context;
use clap::Args;
use serde_json::{Value, json};

use crate::{
    cli::{
        globals::Globals,
        output::{Output, print},
        server::{Teller, Telling},
    },
    clock::sleep,
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
    pub(super) async fn pause(&self, globals: &Globals, paused: bool) -> anyhow::Result<()> {
        let (action, done) = if paused { ("pause", "paused") } else { ("resume", "resumed") };
        let told = self.telling.begin(globals).await?.tell(&self.whom.path(action), json!({})).await?;
        self.output().print(&told, || format!("{} {done}", self.whom.told()))
    }

    /// Asks for a Job now.
    pub(super) async fn run_now(&self, globals: &Globals) -> anyhow::Result<()> {
        let told = self.telling.begin(globals).await?.tell(&self.whom.path("run"), json!({})).await?;
        let table =
            || format!("{}: {} asked for; it is created as soon as there is room", self.whom.told(), told["asked"]);
        self.output().print(&told, table)
    }

    /// Pauses, and waits until nothing lives any more.
    pub(super) async fn drain(&self, globals: &Globals, timeout: Duration) -> anyhow::Result<()> {
        let teller = self.telling.begin(globals).await?;
        let mut told = teller.tell(&self.whom.path("pause"), json!({})).await?;
        self.progress(&format!("{} paused", self.whom.told()))?;
        tokio::time::timeout(timeout, self.wait_for_none(&teller)).await.with_context(|| {
            format!("Jobs still live after {}; {} stays paused", humantime::format_duration(timeout), self.whom.told())
        })??;
        told["live"] = json!(0);
        self.output().format().map_or(Ok(()), |format| format.print(&told))
    }

    async fn wait_for_none(&self, teller: &Teller<'_>) -> anyhow::Result<()> {
        let path: Vec<&str> = std::iter::once("jobs").chain(self.whom.name.as_deref()).collect();
        let mut before = None;
        loop {
            let told = teller.way.ask(&path).await?;
            let live = told.as_array().map_or_else(|| live_jobs(&told), |all| all.iter().map(live_jobs).sum());
            if before.replace(live) != Some(live) {
                self.progress(&format!("{live} live"))?;
            }
            if live == 0 {
                return Ok(());
            }
            sleep(DRAIN_ASKED_EVERY).await;
        }
    }

    /// How far it is: part of the answer for people, beside that of programs.
    fn progress(&self, text: &str) -> anyhow::Result<()> {
        if self.output() == Output::Table {
            return print(text);
        }
        eprintln!("{text}");
        Ok(())
    }

    fn output(&self) -> Output {
        self.telling.asking.output
    }
}

fn live_jobs(job: &Value) -> usize {
    job["live"].as_array().map_or(0, Vec::len)
}
