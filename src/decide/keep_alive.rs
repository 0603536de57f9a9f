//! The life of one service, as a pure state machine: one Job for each replica, and another when that has ended.
//!
//! It has the shape of [`crate::decide::lifecycle`]: facts come in as [`Event`]s, wishes go out as [`Effect`]s. What is a
//! matter of runs alone is in [`crate::decide::fleet`]; what keeps a service up is here.
//!
//! A replica is its slot. No second copy of it is asked for before the run of the first is over, and that is only when
//! its Job is finished or gone.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;

use crate::{
    config::entry::Kind,
    decide::{
        backoff::{grown_wait, jittered},
        event::{Effect, Event, KillAnswer},
        fleet::{Fleet, News},
        lifecycle::Milestone,
        policy::RETRY_MAX,
        run::{End, JobName, Outcome, Reason, Slot},
        service::ServicePolicy,
        state::State,
        tracking::{OVERFLOW_SLOT, Run},
        turn::Turn,
        wellness::{Verdict, Wellness},
    },
};

/// A replica that was up for so long begins its waits anew, and has none before its first restart.
const RESET_AFTER: Duration = Duration::from_secs(600);

/// How much longer than `stopTimeout` a Job may take to end before its pods are killed.
const HALT_AFTER: Duration = Duration::from_secs(10);

/// What people and jobs.json say of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceOrders {
    /// Not `enabled: false`.
    pub enabled: bool,
    /// Somebody said stop, and nobody start since.
    pub stopped: bool,
    /// Pods get no grace.
    pub halted: bool,
    /// How often somebody said start or restart, ever.
    pub starts: u64,
    /// Replicas that were started before this many starts are to be started anew.
    pub restart_before: u64,
}

impl Default for ServiceOrders {
    fn default() -> Self {
        Self { enabled: true, stopped: false, halted: false, starts: 0, restart_before: 0 }
    }
}

/// The state of one service.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KeepAlive {
    pub(super) policy: ServicePolicy,
    pub(super) fleet: Fleet,
    pub(super) orders: ServiceOrders,
    pub(super) turn: Turn,
    pub(super) replicas: BTreeMap<Slot, Replica>,
    /// How each run that lives does.
    pub(super) wellness: BTreeMap<JobName, Wellness>,
    /// Jobs whose pods are killed: when next, and whether a request is under way.
    killing: BTreeMap<JobName, Killing>,
    /// Pods do not end, and what the API server said of killing them.
    pub(super) cannot_halt: Option<KillAnswer>,
    pub(super) restarts: u64,
    pub(super) state: State,
    pub(super) since: Duration,
    milestones: Vec<Milestone>,
}

/// One replica between its Jobs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Replica {
    /// It is not started again before this time.
    pub(super) wait_until: Duration,
    /// Ends since it was last up for long.
    steps: u32,
    /// The last [`ServiceOrders::starts`] by which it was started.
    started: Option<u64>,
    /// How it ended last, and whether it had been up.
    pub(super) last: Option<(End, bool)>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Killing {
    at: Duration,
    in_flight: bool,
    /// It was tried before, and the Job is still there.
    again: bool,
}

impl KeepAlive {
    /// A service of which nothing is known yet. `seed` makes its names and its jitter its own.
    pub fn new(policy: ServicePolicy, seed: u64, now: Duration) -> Self {
        Self {
            orders: ServiceOrders { enabled: policy.enabled, ..ServiceOrders::default() },
            policy,
            fleet: Fleet::begin(seed, now),
            turn: Turn::default(),
            replicas: BTreeMap::new(),
            wellness: BTreeMap::new(),
            killing: BTreeMap::new(),
            cannot_halt: None,
            restarts: 0,
            state: State::NotStarted,
            since: now,
            milestones: vec![],
        }
    }

    /// The one entry: events in, in their order, effects out. What follows is derived once for all of them.
    pub fn step(&mut self, now: Duration, events: impl IntoIterator<Item = Event>) -> Vec<Effect> {
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
        let start =
            (0..self.policy.replicas).filter(|slot| self.may_start(*slot)).map(|slot| self.wait_until(slot)).min();
        let wellness =
            self.wellness.iter().filter_map(|(name, it)| it.deadline(self.fleet.runs.get(name)?, &self.policy));
        let killing = self.killing.values().filter(|it| !it.in_flight).map(|it| it.at).min();
        [self.fleet.deadline(&self.policy.runs), start, wellness.min(), killing, self.halt_at()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Nothing is in flight, and nothing new will be: stopped with the process, or gone from the file and ended.
    pub fn is_done(&self) -> bool {
        let probing = self.wellness.values().any(Wellness::is_probing) || self.killing.values().any(|it| it.in_flight);
        let emptied = self.fleet.draining && self.fleet.knows() && self.fleet.runs.is_empty();
        self.fleet.is_quiet() && !probing && (self.fleet.stopping || emptied)
    }

    /// Its JobConfig has left the file.
    pub fn is_draining(&self) -> bool {
        self.fleet.draining
    }

    /// What is to be counted since the last call.
    pub fn take_milestones(&mut self) -> Vec<Milestone> {
        std::mem::take(&mut self.milestones)
    }

    /// It is to be up.
    pub fn is_wanted(&self) -> bool {
        self.orders.enabled && !self.orders.stopped && !self.fleet.draining
    }

    fn note(&mut self, now: Duration, event: Event, effects: &mut Vec<Effect>) {
        match event {
            Event::Ordered(orders) => {
                if orders.starts > self.orders.starts {
                    // Whoever says start does not want to wait.
                    self.replicas.values_mut().for_each(|replica| (replica.wait_until, replica.steps) = (now, 0));
                }
                self.orders = orders;
            }
            Event::ServiceConfigured(policy) => {
                self.fleet.draining = false;
                self.policy = *policy;
            }
            Event::Turned(turn) => self.turn = turn,
            Event::Probed(name, answer) => {
                if let (Some(it), Some(run)) = (self.wellness.get_mut(&name), self.fleet.runs.get(&name)) {
                    it.note_probe(answer, run, &self.policy, now);
                }
            }
            Event::PodsKilled(name, answer) => {
                if let Some(killing) = self.killing.get_mut(&name) {
                    let again = killing.again || answer == KillAnswer::Forbidden;
                    self.cannot_halt = again.then_some(answer);
                    *killing = Killing { at: now.saturating_add(RETRY_MAX), in_flight: false, again: true };
                }
            }
            event => {
                for news in self.fleet.note(now, event, &self.policy.runs, effects) {
                    self.on_news(now, news);
                }
            }
        }
    }

    fn on_news(&mut self, now: Duration, news: News) {
        match news {
            News::Loaded { loaded, first } => {
                self.restarts = self.restarts.max(loaded.restarts);
                // What was begun and could not be written was not begun.
                for (slot, replica) in &mut self.replicas {
                    replica.started = replica.started.filter(|_| self.fleet.is_taken(*slot));
                }
                for (slot, starts) in loaded.starts {
                    let replica = self.replicas.entry(slot).or_default();
                    replica.started = replica.started.max(Some(starts));
                }
                if first && loaded.failed_in_a_row > 0 {
                    for slot in 0..self.policy.replicas {
                        self.replicas.entry(slot).or_default().steps = loaded.failed_in_a_row;
                    }
                }
            }
            News::Started(name) => {
                let took = self.fleet.runs.get(&name).and_then(Run::start_took);
                self.milestones.extend(took.map(|took| Milestone::Started { took }));
            }
            News::Ended(run) => self.follow(now, &run),
        }
    }

    /// The wait that follows an end.
    fn follow(&mut self, now: Duration, run: &Run) {
        let Some(end) = &run.end else { return };
        self.milestones.push(Milestone::Ended { outcome: end.outcome, reason: end.reason });
        let up_since = self.wellness.get(&run.name).and_then(Wellness::up_since);
        if run.slot >= OVERFLOW_SLOT {
            return;
        }
        let policy = &self.policy;
        let wait = match (end.outcome, end.reason) {
            (Outcome::Stopped, Reason::Unhealthy) | (Outcome::Failed, _) => policy.wait_after_failure,
            (Outcome::Stopped, _) => Duration::ZERO,
            (Outcome::Succeeded | Outcome::Vanished, _) => policy.wait_after_success,
            (Outcome::StartTimedOut, _) => policy.wait_after_timeout,
            (Outcome::StartError, _) => policy.wait_after_error,
        };
        let jitter = self.fleet.jitter();
        let replica = self.replicas.entry(run.slot).or_default();
        let by_us = end.outcome == Outcome::Stopped && end.reason != Reason::Unhealthy;
        let steady = up_since.is_some_and(|since| run.ended_at >= since.saturating_add(RESET_AFTER));
        if by_us || steady {
            (replica.steps, replica.wait_until) = (0, now);
        } else {
            let wait = jittered(grown_wait(wait, replica.steps, &self.policy.backoff), jitter);
            replica.wait_until = run.ended_at.saturating_add(wait);
            // Losing its node is not its fault.
            replica.steps = replica.steps.saturating_add(u32::from(end.reason != Reason::Disrupted));
        }
        // The one that replaces it is the same start.
        replica.started = replica.started.filter(|_| end.reason != Reason::Replaced);
        replica.last = Some((end.clone(), up_since.is_some()));
        self.restarts += u64::from(end.reason != Reason::Unwanted);
    }

    // --- what follows

    fn advance(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        self.fleet.settle(now);
        self.wellness.retain(|name, _| self.fleet.runs.contains_key(name));
        self.killing.retain(|name, _| self.fleet.runs.get(name).is_some_and(|run| run.terminating.is_some()));
        self.end_what_is_not_wanted(now);
        self.watch_over(now, effects);
        for slot in 0..self.policy.replicas {
            if self.may_start(slot) && self.wait_until(slot) <= now {
                let name = self.fleet.next_name(&self.policy.runs);
                let run = Run::kept_up(name.clone(), slot, self.orders.starts, now);
                self.replicas.entry(slot).or_default().started = Some(self.orders.starts);
                self.fleet.runs.insert(name, run);
            }
        }
        self.fleet.advance(now, &self.policy.runs, effects);
        self.halt(now, effects);
    }

    fn wait_until(&self, slot: Slot) -> Duration {
        self.replicas.get(&slot).map_or(Duration::ZERO, |replica| replica.wait_until)
    }

    /// A Job may be asked for in this slot, if it need not wait.
    pub(super) fn may_start(&self, slot: Slot) -> bool {
        let free = !self.fleet.is_taken(slot) && self.turn.start_after.is_none();
        self.is_wanted() && free && !self.is_spent(slot) && self.fleet.may_create()
    }

    /// It was started once, and that is all that `keepAlive: false` allows until somebody says start.
    fn is_spent(&self, slot: Slot) -> bool {
        let started = self.replicas.get(&slot).and_then(|replica| replica.started);
        !self.policy.keep_alive && started.is_some_and(|started| started >= self.orders.starts)
    }

    /// A replica has ended that is not started again.
    pub(super) fn has_had_its_start(&self) -> bool {
        (0..self.policy.replicas).any(|slot| self.is_spent(slot) && !self.fleet.is_taken(slot))
    }

    /// How a run is to end that is to end; `None` where it is wanted.
    fn end_of(&self, run: &Run) -> Option<End> {
        // What a queue of this name has left runs on to its own end.
        if run.kind == Some(Kind::Queue) || run.is_ending() {
            return None;
        }
        let ended = |reason| Some(End::new(Outcome::Stopped, reason));
        if !self.is_wanted() {
            let turn = self.orders.halted || self.turn.stop_after.is_none();
            return ended(Reason::Unwanted).filter(|_| turn);
        }
        // A copy too many, or a replica too many.
        if run.slot >= self.policy.replicas {
            return ended(Reason::Unwanted);
        }
        if run.starts.is_some_and(|starts| starts < self.orders.restart_before) {
            return ended(Reason::Restarted);
        }
        if !run.config_hash.is_empty() && run.config_hash != self.policy.generation {
            return ended(Reason::Replaced);
        }
        None
    }

    fn end_what_is_not_wanted(&mut self, now: Duration) {
        if self.fleet.stopping {
            return;
        }
        let ends: Vec<(JobName, End)> =
            self.fleet.runs.values().filter_map(|run| Some((run.name.clone(), self.end_of(run)?))).collect();
        for (name, end) in ends {
            if let Some(run) = self.fleet.runs.get_mut(&name) {
                run.end_as(end, now);
            }
        }
    }

    /// Replicas that run are looked after: ready, checked, or ended.
    fn watch_over(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        for run in self.fleet.runs.values_mut().filter(|run| run.is_running() && !run.is_ending()) {
            let it = self.wellness.entry(run.name.clone()).or_insert_with(|| Wellness::begin(now));
            match it.watch(run, &self.policy, now) {
                Verdict::Well => {}
                Verdict::Ask(effect) if self.fleet.stopping => drop(effect),
                Verdict::Ask(effect) => {
                    it.note_asked();
                    effects.push(effect);
                }
                Verdict::End(end) => run.end_as(end, now),
                Verdict::EndUnlessReady(end) => run.end_unless_ready(end, now),
            }
        }
    }

    // --- halting

    /// When a Job that ends is to be helped: at once if somebody said so, else when its grace is over.
    fn halt_after(&self, run: &Run) -> Option<Duration> {
        let since = run.terminating.as_ref()?.since;
        if run.kind == Some(Kind::Queue) || self.killing.contains_key(&run.name) {
            return None;
        }
        let grace =
            if self.orders.halted { Duration::ZERO } else { self.policy.stop_timeout.saturating_add(HALT_AFTER) };
        Some(since.saturating_add(grace))
    }

    fn halt_at(&self) -> Option<Duration> {
        self.fleet.runs.values().filter(|_| !self.fleet.stopping).filter_map(|run| self.halt_after(run)).min()
    }

    fn halt(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        if self.fleet.stopping {
            return;
        }
        let due: Vec<JobName> = self
            .fleet
            .runs
            .values()
            .filter(|run| self.halt_after(run).is_some_and(|at| at <= now))
            .map(|run| run.name.clone())
            .collect();
        self.killing.extend(due.into_iter().map(|name| (name, Killing { at: now, ..Killing::default() })));
        for (name, killing) in self.killing.iter_mut().filter(|(_, it)| !it.in_flight && it.at <= now) {
            if let Some(uid) = self.fleet.runs.get(name).and_then(|run| run.uid.clone()) {
                killing.in_flight = true;
                effects.push(Effect::KillPods { name: name.clone(), uid });
            }
        }
        self.cannot_halt = self.cannot_halt.filter(|_| !self.killing.is_empty());
    }
}
