//! The actor of one queue JobConfig: waits, steps the lifecycle, performs the effects.

use std::{
    collections::VecDeque,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, info, warn};

use crate::{
    actors::leader::Term,
    clock::{Clock, sleep_until},
    cluster::{
        index::View,
        requests::{Cluster, Requests},
    },
    config::job_config::JobConfig,
    decide::{
        event::{CreateAnswer, Effect, Ended, Event, Wish},
        lifecycle::Lifecycle,
        manifest::{Instance, Template},
        notes::Note,
        policy::Policy,
        scale::Look,
        status::Status,
        switches::{Asked, Paused},
    },
    health::{Health, Part},
    metrics::Metrics,
    queue::{
        listen::Hints,
        looks::{Answer, Looks},
    },
    store::{
        stored::Stored,
        writer::{EndRow, NoteRow, WishRow, Writer},
    },
};

/// Events that are taken in together.
const EVENTS_AT_ONCE: usize = 64;

/// Between two tellings of the state.
const TOLD_EVERY: Duration = Duration::from_millis(20);

/// What an effect is answered with; one event for each name it carries.
type Answers = Vec<Event>;

/// What a Spawner is to do, whole: told anew whenever any of it changes.
#[derive(Clone, Debug)]
pub struct Orders {
    /// The JobConfig.
    pub config: Arc<JobConfig>,
    /// It has left jobs.json: only seen to its end.
    pub left: bool,
    /// Whether it creates, and who says so.
    pub paused: Paused,
    /// The Jobs that were asked for by hand.
    pub asked: Asked,
}

impl Orders {
    fn switched(&self) -> Event {
        Event::Switched { paused: self.paused.paused, asked: self.asked.count }
    }
}

/// Everything that the effects of one JobConfig are performed with.
pub struct Hands {
    config: Arc<JobConfig>,
    /// The name and the queue, as the writer and the looks want them.
    config_name: Arc<str>,
    queue: Arc<str>,
    /// Rendered when the first Job is wished for: most of many JobConfigs are idle.
    rendered: OnceLock<Box<Rendered>>,
    requests: Requests,
    /// It was said that pg-boss does not know the queue.
    warned: AtomicBool,
    /// A message was waiting at the last look.
    waited: AtomicBool,
    shared: Arc<Shared>,
    /// The number of the term.
    term: u64,
}

/// What the Jobs of a JobConfig are made from.
struct Rendered {
    template: Template,
    config_hash: Arc<str>,
}

/// What all Spawners share.
pub struct Shared {
    /// This installation.
    pub instance: Arc<Instance>,
    /// The writer of the namespace.
    pub cluster: Cluster,
    /// Our own tables.
    pub stored: Stored,
    /// The writer of our tables.
    pub writer: Writer,
    /// pg-boss's tables.
    pub looks: Looks,
    /// Who says that there is a message.
    pub hints: Hints,
    /// The time.
    pub clock: Clock,
    /// What works and what does not.
    pub health: Health,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

/// The actor of one queue JobConfig, for one term.
pub struct Spawner {
    lifecycle: Lifecycle,
    hands: Arc<Hands>,
    orders: watch::Receiver<Orders>,
    views: watch::Receiver<View>,
    hint: Arc<Notify>,
    in_flight: FuturesUnordered<BoxFuture<'static, Answers>>,
    arrived: VecDeque<Event>,
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
        (orders, mut views): (watch::Receiver<Orders>, watch::Receiver<View>),
        status: watch::Sender<Status>,
        shutdown: CancellationToken,
        seed: u64,
    ) -> Self {
        let config = orders.borrow().config.clone();
        let policy = Policy::of(&config, &shared.instance.uid);
        // What was there before is news to an actor that begins.
        views.mark_changed();
        let requests = shared.cluster.requests(term.fence);
        let hands = Hands::new(config, shared.clone(), requests, term.number);
        Self {
            hint: shared.hints.of(&hands.queue),
            lifecycle: Lifecycle::new(policy, seed, shared.clock.now()),
            hands: Arc::new(hands),
            orders,
            views,
            in_flight: FuturesUnordered::new(),
            arrived: VecDeque::new(),
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
            self.step(vec![orders.switched(), if orders.left { Event::Drain } else { Event::DeadlineReached }]);
            while !self.lifecycle.is_done() {
                let mut events = vec![self.next_event().await];
                while events.len() < EVENTS_AT_ONCE
                    && let Some(event) = self.ready_event()
                {
                    events.push(event);
                }
                self.step(events);
                self.tell_in_time();
            }
            self.tell();
        }
        .instrument(span)
        .await;
    }

    fn step(&mut self, events: Vec<Event>) {
        for effect in self.lifecycle.step(self.hands.shared.clock.now(), events) {
            self.in_flight.push(Hands::perform(self.hands.clone(), effect).in_current_span().boxed());
        }
    }

    /// Every arm is cancel-safe; no request is ever an arm of its own.
    async fn next_event(&mut self) -> Event {
        if let Some(event) = self.arrived.pop_front() {
            return event;
        }
        let deadline = self.lifecycle.deadline();
        let clock = self.hands.shared.clock;
        tokio::select! {
            biased;
            () = self.shutdown.cancelled(), if !self.stopping => {
                self.stopping = true;
                Event::Stop
            }
            Some(answers) = self.in_flight.next(), if !self.in_flight.is_empty() => self.arrive(answers),
            Ok(()) = self.orders.changed() => self.take_orders(),
            () = self.hint.notified() => Event::Hinted,
            Ok(()) = self.views.changed() => view_event(&self.views.borrow_and_update()),
            () = sleep_until(clock, deadline.unwrap_or_default()), if deadline.is_some() => Event::DeadlineReached,
            () = sleep_until(clock, self.tell_at), if self.untold => Event::DeadlineReached,
        }
    }

    /// What is in flight is answered by the old hands; what is begun from here on, by the new ones.
    fn take_orders(&mut self) -> Event {
        let orders = self.orders.borrow_and_update().clone();
        if orders.left {
            self.arrived.push_back(Event::Drain);
        } else if !Arc::ptr_eq(&orders.config, &self.hands.config) {
            let Hands { shared, requests, term, .. } = &*self.hands;
            let hands = Hands::new(orders.config.clone(), shared.clone(), requests.clone(), *term);
            let before = std::mem::replace(&mut self.hands, Arc::new(hands));
            let shared = &self.hands.shared;
            let other_queue = before.queue != self.hands.queue;
            if other_queue {
                self.hint = shared.hints.of(&self.hands.queue);
                shared.metrics.forget_queue(&before.config_name, &before.queue);
            }
            let policy = Box::new(Policy::of(&orders.config, &shared.instance.uid));
            self.arrived.push_back(Event::Configured { policy, other_queue });
        }
        orders.switched()
    }

    /// An answer that is there already.
    fn ready_event(&mut self) -> Option<Event> {
        self.arrived.pop_front().or_else(|| {
            let answers = self.in_flight.next().now_or_never().flatten()?;
            Some(self.arrive(answers))
        })
    }

    fn arrive(&mut self, answers: Answers) -> Event {
        self.arrived.extend(answers);
        self.arrived.pop_front().unwrap_or(Event::DeadlineReached)
    }

    /// While much happens the state is told now and then, for it costs as much as there are Jobs.
    fn tell_in_time(&mut self) {
        let now = self.hands.shared.clock.now();
        self.untold = now < self.tell_at;
        if !self.untold {
            self.tell_at = now.saturating_add(TOLD_EVERY);
            self.tell();
        }
    }

    fn tell(&mut self) {
        let name = &self.hands.config.name;
        let Shared { metrics, clock, .. } = &*self.hands.shared;
        for milestone in self.lifecycle.take_milestones() {
            metrics.note_milestone(name, &milestone);
        }
        let now = clock.now();
        let status = self.lifecycle.status(now);
        metrics.note_status(name, &self.status.borrow(), &status, now);
        self.status.send_replace(status);
    }
}

fn view_event(view: &View) -> Event {
    match &view.observed {
        Some(observed) if !view.stale => Event::Observed(observed.clone()),
        _ => Event::ViewStale,
    }
}

impl Hands {
    fn new(config: Arc<JobConfig>, shared: Arc<Shared>, requests: Requests, term: u64) -> Self {
        Self {
            config_name: config.name.as_str().into(),
            queue: config.queue_name.as_str().into(),
            rendered: OnceLock::new(),
            config,
            requests,
            warned: AtomicBool::new(false),
            waited: AtomicBool::new(false),
            shared,
            term,
        }
    }

    fn rendered(&self) -> &Rendered {
        self.rendered.get_or_init(|| {
            let template = Template::of(&self.config, &self.shared.instance);
            Box::new(Rendered { config_hash: template.config_hash.as_str().into(), template })
        })
    }

    async fn perform(self: Arc<Self>, effect: Effect) -> Answers {
        match effect {
            Effect::LoadRuns => {
                let loaded = self.stored(self.shared.stored.runs.load(&self.config.name).await);
                vec![Event::RunsLoaded(loaded)]
            }
            Effect::ReadDepth(request) => {
                let begun = self.shared.clock.now();
                let look = self.looked(self.shared.looks.look(self.queue.clone(), request).await, begun);
                vec![Event::DepthRead(look)]
            }
            Effect::WriteWishes(wishes) => Box::pin(self.write_wishes(wishes)).await,
            Effect::CreateJob(wish) => {
                // Requests are large while they are under way, and most actors never have one.
                let answer = Box::pin(self.create(&wish)).await;
                vec![Event::CreateAnswered(wish.name, answer)]
            }
            Effect::CheckJob(name) => {
                let answer = Box::pin(self.requests.check(&name)).await;
                vec![Event::Checked(name, answer)]
            }
            Effect::DeleteJob { name, uid, resource_version } => {
                let answer = Box::pin(self.requests.delete(&name, &uid, resource_version.as_deref())).await;
                info!(job = %name, ?answer, "asked to delete a Job");
                vec![Event::DeleteAnswered(name, answer)]
            }
            Effect::WriteEnd(ended) => {
                let written = self
                    .stored(self.shared.writer.end(EndRow { term: self.term, ended: ended.clone() }).await)
                    .is_some();
                self.tell_end(&ended, written);
                vec![Event::EndWritten(ended.name, written)]
            }
            Effect::WriteNotes(notes) => vec![Event::NotesWritten(self.write_notes(notes).await)],
        }
    }

    /// A result of our own tables, and what it says of their health.
    fn stored<T>(&self, result: Result<T, impl std::error::Error>) -> Option<T> {
        match result {
            Ok(value) => {
                self.shared.health.set(Part::Schema, Ok(()));
                Some(value)
            }
            Err(error) => {
                self.shared.health.set(Part::Schema, Err(crate::telemetry::with_causes(&error)));
                None
            }
        }
    }

    fn looked(&self, result: Answer, begun: Duration) -> Option<Look> {
        let took = self.shared.clock.now().saturating_sub(begun);
        self.shared.metrics.queues.read_duration.observe(took.as_secs_f64());
        let word = if result.is_ok() { "ok" } else { "error" };
        self.shared.metrics.queues.reads.with_label_values(&[word]).inc();
        match result {
            Ok(look) => {
                self.shared.health.set(Part::Queue, Ok(()));
                if look.unknown && !self.warned.swap(true, Ordering::Relaxed) {
                    warn!("pg-boss knows no queue of this name; its depth is 0 until somebody makes it (createQueue)");
                }
                let waited = self.waited.swap(look.oldest_age.is_some(), Ordering::Relaxed);
                self.shared.metrics.note_look(&self.config.name, &self.queue, &look, waited);
                Some(look)
            }
            Err(error) => {
                self.shared.health.set(Part::Queue, Err(crate::telemetry::with_causes(&error)));
                None
            }
        }
    }

    async fn write_wishes(&self, wishes: Vec<Wish>) -> Answers {
        let row = |wish: &Wish| WishRow {
            config: self.config_name.clone(),
            config_hash: self.rendered().config_hash.clone(),
            term: self.term,
            wish: wish.clone(),
        };
        let written = self.stored(self.shared.writer.wishes(wishes.iter().map(row).collect()).await);
        let answer = |wish: Wish| {
            let answer = written.as_ref().and_then(|answers| answers.get(&wish.name).copied());
            Event::WishWritten(wish.name, answer)
        };
        wishes.into_iter().map(answer).collect()
    }

    async fn write_notes(&self, notes: Vec<Note>) -> bool {
        for note in &notes {
            if let Note::TookNothing(job) = note {
                warn!(%job, "succeeded and took none of the messages it was started for; is its worker on the right queue?");
            }
        }
        let now = self.shared.clock.now();
        let row = |note: Note| {
            let age = match &note {
                Note::Decided { at, .. } => now.saturating_sub(*at),
                Note::TookNothing(_) => Duration::ZERO,
            };
            NoteRow { config: self.config_name.clone(), age, note }
        };
        self.stored(self.shared.writer.notes(notes.into_iter().map(row).collect()).await).is_some()
    }

    async fn create(&self, wish: &Wish) -> CreateAnswer {
        let answer = self.requests.create(&self.rendered().template.job(wish)).await;
        match &answer {
            CreateAnswer::Exists { .. } => {
                self.shared.metrics.jobs_created.with_label_values(&[&self.config.name]).inc();
                let decision = &wish.decision;
                info!(job = %wish.name, ready = decision.ready, live = decision.live, max = decision.max, "created a Job");
            }
            CreateAnswer::Refused { message } => warn!(job = %wish.name, message, "the API server refused a Job"),
            CreateAnswer::Unanswered { .. } => {
                warn!(job = %wish.name, "no answer to the request for a Job; asking again under the same name")
            }
        }
        answer
    }

    fn tell_end(&self, ended: &Ended, written: bool) {
        if !written {
            return;
        }
        let end = &ended.end;
        if let Some(started_age) = ended.started_age {
            let ran = started_age.saturating_sub(ended.age);
            self.shared.metrics.job_duration.with_label_values(&[&self.config.name]).observe(ran.as_secs_f64());
        }
        info!(
            job = %ended.name,
            outcome = end.outcome.as_str(),
            reason = end.reason.as_str(),
            exit_code = end.exit_code,
            message = end.message.as_deref(),
            "a run ended"
        );
    }
}
