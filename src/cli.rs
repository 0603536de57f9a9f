//! The commands.

mod command_line;
mod completions;
mod database;
mod deployment;
mod doctor;
mod examples;
mod files;
mod forecast;
mod globals;
mod import;
mod modules;
mod output;
mod page;
mod plugin;
mod queue;
mod server;
mod service;
mod show;
mod watch;

use std::{ffi::OsString, path::PathBuf, process::ExitCode, time::Duration};

use anyhow::Context;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::{
    app,
    cli::{
        completions::Shell,
        deployment::{Deploy, Undeploy},
        forecast::{Forecasting, Planning},
        globals::{BadConfiguration, Globals},
        modules::Given,
        output::{Format, Output, complain, is_closed_pipe},
        server::Asking,
        service::ServiceCommand,
        show::{Showing, Watched},
    },
    config::problems::Problems,
    telemetry,
};

/// Starts Kubernetes Jobs for the messages of pg-boss queues, keeps services up.
#[derive(Debug, Parser)]
#[command(name = "job-chief", version, after_help = examples::ROOT)]
pub struct Cli {
    #[command(flatten)]
    globals: Globals,
    #[command(subcommand)]
    command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
enum Command {
    /// Show how queues are, or one of them with what it did last.
    #[command(after_help = examples::STATUS)]
    Status(Showing),
    /// Tell why Jobs were started or were not, and what holds a service.
    #[command(after_help = examples::WHY)]
    Why {
        /// The name of the queue's JobConfig, or of the service.
        name: String,
        #[command(flatten)]
        asking: Asking,
    },
    /// Show who holds the places of each pool, and who waits for some.
    #[command(after_help = examples::POOLS)]
    Pools(Watched),
    /// Create nothing until resumed; running Jobs go on.
    #[command(after_help = examples::PAUSE)]
    Pause(queue::Order),
    /// Create again.
    #[command(after_help = examples::RESUME)]
    Resume(queue::Order),
    /// Pause, and wait until no Job lives any more.
    #[command(after_help = examples::DRAIN)]
    Drain {
        #[command(flatten)]
        order: queue::Order,
        /// How long to wait.
        #[arg(long, default_value = "1h", value_parser = watch::duration, value_name = "DURATION")]
        timeout: Duration,
    },
    /// Create one Job now, whatever the queue holds.
    ///
    /// It is created as soon as `maxConcurrentJobs` leaves room.
    #[command(after_help = examples::RUN_NOW)]
    RunNow(queue::Order),
    /// Start, stop and show services.
    #[command(subcommand, after_help = examples::SERVICE)]
    Service(ServiceCommand),
    /// Deploy a module, or deploy it anew.
    ///
    /// It is written down, and done by whoever leads: --wait waits for that.
    #[command(after_help = examples::DEPLOY)]
    Deploy(Deploy),
    /// Show what is deployed, or one deployment with its objects.
    ///
    /// Fails if one has failed.
    #[command(after_help = examples::DEPLOYMENTS)]
    Deployments(Showing),
    /// Remove a deployment with what it owns; volumes stay unless named.
    #[command(after_help = examples::UNDEPLOY)]
    Undeploy(Undeploy),
    /// Check the settings and jobs.json; tell every problem.
    #[command(after_help = examples::VALIDATE)]
    Validate {
        /// How the answer is printed.
        #[arg(short, long, value_enum, default_value_t = Output::Table, value_name = "FORMAT")]
        output: Output,
    },
    /// Print the Job of one JobConfig, or a module with its values.
    #[command(after_help = examples::RENDER)]
    Render {
        /// The name of the JobConfig, or MODULE[@VERSION].
        name: String,
        #[command(flatten)]
        given: Given,
        /// How it is printed.
        #[arg(short, long, value_enum, default_value_t = Format::Yaml, value_name = "FORMAT")]
        output: Format,
    },
    /// Show which modules are there, or the placeholders of one.
    #[command(after_help = examples::MODULES)]
    Modules {
        /// A module, as NAME or NAME@VERSION.
        name: Option<String>,
        /// How the answer is printed.
        #[arg(short, long, value_enum, default_value_t = Output::Table, value_name = "FORMAT")]
        output: Output,
    },
    /// Print what another jobs.json would change.
    ///
    /// It is compared with the one that is configured.
    #[command(after_help = examples::PLAN)]
    Plan(Planning),
    /// Tell what another configuration would have done lately.
    ///
    /// The messages that pg-boss remembers go once more through the same
    /// decisions, in simulated time. Nothing is changed.
    #[command(after_help = examples::FORECAST)]
    Forecast(Forecasting),
    /// Check all that job-chief needs, and tell what to do.
    #[command(after_help = examples::DOCTOR)]
    Doctor {
        /// How the answer is printed.
        #[arg(short, long, value_enum, default_value_t = Output::Table, value_name = "FORMAT")]
        output: Output,
    },
    /// Print the JSON Schema of jobs.json.
    #[command(after_help = examples::SCHEMA)]
    Schema {
        /// How it is printed.
        #[arg(short, long, value_enum, default_value_t = Format::Json, value_name = "FORMAT")]
        output: Format,
    },
    /// Make a jobs.json of KEDA's ScaledJobs or the original's files.
    ///
    /// Plain Jobs are taken, too. The original is the TypeScript job-chief.
    #[command(after_help = examples::IMPORT)]
    Import {
        /// YAML or JSON of Kubernetes, the original's jobs.json, its environment file.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// How the answer is printed.
        #[arg(short, long, value_enum, default_value_t = Output::Table, value_name = "FORMAT")]
        output: Output,
    },
    /// Watch the queues and start Jobs, until SIGTERM.
    #[command(after_help = examples::RUN)]
    Run,
    /// Create or update our own schema in Postgres, as a role that may.
    #[command(after_help = examples::MIGRATE)]
    Migrate,
    /// Print the GRANTs that the running service needs.
    #[command(after_help = examples::GRANTS)]
    Grants {
        /// The role that runs the service.
        role: String,
        /// How they are printed; a table is plain SQL.
        #[arg(short, long, value_enum, default_value_t = Output::Table, value_name = "FORMAT")]
        output: Output,
    },
    /// Print the Role that the service needs.
    #[command(after_help = examples::RBAC)]
    Rbac {
        /// How it is printed.
        #[arg(short, long, value_enum, default_value_t = Format::Yaml, value_name = "FORMAT")]
        output: Format,
    },
    /// Print what a shell needs to complete these commands.
    #[command(after_help = examples::COMPLETIONS)]
    Completions {
        /// The shell.
        shell: Shell,
    },
}

/// The exit code for a configuration that nothing can be started with.
const BAD_CONFIGURATION: u8 = 2;

impl Cli {
    /// Reads the command line, or ends with what is wrong with it.
    pub fn read() -> Self {
        let words: Vec<OsString> = std::env::args_os().collect();
        command_line::choose_colours(&words);
        let mut parser = Self::parser();
        let matches = parser.try_get_matches_from_mut(words).unwrap_or_else(|error| error.exit());
        Self::from_arg_matches(&matches).unwrap_or_else(|error| error.format(&mut parser).exit())
    }

    /// The parser of the command line, whose help is the reference.
    pub fn parser() -> clap::Command {
        command_line::dressed(Self::command())
    }

    /// Does what was asked, and tells on standard error what went wrong.
    pub fn main(self) -> ExitCode {
        match self.dispatch() {
            Ok(code) => code,
            Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
            Err(error) => {
                // `{:#}` shows causes behind one another; problems have lines of their own.
                complain(&format!("{error:#}"));
                let bad_configuration = error.is::<BadConfiguration>() || error.is::<Problems>();
                if bad_configuration { ExitCode::from(BAD_CONFIGURATION) } else { ExitCode::FAILURE }
            }
        }
    }

    fn dispatch(self) -> anyhow::Result<ExitCode> {
        let globals = &self.globals;
        let done = match &self.command {
            Command::Status(showing) => return runtime()?.block_on(showing.jobs(globals)),
            Command::Deployments(showing) => return runtime()?.block_on(showing.deployments(globals)),
            Command::Pools(watched) => return runtime()?.block_on(watched.pools(globals)),
            Command::Deploy(deploy) => return runtime()?.block_on(deploy.run(globals)),
            Command::Undeploy(undeploy) => return runtime()?.block_on(undeploy.run(globals)),
            Command::Service(command) => return runtime()?.block_on(command.run(globals)),
            Command::Doctor { output } => return runtime()?.block_on(doctor::run(globals, *output)),
            Command::Validate { output } => return files::validate(globals, *output),
            Command::Import { files, output } => return import::run(files, *output),
            Command::Why { name, asking } => runtime()?.block_on(show::why(globals, name, asking)),
            Command::Pause(order) => runtime()?.block_on(order.pause(globals, true)),
            Command::Resume(order) => runtime()?.block_on(order.pause(globals, false)),
            Command::Drain { order, timeout } => runtime()?.block_on(order.drain(globals, *timeout)),
            Command::RunNow(order) => runtime()?.block_on(order.run_now(globals)),
            Command::Render { name, given, output } if modules::is_module(globals, name, given) => {
                modules::render(globals, name, given, *output)
            }
            Command::Render { name, output, .. } => files::render(globals, name, *output),
            Command::Modules { name, output } => modules::list(globals, name.as_deref(), *output),
            Command::Plan(planning) if planning.needs_answer() => runtime()?.block_on(planning.run(globals)),
            Command::Plan(planning) => planning.print(globals),
            Command::Forecast(forecasting) => runtime()?.block_on(forecasting.run(globals)),
            Command::Schema { output } => files::schema(*output),
            Command::Run => run(globals),
            Command::Migrate => runtime()?.block_on(database::migrate(globals)),
            Command::Grants { role, output } => database::grants(globals, role, *output),
            Command::Rbac { output } => files::rbac(*output),
            Command::Completions { shell } => shell.complete(Self::command()),
        };
        done.map(|()| ExitCode::SUCCESS)
    }
}

fn run(globals: &Globals) -> anyhow::Result<()> {
    let plan = globals.plan()?;
    let access = globals.access(plan.settings.kubernetes.load_config_from_cluster)?;
    telemetry::start(&plan.settings.telemetry.logger);
    runtime()?.block_on(app::run(plan, access))
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("no runtime")
}
