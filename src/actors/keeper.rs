//! The actor of one service: waits, steps the keep-alive, performs the effects.

use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::{
    actors::{
        flight::{Answers, Flight},
        hands::{RunHands, Shared},
        leader::Term,
        orders::{Orders, view_event},
    },
    clock::sleep_until,
    cluster::index::View,
    config::service_config::ServiceConfig,
    decide::{
        event::{Effect, Event},
        keep_alive::KeepAlive,
        service::ServicePolicy,
        state::{ServiceStatus, State},
        turn::{Stages, turn},
    },
};

/// The actor of one service, for one term.
pub struct Keeper {
    keep_alive: KeepAlive,
    config: Arc<ServiceConfig>,
    hands: Arc<RunHands>,
    orders: watch::Receiver<Orders>,
    views: watch::Receiver<View>,
    stages: watch::Receiver<Arc<Stages>>,
    flight: Flight,
    shutdown: CancellationToken,
    stopping: bool,
    status: watch::Sender<ServiceStatus>,
}

impl Keeper {
    /// An actor that has not begun; `seed` makes its names its own.
    pub fn new(
        shared: &Arc<Shared>,
        term: Term,
        (config, orders, mut views): (Arc<ServiceConfig>, watch::Receiver<Orders>, watch::Receiver<View>),
        status: watch::Sender<ServiceStatus>,
        shutdown: CancellationToken,
        seed: u64,
    ) -> Self {
        // What was there before is news to an actor that begins.
        views.mark_changed();
        let entry = orders.borrow().entry.clone();
        let hands = RunHands::new(entry, shared.clone(), term);
        let policy = ServicePolicy::of(&config, &shared.instance.uid, hands.config_hash());
        Self {
            keep_alive: KeepAlive::new(policy, seed, shared.clock.now()),
            config,
            hands: Arc::new(hands),
            orders,
            views,
            stages: shared.stages.subscribe(),
            flight: Flight::default(),
            shutdown,
            stopping: false,
            status,
        }
    }

    /// Runs until nothing is left to do.
    pub async fn run(mut self) {
        let span = tracing::info_span!("keeper", service = %self.config.name);
        async {
            let orders = self.orders.borrow_and_update().clone();
            let turned = self.turned();
            self.step(vec![orders.ordered(), turned, if orders.left { Event::Drain } else { Event::DeadlineReached }]);
            while !self.keep_alive.is_done() {
                let first = self.next_event().await;
                let events = self.flight.with_ready(first);
                self.step(events);
            }
        }
        .instrument(span)
        .await;
    }

    fn step(&mut self, events: Vec<Event>) {
        for effect in self.keep_alive.step(self.hands.shared.clock.now(), events) {
            self.flight.send(perform(self.hands.clone(), effect));
        }
        self.tell();
    }

    /// Every arm is cancel-safe; no request is ever an arm of its own.
    async fn next_event(&mut self) -> Event {
        if let Some(event) = self.flight.arrived() {
            return event;
        }
        let deadline = self.keep_alive.deadline();
        let clock = self.hands.shared.clock;
        tokio::select! {
            biased;
            () = self.shutdown.cancelled(), if !self.stopping => {
                self.stopping = true;
                Event::Stop
            }
            event = self.flight.answer(), if self.flight.is_under_way() => event,
            Ok(()) = self.orders.changed() => self.take_orders(),
            Ok(()) = self.views.changed() => view_event(&self.views.borrow_and_update()),
            Ok(()) = self.stages.changed() => self.turned(),
            () = sleep_until(clock, deadline.unwrap_or_default()), if deadline.is_some() => Event::DeadlineReached,
        }
    }

    fn turned(&mut self) -> Event {
        Event::Turned(turn(&self.config.name, &self.stages.borrow_and_update()))
    }

    fn take_orders(&mut self) -> Event {
        let orders = self.orders.borrow_and_update().clone();
        if orders.left {
            self.flight.put(Event::Drain);
        } else if let Some(config) = orders.entry.service()
            && (!Arc::ptr_eq(config, &self.config) || self.keep_alive.is_draining())
        {
            self.config = config.clone();
            self.hands = Arc::new(self.hands.with(orders.entry.clone()));
            let policy = ServicePolicy::of(config, &self.hands.shared.instance.uid, self.hands.config_hash());
            self.flight.put(Event::ServiceConfigured(Box::new(policy)));
        }
        // Whoever is told to stop has to know who else is.
        self.flight.put(orders.ordered());
        self.turned()
    }

    /// Tells people, metrics and the other services how it stands.
    fn tell(&mut self) {
        let (name, Shared { metrics, clock, stages, .. }) = (&self.config.name, &*self.hands.shared);
        for milestone in self.keep_alive.take_milestones() {
            metrics.note_milestone(name, &milestone);
        }
        let status = self.keep_alive.status(clock.now());
        let before = self.status.borrow().clone();
        if before != status {
            metrics.services.note_status(name, &before, &status);
            if before.state != status.state {
                let (state, was, error) = (status.state.as_str(), before.state.as_str(), status.error.as_deref());
                if self.config.quiet && status.state == State::Failed {
                    tracing::debug!(state, was, error, "the service changed its state");
                } else {
                    tracing::info!(state, was, error, "the service changed its state");
                }
            }
            self.status.send_replace(status);
        }
        stages.send_if_modified(|stages| {
            let Some(known) = stages.get(name) else { return false };
            let stage = self.keep_alive.stage(known);
            let changed = stage != *known;
            if changed {
                Arc::make_mut(stages).insert(name.clone(), stage);
            }
            changed
        });
    }
}

async fn perform(hands: Arc<RunHands>, effect: Effect) -> Answers {
    match effect {
        Effect::Probe { name, address, probe } => {
            let Shared { prober, metrics, clock, .. } = &*hands.shared;
            let begun = clock.now();
            let answer = prober.ask(&address, &probe).await;
            metrics.services.note_check(&hands.name, clock.now().saturating_sub(begun));
            if let Err(problem) = &answer {
                tracing::debug!(job = %name, problem, "a check failed");
            }
            vec![Event::Probed(name, answer)]
        }
        Effect::KillPods { name, uid } => {
            let answer = Box::pin(hands.requests.kill_pods(&uid)).await;
            tracing::warn!(job = %name, ?answer, "asked to delete the pods of a Job without any grace");
            vec![Event::PodsKilled(name, answer)]
        }
        effect => hands.perform(effect).await,
    }
}
