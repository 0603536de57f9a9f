//! Watches Jobs and Pods, and shows each JobConfig its part of them.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use kube::{Api, Client};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::task::TaskTracker;

use crate::{
    clock::{Clock, sleep_until},
    cluster::{
        index::Index,
        partial::{PartialJob, PartialPod},
        reflect::{Change, reflect},
    },
    config::entry::Kind,
    decide::pod::{
        digest::{JobDigest, PodDigest},
        observation::Observed,
    },
    health::{Component, Health},
    latest,
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
pub type Subscription = (Arc<str>, latest::Sender<View>);

/// Subscriptions and names that wait for the other side.
const SUBSCRIPTIONS_MAX: usize = 1024;

/// The watcher's ends of what it shares with the supervisor of the actors.
#[derive(Debug)]
pub struct Subscribers {
    subscriptions: mpsc::Receiver<Subscription>,
    anew: mpsc::Receiver<oneshot::Sender<()>>,
    strangers: mpsc::Sender<(Kind, String)>,
}

/// The other ends: how a view is asked for, and the JobConfigs that nobody has asked for although Jobs of theirs live.
#[derive(Debug)]
pub struct Subscribing {
    /// Asks for the views of a JobConfig, from now until the receiver is dropped.
    pub subscriptions: mpsc::Sender<Subscription>,
    anew: mpsc::Sender<oneshot::Sender<()>>,
    /// JobConfigs with live Jobs and without a subscription; each may come more than once.
    pub strangers: mpsc::Receiver<(Kind, String)>,
}

impl Subscribing {
    /// Whatever was seen so far is too old to create anything by it, once this has returned, until all was listed anew.
    /// False where the watcher has ended.
    ///
    /// A watch that nothing comes of may be a dead one: what another process has done meanwhile is in none of its views.
    pub async fn begin_anew(&self) -> bool {
        let (done, is_done) = oneshot::channel();
        self.anew.send(done).await.is_ok() && is_done.await.is_ok()
    }
}

/// Both ends.
pub fn subscribing() -> (Subscribing, Subscribers) {
    let (subscriptions, subscribed) = mpsc::channel(SUBSCRIPTIONS_MAX);
    let (anew, asked) = mpsc::channel(1);
    let (strange, strangers) = mpsc::channel(SUBSCRIPTIONS_MAX);
    let subscribers = Subscribers { subscriptions: subscribed, anew: asked, strangers: strange };
    (Subscribing { subscriptions, anew, strangers }, subscribers)
}

/// What comes of one watch.
struct Watched<T> {
    changes: mpsc::Receiver<Change<T>>,
    /// When it was heard of last.
    heard: Duration,
    /// How often all was to be listed anew when the newest list began.
    listed: u64,
}

impl<T> Watched<T> {
    fn note(&mut self, change: &Change<T>, now: Duration) {
        match change {
            Change::Restarted(_) => return,
            Change::Replace { asked, .. } => self.listed = *asked,
            Change::Apply(_) | Change::Remove(_) | Change::Alive => {}
        }
        self.heard = now;
    }
}

/// Watches Jobs and Pods of one Instance in one namespace, and gives each JobConfig its part.
pub struct Watcher {
    index: Index,
    views: BTreeMap<Arc<str>, latest::Sender<View>>,
    subscribers: Subscribers,
    jobs: Watched<JobDigest>,
    pods: Watched<PodDigest>,
    /// How often everything was to be listed anew.
    asked: watch::Sender<u64>,
    stale: bool,
    /// Every JobConfig has seen a whole view.
    shown: bool,
    /// What is shown to all that have no Jobs.
    nothing: Arc<Observed>,
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
        let asked = watch::Sender::new(0);
        let (selector, again) = (selector.to_owned(), asked.subscribe());
        tasks.spawn(reflect(job_api, selector.clone(), |lean| JobDigest::of(&lean.0), jobs_sender, again.clone()));
        tasks.spawn(reflect(pod_api, selector, |lean| PodDigest::of(&lean.0), pods_sender, again));
        let heard = clock.now();
        Self {
            index: Index::default(),
            views: BTreeMap::new(),
            subscribers,
            jobs: Watched { changes: jobs, heard, listed: 0 },
            pods: Watched { changes: pods, heard, listed: 0 },
            asked,
            stale: false,
            shown: false,
            nothing: Arc::default(),
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
                Some(change) = self.jobs.changes.recv() => self.on_jobs(change),
                Some(change) = self.pods.changes.recv() => self.on_pods(change),
                Some(done) = self.subscribers.anew.recv() => self.begin_anew(done),
                Some(subscription) = self.subscribers.subscriptions.recv() => self.subscribe(subscription),
                () = sleep_until(self.clock, next_view), if self.has_news() => {}
                () = sleep_until(self.clock, next_check) => {
                    next_check = self.clock.now().saturating_add(AGE_CHECKED_EVERY);
                    self.views.retain(|_, view| !view.is_alone());
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
        self.index.is_whole() && (!self.shown || self.index.is_dirty() || self.stale != self.is_stale(self.clock.now()))
    }

    fn is_stale(&self, now: Duration) -> bool {
        let listed = self.jobs.listed.min(self.pods.listed);
        self.age(now) > STALE_AFTER || listed < *self.asked.borrow()
    }

    fn age(&self, now: Duration) -> Duration {
        now.saturating_sub(self.jobs.heard.min(self.pods.heard))
    }

    fn begin_anew(&mut self, done: oneshot::Sender<()>) {
        self.asked.send_modify(|asked| *asked += 1);
        self.publish(self.clock.now());
        if done.send(()).is_err() {
            tracing::debug!("whoever wanted new lists is gone");
        }
    }

    fn subscribe(&mut self, (config, view): Subscription) {
        if self.index.is_whole() {
            self.show(&config, &view);
        }
        self.views.insert(config, view);
    }

    fn show(&self, config: &str, view: &latest::Sender<View>) {
        let observed = self.index.observe(config, self.clock.unix_millis());
        let observed = if observed.jobs.is_empty() { self.nothing.clone() } else { Arc::new(observed) };
        view.send_replace(View { observed: Some(observed), stale: self.stale });
    }

    /// A burst of changes becomes one view.
    fn drain(&mut self) {
        for _ in 0..CHANGES_MAX {
            match (self.jobs.changes.try_recv(), self.pods.changes.try_recv()) {
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
        self.jobs.note(&change, self.clock.now());
        self.index.change_jobs(change);
    }

    fn on_pods(&mut self, change: Change<PodDigest>) {
        self.note(&change);
        self.pods.note(&change, self.clock.now());
        self.index.change_pods(change);
    }

    fn note<T>(&self, change: &Change<T>) {
        match change {
            Change::Restarted(Some(why)) => {
                self.metrics.process.watch_restarts.inc();
                self.health.set(Component::Kubernetes, Err(format!("the watch ended: {why}")));
            }
            Change::Replace { .. } => self.health.set(Component::Kubernetes, Ok(())),
            _ => {}
        }
    }

    fn publish(&mut self, now: Duration) {
        let age = self.age(now);
        self.metrics.process.view_age.set(age.as_secs_f64());
        self.health.set_view_age(age);
        let is_stale = self.is_stale(now);
        let was_stale = std::mem::replace(&mut self.stale, is_stale);
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
        let is_nobodys = |config: &str| self.views.get(config).is_none_or(latest::Sender::is_alone);
        for config in dirty.iter().filter(|config| is_nobodys(config)) {
            // A full channel is no loss: the next change of one of its Jobs brings it again.
            let Some(kind) = self.index.live_kind(config) else { continue };
            if self.subscribers.strangers.try_send((kind, config.to_string())).is_err() {
                tracing::debug!(job_config = %config, "a JobConfig that has left the file waits for its actor");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, sync::Mutex};

    use axum::http::{Request, Response};
    use http_body_util::{Either, Full, StreamBody};
    use hyper::body::{Bytes, Frame};
    use kube::client::Body;
    use serde_json::{Value, json};

    use super::*;
    use crate::decide::{outcome::JobName, pod::names::ANNOTATION_NAME};

    /// An API server that lists these Jobs, no pods, and whose watches tell nothing.
    fn silent(jobs: Arc<Mutex<Vec<Value>>>) -> Client {
        let server = tower::service_fn(move |request: Request<Body>| {
            let watches = request.uri().query().is_some_and(|query| query.contains("watch=true"));
            let is_jobs = request.uri().path().ends_with("/jobs");
            let items = if is_jobs { jobs.lock().expect("unpoisoned").clone() } else { vec![] };
            let body = if watches {
                Either::Left(StreamBody::new(futures::stream::pending::<Result<Frame<Bytes>, Infallible>>()))
            } else {
                let list = json!({"metadata": {"resourceVersion": "1"}, "items": items});
                Either::Right(Full::new(Bytes::from(list.to_string())))
            };
            std::future::ready(Ok::<_, Infallible>(Response::new(body)))
        });
        Client::new(server, "here")
    }

    /// The next view that is not too old.
    async fn fresh(views: &mut latest::Receiver<View>) -> Arc<Observed> {
        loop {
            let View { observed, stale } = views.borrow_and_update().clone();
            if let Some(observed) = observed.filter(|_| !stale) {
                return observed;
            }
            views.changed().await;
        }
    }

    #[tokio::test]
    async fn what_a_silent_watch_has_not_told_is_listed_before_a_view_counts_again() {
        let jobs: Arc<Mutex<Vec<Value>>> = Arc::default();
        let (subscribing, subscribers) = subscribing();
        let told_to = (Health::default(), Arc::new(Metrics::new().expect("a page")));
        let tasks = TaskTracker::new();
        let client = silent(jobs.clone());
        let watcher = Watcher::begin(&client, ("here", "s"), subscribers, Clock::start(), told_to, &tasks);
        tasks.spawn(watcher.run());
        let shown = latest::Sender::new(View::default());
        let mut views = shown.subscribe();
        subscribing.subscriptions.send(("mail".into(), shown)).await.expect("a watcher");
        assert!(fresh(&mut views).await.jobs.is_empty());
        let annotations = json!({ANNOTATION_NAME: "mail"});
        let metadata = json!({"name": "a", "uid": "u", "resourceVersion": "1", "annotations": annotations});
        jobs.lock().expect("unpoisoned").push(json!({"metadata": metadata}));
        assert!(subscribing.begin_anew().await);
        let seen: Vec<JobName> = fresh(&mut views).await.jobs.keys().cloned().collect();
        assert_eq!(seen, [JobName("a".into())]);
    }
}
