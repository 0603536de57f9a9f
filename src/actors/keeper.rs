//! The actor of one service: waits, steps the keep-alive, performs the effects.

use std::sync::Arc;

use futures::FutureExt;
use tokio::sync::watch;
use tracing::{Instrument, Span};

use crate::{
    actors::{
        inbox::{Inbox, reached},
        leader::Term,
        membership::Membership,
        orders::{Orders, view_event},
        performer::{RunPerformer, Shared},
        watched_files::WatchedFiles,
    },
    cluster::watcher::View,
    config::{entry::Entry, service_config::ServiceConfig},
    decide::{
        run::event::RunEvent,
        service::{
            event::{ServiceEffect, ServiceEvent},
            keep_alive::KeepAlive,
            policy::ServicePolicy,
            start_order::{Peers, waits_for},
            state::ServiceState,
            status::ServiceStatus,
        },
    },
    latest,
};

/// The actor of one service, for one term.
pub struct Keeper {
    keep_alive: KeepAlive,
    config: Arc<ServiceConfig>,
    performer: Arc<RunPerformer>,
    files: WatchedFiles,
    orders: latest::Receiver<Orders>,
    views: latest::Receiver<View>,
    peers: watch::Receiver<Arc<Peers>>,
    inbox: Inbox<ServiceEvent>,
    /// What it shares with others.
    pools: Arc<[Arc<str>]>,
    membership: Membership,
    status: latest::Sender<ServiceStatus>,
}

impl Keeper {
    /// An actor that has not begun; `seed` makes its names its own.
    pub fn new(
        shared: &Arc<Shared>,
        term: Term,
        (config, orders, mut views): (Arc<ServiceConfig>, latest::Receiver<Orders>, latest::Receiver<View>),
        status: latest::Sender<ServiceStatus>,
        seed: u64,
    ) -> Self {
        // What was there before is news to an actor that begins.
        views.mark_changed();
        let entry = orders.borrow().entry.clone();
        let _entered = span(&config.name).entered();
        let files = WatchedFiles::begin(&config.restart_on, shared.clock.now());
        let performer = RunPerformer::new(entry, shared.clone(), term).following(files.contents().clone());
        let pools = orders.borrow().pools.clone();
        let policy = ServicePolicy::of(&config, performer.config_hash());
        let policy = ServicePolicy { pools: pools.clone(), ..policy };
        Self {
            keep_alive: KeepAlive::new(performer.naming(), policy, seed, shared.clock.now()),
            config,
            membership: Membership::new(performer.name.clone()),
            performer: Arc::new(performer),
            files,
            orders,
            views,
            peers: shared.peers.subscribe(),
            inbox: Inbox::default(),
            pools,
            status,
        }
    }

    /// Runs until nothing is left to do. Boxed, as the actor of a queue is.
    pub async fn run(mut self: Box<Self>) {
        // They may be others by now than when it was made.
        let first = self.take_orders();
        let events = self.inbox.with_ready(first);
        self.step(events);
        while !self.keep_alive.is_done() {
            let first = self.next_event().await;
            let events = self.inbox.with_ready(first);
            self.step(events);
        }
        self.membership.leave(self.keep_alive.need()).await;
    }

    fn step(&mut self, events: Vec<ServiceEvent>) {
        let now = self.performer.shared.clock.now();
        for effect in self.keep_alive.step(now, events) {
            let performing = perform(self.performer.clone(), effect);
            self.inbox.begin(performing.instrument(span(&self.config.name)).boxed());
        }
        self.membership.tell(now, || self.keep_alive.need());
        self.publish();
    }

    /// Every arm is cancel-safe; no request is ever an arm of its own.
    async fn next_event(&mut self) -> ServiceEvent {
        let deadline = [self.keep_alive.deadline(), self.membership.deadline()].into_iter().flatten().min();
        let look_at = self.files.deadline().filter(|_| !self.keep_alive.is_draining());
        let clock = self.performer.shared.clock;
        tokio::select! {
            biased;
            event = self.inbox.next() => event,
            () = self.orders.changed() => self.take_orders(),
            () = self.views.changed() => view_event(&self.views.borrow_and_update()).into(),
            Ok(()) = self.peers.changed() => self.waiting(),
            grant = self.membership.granted() => ServiceEvent::Granted(grant),
            () = reached(clock, deadline) => ServiceEvent::DeadlineReached,
            () = reached(clock, look_at) => self.look_at_files(),
        }
    }

    /// Changed contents are a change of the entry.
    fn look_at_files(&mut self) -> ServiceEvent {
        let _entered = span(&self.config.name).entered();
        if self.files.look(self.performer.shared.clock.now()) {
            self.configure();
        }
        ServiceEvent::DeadlineReached
    }

    /// By the entry and the files as they are now.
    fn configure(&mut self) {
        let performer = self.performer.with(Entry::Service(self.config.clone()));
        self.performer = Arc::new(performer.following(self.files.contents().clone()));
        let policy = ServicePolicy::of(&self.config, self.performer.config_hash());
        let policy = ServicePolicy { pools: self.pools.clone(), ..policy };
        self.inbox.push(ServiceEvent::Configured(Box::new(policy)));
    }

    fn waiting(&mut self) -> ServiceEvent {
        ServiceEvent::WaitsFor(waits_for(&self.config.name, &self.peers.borrow_and_update()))
    }

    fn take_orders(&mut self) -> ServiceEvent {
        let orders = self.orders.borrow_and_update().clone();
        let given = orders.seat(&mut self.membership).map(ServiceEvent::Granted);
        given.into_iter().for_each(|event| self.inbox.push(event));
        if orders.stopping {
            self.inbox.push(RunEvent::Stop.into());
        }
        if orders.left {
            self.inbox.push(RunEvent::Drain.into());
        } else if let Some(config) = orders.entry.service()
            && (!Arc::ptr_eq(config, &self.config) || orders.pools != self.pools || self.keep_alive.is_draining())
        {
            if config.restart_on != self.config.restart_on {
                let _entered = span(&config.name).entered();
                self.files = WatchedFiles::begin(&config.restart_on, self.performer.shared.clock.now());
            }
            (self.config, self.pools) = (config.clone(), orders.pools.clone());
            self.configure();
        }
        // A service that is to stop has to know which others are.
        self.inbox.push(orders.desired());
        self.inbox.push(orders.actions());
        self.waiting()
    }

    /// Publishes the status to people, metrics and the other services.
    fn publish(&mut self) {
        let (name, Shared { metrics, clock, peers, .. }) = (&self.config.name, &*self.performer.shared);
        for milestone in self.keep_alive.take_milestones() {
            metrics.note_milestone(name, &milestone);
        }
        let unread = self.files.problem().map(str::to_owned);
        let status = ServiceStatus { unread, ..self.keep_alive.status(clock.now()) };
        let before = self.status.borrow().clone();
        if before != status {
            metrics.services.note_status(name, &before, &status);
            if before.state != status.state {
                let _entered = span(name).entered();
                let (state, was, error) = (status.state.as_str(), before.state.as_str(), status.error.as_deref());
                if self.config.quiet && status.state == ServiceState::Failed {
                    tracing::debug!(state, was, error, "the service changed its state");
                } else {
                    tracing::info!(state, was, error, "the service changed its state");
                }
            }
            self.status.send_replace(status);
        }
        peers.send_if_modified(|peers| {
            let Some(known) = peers.get(name) else { return false };
            let status = self.keep_alive.peer_status(known);
            let changed = status != *known;
            if changed {
                Arc::make_mut(peers).insert(name.clone(), status);
            }
            changed
        });
    }
}

/// What is logged in it is of this service.
fn span(service: &str) -> Span {
    tracing::info_span!("keeper", service)
}

async fn perform(performer: Arc<RunPerformer>, effect: ServiceEffect) -> Vec<ServiceEvent> {
    match effect {
        ServiceEffect::CheckHealth { name, address, check } => {
            let Shared { prober, metrics, clock, .. } = &*performer.shared;
            let begun = clock.now();
            let answer = prober.ask(&address, &check).await;
            metrics.services.note_check(&performer.name, clock.now().saturating_sub(begun));
            if let Err(problem) = &answer {
                tracing::debug!(job = %name, problem, "a check failed");
            }
            vec![ServiceEvent::HealthChecked(name, answer)]
        }
        ServiceEffect::ForceDeletePods { name, uid } => {
            let answer = Box::pin(performer.requests().force_delete_pods(&uid)).await;
            tracing::warn!(job = %name, ?answer, "asked to delete the pods of a Job without any grace");
            vec![ServiceEvent::ForceDeleteAnswered(name, answer)]
        }
        ServiceEffect::AskTargets(asking, targets) => {
            let answer = performer.shared.prober.reach_all(&targets).await;
            if let Err(problem) = &answer {
                tracing::debug!(?asking, problem, "a target does not answer");
            }
            vec![ServiceEvent::TargetsAnswered(asking, answer)]
        }
        ServiceEffect::Run(effect) => performer.perform(effect).await.into_iter().map(ServiceEvent::Run).collect(),
    }
}
