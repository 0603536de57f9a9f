//! The life of one service, as a pure state machine: one Job for each replica, and another when that has ended.
//!
//! It has the shape of [`crate::decide::queue::lifecycle`]: facts come in as [`ServiceEvent`]s, wishes go out as [`ServiceEffect`]s. What is a
//! matter of runs alone is in [`crate::decide::run::run_set`]; what keeps a service up is here.
//!
//! A replica is its slot. No second copy of it is asked for before the run of the first is over, and that is only when
//! its Job is finished or gone.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use crate::{
    config::entry::Kind,
    decide::{
        backoff::{grown_wait, jittered},
        one_off::is_one_off,
        outcome::{End, JobName, OVERFLOW_SLOT, Outcome, Reason, Slot},
        pod::{
            generation::{are_comparable, is_same},
            names::Naming,
        },
        run::{
            event::{RunEvent, WishAnswer},
            milestone::Milestone,
            run_set::{News, RunSet},
            tracked_run::Run,
        },
        service::{
            bad_generation::BadGeneration,
            desired::DesiredState,
            event::{ServiceEffect, ServiceEvent},
            halting::{Halting, Patience},
            kept_places::ReplicaPlaces,
            one_off_states::OneOffs,
            policy::{RESET_AFTER, ServicePolicy, UpdatePolicy},
            replica_health::{HealthAction, ReplicaHealth},
            start_order::WaitsFor,
            state::ServiceState,
        },
    },
};

/// The state of one service.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KeepAlive {
    pub(super) policy: ServicePolicy,
    /// The generation that Jobs count as whose own hash is of another scheme: what was wanted when we began to look after them.
    began_with: Box<str>,
    pub(super) runs: RunSet,
    pub(super) desired: DesiredState,
    pub(super) waits_for: WaitsFor,
    pub(super) replicas: BTreeMap<Slot, Replica>,
    pub(super) places: ReplicaPlaces,
    /// How each run that lives does.
    pub(super) health: BTreeMap<JobName, ReplicaHealth>,
    /// Jobs that do not end by themselves.
    pub(super) halting: Halting,
    /// The generation that is not rolled out further.
    pub(super) bad: Option<BadGeneration>,
    /// When the rollout is to be looked at again.
    pub(super) roll_at: Option<Duration>,
    /// The next replica is replaced once the requirements are met.
    pub(super) rolls_once_met: bool,
    pub(super) restarts: u64,
    pub(super) state: ServiceState,
    pub(super) since: Duration,
    /// Jobs beside the replicas, and what is asked before a start.
    pub(super) one_offs: OneOffs,
    pub(super) milestones: Vec<Milestone>,
}

/// One replica between its Jobs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Replica {
    /// It is not started again before this time.
    pub(super) wait_until: Duration,
    /// Ends since it was last up for long.
    steps: u32,
    /// The last [`DesiredState::starts`] by which it was started.
    pub(super) started: Option<u64>,
    /// How it ended last, and whether it had been up.
    pub(super) last: Option<(End, bool)>,
    /// How often it ended like that in a row.
    pub(super) in_a_row: u32,
}

impl KeepAlive {
    /// A service of which nothing is known yet. `seed` makes its names and its jitter its own.
    pub fn new(naming: Naming, policy: ServicePolicy, seed: u64, now: Duration) -> Self {
        Self {
            desired: DesiredState { enabled: policy.enabled, ..DesiredState::default() },
            began_with: policy.generation.clone(),
            policy,
            runs: RunSet::begin(Kind::Service, naming, seed, now),
            waits_for: WaitsFor::default(),
            replicas: BTreeMap::new(),
            places: ReplicaPlaces::default(),
            health: BTreeMap::new(),
            halting: Halting::default(),
            bad: None,
            roll_at: None,
            rolls_once_met: false,
            restarts: 0,
            state: ServiceState::NotStarted,
            since: now,
            one_offs: OneOffs::default(),
            milestones: vec![],
        }
    }

    /// The one entry: events in, in their order, effects out. What follows is derived once for all of them.
    pub fn step(&mut self, now: Duration, events: impl IntoIterator<Item = ServiceEvent>) -> Vec<ServiceEffect> {
        let mut effects = vec![];
        for event in events {
            self.note(now, event, &mut effects);
        }
        self.advance(now, &mut effects);
        let state = self.derived_state(now);
        if state != self.state {
            (self.state, self.since) = (state, now);
        }
        effects
    }

    /// When the outside must come back even if nothing happens.
    pub fn deadline(&self) -> Option<Duration> {
        let starts = (0..self.policy.replicas).filter(|slot| self.may_start(*slot) && !self.places.is_waiting(*slot));
        let starts = starts.map(|slot| self.wait_until(slot));
        let start = starts.chain(self.rolls_once_met.then_some(Duration::ZERO)).min();
        let start = start.and_then(|at| self.one_offs.requirements.deadline(&self.policy, at));
        let watched = self.health.iter().filter(|_| !self.runs.stopping);
        let health = watched.filter_map(|(name, it)| it.deadline(self.runs.by_name.get(name)?, &self.policy));
        let halting = self.halting.deadline(&self.runs, self.patience());
        let roll = self.roll_at.filter(|_| !self.runs.stopping);
        let all = [self.runs.deadline(&self.policy.runs), start, health.min(), halting, roll, self.one_offs_deadline()];
        all.into_iter().flatten().min()
    }

    /// Nothing is in flight, and nothing new will be: stopped with the process, or gone from the file and ended.
    pub fn is_done(&self) -> bool {
        let checking = self.health.values().any(ReplicaHealth::is_checking);
        let emptied = self.runs.draining && self.runs.knows() && self.runs.by_name.is_empty();
        let is_quiet = self.runs.is_quiet() && self.halting.is_quiet() && !self.one_offs.is_asking() && !checking;
        is_quiet && (self.runs.stopping || emptied)
    }

    /// Its JobConfig has left the file.
    pub fn is_draining(&self) -> bool {
        self.runs.draining
    }

    /// What is to be counted since the last call.
    pub fn take_milestones(&mut self) -> Vec<Milestone> {
        std::mem::take(&mut self.milestones)
    }

    /// It is to be up.
    pub fn is_wanted(&self) -> bool {
        self.desired.enabled && !self.desired.stopped && !self.runs.draining
    }

    fn note(&mut self, now: Duration, event: ServiceEvent, effects: &mut Vec<ServiceEffect>) {
        match event {
            ServiceEvent::Desired(desired) => {
                if desired.starts > self.desired.starts {
                    // An operator who starts it does not want to wait.
                    self.replicas.values_mut().for_each(|replica| (replica.wait_until, replica.steps) = (now, 0));
                    self.runs.by_name.values_mut().for_each(|run| run.cooldown = Duration::ZERO);
                    self.bad = None;
                    self.one_offs.requirements.hurry();
                    self.one_offs.external.hurry(now);
                }
                self.desired = desired;
            }
            ServiceEvent::Configured(policy) => {
                self.runs.draining = false;
                if policy.requirements != self.policy.requirements {
                    self.one_offs.requirements.forget();
                }
                self.policy = *policy;
            }
            ServiceEvent::WaitsFor(waits_for) => self.waits_for = waits_for,
            ServiceEvent::Granted(grant) => self.note_grant(grant, now),
            ServiceEvent::ActionsAsked(asked) => self.one_offs.actions.note_asked(&asked),
            ServiceEvent::TargetsAnswered(asking, answer) => self.note_targets_answered(asking, answer, now),
            ServiceEvent::HealthChecked(name, answer) => {
                if let (Some(it), Some(run)) = (self.health.get_mut(&name), self.runs.by_name.get(&name)) {
                    it.note_checked(answer, run, &self.policy, now);
                }
            }
            ServiceEvent::ForceDeleteAnswered(name, answer) => {
                self.halting.note_answered(&name, answer, now);
            }
            ServiceEvent::DeadlineReached => {}
            ServiceEvent::Run(event) => {
                if let RunEvent::WishWritten(name, Some(WishAnswer::SlotTaken)) = &event {
                    self.note_refused(name);
                }
                for news in self.runs.note(now, event, &self.policy.runs, effects) {
                    self.on_news(now, news);
                }
            }
        }
    }

    fn on_news(&mut self, now: Duration, news: News) {
        match news {
            News::Loaded { loaded, first } => {
                self.restarts = self.restarts.max(loaded.restarts);
                self.note_loaded_one_offs(&loaded, now);
                // A start whose wish was never stored does not count.
                for (slot, replica) in &mut self.replicas {
                    replica.started = replica.started.filter(|_| self.runs.is_taken(*slot));
                }
                for (slot, starts) in loaded.starts {
                    let replica = self.replicas.entry(slot).or_default();
                    replica.started = replica.started.max(Some(starts));
                }
                if first {
                    for slot in 0..self.policy.replicas {
                        self.replicas.entry(slot).or_default().steps = loaded.failed_in_a_row;
                    }
                }
            }
            News::Started(name) => {
                let replica = self.runs.by_name.get(&name).filter(|run| !is_one_off(run.slot));
                let took = replica.and_then(Run::start_took);
                self.milestones.extend(took.map(|took| Milestone::Started { took }));
            }
            News::Ended(run) => self.follow(now, &run),
        }
    }

    /// The wait that follows an end.
    fn follow(&mut self, now: Duration, run: &Run) {
        if is_one_off(run.slot) {
            return self.follow_one_off(now, run);
        }
        let Some(end) = run.end() else { return };
        self.milestones.push(Milestone::Ended { outcome: end.outcome, reason: end.reason });
        let up_since = self.health.get(&run.name).and_then(ReplicaHealth::up_since);
        if run.slot >= OVERFLOW_SLOT {
            return;
        }
        let policy = &self.policy;
        let wait = match (end.outcome, end.reason) {
            (Outcome::Stopped, Reason::Unhealthy) => policy.wait_after_failure,
            (Outcome::Stopped, _) => Duration::ZERO,
            (outcome, _) => policy.wait_after(outcome),
        };
        let jitter = self.runs.jitter();
        let replica = self.replicas.entry(run.slot).or_default();
        let by_us = end.outcome == Outcome::Stopped && end.reason != Reason::Unhealthy;
        let steady = up_since.is_some_and(|since| run.ended_at >= since.saturating_add(RESET_AFTER));
        if by_us || steady {
            (replica.steps, replica.wait_until) = (0, now);
        } else {
            self.runs.cool(&run.name, jittered(grown_wait(wait, replica.steps, &self.policy.backoff), jitter));
            // Losing its node is not its fault.
            replica.steps = replica.steps.saturating_add(u32::from(end.reason != Reason::Disrupted));
        }
        // The one that replaces it is the same start.
        replica.started = replica.started.filter(|_| end.reason != Reason::Replaced);
        let is_alike = |(last, _): &(End, bool)| {
            (last.outcome, last.reason, last.exit_code) == (end.outcome, end.reason, end.exit_code)
        };
        let again = !steady && replica.last.as_ref().is_some_and(is_alike);
        replica.in_a_row = if again { replica.in_a_row.saturating_add(1) } else { 1 };
        replica.last = Some((end.clone(), up_since.is_some()));
        self.restarts += u64::from(end.reason != Reason::Unwanted);
        self.judge_generation(run, end);
    }

    // --- what follows

    fn advance(&mut self, now: Duration, effects: &mut Vec<ServiceEffect>) {
        for run in self.runs.settle(now).iter().filter(|run| !run.cooldown.is_zero()) {
            self.replicas.entry(run.slot).or_default().wait_until = run.ended_at.saturating_add(run.cooldown);
        }
        self.health.retain(|name, _| self.runs.by_name.contains_key(name));
        self.halting.forget_ended(&self.runs);
        self.keep_places();
        self.end_what_is_not_wanted(now);
        let due = self.watch_over(now, effects);
        self.advance_one_offs(now, due, effects);
        self.roll(now, effects);
        self.start_replicas(now, effects);
        self.runs.advance(now, &self.policy.runs, effects);
        let patience = self.patience();
        self.halting.advance(now, &self.runs, patience, effects);
    }

    fn patience(&self) -> Patience {
        Patience::of(self.desired.halted, self.policy.stop_timeout)
    }

    pub(super) fn wait_until(&self, slot: Slot) -> Duration {
        self.replicas.get(&slot).map_or(Duration::ZERO, |replica| replica.wait_until)
    }

    /// A Job may be asked for in this slot, if it need not wait.
    pub(super) fn may_start(&self, slot: Slot) -> bool {
        let free = !self.runs.is_taken(slot) && self.waits_for.start_after.is_none();
        self.is_wanted() && free && !self.is_spent(slot) && self.runs.may_create()
    }

    /// It was started once, and that is all that `keepAlive: false` allows until an operator starts it again.
    pub(super) fn is_spent(&self, slot: Slot) -> bool {
        let started = self.replicas.get(&slot).and_then(|replica| replica.started);
        !self.policy.keep_alive && started.is_some_and(|started| started >= self.desired.starts)
    }

    /// A replica has ended that is not started again.
    pub(super) fn has_had_its_start(&self) -> bool {
        (0..self.policy.replicas).any(|slot| self.is_spent(slot) && !self.runs.is_taken(slot))
    }

    /// How a run is to end that is to end; `None` where it is wanted.
    fn end_of(&self, run: &Run) -> Option<End> {
        // Jobs of a queue that had this name run to completion, and what runs once beside the replicas ends by itself.
        if is_of_queue(run) || run.is_ending() || is_one_off(run.slot) {
            return None;
        }
        let ended = |reason| Some(End::new(Outcome::Stopped, reason));
        if !self.is_wanted() {
            let turn = self.desired.halted || self.waits_for.stop_after.is_none();
            return ended(Reason::Unwanted).filter(|_| turn);
        }
        // A copy too many, or a replica too many.
        if run.slot >= self.policy.replicas {
            return ended(Reason::Unwanted);
        }
        if run.purpose.starts().is_some_and(|starts| starts < self.desired.restart_before) {
            return ended(Reason::Restarted);
        }
        // With another strategy it is seen to when its turn has come.
        if self.policy.update == UpdatePolicy::Recreate && self.is_outdated(run) {
            return ended(Reason::Replaced);
        }
        None
    }

    /// Its Job is of another generation.
    pub(super) fn is_outdated(&self, run: &Run) -> bool {
        self.generation_of(run).is_some_and(|generation| !is_same(generation, &self.policy.generation))
    }

    /// The generation of a run's Job; `None` while that was not seen.
    pub(super) fn generation_of<'a>(&'a self, run: &'a Run) -> Option<&'a str> {
        run.last_seen.kind?;
        let own = &*run.last_seen.config_hash;
        Some(if are_comparable(own, &self.policy.generation) { own } else { &self.began_with })
    }

    fn end_what_is_not_wanted(&mut self, now: Duration) {
        if self.runs.stopping {
            return;
        }
        let ends: Vec<(JobName, End)> =
            self.runs.by_name.values().filter_map(|run| Some((run.name.clone(), self.end_of(run)?))).collect();
        for (name, end) in ends {
            if let Some(run) = self.runs.by_name.get_mut(&name) {
                run.end_as(end, now);
            }
        }
    }

    /// Replicas that run are looked after: ready, checked, or ended. Returns those that a Job is to check.
    fn watch_over(&mut self, now: Duration, effects: &mut Vec<ServiceEffect>) -> BTreeSet<JobName> {
        let mut due = BTreeSet::new();
        let watched = |run: &&mut Run| run.is_running() && !run.is_ending() && !is_one_off(run.slot);
        let stopping = self.runs.stopping;
        for run in self.runs.by_name.values_mut().filter(|_| !stopping).filter(watched) {
            let it = self.health.entry(run.name.clone()).or_insert_with(|| ReplicaHealth::begin(now));
            match it.watch(run, &self.policy, now) {
                HealthAction::Nothing => {}
                HealthAction::CheckByJob => drop(due.insert(run.name.clone())),
                HealthAction::Check(effect) => {
                    it.note_asked();
                    effects.push(*effect);
                }
                HealthAction::End(end) => run.end_as(end, now),
                HealthAction::EndUnlessReady(end) => run.end_unless_ready(end, now),
            }
        }
        due
    }

    // --- how it stands

    /// Replicas that are up.
    pub(super) fn up(&self) -> u32 {
        let runs = self.runs.by_name.values().filter(|run| run.slot < self.policy.replicas && !run.is_ending());
        let up = runs.filter(|run| self.health.get(&run.name).is_some_and(|it| it.up_since().is_some()));
        u32::try_from(up.count()).unwrap_or(u32::MAX)
    }

    fn derived_state(&self, now: Duration) -> ServiceState {
        if self.halting.cannot_halt().is_some() {
            return ServiceState::Failed;
        }
        if !self.desired.enabled {
            return ServiceState::Disabled;
        }
        if !self.is_wanted() {
            return ServiceState::NotStarted;
        }
        if self.policy.external.is_some() {
            return self.one_offs.external.state(self.is_repairing());
        }
        if self.up() >= self.policy.replicas {
            return ServiceState::Running;
        }
        let empty: Vec<u32> = (0..self.policy.replicas).filter(|slot| !self.runs.is_taken(*slot)).collect();
        let last = |slot: &u32| self.replicas.get(slot).and_then(|replica| replica.last.as_ref());
        if self.has_had_its_start() {
            let badly = empty.iter().filter_map(last).any(|(end, _)| end.outcome != Outcome::Succeeded);
            return if badly { ServiceState::Failed } else { ServiceState::NotStarted };
        }
        let waits = |slot: &u32| self.replicas.get(slot).is_some_and(|replica| replica.wait_until > now);
        if empty.iter().any(|slot| waits(slot) && last(slot).is_some_and(|(_, was_up)| !was_up)) {
            return ServiceState::Failed;
        }
        if self.one_offs.requirements.problem().is_some() {
            return ServiceState::Failed;
        }
        let ends = self.runs.by_name.values().any(|run| run.slot < self.policy.replicas && run.is_ending());
        if ends || empty.iter().any(|slot| last(slot).is_some()) {
            return ServiceState::Restart;
        }
        if self.replica_runs().any(Run::is_created) { ServiceState::Started } else { ServiceState::NotStarted }
    }
}

/// Its Job was made for a queue that had this name. Before a Job is seen its record tells, for that of a replica says how
/// often its service had been started.
pub(super) fn is_of_queue(run: &Run) -> bool {
    run.last_seen.kind.map_or(run.purpose.starts().is_none(), |kind| kind == Kind::Queue)
}
