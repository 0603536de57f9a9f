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
    event::{Decision, DeleteAnswer, DepthRequest, Effect, Event, LoadedRuns, Wish, WishAnswer},
    history::History,
    names::job_name,
    observation::Observed,
    policy::{BURST_MAX, FINISHED_KEPT_MIN, Policy, RETRY_MIN, retry_wait},
    run::{JobName, Outcome, Reason, Slot},
    scale::{Claims, Look, jobs_wanted},
    tracking::{OVERFLOW_SLOT, Run},
};

/// The state of one queue JobConfig.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Lifecycle {
    pub(super) policy: Policy,
    seed: u64,
    names_given: u64,
    loading: Loading,
    view: ViewState,
    /// The newest view, kept until the runs are loaded.
    waiting_view: Option<Arc<Observed>>,
    pub(super) paused: bool,
    pub(super) draining: bool,
    pub(super) runs: BTreeMap<JobName, Run>,
    history: History,
    /// Slots that wait after a run, and until when.
    pub(super) cooling: BTreeMap<Slot, Duration>,
    pub(super) claims: Claims,
    pub(super) backoff: Backoff,
    pub(super) look: LookState,
    pub(super) decided: Option<(Duration, Decision)>,
    /// Ends that were recorded since the last [`Self::take_recorded`].
    recorded: Vec<Recorded>,
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

/// When the queue is looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct LookState {
    reading: bool,
    pub(super) due: Duration,
    failures: u32,
    /// The last look left messages for want of room: the next free slot is used at once.
    hungry: bool,
}

/// A recorded end, for the metrics.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Recorded {
    /// How.
    pub outcome: Outcome,
    /// Why.
    pub reason: Reason,
}

impl Lifecycle {
    /// A lifecycle that knows nothing yet. `seed` makes its names and its jitter its own.
    pub fn new(policy: Policy, seed: u64, now: Duration) -> Self {
        Self {
            paused: policy.paused,
            policy,
            seed,
            names_given: 0,
            loading: Loading::Due { at: now, tries: 0 },
            view: ViewState::NeverSeen,
            waiting_view: None,
            draining: false,
            runs: BTreeMap::new(),
            history: History::default(),
            cooling: BTreeMap::new(),
            claims: Claims::default(),
            backoff: Backoff::default(),
            look: LookState { due: now, ..LookState::default() },
            decided: None,
            recorded: vec![],
        }
    }

    /// The one entry: an event in, effects out.
    pub fn step(&mut self, now: Duration, event: Event) -> Vec<Effect> {
        let mut effects = vec![];
        self.note(now, event, &mut effects);
        self.settle_runs(now);
        self.advance(now, &mut effects);
        effects
    }

    /// When the outside must come back even if nothing happens.
    pub fn deadline(&self) -> Option<Duration> {
        let load = match self.loading {
            Loading::Due { at, .. } if !self.draining => Some(at),
            _ => None,
        };
        let seeing = self.view != ViewState::NeverSeen;
        // A drained lifecycle writes no wish any more, so none is due.
        let due = self.runs.values().filter(|run| seeing && (run.wished || !self.draining));
        let runs = due.filter_map(|run| run.deadline(&self.policy)).min();
        let cleanup = self.history.deadline(&self.policy);
        [load, runs, cleanup, self.look_deadline()].into_iter().flatten().min()
    }

    /// Nothing is in flight, and nothing new will be.
    pub fn is_drained(&self) -> bool {
        let quiet = self.runs.values().all(Run::is_quiet) && self.history.is_quiet();
        self.draining && quiet && !self.look.reading && !matches!(self.loading, Loading::InFlight { .. })
    }

    /// The ends that were recorded since the last call.
    pub fn take_recorded(&mut self) -> Vec<Recorded> {
        std::mem::take(&mut self.recorded)
    }

    fn note(&mut self, now: Duration, event: Event, effects: &mut Vec<Effect>) {
        match event {
            Event::RunsLoaded(loaded) => self.on_loaded(now, loaded),
            Event::Observed(view) => self.on_observed(now, view),
            Event::ViewStale if self.view == ViewState::Fresh => self.view = ViewState::Stale,
            Event::DepthRead(look) => self.on_depth(now, look),
            Event::WishWritten(name, answer) => self.on_wish(now, &name, answer),
            Event::CreateAnswered(name, answer) => self.with_run(&name, |run, _| run.note_create(answer, now)),
            Event::Checked(name, answer) => {
                self.with_run(&name, |run, policy| run.note_check(answer, now, policy));
                effects.extend(self.runs.get_mut(&name).and_then(Run::take_allowed_delete));
            }
            Event::DeleteAnswered(name, answer) => self.on_deleted(now, &name, answer),
            Event::EndWritten(name, written) => self.on_end_written(now, &name, written),
            Event::Pause => self.paused = true,
            Event::Resume => self.paused = false,
            Event::Drain => self.draining = true,
            Event::DeadlineReached | Event::ViewStale => {}
        }
    }

    fn with_run(&mut self, name: &JobName, act: impl FnOnce(&mut Run, &Policy)) {
        if let Some(run) = self.runs.get_mut(name) {
            act(run, &self.policy);
        }
    }

    // --- what is there

    fn on_loaded(&mut self, now: Duration, loaded: Option<LoadedRuns>) {
        let Loading::InFlight { tries } = self.loading else { return };
        let Some(loaded) = loaded else {
            self.loading = Loading::Due { at: now.saturating_add(retry_wait(tries)), tries: tries.saturating_add(1) };
            return;
        };
        self.loading = Loading::Done;
        if self.runs.is_empty() {
            self.backoff = Backoff::after_restart(loaded.failed_in_a_row);
        }
        for run in loaded.unfinished {
            if !self.history.contains(&run.name) {
                let too_old = run.age >= FINISHED_KEPT_MIN;
                let name = run.name.clone();
                self.runs.entry(name).or_insert_with(|| Run::loaded(run.name, run.slot, run.uid, too_old, now));
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

    fn slots_taken(&self) -> BTreeSet<Slot> {
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
            self.recorded.push(Recorded { outcome: end.outcome, reason: end.reason });
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
                self.backoff.note_success();
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

    // --- how many more

    pub(super) fn live(&self) -> u64 {
        self.runs.values().filter(|run| !(run.slot >= OVERFLOW_SLOT && run.is_finished())).count() as u64
    }

    pub(super) fn starting(&self, now: Duration) -> u64 {
        self.runs.values().filter(|run| run.is_starting(now, &self.policy)).count() as u64
    }

    /// `maxConcurrentJobs − live − cooling slots`; less where the cluster is full or a back-off allows one trial.
    pub(super) fn room(&self) -> u64 {
        let cooling =
            self.cooling.keys().filter(|slot| !self.runs.values().any(|run| run.slot == **slot)).count() as u64;
        let mut room = u64::from(self.policy.jobs_max).saturating_sub(self.live()).saturating_sub(cooling);
        let running = self.runs.values().filter(|run| run.is_running()).count() as u64;
        if running > 0 && self.runs.values().any(Run::is_unschedulable) {
            room = room.min((running + 1).saturating_sub(self.live()));
        }
        if self.backoff.is_active() {
            let trial = self.runs.values().any(|run| run.trial);
            room = room.min(u64::from(!trial));
        }
        room
    }

    /// When the next look is due; `None` while there is no reason to look.
    fn look_deadline(&self) -> Option<Duration> {
        let may_look = self.loading == Loading::Done && self.view == ViewState::Fresh && !self.paused && !self.draining;
        if !may_look || self.look.reading {
            return None;
        }
        let begin = self.backoff.until().unwrap_or_default();
        if self.room() > 0 {
            let due = if self.look.hungry { Duration::ZERO } else { self.look.due };
            return Some(due.max(begin));
        }
        self.cooling.values().min().map(|until| (*until).max(begin))
    }

    fn on_depth(&mut self, now: Duration, look: Option<Look>) {
        self.look.reading = false;
        let Some(look) = look else {
            self.look.due = now.saturating_add(retry_wait(self.look.failures));
            self.look.failures = self.look.failures.saturating_add(1);
            self.look.hungry = false;
            return;
        };
        let early = self.policy.check_interval.saturating_mul(self.jitter()) / 10_000;
        self.look = LookState { due: now.saturating_add(self.policy.check_interval - early), ..LookState::default() };
        self.claims.note_look(look, self.policy.messages_per_job, self.starting(now));
        self.decide(now, look);
    }

    fn decide(&mut self, now: Duration, look: Look) {
        let m = self.policy.messages_per_job;
        let may_create =
            !self.paused && !self.draining && self.view == ViewState::Fresh && self.loading == Loading::Done;
        let backing_off = self.backoff.until();
        let room = if may_create && backing_off.is_none_or(|until| until <= now) { self.room() } else { 0 };
        let asked = |room| jobs_wanted(look.old, look.new, self.claims.claimed, m, room);
        let jobs = asked(room.min(BURST_MAX));
        let decision = Decision {
            ready: look.old.saturating_add(look.new),
            new: look.new,
            claimed: self.claims.claimed,
            live: self.live(),
            starting: self.starting(now),
            max: self.policy.jobs_max.into(),
            room,
            jobs,
            backing_off: backing_off.is_some(),
        };
        self.look.hungry = asked(u64::MAX) > jobs;
        self.decided = Some((now, decision));
        if jobs > 0 {
            self.claims.note_created(look, m, jobs);
            self.wish(now, jobs, decision);
        }
    }

    fn wish(&mut self, now: Duration, jobs: u64, decision: Decision) {
        let taken = self.slots_taken();
        let free: Vec<Slot> =
            (0..self.policy.jobs_max).filter(|slot| !taken.contains(slot)).take(jobs as usize).collect();
        for slot in free {
            self.names_given += 1;
            let name = job_name(&self.policy.instance, &self.policy.name, self.seed, self.names_given);
            self.runs.insert(name.clone(), Run::wish(name, slot, decision, decision.backing_off, now));
        }
    }

    // --- what follows

    fn advance(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        if let Loading::Due { at, tries } = self.loading
            && at <= now
            && !self.draining
        {
            self.loading = Loading::InFlight { tries };
            effects.push(Effect::LoadRuns);
        }
        let may_wish = !self.draining;
        let wishes: Vec<Wish> =
            self.runs.values_mut().filter(|_| may_wish).filter_map(|run| run.wants_wish(now)).collect();
        if !wishes.is_empty() {
            effects.push(Effect::WriteWishes(wishes));
        }
        if self.view != ViewState::NeverSeen {
            effects.extend(self.runs.values_mut().filter_map(|run| run.next_request(now, &self.policy)));
        }
        effects.extend(self.history.cleanups(now, &self.policy));
        if self.look_deadline().is_some_and(|due| due <= now) && self.room() > 0 {
            self.look.reading = true;
            effects.push(Effect::ReadDepth(self.depth_request()));
        }
    }

    fn depth_request(&self) -> DepthRequest {
        let running = self.runs.values().any(Run::is_running);
        DepthRequest {
            since_us: self.claims.since_us,
            limit: self.claims.look_limit(self.policy.messages_per_job, self.policy.jobs_max.into()),
            younger_left: if running { self.policy.handover } else { Duration::ZERO },
        }
    }

    /// Thousandths, 0 to 999, different at every call.
    fn jitter(&mut self) -> u32 {
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u32::try_from((self.seed >> 33) % 1000).unwrap_or_default()
    }
}
