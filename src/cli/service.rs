//! The commands about services.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::{
    cli::{
        examples,
        globals::Globals,
        output::{complain, print},
        server::Telling,
        show::Showing,
    },
    harmless::harmless,
    store::switches::ServiceVerb,
};

/// What to do about services.
#[derive(Debug, Subcommand)]
pub(super) enum ServiceCommand {
    /// Show how services are, or one of them with its runs.
    ///
    /// Fails if one that should run does not.
    #[command(after_help = examples::SERVICE_STATUS)]
    Status(Showing),
    /// Keep services up from now on.
    ///
    /// Does not wait until they are. Also starts what they depend on, unless --no-deps.
    #[command(after_help = examples::SERVICE_START)]
    Start(Order),
    /// Stop services until somebody says start.
    ///
    /// Each pod gets SIGTERM, and SIGKILL after `stopTimeout`.
    #[command(after_help = examples::SERVICE_STOP)]
    Stop(Order),
    /// Stop and start every replica.
    #[command(after_help = examples::SERVICE_RESTART)]
    Restart(Order),
    /// Stop services without any grace.
    ///
    /// Needs the right to delete pods: `rbac.halt` in the chart.
    #[command(after_help = examples::SERVICE_HALT)]
    Halt(Order),
    /// As if jobs.json said `enabled: true`, until that changes.
    #[command(after_help = examples::SERVICE_ENABLE)]
    Enable(Order),
    /// As if jobs.json said `enabled: false`, until that changes.
    #[command(after_help = examples::SERVICE_DISABLE)]
    Disable(Order),
    /// Run an action of a service once.
    ///
    /// Does not wait until it has ended.
    #[command(after_help = examples::SERVICE_ACTION)]
    Action(Act),
}

/// Which action, and who asks for it.
#[derive(Debug, Args)]
pub(super) struct Act {
    /// The name of the service.
    name: String,
    /// The name of the action in jobs.json.
    action: String,
    #[command(flatten)]
    telling: Telling,
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
    pub(super) async fn run(&self, globals: &Globals) -> anyhow::Result<ExitCode> {
        match self {
            Self::Status(showing) => showing.services(globals).await,
            Self::Start(order) => order.tell(globals, ServiceVerb::Start).await,
            Self::Stop(order) => order.tell(globals, ServiceVerb::Stop).await,
            Self::Restart(order) => order.tell(globals, ServiceVerb::Restart).await,
            Self::Halt(order) => order.tell(globals, ServiceVerb::Halt).await,
            Self::Enable(order) => order.tell(globals, ServiceVerb::Enable).await,
            Self::Disable(order) => order.tell(globals, ServiceVerb::Disable).await,
            Self::Action(act) => act.ask(globals).await,
        }
    }
}

impl Act {
    async fn ask(&self, globals: &Globals) -> anyhow::Result<ExitCode> {
        let Self { name, action, telling } = self;
        let told = telling.begin(globals).await?.tell(&["services", name, "actions", action], json!({})).await?;
        let table =
            || format!("{}: {} is asked for; it begins as soon as none of it runs", harmless(name), harmless(action));
        telling.asking.output.print(&told, table)?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Order {
    /// A failure of one does not stop the rest.
    async fn tell(&self, globals: &Globals, verb: ServiceVerb) -> anyhow::Result<ExitCode> {
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
        let teller = self.telling.begin(globals).await?;
        let (mut answers, mut failed) = (vec![], false);
        for path in paths {
            match teller.tell(&path, json!({ "deps": deps })).await {
                Ok(told) => answers.push(told),
                Err(error) => {
                    failed = true;
                    complain(&format!("{word} {}: {error:#}", path.get(1).unwrap_or(&"all")));
                }
            }
        }
        match self.telling.asking.output.format() {
            Some(format) => format.print(&answers)?,
            None => answers.iter().try_for_each(|told| print(&format!("{word}: {}", services(told))))?,
        }
        Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}

/// The services of an answer: those that were named, and those that go with them.
fn services(told: &Value) -> String {
    let names = told["services"].as_array().map(Vec::as_slice).unwrap_or_default();
    names.iter().filter_map(Value::as_str).map(harmless).collect::<Vec<_>>().join(", ")
}
