//! The actor of one queue JobConfig: waits, steps the lifecycle, performs the effects.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::{FutureExt, future::BoxFuture};
use tokio::sync::{Notify, watch};
use tracing::{Instrument, Span, info_span, warn};

use crate::{
    actors::{
        inbox::{Inbox, reached},
        leader::Term,
        membership::Membership,
        orders::{Orders, view_event},
        performer::{RunPerformer, Shared},
        scout::Resting,
    },
    cluster::watcher::View,
    config::job_config::JobConfig,
    decide::{
        queue::{
            event::{DepthRequest, LogEntry, QueueEffect, QueueEvent},
            lifecycle::Lifecycle,
            policy::QueuePolicy,
            scale::Look,
            status::Status,
        },
        run::event::{RunEffect, RunEvent},
        service::start_order::{Peers, missing},
    },
    latest,
    metrics::queue_gauges::QueueGauge,
    store::rows::NoteRow,
};

/// Between two publications of the status.
const PUBLISHED_EVERY: Duration = Duration::from_millis(20);

/// Everything that the effects of one queue are performed with.
struct QueuePerformer {
    runs: RunPerformer,
    config: Arc<JobConfig>,
    /// What its looks find is shown there.
    gauge: QueueGauge,
    /// It was logged that pg-boss does not have the queue.
    warned: AtomicBool,
}

/// The actor of one queue JobConfig, for one term.
pub struct Spawner {
    lifecycle: Lifecycle,
    performer: Arc<QueuePerformer>,
    orders: latest::Receiver<Orders>,
    views: latest::Receiver<View>,
    notified: Arc<Notify>,
    /// The services, where it depends on any, and whether one of them was not up.
    peers: Option<watch::Receiver<Arc<Peers>>>,
    blocked: bool,
    inbox: Inbox<QueueEvent>,
    /// What it shares with others.
    membership: Membership,
    /// While it is at rest.
    resting: Option<Arc<Resting>>,
    status: latest::Sender<Status>,
    /// The status has changed since it was published, and is published again at this time.
    unpublished: bool,
    publish_at: Duration,
}

impl Spawner {
    /// An actor that has not begun; `seed` makes its names its own.
    pub fn new(
        shared: &Arc<Shared>,
        term: Term,
        (config, orders, mut views): (Arc<JobConfig>, latest::Receiver<Orders>, latest::Receiver<View>),
        status: latest::Sender<Status>,
        seed: u64,
    ) -> Self {
        let policy = policy(&config, shared, &orders.borrow());
        // What was there before is news to an actor that begins.
        views.mark_changed();
        let entry = orders.borrow().entry.clone();
        let performer = QueuePerformer::new(config, RunPerformer::new(entry, shared.clone(), term));
        Self {
            notified: shared.hints.of(&performer.config.queue_name),
            peers: performer.peers(),
            blocked: false,
            membership: Membership::new(performer.runs.name.clone()),
            lifecycle: Lifecycle::new(performer.runs.naming(), policy, seed, shared.clock.now()),
            performer: Arc::new(performer),
            orders,
            views,
            inbox: Inbox::default(),
            resting: None,
            status,
            unpublished: false,
            publish_at: Duration::ZERO,
        }
    }

    /// Runs until nothing is left to do. Boxed: what a future takes by value it holds twice, and there is one for each
    /// JobConfig.
    pub async fn run(mut self: Box<Self>) {
        // They may be others by now than when it was made.
        let first = self.take_orders();
        let blocked = self.blocked();
        self.inbox.push(blocked);
        let events = self.inbox.with_ready(first);
        self.step(events);
        while !self.lifecycle.is_done() {
            let first = self.next_event().await;
            let events = self.inbox.with_ready(first);
            self.step(events);
            self.publish_in_time();
        }
        self.publish();
        Box::pin(self.membership.leave(self.lifecycle.need())).await;
    }

    fn step(&mut self, events: Vec<QueueEvent>) {
        let now = self.performer.runs.shared.clock.now();
        for effect in self.lifecycle.step(now, events) {
            self.inbox.begin(self.performer.clone().perform(effect));
        }
        self.membership.tell(now, || self.lifecycle.need());
    }

    /// Every arm is cancel-safe; no request is ever an arm of its own.
    async fn next_event(&mut self) -> QueueEvent {
        self.follow_rest();
        let next = if self.resting.is_some() { self.lifecycle.deadline_at_rest() } else { self.lifecycle.deadline() };
        let publication = self.unpublished.then_some(self.publish_at);
        let deadline = [next, publication, self.membership.deadline()].into_iter().flatten().min();
        let clock = self.performer.runs.shared.clock;
        tokio::select! {
            biased;
            event = self.inbox.next() => event,
            () = self.orders.changed() => self.take_orders(),
            () = self.notified.notified() => QueueEvent::Notified,
            grant = self.membership.granted() => QueueEvent::Granted(grant),
            () = differs(&mut self.peers, &self.performer.config.depends_on, self.blocked) => self.blocked(),
            () = self.views.changed() => view_event(&self.views.borrow_and_update()).into(),
            () = reached(clock, deadline) => QueueEvent::DeadlineReached,
        }
    }

    /// Leaves its looks to the Scout while it is at rest, as far as there is room, and takes them back when it is not.
    fn follow_rest(&mut self) {
        let rest = self.lifecycle.rest();
        self.resting = self.resting.take().filter(|_| rest.is_some());
        if let (Some(rest), None) = (rest, &self.resting) {
            let QueuePerformer { runs, config, gauge, warned } = &*self.performer;
            let (queue, gauge, warned) = (config.queue_name.clone(), gauge.clone(), warned.load(Ordering::Relaxed));
            let resting = Resting { queue, gauge, rest, warned, bell: self.notified.clone() };
            self.resting = runs.shared.resting_place.rest(resting);
        }
    }

    /// What is in flight is answered by the old performer; what is begun from here on, by the new one.
    fn take_orders(&mut self) -> QueueEvent {
        let orders = self.orders.borrow_and_update().clone();
        let given = orders.seat(&mut self.membership).map(QueueEvent::Granted);
        given.into_iter().for_each(|event| self.inbox.push(event));
        if orders.stopping {
            self.inbox.push(RunEvent::Stop.into());
        }
        if orders.left {
            self.performer.runs.shared.metrics.queues.gauges.forget(&self.performer.config.name);
            self.inbox.push(RunEvent::Drain.into());
        } else if let Some(config) = orders.entry.queue()
            && (!Arc::ptr_eq(config, &self.performer.config)
                || orders.pools != *self.lifecycle.pools()
                || self.lifecycle.is_draining())
        {
            let performer = QueuePerformer::new(config.clone(), self.performer.runs.with(orders.entry.clone()));
            let before = std::mem::replace(&mut self.performer, Arc::new(performer));
            let shared = &self.performer.runs.shared;
            let other_queue = before.config.queue_name != config.queue_name;
            if other_queue {
                self.notified = shared.hints.of(&config.queue_name);
            }
            let policy = policy(config, shared, &orders);
            self.peers = self.performer.peers();
            let blocked = self.blocked();
            self.inbox.push(blocked);
            self.inbox.push(QueueEvent::Configured { policy, other_queue });
        }
        orders.switched()
    }

    /// Whether a service that it depends on is not up.
    fn blocked(&mut self) -> QueueEvent {
        let needed = &self.performer.config.depends_on;
        self.blocked = self.peers.as_mut().is_some_and(|peers| missing(needed, &peers.borrow_and_update()).is_some());
        QueueEvent::Blocked(self.blocked)
    }

    /// While much happens the status is published now and then only: it costs as much as there are Jobs.
    fn publish_in_time(&mut self) {
        let now = self.performer.runs.shared.clock.now();
        self.unpublished = now < self.publish_at;
        if !self.unpublished {
            self.publish_at = now.saturating_add(PUBLISHED_EVERY);
            self.publish();
        }
    }

    fn publish(&mut self) {
        let name = &self.performer.config.name;
        let Shared { metrics, clock, .. } = &*self.performer.runs.shared;
        for milestone in self.lifecycle.take_milestones() {
            metrics.note_milestone(name, &milestone);
        }
        let now = clock.now();
        let status = self.lifecycle.status(now);
        metrics.note_status(name, &self.status.borrow(), &status, now);
        self.status.send_replace(status);
    }
}

/// Waits until a service that is needed is not up, or all are, other than was told; for ever where none is. Cancel-safe.
async fn differs(peers: &mut Option<watch::Receiver<Arc<Peers>>>, needed: &[String], blocked: bool) {
    if let Some(peers) = peers
        // Boxed: most need none, and have no room for it.
        && Box::pin(peers.wait_for(|peers| missing(needed, peers).is_some() != blocked)).await.is_ok()
    {
        return;
    }
    std::future::pending().await
}

fn policy(config: &JobConfig, shared: &Shared, orders: &Orders) -> Arc<QueuePolicy> {
    shared.policies.of(QueuePolicy { pools: orders.pools.clone(), ..QueuePolicy::of(config) })
}

impl QueuePerformer {
    fn new(config: Arc<JobConfig>, runs: RunPerformer) -> Self {
        let JobConfig { queue_name, queue_check_interval, target_age, .. } = &*config;
        let gauges = &runs.shared.metrics.queues.gauges;
        let gauge = gauges.begin(runs.name.clone(), queue_name.clone(), *queue_check_interval, *target_age);
        Self { runs, config, gauge, warned: AtomicBool::new(false) }
    }

    fn peers(&self) -> Option<watch::Receiver<Arc<Peers>>> {
        (!self.config.depends_on.is_empty()).then(|| self.runs.shared.peers.subscribe())
    }

    /// Each kind of effect has a future of its own: all JobConfigs load their runs and look at once as a term begins, and
    /// those are small. What an idle JobConfig does all the time has no span.
    fn perform(self: Arc<Self>, effect: QueueEffect) -> BoxFuture<'static, Vec<QueueEvent>> {
        match effect {
            QueueEffect::ReadDepth(request) => {
                async move { vec![QueueEvent::DepthRead(self.look(request).await)] }.boxed()
            }
            QueueEffect::ReadGauges(request) => {
                async move { vec![QueueEvent::GaugesRead(self.look(request).await.is_some())] }.boxed()
            }
            QueueEffect::WriteLog(entries) => {
                let span = self.span();
                async move { vec![QueueEvent::LogWritten(self.write_log(entries).await)] }.instrument(span).boxed()
            }
            QueueEffect::Run(RunEffect::LoadRuns) => {
                async move { vec![RunEvent::RunsLoaded(self.runs.load().await).into()] }.boxed()
            }
            QueueEffect::Run(effect) => {
                let span = self.span();
                async move { self.runs.perform(effect).await.into_iter().map(QueueEvent::Run).collect() }
                    .instrument(span)
                    .boxed()
            }
        }
    }

    /// What is logged in it is of this queue.
    fn span(&self) -> Span {
        info_span!("spawner", job_config = %self.config.name, queue = %self.config.queue_name)
    }

    async fn look(&self, request: DepthRequest) -> Option<Look> {
        let question = (self.config.queue_name.clone(), self.gauge.clone(), request);
        let look = self.runs.shared.lookout.look(vec![question]).await?.pop()?;
        if look.unknown && !self.warned.swap(true, Ordering::Relaxed) {
            self.span().in_scope(|| {
                warn!("pg-boss knows no queue of this name; its depth is 0 until somebody makes it (createQueue)");
            });
        }
        Some(look)
    }

    async fn write_log(&self, entries: Vec<LogEntry>) -> bool {
        for entry in &entries {
            if let LogEntry::TookNothing(job) = entry {
                warn!(%job, "succeeded and took none of the messages it was started for; is its worker on the right queue?");
            }
        }
        let now = self.runs.shared.clock.now();
        let row = |entry: LogEntry| {
            let age = match &entry {
                LogEntry::Decided { at, .. } => now.saturating_sub(*at),
                LogEntry::TookNothing(_) => Duration::ZERO,
            };
            NoteRow { config: self.runs.name.clone(), age, note: entry }
        };
        self.runs.stored(self.runs.shared.writer.notes(entries.into_iter().map(row).collect()).await).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size_of_answer<Given, Answer>(_: impl Fn(Given) -> Answer) -> usize {
        size_of::<Answer>()
    }

    #[test]
    fn an_actor_with_its_task_is_small() {
        let sizes = [size_of::<Spawner>(), size_of_answer(Spawner::run), size_of::<QueuePerformer>()];
        let most = [940, 440, 170];
        assert!(sizes.iter().zip(most).all(|(size, most)| *size <= most), "{sizes:?}: there are ten thousand of them");
    }
}
