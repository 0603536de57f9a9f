//! Keeps one actor per JobConfig while this process leads, and none while it does not; knows where to find each.
//! Also for those that have left jobs.json while Jobs of theirs live.

use std::{collections::BTreeSet, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use tokio::{sync::watch, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    actors::{
        brokerage::Brokerage,
        keeper::Keeper,
        leader::{Standing, Term},
        orders::{Ordered, Orders, Switched},
        performer::Shared,
        roster::{Handle, Roster, StatusChannel},
        spawner::Spawner,
    },
    clock::sleep,
    cluster::watcher::{Subscribing, View},
    config::{
        entry::{Entry, Kind},
        in_file::InFile,
    },
    decide::{
        deployment::fleet::{Deployed, Fleet, ReadEntry},
        service::start_order::announced,
        share::policy::MemberPolicy,
        switches::Switches,
    },
    latest,
};

/// Between tries to learn which JobConfigs have unfinished runs.
const RETRY: Duration = Duration::from_secs(2);

/// Before an actor that has panicked is started again.
const RESTART_WAIT: Duration = Duration::from_secs(10);

/// JobConfigs that are remembered as having left the file with Jobs that live, while another process leads.
const STRANGERS_MAX: usize = 10_000;

/// An actor that has ended.
struct Ended {
    name: Arc<str>,
    panicked: bool,
}

/// What a supervisor follows.
pub struct Followed {
    /// Whether this process leads, and what people have switched and deployed.
    pub standing: watch::Receiver<Standing>,
    /// jobs.json.
    pub jobs: watch::Receiver<InFile>,
    /// How the JobConfigs of deployments are read.
    pub read_entry: ReadEntry,
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
    deployed: Arc<Deployed>,
    /// The entries of jobs.json and of deployments.
    fleet: Fleet,
    actors: JoinSet<Ended>,
    brokerage: Brokerage,
    roster: watch::Sender<Arc<Roster>>,
    /// JobConfigs that are not in jobs.json and have live Jobs.
    strangers: BTreeSet<(Kind, String)>,
    /// Learns which JobConfigs have unfinished runs, once a term.
    unfinished: Option<BoxFuture<'static, Vec<(Kind, String)>>>,
    /// What is written down meanwhile.
    errands: FuturesUnordered<BoxFuture<'static, ()>>,
}

impl Supervisor {
    /// A supervisor without actors.
    pub fn new(shared: Arc<Shared>, followed: Followed, shutdown: CancellationToken) -> Self {
        Self {
            brokerage: Brokerage::new(shared.clone()),
            shared,
            followed,
            shutdown,
            term: None,
            switches: Arc::default(),
            deployed: Arc::default(),
            fleet: Fleet::default(),
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
        let mut going = true;
        while going || !self.actors.is_empty() {
            tokio::select! {
                biased;
                () = shutdown.cancelled(), if going => {
                    going = false;
                    self.stop();
                }
                Ok(()) = self.followed.standing.changed(), if going => self.take_standing().await,
                Ok(()) = self.followed.jobs.changed(), if going => self.take_jobs().await,
                configs = async { self.unfinished.as_mut().expect("asked for").await }, if going && self.unfinished.is_some() => {
                    self.unfinished = None;
                    for (kind, name) in configs {
                        self.drain(kind, &name).await;
                    }
                }
                Some((kind, name)) = self.followed.subscribing.strangers.recv(), if going => self.on_stranger(kind, name).await,
                Some(()) = self.errands.next(), if going => {}
                () = self.brokerage.begun_anew(), if going => self.give_all_orders(),
                Some(ended) = self.actors.join_next() => {
                    // An actor that was cut off publishes nothing more.
                    if let Ok(ended) = ended {
                        self.on_ended(ended).await;
                    }
                }
            }
        }
    }

    // --- who leads

    async fn take_standing(&mut self) {
        let Standing { term, switches, deployed } = self.followed.standing.borrow_and_update().clone();
        if let Some(switches) = switches {
            self.switches = switches;
            self.announce();
            self.give_all_orders();
            self.clear_superseded();
        }
        // Before a term begins: what is not known by then is stopped.
        if let Some(deployed) = deployed.filter(|deployed| *deployed != self.deployed) {
            self.deployed = deployed;
            self.take_jobs().await;
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
        self.brokerage.end();
        self.shared.peers.send_replace(Arc::default());
        let mut left = vec![];
        for (name, handle) in &**self.roster.borrow() {
            handle.status.reset();
            self.forget_metrics(&handle.entry());
            let orders = handle.orders.borrow();
            left.extend(orders.left.then(|| (orders.entry.kind(), name.to_string())));
        }
        left.iter().for_each(|(_, name)| self.forget(name));
        self.strangers.extend(left);
    }

    /// Everything that another process may have left is found anew, as after a restart.
    async fn lead(&mut self) {
        self.see_anew().await;
        let names: Vec<Arc<str>> = self.roster.borrow().keys().cloned().collect();
        self.announce();
        self.brokerage.configure(&self.fleet);
        self.give_all_orders();
        names.iter().for_each(|name| self.start(name));
        self.drain_strangers().await;
        self.clear_superseded();
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

    /// An actor that begins knows nothing but the store and its views, so these are not to be older.
    async fn see_anew(&mut self) {
        if !self.followed.subscribing.begin_anew().await {
            tracing::error!("the watcher has ended; nothing can be started any more");
        }
    }

    /// The process ends: the actors write down what has happened, and end.
    fn stop(&self) {
        self.roster.borrow().values().for_each(|handle| handle.orders.send_modify(|orders| orders.stopping = true));
    }

    // --- what there is

    /// jobs.json is as it was last found good, and deployments are as they were read last: what is new is started, what
    /// was removed drains, the rest is updated if it has changed.
    async fn take_jobs(&mut self) {
        let file = self.followed.jobs.borrow_and_update().clone();
        let fleet = Fleet::join(&file, &self.deployed, self.followed.read_entry);
        fleet.left_out.iter().filter(|it| !self.fleet.left_out.contains(it)).for_each(|(name, deployment, why)| {
            tracing::error!(job_config = name, deployment, why, "a JobConfig of a deployment is not in force");
        });
        self.fleet = fleet;
        let jobs = self.fleet.entries.clone();
        if self.term.is_some() {
            // Before any actor is told: what those tell by their new orders meets a Broker that has them, too.
            self.brokerage.configure(&self.fleet);
        }
        self.announce();
        for entry in &jobs {
            let handle = self.roster.borrow().get(entry.name()).cloned();
            match handle {
                Some(handle) => self.take_entry(&handle, entry),
                None => {
                    self.register(entry.clone(), false).await;
                    self.start(entry.name());
                }
            }
        }
        // A Broker that has begun has a seat for everybody, also for those that have left.
        self.give_all_orders();
        let names: BTreeSet<&str> = jobs.iter().map(Entry::name).collect();
        let is_gone = |name: &&Arc<str>| !names.contains(&***name) && !self.fleet.leaves_alone(name);
        let gone: Vec<Arc<str>> = self.roster.borrow().keys().filter(is_gone).cloned().collect();
        for name in gone {
            let handle = self.roster.borrow().get(&name).cloned();
            match handle.filter(|_| self.term.is_some()) {
                Some(handle) => handle.orders.send_modify(|orders| orders.left = true),
                None => self.forget(&name),
            }
        }
        // What was left alone may be so no longer.
        if self.term.is_some() {
            self.drain_strangers().await;
        }
        self.clear_superseded();
    }

    /// An operator's override lapses once jobs.json has another value than when it was set, even if it later changes back.
    fn clear_superseded(&self) {
        if self.term.is_none() {
            return;
        }
        let roster = self.roster.borrow().clone();
        let in_file = |name: &str| {
            let orders = roster.get(name)?.orders.borrow();
            (!orders.left).then(|| orders.entry.switched())
        };
        for (name, (kind, file)) in self.switches.overtaken(in_file) {
            let (switches, name) = (self.shared.stored.switches.clone(), name.to_owned());
            self.errands.push(Box::pin(async move {
                while switches.unsay(kind, &name, file).await.is_err() {
                    sleep(RETRY).await;
                }
            }));
        }
    }

    fn take_entry(&self, handle: &Handle, entry: &Entry) {
        handle.orders.send_if_modified(|orders| {
            if orders.entry.kind() != entry.kind() {
                // The other type begins when nothing is left of this one.
                return !std::mem::replace(&mut orders.left, true);
            }
            let deployment = self.fleet.deployments.get(entry.name());
            let pools = MemberPolicy::of(entry, &self.fleet.sharing).pools;
            let same = orders.entry == *entry && orders.pools == pools && orders.deployment.as_ref() == deployment;
            let changed = orders.left || !same;
            if changed {
                orders.entry = entry.clone();
                orders.pools = pools;
                orders.deployment = deployment.cloned();
                orders.left = false;
            }
            changed
        });
        self.give_orders(handle);
    }

    fn give_all_orders(&self) {
        self.roster.borrow().values().for_each(|handle| self.give_orders(handle));
    }

    /// What operators and jobs.json want of a JobConfig, and where it reaches the Broker, sent if it has changed.
    fn give_orders(&self, handle: &Handle) {
        handle.orders.send_if_modified(|orders| {
            let switched = Switched::of(&orders.entry, &self.switches);
            let ordered = Ordered::of(&orders.entry, &self.switches);
            let seat = self.brokerage.seat(orders.entry.name());
            let changed = orders.switched != switched || orders.ordered != ordered || orders.seat != seat;
            (orders.switched, orders.ordered, orders.seat) = (switched, ordered, seat);
            changed
        });
    }

    /// Each service knows the desired state of all others before it gets its own.
    fn announce(&self) {
        if self.term.is_none() {
            return;
        }
        let services = self.fleet.entries.iter().filter_map(Entry::service).map(|service| {
            let orders = self.switches.orders(&service.name, service.enabled).0;
            (&**service, orders.enabled && !orders.stopped)
        });
        self.shared.peers.send_if_modified(|peers| {
            let next = announced(peers, services);
            let changed = next != **peers;
            *peers = Arc::new(next);
            changed
        });
    }

    /// A place in the roster, and its views.
    async fn register(&mut self, entry: Entry, left: bool) {
        let name = entry.shared_name();
        let shown = latest::Sender::new(View::default());
        let views = shown.subscribe();
        let status = StatusChannel::new(entry.kind());
        let (switched, ordered) = (Switched::of(&entry, &self.switches), Ordered::of(&entry, &self.switches));
        let deployment = self.fleet.deployments.get(&*name).cloned();
        let pools = if left { Arc::default() } else { MemberPolicy::of(&entry, &self.fleet.sharing).pools };
        let seat = self.brokerage.seat(&name);
        let orders =
            Orders { entry, deployment, left, pools, seat, restarted: false, stopping: false, switched, ordered };
        let orders = latest::Sender::new(orders);
        if self.followed.subscribing.subscriptions.send((name.clone(), shown)).await.is_err() {
            tracing::error!(job_config = &*name, "the watcher has ended; nothing can be started any more");
        }
        let handle = Handle { orders, status, views };
        self.roster.send_modify(|roster| {
            Arc::make_mut(roster).insert(name, handle);
        });
    }

    fn forget(&self, name: &str) {
        self.roster.send_modify(|roster| {
            Arc::make_mut(roster).remove(name);
        });
    }

    fn forget_metrics(&self, entry: &Entry) {
        match entry {
            Entry::Queue(queue) => self.shared.metrics.forget(&queue.name),
            Entry::Service(service) => self.shared.metrics.services.forget(&service.name),
        }
    }

    /// An actor for a JobConfig of the roster, where this process leads.
    fn start(&mut self, name: &str) {
        let known = self.roster.borrow().get_key_value(name).map(|(name, handle)| (name.clone(), handle.clone()));
        let (Some(term), Some((name, handle))) = (self.term.clone(), known) else { return };
        let (orders, views) = (handle.orders.subscribe(), handle.views.clone());
        let actor = match (handle.entry(), handle.status) {
            (Entry::Queue(queue), StatusChannel::Queue(status)) => {
                let spawner = Spawner::new(&self.shared, term, (queue, orders, views), status, draw_seed());
                Box::new(spawner).run().boxed()
            }
            (Entry::Service(service), StatusChannel::Service(status)) => {
                let keeper = Keeper::new(&self.shared, term, (service, orders, views), status, draw_seed());
                Box::new(keeper).run().boxed()
            }
            _ => unreachable!("a handle is of one type"),
        };
        self.actors.spawn(async move {
            let panicked = AssertUnwindSafe(actor).catch_unwind().await.is_err();
            if panicked {
                // Boxed: the task has room for it all the time.
                Box::pin(sleep(RESTART_WAIT)).await;
            }
            Ended { name, panicked }
        });
    }

    /// Jobs live of a JobConfig that nobody has asked about.
    async fn on_stranger(&mut self, kind: Kind, name: String) {
        if self.term.is_some() {
            self.drain(kind, &name).await;
        } else {
            self.remember(kind, name);
        }
    }

    fn remember(&mut self, kind: Kind, name: String) {
        if self.strangers.len() < STRANGERS_MAX {
            self.strangers.insert((kind, name));
        }
    }

    async fn drain_strangers(&mut self) {
        for (kind, name) in std::mem::take(&mut self.strangers) {
            self.drain(kind, &name).await;
        }
    }

    /// A JobConfig has left the file, and runs or Jobs of it are left: they are seen to their end.
    async fn drain(&mut self, kind: Kind, name: &str) {
        if self.roster.borrow().contains_key(name) {
            return;
        }
        let left_alone = self.fleet.leaves_alone(name);
        match kind {
            Kind::Service if left_alone => return self.remember(kind, name.to_owned()),
            // It deletes no Job that runs, and somebody has to record the ends, for the places that they hold.
            Kind::Queue if left_alone => tracing::info!(
                job_config = name,
                "it is not in force: its Jobs run to their end, and none is created until it is"
            ),
            Kind::Queue => tracing::info!(
                job_config = name,
                "removed from jobs.json: its Jobs run to their end, and none is created"
            ),
            Kind::Service => tracing::info!(service = name, "has left jobs.json and is stopped"),
        }
        self.register(Entry::left(kind, name), true).await;
        self.start(name);
    }

    /// What an actor knew can be derived anew, so one that has panicked is simply started again; and so is one that
    /// had drained when its JobConfig came back.
    async fn on_ended(&mut self, ended: Ended) {
        let Ended { name, panicked } = ended;
        let Some(handle) = self.roster.borrow().get(&name).cloned() else { return };
        if self.shutdown.is_cancelled() {
            return;
        }
        if panicked {
            tracing::error!(job_config = &*name, "its actor has panicked and is started again");
            handle.orders.send_modify(|orders| orders.restarted = true);
            self.see_anew().await;
        }
        if panicked || !handle.orders.borrow().left {
            return self.start(&name);
        }
        self.forget_metrics(&handle.entry());
        self.forget(&name);
        self.brokerage.forget(&name);
        self.shared.peers.send_modify(|peers| drop(Arc::make_mut(peers).remove(&*name)));
        tracing::info!(job_config = &*name, "nothing is left of it");
        let again = self.fleet.entries.iter().find(|entry| entry.name() == &*name).cloned();
        if let Some(entry) = again {
            self.register(entry, false).await;
            self.announce();
            self.start(&name);
        }
    }
}

/// Makes one task's names and jitter its own.
#[expect(clippy::disallowed_methods, reason = "the one place that draws random numbers")]
pub fn draw_seed() -> u64 {
    rand::random()
}
