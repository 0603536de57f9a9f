//! The commands about services.

use std::{path::Path, process::ExitCode};

use clap::{Args, Subcommand};
use serde_json::json;

use crate::{
    cli::server::{Asking, Output, Telling, print},
    store::switches::ServiceVerb,
    tables,
};

/// What to do about services.
#[derive(Debug, Subcommand)]
pub(super) enum ServiceCommand {
    /// Show how the services stand, or one of them with its runs; fails if one that should run does not.
    Status {
        /// The name of one service.
        name: Option<String>,
        #[command(flatten)]
        asking: Asking,
    },
    /// Keep up from now on, without waiting; also what they depend on, unless --no-deps.
    Start(Order),
    /// Stop until somebody says start: SIGTERM, and SIGKILL after `stopTimeout`.
    Stop(Order),
    /// Stop and start every replica.
    Restart(Order),
    /// Stop without any grace.
    Halt(Order),
    /// As if jobs.json said `enabled: true`, until that changes.
    Enable(Order),
    /// As if jobs.json said `enabled: false`, until that changes.
    Disable(Order),
}

/// Whom to tell, and who says it.
#[derive(Debug, Args)]
pub(super) struct Order {
    /// The names of services.
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    names: Vec<String>,
    /// Every service.
    #[arg(long)]
    all: bool,
    /// Also those that they depend on (start, enable), or that depend on them (the others).
    #[arg(long, conflicts_with = "no_deps")]
    deps: bool,
    /// Not those; the default for all but start.
    #[arg(long)]
    no_deps: bool,
    #[command(flatten)]
    telling: Telling,
}

impl ServiceCommand {
    /// Does it.
    pub(super) async fn run(&self, config: Option<&Path>) -> anyhow::Result<ExitCode> {
        match self {
            Self::Status { name, asking } => status(config, name.as_deref(), asking).await,
            Self::Start(order) => order.tell(config, ServiceVerb::Start).await,
            Self::Stop(order) => order.tell(config, ServiceVerb::Stop).await,
            Self::Restart(order) => order.tell(config, ServiceVerb::Restart).await,
            Self::Halt(order) => order.tell(config, ServiceVerb::Halt).await,
            Self::Enable(order) => order.tell(config, ServiceVerb::Enable).await,
            Self::Disable(order) => order.tell(config, ServiceVerb::Disable).await,
        }
    }
}

async fn status(config: Option<&Path>, name: Option<&str>, asking: &Asking) -> anyhow::Result<ExitCode> {
    let path: Vec<&str> = std::iter::once("services").chain(name).collect();
    let told = asking.server.ask(config, &path).await?;
    let text = match (asking.output, name) {
        (Output::Json, _) => serde_json::to_string_pretty(&told)?,
        (Output::Table, Some(_)) => tables::service(&told),
        (Output::Table, None) => tables::services(&told),
    };
    print(text.trim_end())?;
    let all = told.as_array().map_or(std::slice::from_ref(&told), Vec::as_slice);
    let is_down = all.iter().any(|service| service["wanted"] == true && service["state"] != "RUNNING");
    Ok(if is_down { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

impl Order {
    /// A failure of one does not stop the rest.
    async fn tell(&self, config: Option<&Path>, verb: ServiceVerb) -> anyhow::Result<ExitCode> {
        let deps = if self.deps {
            json!(true)
        } else if self.no_deps {
            json!(false)
        } else {
            json!(null)
        };
        let word = verb.as_str();
        let paths: Vec<Vec<&str>> = if self.all {
            vec![vec![word]]
        } else {
            self.names.iter().map(|name| vec!["services", name, word]).collect()
        };
        let mut failed = false;
        for path in paths {
            match self.telling.tell_with(config, &path, &json!({ "deps": deps })).await {
                Ok(told) => {
                    let names = told["services"].as_array().map(Vec::as_slice).unwrap_or_default();
                    let names: Vec<&str> = names.iter().filter_map(|name| name.as_str()).collect();
                    print(&format!("{word}: {}", names.join(", ")))?;
                }
                Err(error) => {
                    failed = true;
                    eprintln!("{word} {}: {error:#}", path.get(1).unwrap_or(&"all"));
                }
            }
        }
        Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}
