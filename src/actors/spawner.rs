//! The actor of one queue JobConfig: waits, steps the lifecycle, performs the effects.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, warn};

use crate::{
    actors::{
        flight::{Answers, Flight},
        hands::{RunHands, Shared},
        leader::Term,
        orders::{Orders, view_event},
    },
    clock::sleep_until,
    cluster::index::View,
    config::job_config::JobConfig,
    decide::{
        event::{Effect, Event},
        lifecycle::Lifecycle,
        notes::Note,
        policy::Policy,
        scale::Look,
        status::Status,
        turn::{Stages, missing},
    },
    health::Part,
    queue::looks::Answer,
    store::writer::NoteRow,
};

/// Between two tellings of the state.
const TOLD_EVERY: Duration = Duration::from_millis(20);

/// Everything that the effects of one queue are performed with.
struct Hands {
    runs: RunHands,
    config: Arc<JobConfig>,
    /// The queue, as the looks want it.
    queue: Arc<str>,
    /// It was said that pg-boss does not know the queue.
    warned: AtomicBool,
    /// A message was waiting at the last look.
    waited: AtomicBool,
}

/// The actor of one queue JobConfig, for one term.
pub struct Spawner {
    lifecycle: Lifecycle,
    hands: Arc<Hands>,
    orders: watch::Receiver<Orders>,
    views: watch::Receiver<View>,
    hint: Arc<Notify>,
    /// The services, where it depends on any.
    stages: Option<watch::Receiver<Arc<Stages>>>,
    flight: Flight,
    shutdown: CancellationToken,
    stopping: bool,
    status: watch::Sender<Status>,
    /// The state has changed since it was told, and is told again at this time.
    untold: bool,
    tell_at: Duration,
}

impl Spawner {
    /// An actor that has not begun; `seed` makes its names its own.
    pub fn new(
        shared: &Arc<Shared>,
        term: Term,
        (config, orders, mut views): (Arc<JobConfig>, watch::Receiver<Orders>, watch::Receiver<View>),
        status: watch::Sender<Status>,
        shutdown: CancellationToken,
        seed: u64,
    ) -> Self {
        let policy = Policy::of(&config, &shared.instance.uid);
        // What was there before is news to an actor that begins.
        views.mark_changed();
        let entry = orders.borrow().entry.clone();
        let hands = Hands::new(config, RunHands::new(entry, shared.clone(), term));
        Self {
            hint: shared.hints.of(&hands.queue),
            stages: hands.stages(),
            lifecycle: Lifecycle::new(policy, seed, shared.clock.now()),
            hands: Arc::new(hands),
            orders,
            views,
            flight: Flight::default(),
            shutdown,
            stopping: false,
            status,
            untold: false,
            tell_at: Duration::ZERO,
        }
    }

    /// Runs until nothing is left to do.
    pub async fn run(mut self) {
        let span =
            tracing::info_span!("spawner", job_config = %self.hands.config.name, queue = %self.hands.config.queue_name);
        async {
            let orders = self.orders.borrow_and_update().clone();
            let held = self.held();
            self.step(vec![orders.switched(), held, if orders.left { Event::Drain } else { Event::DeadlineReached }]);
            while !self.lifecycle.is_done() {
                let first = self.next_event().await;
                let events = self.flight.with_ready(first);
                self.step(events);
                self.tell_in_time();
            }
            self.tell();
        }
        .instrument(span)
        .await;
    }

    fn step(&mut self, events: Vec<Event>) {
        for effect in self.lifecycle.step(self.hands.runs.shared.clock.now(), events) {
            self.flight.send(Hands::perform(self.hands.clone(), effect));
        }
    }

    /// Every arm is cancel-safe; no request is ever an arm of its own.
    async fn next_event(&mut self) -> Event {
        if let Some(event) = self.flight.arrived() {
            return event;
        }
        let deadline = self.lifecycle.deadline();
        let clock = self.hands.runs.shared.clock;
        tokio::select! {
            biased;
            () = self.shutdown.cancelled(), if !self.stopping => {
                self.stopping = true;
                Event::Stop
            }
            event = self.flight.answer(), if self.flight.is_under_way() => event,
            Ok(()) = self.orders.changed() => self.take_orders(),
            () = self.hint.notified() => Event::Hinted,
            () = async { drop(self.stages.as_mut().expect("asked for").changed().await) }, if self.stages.is_some() => self.held(),
            Ok(()) = self.views.changed() => view_event(&self.views.borrow_and_update()),
            () = sleep_until(clock, deadline.unwrap_or_default()), if deadline.is_some() => Event::DeadlineReached,
            () = sleep_until(clock, self.tell_at), if self.untold => Event::DeadlineReached,
        }
    }

    /// What is in flight is answered by the old hands; what is begun from here on, by the new ones.
    fn take_orders(&mut self) -> Event {
        let orders = self.orders.borrow_and_update().clone();
        if orders.left {
            self.flight.put(Event::Drain);
        } else if let Some(config) = orders.entry.queue()
            && (!Arc::ptr_eq(config, &self.hands.config) || self.lifecycle.is_draining())
        {
            let hands = Hands::new(config.clone(), self.hands.runs.with(orders.entry.clone()));
            let before = std::mem::replace(&mut self.hands, Arc::new(hands));
            let shared = &self.hands.runs.shared;
            let other_queue = before.queue != self.hands.queue;
            if other_queue {
                self.hint = shared.hints.of(&self.hands.queue);
                shared.metrics.forget_queue(&before.config.name, &before.queue);
            }
            let policy = Box::new(Policy::of(config, &shared.instance.uid));
            self.stages = self.hands.stages();
            let held = self.held();
            self.flight.put(held);
            self.flight.put(Event::Configured { policy, other_queue });
        }
        orders.switched()
    }

    /// Whether a service that it depends on is not up.
    fn held(&mut self) -> Event {
        let needed = &self.hands.config.depends_on;
        let held = self.stages.as_mut().is_some_and(|stages| missing(needed, &stages.borrow_and_update()).is_some());
        Event::Held(held)
    }

    /// While much happens the state is told now and then, for it costs as much as there are Jobs.
    fn tell_in_time(&mut self) {
        let now = self.hands.runs.shared.clock.now();
        self.untold = now < self.tell_at;
        if !self.untold {
            self.tell_at = now.saturating_add(TOLD_EVERY);
            self.tell();
        }
    }

    fn tell(&mut self) {
        let name = &self.hands.config.name;
        let Shared { metrics, clock, .. } = &*self.hands.runs.shared;
        for milestone in self.lifecycle.take_milestones() {
            metrics.note_milestone(name, &milestone);
        }
        let now = clock.now();
        let status = self.lifecycle.status(now);
        metrics.note_status(name, &self.status.borrow(), &status, now);
        self.status.send_replace(status);
    }
}

impl Hands {
    fn new(config: Arc<JobConfig>, runs: RunHands) -> Self {
        let queue = config.queue_name.as_str().into();
        Self { runs, config, queue, warned: AtomicBool::new(false), waited: AtomicBool::new(false) }
    }

    fn stages(&self) -> Option<watch::Receiver<Arc<Stages>>> {
        (!self.config.depends_on.is_empty()).then(|| self.runs.shared.stages.subscribe())
    }

    async fn perform(self: Arc<Self>, effect: Effect) -> Answers {
        match effect {
            Effect::ReadDepth(request) => {
                let begun = self.runs.shared.clock.now();
                let look = self.looked(self.runs.shared.looks.look(self.queue.clone(), request).await, begun);
                vec![Event::DepthRead(look)]
            }
            Effect::WriteNotes(notes) => vec![Event::NotesWritten(self.write_notes(notes).await)],
            effect => self.runs.perform(effect).await,
        }
    }

    fn looked(&self, result: Answer, begun: Duration) -> Option<Look> {
        let took = self.runs.shared.clock.now().saturating_sub(begun);
        self.runs.shared.metrics.queues.read_duration.observe(took.as_secs_f64());
        let word = if result.is_ok() { "ok" } else { "error" };
        self.runs.shared.metrics.queues.reads.with_label_values(&[word]).inc();
        match result {
            Ok(look) => {
                self.runs.shared.health.set(Part::Queue, Ok(()));
                if look.unknown && !self.warned.swap(true, Ordering::Relaxed) {
                    warn!("pg-boss knows no queue of this name; its depth is 0 until somebody makes it (createQueue)");
                }
                let waited = self.waited.swap(look.oldest_age.is_some(), Ordering::Relaxed);
                self.runs.shared.metrics.note_look(&self.config.name, &self.queue, &look, waited);
                Some(look)
            }
            Err(error) => {
                self.runs.shared.health.set(Part::Queue, Err(crate::telemetry::with_causes(&error)));
                None
            }
        }
    }

    async fn write_notes(&self, notes: Vec<Note>) -> bool {
        for note in &notes {
            if let Note::TookNothing(job) = note {
                warn!(%job, "succeeded and took none of the messages it was started for; is its worker on the right queue?");
            }
        }
        let now = self.runs.shared.clock.now();
        let row = |note: Note| {
            let age = match &note {
                Note::Decided { at, .. } => now.saturating_sub(*at),
                Note::TookNothing(_) => Duration::ZERO,
            };
            NoteRow { config: self.runs.name.clone(), age, note }
        };
        self.runs.stored(self.runs.shared.writer.notes(notes.into_iter().map(row).collect()).await).is_some()
    }
}
