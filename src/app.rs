//! The composition root: everything is made here, and put together here.

use std::{collections::BTreeMap, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use anyhow::Context;
use tokio::{net::TcpListener, sync::watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    actors::{
        janitor,
        monitor::{Monitor, Totals},
        spawner::Shared,
        supervisor::{Supervisor, draw_seed},
    },
    clock::Clock,
    cluster::{
        connect::Access,
        index::{Watcher, subscribing},
        requests::Cluster,
    },
    config::{job_config::JobConfig, jobs_file, problems::Problem, settings::Settings},
    decide::manifest::Instance,
    health::Health,
    http::routes::{Desk, router},
    metrics::Metrics,
    queue::{
        connect,
        depth::DepthReader,
        listen::{Hints, Listener},
        looks::Looks,
    },
    shutdown,
    store::{decisions::Decisions, runs::Runs, writer::Writer},
};

/// Everything that was read before the start.
#[derive(Debug)]
pub struct Plan {
    /// The settings.
    pub settings: Settings,
    /// The JobConfigs.
    pub jobs: Vec<JobConfig>,
    /// What is allowed but probably not meant.
    pub warnings: Vec<Problem>,
}

impl Plan {
    /// Reads settings and jobs.json.
    ///
    /// # Errors
    /// Everything that is wrong with either.
    pub fn read(config: Option<&Path>, environment: &BTreeMap<String, String>) -> anyhow::Result<Self> {
        let loaded = crate::config::sources::load(config, environment).context("the settings are wrong")?;
        let file = read_jobs(&loaded.settings.app.jobs_config_path)?;
        let warnings = loaded.warnings.into_iter().chain(file.warnings).collect();
        Ok(Self { settings: loaded.settings, jobs: file.jobs, warnings })
    }
}

/// Reads a jobs.json.
///
/// # Errors
/// If it can't be read, or everything that is wrong with it.
pub fn read_jobs(path: &Path) -> anyhow::Result<jobs_file::JobsFile> {
    let named =
        || format!("jobs.json can't be read from {} (app.jobsConfigPath, APP_JOBS_CONFIG_PATH)", path.display());
    let size = std::fs::metadata(path).with_context(named)?.len();
    anyhow::ensure!(
        size <= jobs_file::BYTES_MAX,
        "{} has {size} bytes, allowed are {}",
        path.display(),
        jobs_file::BYTES_MAX
    );
    let text = std::fs::read_to_string(path).with_context(named)?;
    jobs_file::load(&path.display().to_string(), &text).with_context(|| format!("{} is wrong", path.display()))
}

/// Runs until a signal, then drains.
///
/// # Errors
/// If the server can't listen, or trying again would not help.
pub async fn run(plan: Plan, access: Access) -> anyhow::Result<()> {
    let Plan { settings, jobs, warnings } = plan;
    for warning in &warnings {
        tracing::warn!(%warning, "in the configuration");
    }
    let client = access.client().await?;
    let (clock, health, shutdown, tasks) =
        (Clock::start(), Health::default(), CancellationToken::new(), TaskTracker::new());
    let metrics = Arc::new(Metrics::new()?);
    let pool = connect::pool(&settings.db);
    let runs = Runs::new(pool.clone(), &settings.db.manager_schema, &settings.app.instance_uid);
    let decisions = Decisions::new(pool.clone(), &settings.db.manager_schema, &settings.app.instance_uid);
    let (writer, desk) = Writer::new(runs.clone(), decisions.clone());
    tasks.spawn(desk.run());
    let depth = DepthReader::new(pool.clone(), &settings.db.schema);
    let (looks, hints) = read_queues(&settings, &depth, &tasks);
    let instance = Arc::new(Instance::of(&settings));
    let shared = Shared {
        cluster: Cluster::new(&client, &instance.namespace, clock, metrics.clone()),
        instance: instance.clone(),
        runs: runs.clone(),
        writer,
        looks,
        hints,
        clock,
        health: health.clone(),
        metrics: metrics.clone(),
    };
    let configs = jobs.iter().map(|job| (job.name.clone(), job.queue_name.clone())).collect();
    warn_of_literal_password(&settings, &jobs);
    let (subscribing, subscribers) = subscribing();
    let supervisor = Supervisor::new(shared, subscribing, shutdown.clone());
    let roster = supervisor.roster();
    let spawners = TaskTracker::new();
    spawners.spawn(supervisor.run(jobs));
    spawners.close();
    let (scope, told_to) = ((&*instance.namespace, &*instance.selector()), (health.clone(), metrics.clone()));
    tasks.spawn(Watcher::begin(&client, scope, subscribers, clock, told_to, &tasks).run());
    let told = watch::Sender::new(Totals::new());
    let desk = Desk {
        roster,
        totals: told.subscribe(),
        metrics: metrics.clone(),
        health: health.clone(),
        runs: runs.clone(),
        decisions: decisions.clone(),
        clock,
    };
    serve(&settings, desk, &shutdown, &tasks).await?;
    tasks.spawn(janitor::prune(runs, decisions));
    let interval = Duration::from_secs(settings.db.monitor_state_interval_seconds);
    tasks.spawn(Monitor { configs, depth, pool: pool.clone(), interval, health: health.clone(), metrics, told }.run());
    tasks.spawn(shutdown::on_signal(shutdown.clone()));
    let migrated = tokio::select! {
        migrated = janitor::wait_for_schema(&pool, &settings.db.manager_schema, &health) => migrated,
        () = shutdown.cancelled() => Ok(()),
    };
    if migrated.is_ok() {
        shutdown.cancelled().await;
    }
    shutdown.cancel();
    if tokio::time::timeout(shutdown::DRAIN_MAX, spawners.wait()).await.is_err() {
        tracing::warn!("requests were still in flight at the end; their Jobs are found at the next start");
    }
    tracing::info!("ended");
    migrated.map_err(anyhow::Error::from)
}

/// Begins to read and to listen, for all queues at once.
fn read_queues(settings: &Settings, depth: &DepthReader, tasks: &TaskTracker) -> (Looks, Hints) {
    let (looks, desk) = Looks::new(depth.clone());
    tasks.spawn(desk.run(draw_seed()));
    let hints = Hints::default();
    tasks.spawn(Listener::new(connect::options(&settings.db), &settings.db.schema, hints.clone()).run());
    (looks, hints)
}

fn warn_of_literal_password(settings: &Settings, jobs: &[JobConfig]) {
    let injected =
        jobs.iter().any(|job| job.pod_config.inject_pg_config != crate::config::pod_config::InjectPgConfig::No);
    if injected && settings.db.password_secret.is_none() {
        tracing::warn!(
            "the database password stands in every Job, as with the original; set db.passwordSecret {{name, key}} to have it read from a Secret"
        );
    }
}

async fn serve(
    settings: &Settings,
    desk: Desk,
    shutdown: &CancellationToken,
    tasks: &TaskTracker,
) -> anyhow::Result<()> {
    let address = SocketAddr::new(settings.server.host, settings.server.port);
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("can't listen on {address} (server.port, SERVER_PORT)"))?;
    let address = listener.local_addr()?;
    tracing::info!(%address, "serving /metrics, /liveness, /readiness, /states, /jobs");
    let ended = shutdown.clone().cancelled_owned();
    tasks.spawn(async move { axum::serve(listener, router(desk)).with_graceful_shutdown(ended).await });
    Ok(())
}
