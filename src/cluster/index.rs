//! The newest state of all our Jobs and Pods, and what it means for each JobConfig.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use kube::{Api, Client};
use tokio::sync::{mpsc, watch};
use tokio_util::task::TaskTracker;

use crate::{
    clock::{Clock, sleep_until},
    cluster::{
        partial::{PartialJob, PartialPod},
        reflect::{Change, reflect},
    },
    config::entry::Kind,
    decide::{
        outcome::JobName,
        pod::{
            digest::{JobDigest, Millis, PodDigest},
            observation::{Observed, observe},
        },
    },
    health::{Component, Health},
    metrics::Metrics,
};

/// Changes that wait to be taken in; a full channel slows the watch down and loses nothing.
const CHANGES_MAX: usize = 1024;

/// A view older than this creates nothing.
pub const STALE_AFTER: Duration = Duration::from_secs(120);

/// A view older than this makes liveness fail.
pub const STUCK_AFTER: Duration = Duration::from_secs(600);

/// Between two views: a burst of changes is a few of them.
const VIEWS_EVERY: Duration = Duration::from_millis(10);

/// How often the age of the view is looked at.
const AGE_CHECKED_EVERY: Duration = Duration::from_secs(5);

/// What a JobConfig sees.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// The whole; `None` before the first full view of Jobs and Pods.
    pub observed: Option<Arc<Observed>>,
    /// Too old to create anything by it.
    pub stale: bool,
}

/// Where the views of one JobConfig go.
pub type Subscription = (String, watch::Sender<View>);

/// Subscriptions and names that wait for the other side.
const SUBSCRIPTIONS_MAX: usize = 1024;

/// The watcher's ends of what it shares with the supervisor of the actors.
#[derive(Debug)]
pub struct Subscribers {
    subscriptions: mpsc::Receiver<Subscription>,
    strangers: mpsc::Sender<(Kind, String)>,
}

/// The other ends: how a view is asked for, and the JobConfigs that nobody has asked for although Jobs of theirs live.
#[derive(Debug)]
pub struct Subscribing {
    /// Asks for the views of a JobConfig, from now until the receiver is dropped.
    pub subscriptions: mpsc::Sender<Subscription>,
    /// JobConfigs with live Jobs and without a subscription; each may come more than once.
    pub strangers: mpsc::Receiver<(Kind, String)>,
}

/// Both ends.
pub fn subscribing() -> (Subscribing, Subscribers) {
    let (subscriptions, subscribed) = mpsc::channel(SUBSCRIPTIONS_MAX);
    let (strange, strangers) = mpsc::channel(SUBSCRIPTIONS_MAX);
    (Subscribing { subscriptions, strangers }, Subscribers { subscriptions: subscribed, strangers: strange })
}

/// The state of the cluster, by what it is asked for.
#[derive(Debug, Default)]
pub struct Index {
    jobs: HashMap<JobName, JobDigest>,
    pods: HashMap<Box<str>, BTreeMap<Box<str>, PodDigest>>,
    by_config: HashMap<Box<str>, BTreeSet<JobName>>,
    /// The JobConfig of each Job's uid.
    owners: HashMap<Box<str>, Box<str>>,
    dirty: BTreeSet<Box<str>>,
    jobs_seen: bool,
    pods_seen: bool,
}

impl Index {
    /// Takes in a change of the Jobs.
    pub fn change_jobs(&mut self, change: Change<JobDigest>) {
        match change {
            Change::Replace(all) => {
                self.dirty.extend(self.by_config.keys().cloned());
                self.jobs.clear();
                self.by_config.clear();
                self.owners.clear();
                all.into_iter().for_each(|job| self.put_job(job));
                self.jobs_seen = true;
            }
            Change::Apply(job) => self.put_job(job),
            Change::Remove(job) => self.remove_job(&job),
            Change::Alive | Change::Restarted(_) => {}
        }
    }

    fn put_job(&mut self, job: JobDigest) {
        let Some(config) = job.config.clone() else { return };
        self.by_config.entry(config.clone()).or_default().insert(job.name.clone());
        self.owners.insert(job.uid.clone(), config.clone());
        self.dirty.insert(config);
        self.jobs.insert(job.name.clone(), job);
    }

    fn remove_job(&mut self, job: &JobDigest) {
        let Some(config) = &job.config else { return };
        self.jobs.remove(&job.name);
        self.owners.remove(&job.uid);
        if let Some(names) = self.by_config.get_mut(config) {
            names.remove(&job.name);
        }
        self.dirty.insert(config.clone());
    }

    /// Takes in a change of the Pods.
    pub fn change_pods(&mut self, change: Change<PodDigest>) {
        match change {
            Change::Replace(all) => {
                self.pods.clear();
                self.dirty.extend(self.by_config.keys().cloned());
                all.into_iter().for_each(|pod| self.put_pod(pod));
                self.pods_seen = true;
            }
            Change::Apply(pod) => {
                self.touch(&pod.job_uid);
                self.put_pod(pod);
            }
            Change::Remove(pod) => {
                self.touch(&pod.job_uid);
                if let Some(pods) = self.pods.get_mut(&pod.job_uid) {
                    pods.remove(&pod.uid);
                    if pods.is_empty() {
                        self.pods.remove(&pod.job_uid);
                    }
                }
            }
            Change::Alive | Change::Restarted(_) => {}
        }
    }

    fn put_pod(&mut self, pod: PodDigest) {
        self.pods.entry(pod.job_uid.clone()).or_default().insert(pod.uid.clone(), pod);
    }

    fn touch(&mut self, job_uid: &str) {
        self.dirty.extend(self.owners.get(job_uid).cloned());
    }

    /// Both kinds were listed in full.
    pub fn is_whole(&self) -> bool {
        self.jobs_seen && self.pods_seen
    }

    /// The JobConfigs of which something changed since the last call.
    pub fn take_dirty(&mut self) -> BTreeSet<Box<str>> {
        std::mem::take(&mut self.dirty)
    }

    /// The type of a JobConfig of which any Job lives; of one that had both, a queue, whose Jobs are left to their end.
    pub fn live_kind(&self, config: &str) -> Option<Kind> {
        let terminal = |job: &JobDigest| job.verdict.as_ref().is_some_and(|verdict| verdict.terminal);
        let jobs = self.by_config.get(config).into_iter().flatten().filter_map(|name| self.jobs.get(name));
        jobs.filter(|job| !terminal(job)).map(|job| job.kind).min()
    }

    /// What there is of one JobConfig, as of `now`.
    pub fn observe(&self, config: &str, now: Millis) -> Observed {
        let names = self.by_config.get(config).into_iter().flatten();
        let seen = names.filter_map(|name| {
            let job = self.jobs.get(name)?;
            let pods: Vec<&PodDigest> = self.pods.get(&job.uid).into_iter().flat_map(BTreeMap::values).collect();
            Some((name.clone(), observe(job, &pods, now)))
        });
        Observed { jobs: seen.collect() }
    }
}

/// Watches Jobs and Pods of one Instance in one namespace, and gives each JobConfig its part.
pub struct Watcher {
    index: Index,
    views: BTreeMap<String, watch::Sender<View>>,
    subscribers: Subscribers,
    jobs: mpsc::Receiver<Change<JobDigest>>,
    pods: mpsc::Receiver<Change<PodDigest>>,
    jobs_heard: Duration,
    pods_heard: Duration,
    stale: bool,
    /// Every JobConfig has seen a whole view.
    shown: bool,
    clock: Clock,
    health: Health,
    metrics: Arc<Metrics>,
}

impl Watcher {
    /// Begins both watches on `tasks`; [`Self::run`] takes in what they yield.
    pub fn begin(
        client: &Client,
        (namespace, selector): (&str, &str),
        subscribers: Subscribers,
        clock: Clock,
        (health, metrics): (Health, Arc<Metrics>),
        tasks: &TaskTracker,
    ) -> Self {
        let (jobs_sender, jobs) = mpsc::channel(CHANGES_MAX);
        let (pods_sender, pods) = mpsc::channel(CHANGES_MAX);
        let job_api: Api<PartialJob> = Api::namespaced(client.clone(), namespace);
        let pod_api: Api<PartialPod> = Api::namespaced(client.clone(), namespace);
        tasks.spawn(reflect(job_api, selector.to_owned(), |lean| JobDigest::of(&lean.0), jobs_sender));
        tasks.spawn(reflect(pod_api, selector.to_owned(), |lean| PodDigest::of(&lean.0), pods_sender));
        let now = clock.now();
        Self {
            index: Index::default(),
            views: BTreeMap::new(),
            subscribers,
            jobs,
            pods,
            jobs_heard: now,
            pods_heard: now,
            stale: false,
            shown: false,
            clock,
            health,
            metrics,
        }
    }

    /// Runs until both watches are gone. Dropping it ends them.
    pub async fn run(mut self) {
        let mut next_check = self.clock.now();
        let mut next_view = next_check;
        loop {
            tokio::select! {
                Some(change) = self.jobs.recv() => self.on_jobs(change),
                Some(change) = self.pods.recv() => self.on_pods(change),
                Some(subscription) = self.subscribers.subscriptions.recv() => self.subscribe(subscription),
                () = sleep_until(self.clock, next_view), if self.has_news() => {}
                () = sleep_until(self.clock, next_check) => {
                    next_check = self.clock.now().saturating_add(AGE_CHECKED_EVERY);
                    self.views.retain(|_, view| !view.is_closed());
                }
                else => return,
            }
            self.drain();
            let now = self.clock.now();
            if now >= next_view {
                next_view = now.saturating_add(VIEWS_EVERY);
                self.publish(now);
            }
        }
    }

    /// Something is to be shown that waits for its time.
    fn has_news(&self) -> bool {
        self.index.is_whole() && (!self.shown || !self.index.dirty.is_empty())
    }

    fn subscribe(&mut self, (config, view): Subscription) {
        if self.index.is_whole() {
            self.show(&config, &view);
        }
        self.views.insert(config, view);
    }

    fn show(&self, config: &str, view: &watch::Sender<View>) {
        let observed = Some(Arc::new(self.index.observe(config, self.clock.unix_millis())));
        view.send_replace(View { observed, stale: self.stale });
    }

    /// A burst of changes becomes one view.
    fn drain(&mut self) {
        for _ in 0..CHANGES_MAX {
            match (self.jobs.try_recv(), self.pods.try_recv()) {
                (Err(_), Err(_)) => return,
                (job, pod) => {
                    job.into_iter().for_each(|change| self.on_jobs(change));
                    pod.into_iter().for_each(|change| self.on_pods(change));
                }
            }
        }
    }

    fn on_jobs(&mut self, change: Change<JobDigest>) {
        self.note(&change);
        if !matches!(change, Change::Restarted(_)) {
            self.jobs_heard = self.clock.now();
        }
        self.index.change_jobs(change);
    }

    fn on_pods(&mut self, change: Change<PodDigest>) {
        self.note(&change);
        if !matches!(change, Change::Restarted(_)) {
            self.pods_heard = self.clock.now();
        }
        self.index.change_pods(change);
    }

    fn note<T>(&self, change: &Change<T>) {
        match change {
            Change::Restarted(Some(why)) => {
                self.metrics.process.watch_restarts.inc();
                self.health.set(Component::Kubernetes, Err(format!("the watch ended: {why}")));
            }
            Change::Replace(_) => self.health.set(Component::Kubernetes, Ok(())),
            _ => {}
        }
    }

    fn publish(&mut self, now: Duration) {
        let age = now.saturating_sub(self.jobs_heard.min(self.pods_heard));
        self.metrics.process.view_age.set(age.as_secs_f64());
        self.health.set_view_age(age);
        let was_stale = std::mem::replace(&mut self.stale, age > STALE_AFTER);
        if !self.index.is_whole() {
            return;
        }
        let dirty = self.index.take_dirty();
        let seen_before = std::mem::replace(&mut self.shown, true);
        if seen_before && was_stale == self.stale {
            for (config, view) in dirty.iter().filter_map(|config| self.views.get_key_value(&**config)) {
                self.show(config, view);
            }
        } else {
            self.views.iter().for_each(|(config, view)| self.show(config, view));
        }
        let is_nobodys = |config: &str| self.views.get(config).is_none_or(watch::Sender::is_closed);
        for config in dirty.iter().filter(|config| is_nobodys(config)) {
            // A full channel is no loss: the next change of one of its Jobs brings it again.
            let Some(kind) = self.index.live_kind(config) else { continue };
            if self.subscribers.strangers.try_send((kind, config.to_string())).is_err() {
                tracing::debug!(job_config = %config, "a JobConfig that has left the file waits for its actor");
            }
        }
    }
}
