//! The commands that show something of a running job-chief.

use std::process::ExitCode;

use anyhow::bail;
use clap::Args;
use serde_json::Value;

use crate::{
    cli::{
        globals::Globals,
        output::terminal,
        page::Page,
        server::{Asking, Way, is_unknown},
        watch::{Watching, watch},
    },
    harmless::harmless,
    tables,
};

/// What to show, and how.
#[derive(Debug, Args)]
pub(super) struct Showing {
    /// The name of one.
    name: Option<String>,
    #[command(flatten)]
    watching: Watching,
    #[command(flatten)]
    asking: Asking,
}

impl Showing {
    /// Shows how queues are.
    pub(super) async fn jobs(&self, globals: &Globals) -> anyhow::Result<ExitCode> {
        self.show(globals, self.name.as_deref().map_or(Page::Jobs, Page::Job)).await
    }

    /// Shows how services are; fails if one that should run does not.
    pub(super) async fn services(&self, globals: &Globals) -> anyhow::Result<ExitCode> {
        self.show(globals, self.name.as_deref().map_or(Page::Services, Page::Service)).await
    }

    /// Shows how deployments are; fails if one has failed.
    pub(super) async fn deployments(&self, globals: &Globals) -> anyhow::Result<ExitCode> {
        self.show(globals, self.name.as_deref().map_or(Page::Deployments, Page::Deployment)).await
    }

    async fn show(&self, globals: &Globals, page: Page<'_>) -> anyhow::Result<ExitCode> {
        show(globals, page, (&self.watching, &self.asking)).await
    }
}

/// How to show what there is one of.
#[derive(Debug, Args)]
pub(super) struct Watched {
    #[command(flatten)]
    watching: Watching,
    #[command(flatten)]
    asking: Asking,
}

impl Watched {
    /// Shows how pools are.
    pub(super) async fn pools(&self, globals: &Globals) -> anyhow::Result<ExitCode> {
        show(globals, Page::Pools, (&self.watching, &self.asking)).await
    }
}

async fn show(globals: &Globals, page: Page<'_>, (watching, asking): (&Watching, &Asking)) -> anyhow::Result<ExitCode> {
    if let Some(interval) = watching.interval() {
        return watch(page, asking, globals, interval).await;
    }
    let told = page.ask(&asking.server.way(globals).await?).await?;
    asking.output.print(&told, || page.table(&told))?;
    Ok(if page.is_down(&told) { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Tells why the last Jobs of a queue were started or were not, or what holds a service.
pub(super) async fn why(globals: &Globals, name: &str, asking: &Asking) -> anyhow::Result<()> {
    let told = account(&asking.server.way(globals).await?, name).await?;
    let lines = || {
        let lines = told["lines"].as_array().map(Vec::as_slice).unwrap_or_default();
        // A line each, for `grep` and the like; whoever looks at them reads no broken words.
        let fit = |line: String| match terminal() {
            Some((width, _)) => tables::why_line(&line, width),
            None => line,
        };
        lines.iter().filter_map(Value::as_str).map(harmless).map(fit).collect::<Vec<_>>().join("\n")
    };
    asking.output.print(&told, lines)
}

/// What is told of a name, be it a queue's or a service's.
async fn account(way: &Way, name: &str) -> anyhow::Result<Value> {
    let unknown = match way.ask(&["jobs", name, "why"]).await {
        Err(error) if is_unknown(&error) => error,
        told => return told,
    };
    match way.ask(&["services", name, "why"]).await {
        Err(error) if is_unknown(&error) => bail!("{unknown}; {error}"),
        told => told,
    }
}
