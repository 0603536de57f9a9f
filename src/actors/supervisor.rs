//! Keeps one Spawner per JobConfig while this process leads, and none while it does not; knows where to find each.
//! Also for those that have left jobs.json while Jobs of theirs live.

use std::{
    collections::{BTreeMap, BTreeSet},
    panic::AssertUnwindSafe,
    sync::Arc,
    time::Duration,
};

use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use tokio::{sync::watch, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    actors::{
        leader::{Standing, Term},
        spawner::{Orders, Shared, Spawner},
    },
    clock::sleep,
    cluster::index::{Subscribing, View},
    config::job_config::JobConfig,
    decide::{
        status::Status,
        switches::{Asked, Paused, Switches},
    },
};

/// Between tries to learn which JobConfigs have unfinished runs.
const RETRY: Duration = Duration::from_secs(2);

/// Before an actor that has panicked is started again.
const RESTART_WAIT: Duration = Duration::from_secs(10);

/// JobConfigs that are remembered as having left the file with Jobs that live, while another process leads.
const STRANGERS_MAX: usize = 10_000;

/// The JobConfigs of jobs.json, as it was last found good.
pub type JobConfigs = Arc<[Arc<JobConfig>]>;

/// Where to find one JobConfig.
#[derive(Clone, Debug)]
pub struct Handle {
    /// What its actor is to do.
    pub orders: watch::Sender<Orders>,
    /// Its state, as its actor tells it; as new while there is none.
    pub status: watch::Sender<Status>,
    /// What the watches show of it.
    pub views: watch::Receiver<View>,
}

impl Handle {
    /// Its configuration.
    pub fn config(&self) -> Arc<JobConfig> {
        self.orders.borrow().config.clone()
    }
}

/// Where to find each, by the name of the JobConfig.
pub type Roster = BTreeMap<String, Handle>;

/// An actor that has ended.
struct Ended {
    name: String,
    panicked: bool,
}

/// What a supervisor follows.
pub struct Followed {
    /// Whether this process leads, and what people have switched.
    pub standing: watch::Receiver<Standing>,
    /// jobs.json.
    pub jobs: watch::Receiver<JobConfigs>,
    /// The views.
    pub subscribing: Subscribing,
}

/// Starts actors and sees them to their end.
pub struct Supervisor {
    shared: Arc<Shared>,
    followed: Followed,
    shutdown: CancellationToken,
    term: Option<Term>,
    switches: Arc<Switches>,
    actors: JoinSet<Ended>,
    roster: watch::Sender<Arc<Roster>>,
    /// JobConfigs that are not in jobs.json and have live Jobs.
    strangers: BTreeSet<String>,
    /// Learns which JobConfigs have unfinished runs, once a term.
    unfinished: Option<BoxFuture<'static, Vec<String>>>,
    /// What is written down meanwhile.
    errands: FuturesUnordered<BoxFuture<'static, ()>>,
}

impl Supervisor {
    /// A supervisor without actors.
    pub fn new(shared: Arc<Shared>, followed: Followed, shutdown: CancellationToken) -> Self {
        Self {
            shared,
            followed,
            shutdown,
            term: None,
            switches: Arc::default(),
            actors: JoinSet::new(),
            roster: watch::Sender::default(),
            strangers: BTreeSet::new(),
            unfinished: None,
            errands: FuturesUnordered::new(),
        }
    }

    /// Follows who is there.
    pub fn roster(&self) -> watch::Receiver<Arc<Roster>> {
        self.roster.subscribe()
    }

    /// Runs until the shutdown is asked for and all actors have ended.
    pub async fn run(mut self) {
        self.take_jobs().await;
        let shutdown = self.shutdown.clone();
        while !(shutdown.is_cancelled() && self.actors.is_empty()) {
            let going = !shutdown.is_cancelled();
            tokio::select! {
                biased;
                () = shutdown.cancelled(), if going => {}
                Ok(()) = self.followed.standing.changed(), if going => self.take_standing().await,
                Ok(()) = self.followed.jobs.changed(), if going => self.take_jobs().await,
                configs = async { self.unfinished.as_mut().expect("asked for").await }, if going && self.unfinished.is_some() => {
                    self.unfinished = None;
                    for config in configs {
                        self.drain(&config).await;
                    }
                }
                Some(config) = self.followed.subscribing.strangers.recv(), if going => self.on_stranger(config).await,
                Some(()) = self.errands.next(), if going => {}
                Some(ended) = self.actors.join_next() => {
                    // An actor that was cut off has nothing to tell.
                    if let Ok(ended) = ended {
                        self.on_ended(ended);
                    }
                }
            }
        }
    }

    // --- who leads

    async fn take_standing(&mut self) {
        let Standing { term, switches } = self.followed.standing.borrow_and_update().clone();
        if let Some(switches) = switches {
            self.switches = switches;
            self.roster.borrow().values().for_each(|handle| self.give_orders(handle));
            self.unsay_overtaken();
        }
        if term.as_ref().map(|term| term.number) == self.term.as_ref().map(|term| term.number) {
            return;
        }
        self.follow().await;
        if let Some(term) = term {
            self.term = Some(term);
            self.lead().await;
        }
    }

    /// Another leads: whatever was under way is cut off, as by a crash; nothing more is sent in any case.
    async fn follow(&mut self) {
        self.term = None;
        self.unfinished = None;
        self.errands.clear();
        self.actors.shutdown().await;
        let left: Vec<String> = self
            .roster
            .borrow()
            .iter()
            .filter(|(_, it)| it.orders.borrow().left)
            .map(|(name, _)| name.clone())
            .collect();
        for (name, handle) in &**self.roster.borrow() {
            handle.status.send_replace(Status::default());
            self.shared.metrics.forget(name, &handle.config().queue_name);
        }
        left.iter().for_each(|name| self.forget(name));
        self.strangers.extend(left);
    }

    /// Everything that another process may have left is found anew, as after a restart.
    async fn lead(&mut self) {
        let names: Vec<String> = self.roster.borrow().keys().cloned().collect();
        names.iter().for_each(|name| self.start(name));
        for name in std::mem::take(&mut self.strangers) {
            self.drain(&name).await;
        }
        self.unsay_overtaken();
        let runs = self.shared.stored.runs.clone();
        self.unfinished = Some(Box::pin(async move {
            loop {
                match runs.unfinished_configs().await {
                    Ok(configs) => return configs,
                    Err(_) => sleep(RETRY).await,
                }
            }
        }));
    }

    // --- what there is

    /// jobs.json is as it was last found good: what is new is started, what has left drains, the rest is told if it
    /// has changed.
    async fn take_jobs(&mut self) {
        let jobs = self.followed.jobs.borrow_and_update().clone();
        let names: BTreeSet<&str> = jobs.iter().map(|job| job.name.as_str()).collect();
        for config in jobs.iter() {
            let handle = self.roster.borrow().get(&config.name).cloned();
            match handle {
                Some(handle) => self.take_config(&handle, config),
                None => {
                    self.enlist(config.clone(), false).await;
                    self.start(&config.name);
                }
            }
        }
        let gone: Vec<String> =
            self.roster.borrow().keys().filter(|name| !names.contains(name.as_str())).cloned().collect();
        for name in gone {
            let handle = self.roster.borrow().get(&name).cloned();
            match handle.filter(|_| self.term.is_some()) {
                Some(handle) => handle.orders.send_modify(|orders| orders.left = true),
                None => self.forget(&name),
            }
        }
        self.unsay_overtaken();
    }

    /// Where jobs.json says another thing than it did when a person said theirs, that is over, also if it changes back.
    fn unsay_overtaken(&self) {
        if self.term.is_none() {
            return;
        }
        let roster = self.roster.borrow().clone();
        let in_file = |name: &str| {
            let orders = roster.get(name)?.orders.borrow();
            (!orders.left).then_some(orders.config.paused)
        };
        for (name, file_paused) in self.switches.overtaken(in_file) {
            let (switches, name) = (self.shared.stored.switches.clone(), name.to_owned());
            self.errands.push(Box::pin(async move {
                while switches.unsay(&name, file_paused).await.is_err() {
                    sleep(RETRY).await;
                }
            }));
        }
    }

    fn take_config(&self, handle: &Handle, config: &Arc<JobConfig>) {
        handle.orders.send_if_modified(|orders| {
            let changed = orders.left || *orders.config != **config;
            if changed {
                orders.config = config.clone();
                orders.left = false;
            }
            changed
        });
        self.give_orders(handle);
    }

    /// What people and jobs.json say of a JobConfig, told if it is news.
    fn give_orders(&self, handle: &Handle) {
        handle.orders.send_if_modified(|orders| {
            let (paused, asked) = self.switched(&orders.config);
            let changed = orders.paused != paused || orders.asked != asked;
            (orders.paused, orders.asked) = (paused, asked);
            changed
        });
    }

    fn switched(&self, config: &JobConfig) -> (Paused, Asked) {
        (self.switches.paused(&config.name, config.paused), self.switches.asked(&config.name))
    }

    /// A place in the roster, and its views.
    async fn enlist(&mut self, config: Arc<JobConfig>, left: bool) {
        let name = config.name.clone();
        let (paused, asked) = self.switched(&config);
        let (shown, views) = watch::channel(View::default());
        let orders = watch::Sender::new(Orders { config, left, paused, asked });
        if self.followed.subscribing.subscriptions.send((name.clone(), shown)).await.is_err() {
            tracing::error!(job_config = name, "the watcher has ended; nothing can be started any more");
        }
        let handle = Handle { orders, status: watch::Sender::default(), views };
        self.roster.send_modify(|roster| {
            Arc::make_mut(roster).insert(name, handle);
        });
    }

    fn forget(&self, name: &str) {
        self.roster.send_modify(|roster| {
            Arc::make_mut(roster).remove(name);
        });
    }

    /// An actor for a JobConfig of the roster, where this process leads.
    fn start(&mut self, name: &str) {
        let (Some(term), Some(handle)) = (self.term.clone(), self.roster.borrow().get(name).cloned()) else { return };
        let told = (handle.orders.subscribe(), handle.views.clone());
        let (status, shutdown) = (handle.status.clone(), self.shutdown.clone());
        let spawner = Spawner::new(&self.shared, term, told, status, shutdown, draw_seed());
        let name = name.to_owned();
        self.actors.spawn(async move {
            let panicked = AssertUnwindSafe(spawner.run()).catch_unwind().await.is_err();
            if panicked {
                sleep(RESTART_WAIT).await;
            }
            Ended { name, panicked }
        });
    }

    /// Jobs live of a JobConfig that nobody has asked about.
    async fn on_stranger(&mut self, config: String) {
        if self.term.is_some() {
            self.drain(&config).await;
        } else if self.strangers.len() < STRANGERS_MAX {
            self.strangers.insert(config);
        }
    }

    /// A JobConfig has left the file, and runs or Jobs of it are left: they are seen to their end.
    async fn drain(&mut self, config: &str) {
        if self.roster.borrow().contains_key(config) {
            return;
        }
        tracing::info!(job_config = config, "has left jobs.json; what lives of it is seen to its end");
        self.enlist(Arc::new(JobConfig::left(config)), true).await;
        self.start(config);
    }

    /// What an actor knew can be derived anew, so one that has panicked is simply started again; and so is one that
    /// had drained when its JobConfig came back.
    fn on_ended(&mut self, ended: Ended) {
        let Ended { name, panicked } = ended;
        let Some(handle) = self.roster.borrow().get(&name).cloned() else { return };
        if self.shutdown.is_cancelled() {
            return;
        }
        if panicked {
            tracing::error!(job_config = name, "its actor has panicked and is started again");
        }
        if panicked || !handle.orders.borrow().left {
            return self.start(&name);
        }
        self.shared.metrics.forget(&name, &handle.config().queue_name);
        self.forget(&name);
        tracing::info!(job_config = name, "nothing is left of it");
    }
}

/// Makes one task's names and jitter its own.
#[expect(clippy::disallowed_methods, reason = "the one place that draws random numbers")]
pub fn draw_seed() -> u64 {
    rand::random()
}
