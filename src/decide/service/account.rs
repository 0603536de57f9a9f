//! What holds each replica of a service: the account that people are given.

use std::{collections::BTreeMap, time::Duration};

use schemars::JsonSchema;
use serde::Serialize;

use crate::decide::{
    outcome::{JobName, Slot},
    run::{live_job::live_job, tracked_run::Run},
    service::{
        keep_alive::KeepAlive,
        replica_health::ReplicaHealth,
        rollout::{Rollout, is_leaving},
        sentence::sentence,
    },
};

/// How a replica is, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReplicaState {
    /// It is up.
    Up,
    /// It is up, and its check has failed since.
    Unwell,
    /// Its Job is there, or asked for, and it is not up yet.
    Starting,
    /// Its Job is on its way out.
    Ending,
    /// It waits after its last end.
    Waits,
    /// Something else keeps it from being started.
    Held,
    /// It has had its start, and `keepAlive` is false.
    Done,
    /// It is not to be up.
    Down,
}

/// The account of one replica; times are in the core's time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaAccount {
    /// Its number, from 0.
    pub replica: Slot,
    /// How it is.
    pub state: ReplicaState,
    /// Its Job.
    pub job: Option<JobName>,
    /// The generation of that, once it was seen.
    pub generation: Option<Box<str>>,
    /// That is not the one that is wanted.
    pub outdated: bool,
    /// It is up since then.
    pub up_since: Option<Duration>,
    /// It waits until then.
    pub wait_until: Option<Duration>,
    /// What keeps it from being up.
    pub problem: Option<String>,
    /// How it ended last, as far as this process has seen.
    pub last_end: Option<String>,
    /// How often in a row it ended like that.
    pub ends_in_a_row: u32,
}

/// How far a rollout has come, in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RolloutView {
    /// Replicas of the wanted generation that have been up for a while.
    pub replaced: u32,
    /// Replicas of another generation.
    pub outdated: u32,
    /// Why no further replica is replaced.
    pub stopped: Option<String>,
}

impl RolloutView {
    /// In words.
    pub(super) fn of(rollout: &Rollout) -> Self {
        let stopped = rollout.stopped.as_ref().map(|bad| {
            format!("replica {} of the new generation did not stay up: {}", bad.replica, sentence(&bad.end))
        });
        Self { replaced: rollout.replaced, outdated: rollout.outdated, stopped }
    }
}

impl KeepAlive {
    /// What holds each replica.
    pub(super) fn account(&self, now: Duration) -> Vec<ReplicaAccount> {
        let by_slot: BTreeMap<Slot, &Run> = self.runs.by_name.values().map(|run| (run.slot, run)).collect();
        (0..self.policy.replicas).map(|slot| self.account_of(slot, by_slot.get(&slot).copied(), now)).collect()
    }

    fn account_of(&self, slot: Slot, run: Option<&Run>, now: Duration) -> ReplicaAccount {
        let replica = self.replicas.get(&slot);
        let wait_until = replica.map(|replica| replica.wait_until).filter(|until| run.is_none() && *until > now);
        let (state, problem) = match run {
            Some(run) => self.state_of(run, now),
            None if wait_until.is_some() && self.is_wanted() => (ReplicaState::Waits, None),
            None => self.empty(slot),
        };
        let shown = matches!(state, ReplicaState::Up | ReplicaState::Unwell);
        let health = run.and_then(|run| self.health.get(&run.name)).filter(|_| shown);
        let last = replica.and_then(|replica| replica.last.as_ref());
        ReplicaAccount {
            replica: slot,
            state,
            job: run.map(|run| run.name.clone()),
            generation: run.and_then(|run| self.generation_of(run)).map(Into::into),
            outdated: run.is_some_and(|run| self.is_outdated(run)),
            up_since: health.and_then(ReplicaHealth::up_since),
            wait_until,
            problem,
            last_end: last.map(|(end, _)| sentence(end)),
            ends_in_a_row: replica.map_or(0, |replica| replica.in_a_row),
        }
    }

    fn state_of(&self, run: &Run, now: Duration) -> (ReplicaState, Option<String>) {
        if is_leaving(run) {
            return (ReplicaState::Ending, None);
        }
        let health = self.health.get(&run.name);
        let found = health.and_then(ReplicaHealth::problem).map(str::to_owned);
        match health {
            Some(it) if it.is_well() => (ReplicaState::Up, None),
            Some(it) if it.up_since().is_some() => (ReplicaState::Unwell, found),
            _ => (ReplicaState::Starting, live_job(run, now).problem.or(found)),
        }
    }

    /// Why there is no Job of a replica that need not wait.
    fn empty(&self, slot: Slot) -> (ReplicaState, Option<String>) {
        if !self.is_wanted() {
            return (ReplicaState::Down, None);
        }
        if self.is_spent(slot) {
            return (ReplicaState::Done, None);
        }
        let required = self.one_offs.requirements.problem();
        let held = match &self.waits_for.start_after {
            _ if !self.runs.knows() => "what is on record, and what the cluster has, is not known yet".to_owned(),
            _ if !self.runs.may_create() => "the view of the cluster is too old".to_owned(),
            Some(other) => format!("waits for {other}"),
            None if self.places.is_waiting(slot) => format!("waits for a place in {}", self.pools_in_words()),
            None => required.unwrap_or("it is about to be asked for").to_owned(),
        };
        (ReplicaState::Held, Some(held))
    }
}
