//! The commands.

mod doctor;
mod import;
mod queue;
mod server;
mod service;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::Context;
use clap::{Parser, Subcommand};
use sqlx::Connection;

use crate::{
    app::{self, Plan},
    cli::{
        server::{Asking, print},
        service::ServiceCommand,
    },
    cluster::connect::Access,
    config::{
        changes::Changes,
        entry::Entry,
        jobs_file,
        problems::{Problems, nearest},
        schema::jobs_json_schema,
        settings::Settings,
        sources,
    },
    decide::{
        decision::{Decision, Wish},
        pod::{inputs::Instance, manifest::Template, names::job_name},
    },
    pgboss::connect,
    sql::quoted,
    store::migrate::migrate,
    telemetry,
};

/// Starts Kubernetes Jobs for the messages of pg-boss queues, and keeps services up.
#[derive(Debug, Parser)]
#[command(name = "job-chief", version, after_help = EXIT_CODES)]
pub struct Cli {
    /// A file of settings (JSON, TOML or YAML).
    #[arg(long, global = true, env = "JOB_CHIEF_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// The context of the kubeconfig to use outside a cluster; never the current one by itself.
    #[arg(long, global = true, value_name = "NAME")]
    context: Option<String>,
    /// The kubeconfig that --context is looked up in [default: $KUBECONFIG, then ~/.kube/config].
    #[arg(long, global = true, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str =
    "Exit codes: 0 done; 1 failed, or `validate` found problems; 2 bad configuration or bad arguments.";

/// What to do.
#[derive(Debug, Subcommand)]
enum Command {
    /// Watch the queues and start Jobs, until SIGTERM.
    Run,
    /// Check the settings and jobs.json; tells every problem.
    Validate,
    /// Print the Job of one JobConfig as YAML.
    Render {
        /// The name of the JobConfig.
        name: String,
    },
    /// Ask a running job-chief how its JobConfigs are, or one of them with what it did last.
    Status {
        /// The name of one JobConfig.
        name: Option<String>,
        #[command(flatten)]
        asking: Asking,
    },
    /// Tell why the last Jobs of a JobConfig were started or were not, and how they ended, a line each.
    Why {
        /// The name of the JobConfig.
        name: String,
        #[command(flatten)]
        asking: Asking,
    },
    /// Create nothing until resumed; running Jobs go on.
    Pause(queue::Order),
    /// Create again.
    Resume(queue::Order),
    /// Pause, and wait until no Job lives any more.
    Drain {
        #[command(flatten)]
        order: queue::Order,
        /// How long to wait.
        #[arg(long, default_value = "1h", value_parser = humantime::parse_duration, value_name = "DURATION")]
        timeout: Duration,
    },
    /// Create one Job now, whatever the queue holds, as soon as `maxConcurrentJobs` leaves room.
    RunNow(queue::Order),
    /// Start, stop and show services.
    #[command(subcommand)]
    Service(ServiceCommand),
    /// Print what another jobs.json would change, compared with the one that is configured.
    Plan {
        /// The other jobs.json.
        file: PathBuf,
    },
    /// Check all that job-chief needs, in Postgres and in Kubernetes, and tell what to do. Changes nothing.
    Doctor(doctor::Options),
    /// Print a jobs.json for KEDA's ScaledJobs, for plain Jobs, or for the TypeScript job-chief's files.
    Import {
        /// YAML or JSON of Kubernetes, the original's jobs.json, its environment file.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Print the JSON Schema of jobs.json.
    Schema,
    /// Create or update our own schema in Postgres, as a role that may.
    Migrate,
    /// Print the GRANTs that the running service needs.
    Grants {
        /// The role that runs the service.
        role: String,
    },
    /// Print the Role that the service needs, as YAML.
    Rbac,
}

/// The exit code for a configuration that nothing can be started with.
const BAD_CONFIGURATION: u8 = 2;

impl Cli {
    /// Does what was asked, and tells on standard error what went wrong.
    pub fn main(self) -> ExitCode {
        let validating = matches!(self.command, Command::Validate);
        match self.dispatch() {
            Ok(code) => code,
            Err(error) => {
                // `{:#}` shows causes behind one another; problems have lines of their own.
                eprintln!("job-chief: {error:#}");
                let bad_configuration = error.is::<BadConfiguration>() || error.downcast_ref::<Problems>().is_some();
                if bad_configuration && !validating { ExitCode::from(BAD_CONFIGURATION) } else { ExitCode::FAILURE }
            }
        }
    }

    fn plan(&self) -> anyhow::Result<Plan> {
        let environment: BTreeMap<String, String> = std::env::vars().collect();
        Plan::read(self.config.as_deref(), &environment)
            .map_err(|error| anyhow::Error::from(BadConfiguration(format!("{error:#}"))))
    }

    /// The settings alone: what they are asked for must not need a jobs.json.
    fn settings(&self) -> anyhow::Result<Settings> {
        let environment: BTreeMap<String, String> = std::env::vars().collect();
        let loaded = sources::load(self.config.as_deref(), &environment);
        Ok(loaded.map_err(|problems| BadConfiguration(format!("the settings are wrong: {problems}")))?.settings)
    }

    fn dispatch(self) -> anyhow::Result<ExitCode> {
        let config = self.config.as_deref();
        let done = match &self.command {
            Command::Service(command) => return runtime()?.block_on(command.run(config)),
            Command::Doctor(options) => {
                return runtime()?.block_on(options.run(config, &self.kubeconfig, &self.context));
            }
            Command::Import { files } => return import::run(files),
            Command::Run => {
                let plan = self.plan()?;
                let in_cluster = plan.settings.kubernetes.load_config_from_cluster;
                let access = Access::of(in_cluster, self.kubeconfig.clone(), self.context.clone())
                    .map_err(|error| BadConfiguration(error.to_string()))?;
                telemetry::start(&plan.settings.telemetry.logger);
                runtime()?.block_on(app::run(plan, access))
            }
            Command::Validate => self.validate(),
            Command::Render { name } => self.render(name),
            Command::Status { name, asking } => runtime()?.block_on(queue::status(config, name.as_deref(), asking)),
            Command::Why { name, asking } => runtime()?.block_on(queue::why(config, name, asking)),
            Command::Pause(order) => runtime()?.block_on(order.pause(config, true)),
            Command::Resume(order) => runtime()?.block_on(order.pause(config, false)),
            Command::Drain { order, timeout } => runtime()?.block_on(order.drain(config, *timeout)),
            Command::RunNow(order) => runtime()?.block_on(order.run_now(config)),
            Command::Plan { file } => self.show_changes(file),
            Command::Schema => print(&serde_json::to_string_pretty(&jobs_json_schema())?),
            Command::Migrate => runtime()?.block_on(self.migrate()),
            Command::Grants { role } => self.grants(role),
            Command::Rbac => print(include_str!("../deploy/role.yaml").trim_end()),
        };
        done.map(|()| ExitCode::SUCCESS)
    }

    fn validate(&self) -> anyhow::Result<()> {
        let plan = self.plan()?;
        for warning in &plan.warnings {
            eprintln!("warning: {warning}");
        }
        let count = plan.jobs.len();
        print(&format!(
            "{}: {count} JobConfig{}, no problems",
            plan.settings.app.jobs_config_path.display(),
            if count == 1 { "" } else { "s" }
        ))
    }

    fn render(&self, name: &str) -> anyhow::Result<()> {
        let plan = self.plan()?;
        let known = plan.jobs.iter().map(Entry::name);
        let hint = nearest(name, known);
        let config = plan
            .jobs
            .iter()
            .find(|entry| entry.name() == name)
            .with_context(|| format!("there is no JobConfig \"{name}\"{hint}"))?;
        let instance = Instance::of(&plan.settings);
        let wish = Wish {
            name: job_name(&instance.uid, name, 0, 0),
            slot: 0,
            decision: Decision::default(),
            adopted: None,
            serves: None,
            starts: None,
        };
        print(serde_yaml_ng::to_string(&Template::of(config, &instance).job(&wish))?.trim_end())
    }

    fn show_changes(&self, file: &Path) -> anyhow::Result<()> {
        let plan = self.plan()?;
        let after = jobs_file::read(file)?;
        for warning in &after.warnings {
            eprintln!("warning: {warning}");
        }
        print(&Changes::between(&plan.jobs, &after.jobs).to_string())
    }

    async fn migrate(&self) -> anyhow::Result<()> {
        let db = self.settings()?.db;
        let mut connection =
            sqlx::PgConnection::connect_with(&connect::options(&db)).await.context("can't reach Postgres")?;
        migrate(&mut connection, &db.manager_schema).await?;
        print(&format!("schema {} is up to date", db.manager_schema))
    }

    fn grants(&self, role: &str) -> anyhow::Result<()> {
        let db = self.settings()?.db;
        let (boss, own, role) = (quoted(&db.schema), quoted(&db.manager_schema), quoted(role));
        print(&format!(
            "GRANT USAGE ON SCHEMA {boss} TO {role};\n\
             GRANT SELECT ON ALL TABLES IN SCHEMA {boss} TO {role};\n\
             ALTER DEFAULT PRIVILEGES IN SCHEMA {boss} GRANT SELECT ON TABLES TO {role};\n\
             GRANT USAGE ON SCHEMA {own} TO {role};\n\
             GRANT SELECT ON ALL TABLES IN SCHEMA {own} TO {role};\n\
             GRANT INSERT, UPDATE, DELETE ON {own}.runs, {own}.decisions, {own}.leadership, {own}.members, {own}.switches TO {role};"
        ))
    }
}

/// A configuration that nothing can be started with.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct BadConfiguration(String);

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("no runtime")
}
