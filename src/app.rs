//! The composition root: everything is made here, and put together here.

use std::{collections::BTreeMap, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use anyhow::Context;
use kube::Client;
use serde_json::Value;
use tokio::{
    net::TcpListener,
    sync::{broadcast, watch},
    task::JoinHandle,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    actors::{
        deployer::Deployer,
        deploying::Deploying,
        deployment_task::World,
        file_mark::Mark,
        inquiry::Inquiry,
        janitor,
        leader::{Leader, attend},
        lister::{Lister, Listing},
        lookout::Lookout,
        monitor::{Monitor, Totals},
        performer::{ENDS_MAX, Shared},
        reloader::Reloader,
        roster::Roster,
        scout::{RestingPlace, Scout},
        supervisor::{Followed, Supervisor, draw_seed},
    },
    clock::Clock,
    cluster::{
        apply::Applier,
        connect::Access,
        probe::Prober,
        requests::Cluster,
        watcher::{Watcher, subscribing},
    },
    config::{
        entry::Entry,
        in_file::InFile,
        jobs_file,
        module_list::ModuleList,
        problems::Problem,
        settings::{DbSettings, Settings},
        sharing::Sharing,
        traces::{self, TraceSettings},
    },
    decide::{lease::LEASE, pod::inputs::Instance, trace_context::Sampler},
    health::Health,
    http::{
        changes::Publisher,
        deployments::desk::Desk,
        routes::router,
        server::{Limits, Server},
        state::AppState,
    },
    interned::Interned,
    metrics::Metrics,
    modules::{job_config, library::Library, object::Object},
    pgboss::{
        connect,
        depth::DepthReader,
        history::HistoryReader,
        line::Line,
        listen::{Hints, Listener},
        looks::Looks,
    },
    shutdown,
    store::{place::Place, stored::Stored, writer::Writer},
    traces::tracer::{Process, Tracer},
};

/// Everything that was read before the start.
#[derive(Debug)]
pub struct Plan {
    /// The settings.
    pub settings: Settings,
    /// The JobConfigs.
    pub jobs: Vec<Entry>,
    /// What they share.
    pub sharing: Sharing,
    /// The modules that jobs.json wants to be deployed.
    pub modules: Value,
    /// Those that the environment wants to be.
    pub listed: ModuleList,
    /// The modification of the file that they were read from.
    pub mark: Option<Mark>,
    /// What is allowed but probably not meant.
    pub warnings: Vec<Problem>,
    /// Where traces are sent, where they are wanted.
    pub traces: Option<TraceSettings>,
}

impl Plan {
    /// Reads settings and jobs.json.
    ///
    /// # Errors
    /// Everything that is wrong with either.
    pub fn read(config: Option<&Path>, environment: &BTreeMap<String, String>) -> anyhow::Result<Self> {
        let loaded = crate::config::sources::load(config, environment).context("the settings are wrong")?;
        let traces = traces::read(environment).context("the settings of traces are wrong")?;
        let mark = Mark::of(&loaded.settings.app.jobs_config_path);
        let file = jobs_file::read(&loaded.settings.app.jobs_config_path)?;
        let warnings = loaded.warnings.into_iter().chain(file.warnings).collect();
        let listed = ModuleList::of_environment(environment, &loaded.settings.kubernetes.namespace);
        let (jobs, sharing, modules) = (file.jobs, file.sharing, file.modules);
        Ok(Self { settings: loaded.settings, jobs, sharing, modules, listed, mark, warnings, traces })
    }
}

/// Runs until a signal, then drains.
///
/// # Errors
/// If the server can't listen, or trying again would not help.
pub async fn run(plan: Plan, access: Access) -> anyhow::Result<()> {
    let Plan { settings, jobs, sharing, modules, listed, mark, warnings, traces } = plan;
    tell_warnings(&settings, &jobs, &warnings);
    let client = access.client().await?;
    let (me, clock, health, metrics) = (member_name(), Clock::start(), Health::default(), Arc::new(Metrics::new()?));
    let (shutdown, resign, tasks) = (CancellationToken::new(), CancellationToken::new(), TaskTracker::new());
    let (pool, line) = (connect::pool(&settings.db), Line::default());
    let place = Place::new(&pool, &settings.db.manager_schema, &settings.app.instance_uid);
    let stored = Stored::new(place.clone());
    let (writer, writing) = Writer::new(stored.clone());
    tasks.spawn(writing.run());
    let depth = DepthReader::with_line(pool.clone(), line.clone(), &settings.db.schema);
    let (lookout, resting_place) = look_at_queues(&depth, clock, (health.clone(), metrics.clone()), &tasks);
    let in_file = InFile::new(jobs, sharing);
    let reloader = Reloader::new(&settings.app.jobs_config_path, mark, (in_file, modules), metrics.clone());
    let (tracer, sending) = Tracing::begin(traces.as_ref(), (&me, &settings), &metrics, &tasks)?;
    let instance = Arc::new(instance(&settings, traces.as_ref()));
    let leader = Leader::new(me.clone(), stored.clone(), clock, (health.clone(), metrics.clone()));
    let (subscribing, subscribers) = subscribing();
    let shared = Arc::new(Shared {
        prober: Prober::default(),
        peers: watch::Sender::default(),
        broker: Inquiry::default(),
        ends: broadcast::Sender::new(ENDS_MAX),
        cluster: Cluster::new(&client, &instance.namespace, clock, metrics.clone()),
        instance: instance.clone(),
        stored: stored.clone(),
        writer,
        lookout,
        resting_place,
        hints: listen(&settings.db, place.channel, line, &tasks),
        policies: Interned::default(),
        clock,
        health: health.clone(),
        metrics: metrics.clone(),
        tracer,
    });
    let followed = Followed { standing: leader.standing(), jobs: reloader.jobs(), read_entry, subscribing };
    let supervisor = Supervisor::new(shared.clone(), followed, shutdown.clone());
    let (roster, spawners) = (supervisor.roster(), tasks.spawn(supervisor.run()));
    let desk = deploy((&client, &settings, listed), &shared, (&roster, &reloader, &leader), (&shutdown, &tasks));
    let (scope, told_to) = ((&*instance.namespace, &*instance.selector()), (health.clone(), metrics.clone()));
    tasks.spawn(Watcher::begin(&client, scope, subscribers, clock, told_to, &tasks).run());
    let totals = watch::Sender::new(Totals::new());
    let forecasting = (reloader.jobs(), HistoryReader::new(&pool, &settings.db.schema));
    let followed = (leader.standing(), roster.clone(), totals.subscribe());
    let state = AppState::new(me.clone(), followed, &settings.server, (shared.clone(), desk), forecasting);
    serve(&settings, state, &shutdown, &tasks).await?;
    let interval = Duration::from_secs(settings.db.monitor_state_interval_seconds);
    let monitor =
        Monitor { roster, depth, pool: pool.clone(), interval, health: health.clone(), clock, metrics, totals };
    tasks.spawn(monitor.run());
    tasks.spawn(shutdown::on_signal(shutdown.clone()));
    tasks.spawn(reloader.run());
    let waiting = janitor::wait_for_schema(&pool, &settings.db.manager_schema, &shared.health);
    let migrated = shutdown.run_until_cancelled(waiting).await.unwrap_or(Ok(()));
    if migrated.is_ok() {
        tasks.spawn(janitor::prune(stored.clone()));
        let attending = tasks.spawn(attend(stored.leadership, me, shutdown.clone()));
        let leading = tasks.spawn(leader.run(shared.hints.own(), resign.clone()));
        shutdown.cancelled().await;
        drain(spawners).await;
        resign.cancel();
        step_down(leading, attending).await;
    }
    shutdown.cancel();
    sending.flush().await;
    tracing::info!("ended");
    migrated.map_err(anyhow::Error::from)
}

/// Begins to work on deployments, and on the list of modules. Returns where whoever asks for one is served.
fn deploy(
    (client, settings, environment): (&Client, &Settings, ModuleList),
    shared: &Arc<Shared>,
    (roster, reloader, leader): (&watch::Receiver<Arc<Roster>>, &Reloader, &Leader),
    (shutdown, tasks): (&CancellationToken, &TaskTracker),
) -> Arc<Desk> {
    let applier = Applier::new(client, shared.cluster.clone());
    let deploying = Deploying::new(shared.stored.deployments.clone(), reloader.jobs(), read_entry);
    let library = Library::new(settings.app.modules_path.clone());
    let world = World {
        shared: shared.clone(),
        applier: applier.clone(),
        roster: roster.clone(),
        file: reloader.jobs(),
        read_entry,
    };
    tasks.spawn(Deployer::new(world, leader.standing(), shutdown.clone()).run());
    let listing = Listing {
        environment,
        file: reloader.modules(),
        namespace: shared.instance.namespace.clone(),
        library: library.clone(),
    };
    let told_to = (shared.health.clone(), shared.metrics.clone());
    tasks.spawn(Lister::new(listing, deploying.clone(), leader.standing(), told_to).run(shutdown.clone()));
    Desk::new(library, applier, deploying)
}

/// How a JobConfig of a deployment is read.
fn read_entry(object: &Object) -> Result<Entry, String> {
    job_config::entry(object).map_err(|problems| problems.to_string())
}

/// Waits until the lease is given back, and no longer than it would have lasted.
async fn step_down(leading: JoinHandle<()>, attending: JoinHandle<()>) {
    let both = async { (leading.await, attending.await) };
    match tokio::time::timeout(LEASE, both).await {
        Ok((Ok(()), Ok(()))) => {}
        Ok((Err(error), _) | (_, Err(error))) => tracing::error!(%error, "the leader's task has panicked"),
        Err(_) => tracing::warn!("the lease could not be given back; it ends by itself"),
    }
}

/// Waits until every actor has its answers.
async fn drain(spawners: JoinHandle<()>) {
    match tokio::time::timeout(shutdown::DRAIN_MAX, spawners).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::error!(%error, "the supervisor has panicked"),
        Err(_) => tracing::warn!("requests were still in flight at the end; their Jobs are found at the next start"),
    }
}

/// This installation, whose Jobs tell their traces where traces are wanted.
fn instance(settings: &Settings, traces: Option<&TraceSettings>) -> Instance {
    let instance = Instance::of(settings);
    match traces {
        Some(traces) => instance.traced(Sampler::of_ratio(traces.ratio)),
        None => instance,
    }
}

/// The task that sends traces, where they are wanted.
struct Tracing {
    finish: CancellationToken,
    task: Option<JoinHandle<()>>,
}

impl Tracing {
    /// Begins to send what the tracer is told.
    fn begin(
        wanted: Option<&TraceSettings>,
        (me, settings): (&str, &Settings),
        metrics: &Arc<Metrics>,
        tasks: &TaskTracker,
    ) -> anyhow::Result<(Option<Tracer>, Self)> {
        let finish = CancellationToken::new();
        let Some(wanted) = wanted else { return Ok((None, Self { finish, task: None })) };
        let process = Process { member: me, namespace: &settings.kubernetes.namespace };
        let (tracer, task) = Tracer::new(wanted, process, metrics.clone())?;
        let task = Some(tasks.spawn(task.run(finish.clone())));
        Ok((Some(tracer), Self { finish, task }))
    }

    /// Sends what is left, within a bound.
    async fn flush(self) {
        self.finish.cancel();
        let Some(task) = self.task else { return };
        match tokio::time::timeout(shutdown::FLUSH_MAX, task).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "the task that sends traces has panicked"),
            Err(_) => tracing::warn!("the last traces could not be sent"),
        }
    }
}

/// A name that no other process has, nor this one in another life: the pod's, and some letters.
fn member_name() -> Arc<str> {
    let host = std::env::var("HOSTNAME").unwrap_or_else(|_| "job-chief".into());
    format!("{host}-{:08x}", draw_seed() >> 32).into()
}

/// Begins to look at queues, for all that ask and for those that rest.
fn look_at_queues(
    depth: &DepthReader,
    clock: Clock,
    (health, metrics): (Health, Arc<Metrics>),
    tasks: &TaskTracker,
) -> (Lookout, RestingPlace) {
    let (looks, reading) = Looks::new(depth.clone());
    tasks.spawn(reading.run(draw_seed()));
    let lookout = Lookout { looks, clock, health, metrics };
    let (resting_place, scout) = Scout::new(lookout.clone(), draw_seed());
    tasks.spawn(scout.run());
    (lookout, resting_place)
}

/// Begins to listen for all queues at once, and to our `own` channel; who listens is asked by the `line`.
fn listen(db: &DbSettings, own: String, line: Line, tasks: &TaskTracker) -> Hints {
    let hints = Hints::default();
    tasks.spawn(Listener::new(connect::options(db), &db.schema, own, hints.clone(), line).run());
    hints
}

fn tell_warnings(settings: &Settings, jobs: &[Entry], warnings: &[Problem]) {
    for warning in warnings {
        tracing::warn!(%warning, "in the configuration");
    }
    let injected = Entry::any_injects(jobs);
    if injected && settings.db.password_secret.is_none() {
        tracing::warn!(
            "the database password stands in every Job, as with the original; set db.passwordSecret {{name, key}} to have it read from a Secret"
        );
    }
}

async fn serve(
    settings: &Settings,
    state: AppState,
    shutdown: &CancellationToken,
    tasks: &TaskTracker,
) -> anyhow::Result<()> {
    let address = SocketAddr::new(settings.server.host, settings.server.port);
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("can't listen on {address} (server.port, SERVER_PORT)"))?;
    let address = listener.local_addr()?;
    tracing::info!(%address, "serving /metrics, /liveness, /readiness, /states, /jobs, /services, /events, /openapi.json");
    tasks.spawn(state.follower().run(shutdown.clone()));
    tasks.spawn(Publisher::new(state.clone()).run(shutdown.clone()));
    tasks.spawn(Server::new(router(state), Limits::default()).run(listener, shutdown.clone()));
    Ok(())
}
