//! The life of one queue JobConfig, as a pure state machine.
//!
//! Facts come in as [`Event`]s, wishes go out as [`Effect`]s, and each effect is answered by exactly one
//! event. Nothing is created before the unfinished runs are loaded and a first full view was seen:
//! ignorance is not zero. Each run is written before its Job is asked for, under a name that serves one
//! wish only; so whatever is lost may be repeated.
//!
//! `now` is the time since 1970 by the clock at the start, going on monotonically.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use crate::decide::{
    backoff::Backoff,
    demand::{ByHand, LookState, Unjudged},
    event::{Decision, DeleteAnswer, Effect, Event, LoadedRuns, Wish, WishAnswer},
    history::History,
    notes::Notes,
    observation::Observed,
    policy::{FINISHED_KEPT_MIN, Policy, RETRY_MIN, WISHES_AT_ONCE, retry_wait},
    run::{JobName, Outcome, Reason, Slot},
    scale::Claims,
    tracking::{OVERFLOW_SLOT, Run},
};

/// The state of one queue JobConfig.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Lifecycle {
    pub(super) policy: Policy,
    pub(super) seed: u64,
    pub(super) names_given: u64,
    loading: Loading,
    view: ViewState,
    /// The newest view, kept until the runs are loaded.
    waiting_view: Option<Arc<Observed>>,
    pub(super) paused: bool,
    pub(super) by_hand: ByHand,
    /// The JobConfig has left the file.
    pub(super) draining: bool,
    /// The process ends.
    pub(super) stopping: bool,
    pub(super) runs: BTreeMap<JobName, Run>,
    history: History,
    /// Slots that wait after a run, and until when.
    pub(super) cooling: BTreeMap<Slot, Duration>,
    pub(super) claims: Claims,
    pub(super) backoff: Backoff,
    pub(super) look: LookState,
    pub(super) decided: Option<(Duration, Decision)>,
    /// Successes of which the next look tells whether they took anything.
    pub(super) unjudged: Vec<Unjudged>,
    /// When the oldest message could be fetched that the first Job of a decision is for, until that is confirmed.
    pub(super) messages_at: BTreeMap<JobName, Duration>,
    pub(super) notes: Notes,
    /// What happened since the last [`Self::take_milestones`].
    pub(super) milestones: Vec<Milestone>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Loading {
    Due { at: Duration, tries: u32 },
    InFlight { tries: u32 },
    Done,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum ViewState {
    NeverSeen,
    Stale,
    Fresh,
}

/// What is counted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Milestone {
    /// The first Job of a decision was confirmed.
    Created {
        /// Since the oldest message that it was decided for could be fetched.
        waited: Duration,
    },
    /// The first container of a Job began to run.
    Started {
        /// Since the Job's creation.
        took: Duration,
    },
    /// A run's end is on record.
    Ended {
        /// How.
        outcome: Outcome,
        /// Why.
        reason: Reason,
    },
    /// A success turned out to have taken nothing.
    TookNothing,
}

impl Lifecycle {
    /// A lifecycle that knows nothing yet. `seed` makes its names and its jitter its own.
    pub fn new(policy: Policy, seed: u64, now: Duration) -> Self {
        Self {
            paused: policy.paused,
            by_hand: ByHand::default(),
            policy,
            seed,
            names_given: 0,
            loading: Loading::Due { at: now, tries: 0 },
            view: ViewState::NeverSeen,
            waiting_view: None,
            draining: false,
            stopping: false,
            runs: BTreeMap::new(),
            history: History::default(),
            cooling: BTreeMap::new(),
            claims: Claims::default(),
            backoff: Backoff::default(),
            look: LookState::begin(now),
            decided: None,
            unjudged: vec![],
            messages_at: BTreeMap::new(),
            notes: Notes::default(),
            milestones: vec![],
        }
    }

    /// The one entry: events in, in their order, effects out. What follows is derived once for all of them.
    pub fn step(&mut self, now: Duration, events: impl IntoIterator<Item = Event>) -> Vec<Effect> {
        let mut effects = vec![];
        for event in events {
            self.note(now, event, &mut effects);
        }
        self.settle_runs(now);
        self.advance(now, &mut effects);
        effects
    }

    /// When the outside must come back even if nothing happens.
    pub fn deadline(&self) -> Option<Duration> {
        let load = match self.loading {
            Loading::Due { at, .. } if !self.stopping => Some(at),
            _ => None,
        };
        let seeing = self.view != ViewState::NeverSeen;
        // A lifecycle that stops writes no wish any more, so none is due.
        let due = self.runs.values().filter(|run| seeing && (run.wished || !self.stopping));
        let runs = due.filter_map(|run| run.deadline(&self.policy)).min();
        let cleanup = self.history.deadline(&self.policy);
        let asked = self.next_asked().map(|_| Duration::ZERO);
        [load, runs, cleanup, asked, self.look_deadline(), self.notes.deadline()].into_iter().flatten().min()
    }

    /// Nothing is in flight, and nothing new will be: stopped, or drained to the last run.
    pub fn is_done(&self) -> bool {
        let quiet = self.runs.values().all(Run::is_quiet) && self.history.is_quiet() && self.notes.is_quiet();
        let at_rest = quiet && !self.look.reading && !matches!(self.loading, Loading::InFlight { .. });
        let knows = self.loading == Loading::Done && self.view != ViewState::NeverSeen;
        let drained = self.draining && knows && self.runs.is_empty() && self.notes.is_empty();
        at_rest && (self.stopping || drained)
    }

    /// Whether a message may become a Job.
    pub(super) fn may_create(&self) -> bool {
        !self.paused && self.may_create_at_all()
    }

    /// Whether anything may, also what people ask for by hand.
    pub(super) fn may_create_at_all(&self) -> bool {
        !self.draining && !self.stopping && self.loading == Loading::Done && self.view == ViewState::Fresh
    }

    /// What is to be counted since the last call.
    pub fn take_milestones(&mut self) -> Vec<Milestone> {
        std::mem::take(&mut self.milestones)
    }

    fn note(&mut self, now: Duration, event: Event, effects: &mut Vec<Effect>) {
        match event {
            Event::RunsLoaded(loaded) => self.on_loaded(now, loaded),
            Event::Observed(view) => self.on_observed(now, view),
            Event::ViewStale if self.view == ViewState::Fresh => self.view = ViewState::Stale,
            Event::DepthRead(look) => self.on_depth(now, look),
            Event::WishWritten(name, answer) => self.on_wish(now, &name, answer),
            Event::CreateAnswered(name, answer) => {
                self.note_message_to_job(&name, &answer, now);
                self.with_run(&name, |run, _| run.note_create(answer, now));
            }
            Event::Checked(name, answer) => {
                self.with_run(&name, |run, policy| run.note_check(answer, now, policy));
                effects.extend(self.runs.get_mut(&name).and_then(Run::take_allowed_delete));
            }
            Event::DeleteAnswered(name, answer) => self.on_deleted(now, &name, answer),
            Event::EndWritten(name, written) => self.on_end_written(now, &name, written),
            Event::NotesWritten(written) => self.notes.note_written(written, now),
            Event::Hinted => self.on_hint(now),
            Event::Switched { paused, asked } => {
                self.paused = paused;
                self.by_hand.asked = self.by_hand.asked.max(asked);
            }
            Event::Configured { policy, other_queue } => self.on_configured(now, *policy, other_queue),
            Event::Drain => self.draining = true,
            Event::Stop => self.stopping = true,
            Event::DeadlineReached | Event::ViewStale => {}
        }
    }

    fn with_run(&mut self, name: &JobName, act: impl FnOnce(&mut Run, &Policy)) {
        if let Some(run) = self.runs.get_mut(name) {
            act(run, &self.policy);
        }
    }

    /// Runs go on as they are; what is created from here on is created by this policy.
    fn on_configured(&mut self, now: Duration, policy: Policy, other_queue: bool) {
        self.draining = false;
        self.policy = policy;
        if other_queue {
            (self.claims, self.unjudged) = (Claims::default(), vec![]);
        }
        self.on_hint(now);
    }

    // --- what is there

    fn on_loaded(&mut self, now: Duration, loaded: Option<LoadedRuns>) {
        let Loading::InFlight { tries } = self.loading else { return };
        let Some(loaded) = loaded else {
            self.loading = Loading::Due { at: now.saturating_add(retry_wait(tries)), tries: tries.saturating_add(1) };
            return;
        };
        self.loading = Loading::Done;
        self.by_hand.served = loaded.served;
        if self.runs.is_empty() {
            self.backoff = Backoff::after_restart(loaded.failed_in_a_row);
        }
        for run in loaded.unfinished {
            if !self.history.contains(&run.name) {
                // What is too old may have come and gone; what has left the file can't be rendered.
                let exists = run.uid.is_some() || run.age >= FINISHED_KEPT_MIN || self.draining;
                let name = run.name.clone();
                self.runs.entry(name).or_insert_with(|| Run::loaded(run.name, run.slot, exists, now));
            }
        }
        if let Some(view) = self.waiting_view.take() {
            self.on_observed(now, view);
        }
    }

    fn on_observed(&mut self, now: Duration, view: Arc<Observed>) {
        self.view = ViewState::Fresh;
        if self.loading != Loading::Done {
            self.waiting_view = Some(view);
            return;
        }
        for (name, job) in &view.jobs {
            self.adopt_unknown(now, name, job.slot, job.is_live());
            // Another uid is the same run: its Job was deleted, and a repeated create made it anew.
            let Some(run) = self.runs.get_mut(name) else { continue };
            if run.note_seen(job, now) {
                self.backoff.note_started();
                self.milestones.extend(run.start_took().map(|took| Milestone::Started { took }));
            }
        }
        for (name, run) in &mut self.runs {
            run.note_in_view(view.jobs.contains_key(name));
        }
        self.history.note_view(&view, now);
    }

    /// A Job without a run: taken over, or, if its run has ended, on its way out.
    fn adopt_unknown(&mut self, now: Duration, name: &JobName, slot: Option<Slot>, live: bool) {
        let settled = self.history.contains(name) && !live;
        if self.runs.contains_key(name) || settled || self.history.is_deleting(name) {
            return;
        }
        let slot =
            slot.filter(|slot| live && !self.slots_taken().contains(slot)).unwrap_or_else(|| self.overflow_slot());
        let run = if self.history.revive(name) {
            Run::revenant(name.clone(), self.overflow_slot(), now)
        } else {
            Run::adopted(name.clone(), slot, now)
        };
        self.runs.insert(name.clone(), run);
    }

    pub(super) fn slots_taken(&self) -> BTreeSet<Slot> {
        self.runs.values().map(|run| run.slot).chain(self.cooling.keys().copied()).collect()
    }

    fn overflow_slot(&self) -> Slot {
        let taken = self.slots_taken();
        (OVERFLOW_SLOT..).find(|slot| !taken.contains(slot)).expect("runs are far fewer than slots")
    }

    fn on_wish(&mut self, now: Duration, name: &JobName, answer: Option<WishAnswer>) {
        let Some(run) = self.runs.get_mut(name) else { return };
        let taken_over = run.created && answer != Some(WishAnswer::SlotTaken);
        if taken_over || matches!(answer, Some(WishAnswer::Written | WishAnswer::Ended)) {
            run.note_wish(answer, now);
            return;
        }
        // Unanswered, or another process has begun a run in this slot. What the store holds is what counts, and
        // a decision that could not be written is made anew, by the queue as it then is.
        self.runs.remove(name);
        if self.loading == Loading::Done {
            self.loading = Loading::Due { at: now.saturating_add(RETRY_MIN), tries: 1 };
        }
    }

    fn on_deleted(&mut self, now: Duration, name: &JobName, answer: DeleteAnswer) {
        if !self.history.note_delete(name, answer, now) {
            self.with_run(name, |run, _| run.note_delete(answer, now));
        }
    }

    fn on_end_written(&mut self, now: Duration, name: &JobName, written: bool) {
        let Some(run) = self.runs.get_mut(name) else { return };
        run.note_end_written(written, now);
        let run = run.clone();
        if let (true, Some(end)) = (written, &run.end) {
            self.milestones.push(Milestone::Ended { outcome: end.outcome, reason: end.reason });
            self.follow(now, &run, end.outcome, end.reason);
        }
    }

    /// The waits that follow an end.
    fn follow(&mut self, now: Duration, run: &Run, outcome: Outcome, reason: Reason) {
        let jitter = self.jitter();
        let grows = !self.backoff.is_active() || run.trial;
        let full = reason == Reason::Unschedulable && self.runs.values().any(Run::is_running);
        let policy = &self.policy;
        match outcome {
            Outcome::Succeeded => {
                self.cool(run, policy.wait_after_success);
                self.note_success(run);
            }
            Outcome::Failed => {
                self.cool(run, policy.wait_after_failure);
                if reason != Reason::Disrupted && grows {
                    self.backoff.note_failed_run(now, self.policy.wait_after_failure, &self.policy.backoff, jitter);
                }
            }
            Outcome::StartTimedOut if full => self.cool(run, policy.wait_after_timeout),
            Outcome::StartTimedOut if grows => {
                self.backoff.note_start_failure(now, policy.wait_after_timeout, &policy.backoff, jitter);
            }
            Outcome::StartError if grows => {
                self.backoff.note_start_failure(now, policy.wait_after_error, &policy.backoff, jitter);
            }
            Outcome::Vanished | Outcome::StartTimedOut | Outcome::StartError => {}
        }
    }

    fn cool(&mut self, run: &Run, wait: Duration) {
        if run.slot < OVERFLOW_SLOT {
            self.cooling.insert(run.slot, run.ended_at.saturating_add(wait));
        }
    }

    /// Runs that are over leave the field.
    fn settle_runs(&mut self, now: Duration) {
        self.cooling.retain(|_, until| *until > now);
        let over: Vec<JobName> =
            self.runs.values().filter(|run| run.is_over(now)).map(|run| run.name.clone()).collect();
        for name in over {
            self.runs.remove(&name);
            self.history.settle(name, now);
        }
    }

    // --- what follows

    fn advance(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        if let Loading::Due { at, tries } = self.loading
            && at <= now
            && !self.stopping
        {
            self.loading = Loading::InFlight { tries };
            effects.push(Effect::LoadRuns);
        }
        self.wish_asked(now);
        let may_wish = !self.stopping;
        let wishes: Vec<Wish> =
            self.runs.values_mut().filter(|_| may_wish).filter_map(|run| run.wants_wish(now)).collect();
        // The first Jobs of a burst are asked for while the wishes of the others are written.
        effects.extend(wishes.chunks(WISHES_AT_ONCE).map(|wishes| Effect::WriteWishes(wishes.to_vec())));
        if self.view != ViewState::NeverSeen {
            effects.extend(self.runs.values_mut().filter_map(|run| run.next_request(now, &self.policy)));
        }
        effects.extend(self.history.cleanups(now, &self.policy));
        effects.extend(self.notes.next_write(now));
        if self.look_deadline().is_some_and(|due| due <= now) && self.room() > 0 {
            effects.push(self.begin_look(now));
        }
    }
}
