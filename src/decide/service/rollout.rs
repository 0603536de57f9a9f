//! `RollingReplace`: replicas of another generation are replaced one after another, and no further than the new one is good.
//!
//! A replica is taken away only while no more are away than may be, for whatever reason they are, and what is not known
//! counts as away. So a process that has just taken over takes none before it has seen the others up itself, and has
//! looked live at those that it did not start, for the process before it may have taken one of them.

use std::{collections::BTreeMap, time::Duration};

use crate::decide::{
    outcome::{End, Outcome, Reason, Slot},
    run::{purpose::Purpose, tracked_run::Run},
    service::{
        bad_generation::{BadGeneration, is_own_fault},
        event::ServiceEffect,
        keep_alive::{KeepAlive, is_of_queue},
        policy::{RESET_AFTER, UpdatePolicy},
        replica_health::ReplicaHealth,
    },
};

/// How a replica stands to the wanted generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stands {
    /// It is of the wanted generation, and has been up for a while.
    Good,
    /// It is up, and of another generation.
    Outdated,
    /// It is of another generation, and known not to be up; `unless_ready` where only the views say so.
    OutdatedDown {
        /// A live look may still find it ready.
        unless_ready: bool,
    },
    /// It is of another generation, and nobody knows yet whether it is up.
    OutdatedUnknown,
    /// There is none, it ends, or it has yet to prove itself.
    Pending,
}

/// How far a rollout has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rollout {
    /// Replicas of the wanted generation that have proved themselves.
    pub replaced: u32,
    /// Replicas of another generation.
    pub outdated: u32,
    /// Why no further replica is replaced.
    pub stopped: Option<BadGeneration>,
}

impl KeepAlive {
    /// How far the rollout has come; `None` where none is under way.
    pub(super) fn rollout(&self, now: Duration) -> Option<Rollout> {
        self.unavailable_max().filter(|_| self.has_outdated())?;
        let all: Vec<Stands> = self.standing(now).into_iter().map(|(_, stands)| stands).collect();
        let count = |of: fn(&Stands) -> bool| u32::try_from(all.iter().filter(|it| of(it)).count()).unwrap_or(u32::MAX);
        let outdated = count(|it| it.is_outdated());
        let rollout = Rollout { replaced: count(|it| *it == Stands::Good), outdated, stopped: self.bad.clone() };
        Some(rollout)
    }

    /// A replica of the wanted generation that failed while others are of another one ends the rollout.
    pub(super) fn judge_generation(&mut self, run: &Run, end: &End) {
        // What this process asked for and never saw is of the generation that is wanted.
        let is_known = self.generation_of(run).is_some() || matches!(run.purpose, Purpose::Replica { .. });
        let concerns = is_known && !self.is_outdated(run) && run.slot < self.policy.replicas;
        if !concerns || !is_own_fault(end) || self.unavailable_max().is_none() || !self.has_outdated() {
            return;
        }
        let generation = self.policy.generation.clone();
        self.bad.get_or_insert_with(|| BadGeneration { generation, replica: run.slot, end: end.clone() });
    }

    /// Replicas whose turn it is are to end, and those whose state is not sure are looked at.
    pub(super) fn roll(&mut self, now: Duration, effects: &mut Vec<ServiceEffect>) {
        self.forget_bad(now);
        (self.roll_at, self.rolls_once_met) = (self.next_turn(now), false);
        let Some(unavailable_max) = self.unavailable_max().filter(|_| self.may_roll()) else { return };
        self.confirm(now);
        let all = self.standing(now);
        let count = |of: fn(Stands) -> bool| u32::try_from(all.iter().filter(|(_, it)| of(*it)).count()).unwrap_or(0);
        let mut pending = count(|it| it == Stands::Pending);
        let mut away = count(|it| !matches!(it, Stands::Good | Stands::Outdated));
        let end = || End::new(Outcome::Stopped, Reason::Replaced);
        for (slot, stands) in &all {
            if let Stands::OutdatedDown { unless_ready } = stands
                && pending < unavailable_max
                && let Some(run) = self.run_in_mut(*slot)
            {
                pending += 1;
                if *unless_ready { run.end_unless_ready(end(), now) } else { run.end_as(end(), now) }
            }
        }
        let outdated = || all.iter().filter(|(_, stands)| *stands == Stands::Outdated);
        // What can't be started again is not taken away.
        self.rolls_once_met = away < unavailable_max
            && outdated().next().is_some()
            && !self.one_offs.requirements.are_met(&self.policy, now);
        if self.rolls_once_met {
            effects.extend(self.one_offs.requirements.ask(&self.policy, now));
            return;
        }
        for (slot, _) in outdated() {
            if away < unavailable_max
                && let Some(run) = self.run_in_mut(*slot)
            {
                away += 1;
                run.end_as(end(), now);
            }
        }
    }

    /// When the next replica will have proved itself, or its generation.
    fn next_turn(&self, now: Duration) -> Option<Duration> {
        if self.unavailable_max().is_none() || !self.has_outdated() {
            return None;
        }
        let proved = self.replicas_runs().filter(|run| !self.is_outdated(run)).filter_map(|run| self.proved_at(run));
        proved.chain(self.redeemed_at()).filter(|at| *at > now).min()
    }

    fn unavailable_max(&self) -> Option<u32> {
        match self.policy.update {
            UpdatePolicy::Recreate => None,
            UpdatePolicy::Rolling { unavailable_max } => Some(unavailable_max),
        }
    }

    /// Another could be started, and nothing speaks against it.
    fn may_roll(&self) -> bool {
        let may_start = self.is_wanted() && self.runs.may_create() && self.waits_for.start_after.is_none();
        may_start && self.bad.is_none() && self.has_outdated()
    }

    fn has_outdated(&self) -> bool {
        self.replicas_runs().any(|run| self.is_outdated(run) && !is_leaving(run))
    }

    /// The runs of replicas that are wanted, by their number.
    fn replicas_runs(&self) -> impl Iterator<Item = &Run> {
        self.runs.by_name.values().filter(|run| run.slot < self.policy.replicas && !is_of_queue(run))
    }

    fn run_in_mut(&mut self, slot: Slot) -> Option<&mut Run> {
        self.runs.by_name.values_mut().find(|run| run.slot == slot)
    }

    /// How each replica stands to the wanted generation.
    fn standing(&self, now: Duration) -> Vec<(Slot, Stands)> {
        let by_slot: BTreeMap<Slot, &Run> = self.replicas_runs().map(|run| (run.slot, run)).collect();
        let stands = |slot| by_slot.get(&slot).map_or(Stands::Pending, |run| self.stands(run, now));
        (0..self.policy.replicas).map(|slot| (slot, stands(slot))).collect()
    }

    fn stands(&self, run: &Run, now: Duration) -> Stands {
        if is_leaving(run) {
            return Stands::Pending;
        }
        let up = self.is_surely_up(run);
        match (self.generation_of(run).is_some(), self.is_outdated(run)) {
            (true, false) if up && self.proved_at(run).is_some_and(|at| at <= now) => Stands::Good,
            (true, true) if up => Stands::Outdated,
            (true, true) => self.outdated_down(run),
            _ => Stands::Pending,
        }
    }

    /// Its pod is ready, its check passes, and it was not taken away by a process before this one.
    fn is_surely_up(&self, run: &Run) -> bool {
        let is_well = self.health.get(&run.name).is_some_and(ReplicaHealth::is_well);
        run.is_running() && run.last_seen.address.is_some() && run.is_confirmed() && is_well
    }

    fn outdated_down(&self, run: &Run) -> Stands {
        if !run.is_running() {
            return Stands::OutdatedDown { unless_ready: true };
        }
        match self.health.get(&run.name) {
            Some(it) if it.up_since().is_none() && it.problem().is_some() => {
                Stands::OutdatedDown { unless_ready: it.is_unready() }
            }
            // What was up is restarted by itself, or is up again.
            _ => Stands::OutdatedUnknown,
        }
    }

    /// A replica that falls over as soon as it is up has not come up.
    fn proved_at(&self, run: &Run) -> Option<Duration> {
        let since = self.health.get(&run.name)?.up_since()?;
        Some(since.saturating_add(self.policy.check_interval))
    }

    /// When the replica that failed will have been up for so long that its generation is tried further.
    fn redeemed_at(&self) -> Option<Duration> {
        let replica = self.bad.as_ref()?.replica;
        let run = self.replicas_runs().find(|run| run.slot == replica && !is_leaving(run) && !self.is_outdated(run))?;
        Some(self.health.get(&run.name)?.up_since()?.saturating_add(RESET_AFTER))
    }

    fn forget_bad(&mut self, now: Duration) {
        let Some(bad) = &self.bad else { return };
        let is_over = bad.generation != self.policy.generation || bad.replica >= self.policy.replicas;
        if is_over || !self.has_outdated() || self.redeemed_at().is_some_and(|at| at <= now) {
            self.bad = None;
        }
    }

    /// Asks the API server whether those that another process started are still there.
    fn confirm(&mut self, now: Duration) {
        let replicas = self.policy.replicas;
        self.runs.by_name.values_mut().filter(|run| run.slot < replicas).for_each(|run| run.want_confirmed(now));
    }
}

impl Stands {
    fn is_outdated(self) -> bool {
        matches!(self, Self::Outdated | Self::OutdatedDown { .. } | Self::OutdatedUnknown)
    }
}

/// It ends, or is to end.
pub(super) fn is_leaving(run: &Run) -> bool {
    run.is_ending() || run.last_seen.terminating.is_some()
}
