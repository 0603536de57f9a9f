//! The commands.

mod import;

mod service;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::Context;
use clap::{Args, Parser, Subcommand, ValueEnum};
use serde_json::{Value, json};
use sqlx::Connection;

use self::service::ServiceCommand;
use crate::{
    app::{self, Plan},
    clock::sleep,
    cluster::connect::Access,
    config::{
        changes::Changes,
        entry::Entry,
        jobs_file::{self, lay_over},
        problems::{Problems, nearest},
        schema::jobs_json_schema,
    },
    decide::{
        decision::{Decision, Wish},
        pod::{
            manifest::{Instance, Template},
            names::job_name,
        },
    },
    http::client::{ask, tell},
    queue::connect,
    sql::quoted,
    store::migrate::migrate,
    tables, telemetry,
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
    Pause {
        #[command(flatten)]
        whom: Whom,
        #[command(flatten)]
        telling: Telling,
    },
    /// Create again.
    Resume {
        #[command(flatten)]
        whom: Whom,
        #[command(flatten)]
        telling: Telling,
    },
    /// Pause, and wait until no Job lives any more.
    Drain {
        #[command(flatten)]
        whom: Whom,
        #[command(flatten)]
        telling: Telling,
        /// How long to wait.
        #[arg(long, default_value = "1h", value_parser = humantime::parse_duration, value_name = "DURATION")]
        timeout: Duration,
    },
    /// Create one Job now, whatever the queue holds, as soon as `maxConcurrentJobs` leaves room.
    RunNow {
        #[command(flatten)]
        whom: Whom,
        #[command(flatten)]
        telling: Telling,
    },
    /// Start, stop and show services.
    #[command(subcommand)]
    Service(ServiceCommand),
    /// Print what another jobs.json would change, compared with the one that is configured.
    Plan {
        /// The other jobs.json.
        file: PathBuf,
    },
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

/// Whom to ask or tell.
#[derive(Debug, Args)]
struct Server {
    /// Where job-chief listens.
    #[arg(long, env = "JOB_CHIEF_URL", default_value = "http://127.0.0.1:8080", value_name = "URL")]
    url: String,
}

/// Whom to ask, and how to tell.
#[derive(Debug, Args)]
struct Asking {
    #[command(flatten)]
    server: Server,
    /// How the answer is printed.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

/// Which JobConfigs are meant.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Whom {
    /// The name of the JobConfig.
    name: Option<String>,
    /// All of them.
    #[arg(long)]
    all: bool,
}

/// Whom to tell, and who says it.
#[derive(Debug, Args)]
struct Telling {
    #[command(flatten)]
    server: Server,
    /// A file whose first line is the token.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// The token, where there is no file.
    #[arg(long, env = "JOB_CHIEF_TOKEN", hide_env_values = true, hide = true, default_value = "")]
    token: String,
    /// Why; kept and shown.
    #[arg(long, default_value = "", value_name = "TEXT")]
    why: String,
    /// Who; kept and shown.
    #[arg(long, env = "USER", default_value = "", value_name = "NAME")]
    who: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people.
    Table,
    /// For programs.
    Json,
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

    fn dispatch(self) -> anyhow::Result<ExitCode> {
        if let Command::Service(command) = &self.command {
            return runtime()?.block_on(command.run());
        }
        if let Command::Import { files } = &self.command {
            return import::run(files);
        }
        self.carry_out().map(|()| ExitCode::SUCCESS)
    }

    fn carry_out(self) -> anyhow::Result<()> {
        match &self.command {
            Command::Service(_) | Command::Import { .. } => unreachable!("has an exit code of its own"),
            Command::Run => {
                let plan = self.plan()?;
                let in_cluster = plan.settings.kubernetes.load_config_from_cluster;
                let access = Access::of(in_cluster, self.kubeconfig, self.context)
                    .map_err(|error| BadConfiguration(error.to_string()))?;
                telemetry::start(&plan.settings.telemetry.logger);
                runtime()?.block_on(app::run(plan, access))
            }
            Command::Validate => self.validate(),
            Command::Render { name } => self.render(name),
            Command::Status { name, asking } => runtime()?.block_on(status(name.as_deref(), asking)),
            Command::Why { name, asking } => runtime()?.block_on(why(name, asking)),
            Command::Pause { whom, telling } => runtime()?.block_on(telling.pause(whom, true)),
            Command::Resume { whom, telling } => runtime()?.block_on(telling.pause(whom, false)),
            Command::Drain { whom, telling, timeout } => runtime()?.block_on(telling.drain(whom, *timeout)),
            Command::RunNow { whom, telling } => runtime()?.block_on(telling.run_now(whom)),
            Command::Plan { file } => self.show_changes(file),
            Command::Schema => print(&serde_json::to_string_pretty(&jobs_json_schema())?),
            Command::Migrate => runtime()?.block_on(self.migrate()),
            Command::Grants { role } => self.grants(role),
            Command::Rbac => print(include_str!("../deploy/role.yaml").trim_end()),
        }
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
        let db = self.plan()?.settings.db;
        let mut connection =
            sqlx::PgConnection::connect_with(&connect::options(&db)).await.context("can't reach Postgres")?;
        migrate(&mut connection, &db.manager_schema).await?;
        print(&format!("schema {} is up to date", db.manager_schema))
    }

    fn grants(&self, role: &str) -> anyhow::Result<()> {
        let db = self.plan()?.settings.db;
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

async fn status(name: Option<&str>, asking: &Asking) -> anyhow::Result<()> {
    let path: Vec<&str> = std::iter::once("jobs").chain(name).collect();
    let told = ask(&asking.server.url, &path).await?;
    print(
        match (asking.output, name) {
            (Output::Json, _) => serde_json::to_string_pretty(&told)?,
            (Output::Table, Some(_)) => tables::details(&told),
            (Output::Table, None) => tables::overview(&told, &ask(&asking.server.url, &["members"]).await?),
        }
        .trim_end(),
    )
}

async fn why(name: &str, asking: &Asking) -> anyhow::Result<()> {
    let told = ask(&asking.server.url, &["jobs", name, "why"]).await?;
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

impl Telling {
    async fn tell(&self, path: &[&str]) -> anyhow::Result<Value> {
        self.tell_with(path, &json!({})).await
    }

    /// With more than who and why.
    async fn tell_with(&self, path: &[&str], more: &Value) -> anyhow::Result<Value> {
        let token = match &self.token_file {
            Some(path) => std::fs::read_to_string(path)
                .with_context(|| format!("the token can't be read from {}", path.display()))?,
            None => self.token.clone(),
        };
        let token = token.lines().next().unwrap_or_default().trim().to_owned();
        anyhow::ensure!(!token.is_empty(), "a token is needed: --token-file FILE, or JOB_CHIEF_TOKEN");
        let mut words = json!({ "who": self.who, "why": self.why });
        lay_over(&mut words, more.clone());
        Ok(tell(&self.server.url, path, &token, &words).await?)
    }

    async fn pause(&self, whom: &Whom, paused: bool) -> anyhow::Result<()> {
        let (action, done) = if paused { ("pause", "paused") } else { ("resume", "resumed") };
        self.tell(&whom.path(action)).await?;
        print(&format!("{} {done}", whom.told()))
    }

    async fn run_now(&self, whom: &Whom) -> anyhow::Result<()> {
        let told = self.tell(&whom.path("run")).await?;
        print(&format!("{}: {} asked for; it is created as soon as there is room", whom.told(), told["asked"]))
    }

    async fn drain(&self, whom: &Whom, timeout: Duration) -> anyhow::Result<()> {
        self.pause(whom, true).await?;
        let path: Vec<&str> = std::iter::once("jobs").chain(whom.name.as_deref()).collect();
        let waiting = async {
            let mut before = None;
            loop {
                let told = ask(&self.server.url, &path).await?;
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
            format!("Jobs still live after {}; {} stays paused", humantime::format_duration(timeout), whom.told())
        })?
    }
}

fn live_jobs(job: &Value) -> usize {
    job["live"].as_array().map_or(0, Vec::len)
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("no runtime")
}

#[expect(clippy::print_stdout, reason = "the answer of a command")]
#[expect(clippy::unnecessary_wraps, reason = "reads as the last step of a command")]
fn print(text: &str) -> anyhow::Result<()> {
    println!("{text}");
    Ok(())
}
