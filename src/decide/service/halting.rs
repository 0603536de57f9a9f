//! Jobs of a service that do not end by themselves: their pods are deleted without any grace.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    config::entry::Kind,
    decide::{
        backoff::RETRY_MAX,
        outcome::JobName,
        run::{run_set::RunSet, tracked_run::Run},
        service::event::{ForceDeleteAnswer, ServiceEffect},
    },
};

/// How much longer than `stopTimeout` a Job may take to end before its pods are killed.
const HALT_AFTER: Duration = Duration::from_secs(10);

/// The Jobs of one service whose pods are deleted by force.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Halting {
    by_name: BTreeMap<JobName, ForceDelete>,
    cannot_halt: Option<ForceDeleteAnswer>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct ForceDelete {
    /// When it is due; the first is at once.
    at: Duration,
    in_flight: bool,
    /// It was tried before, and the Job is still there.
    again: bool,
}

/// How long a Job of a service may take to end.
#[derive(Clone, Copy, Debug)]
pub struct Patience(Duration);

impl Patience {
    /// None if an operator halted it, else the grace of its pods and a little.
    pub fn of(halted: bool, stop_timeout: Duration) -> Self {
        Self(if halted { Duration::ZERO } else { stop_timeout.saturating_add(HALT_AFTER) })
    }
}

impl Halting {
    /// Pods do not end, and the API server's answer to deleting them by force.
    pub fn cannot_halt(&self) -> Option<ForceDeleteAnswer> {
        self.cannot_halt
    }

    /// No request is under way.
    pub fn is_quiet(&self) -> bool {
        !self.by_name.values().any(|it| it.in_flight)
    }

    /// A request was answered.
    pub fn note_answered(&mut self, name: &JobName, answer: ForceDeleteAnswer, now: Duration) {
        if let Some(force_delete) = self.by_name.get_mut(name) {
            let again = force_delete.again || answer == ForceDeleteAnswer::Forbidden;
            self.cannot_halt = again.then_some(answer);
            *force_delete = ForceDelete { at: now.saturating_add(RETRY_MAX), in_flight: false, again: true };
        }
    }

    /// When something is due that no event brings.
    pub(in crate::decide) fn deadline(&self, runs: &RunSet, patience: Patience) -> Option<Duration> {
        if runs.stopping {
            return None;
        }
        let again = self.by_name.values().filter(|it| !it.in_flight).map(|it| it.at);
        again.chain(runs.by_name.values().filter_map(|run| self.due(run, patience))).min()
    }

    /// Forgets Jobs that are not on their way out any more.
    pub(in crate::decide) fn forget_ended(&mut self, runs: &RunSet) {
        self.by_name.retain(|name, _| runs.by_name.get(name).is_some_and(|run| run.last_seen.terminating.is_some()));
    }

    /// Asks for whatever is due.
    pub(in crate::decide) fn advance(
        &mut self,
        now: Duration,
        runs: &RunSet,
        patience: Patience,
        effects: &mut Vec<ServiceEffect>,
    ) {
        if runs.stopping {
            return;
        }
        let is_due = |run: &&Run| self.due(run, patience).is_some_and(|at| at <= now);
        let due: Vec<JobName> = runs.by_name.values().filter(is_due).map(|run| run.name.clone()).collect();
        self.by_name.extend(due.into_iter().map(|name| (name, ForceDelete::default())));
        for (name, force_delete) in self.by_name.iter_mut().filter(|(_, it)| !it.in_flight && it.at <= now) {
            if let Some(uid) = runs.by_name.get(name).and_then(|run| run.uid.clone()) {
                force_delete.in_flight = true;
                effects.push(ServiceEffect::ForceDeletePods { name: name.clone(), uid });
            }
        }
        self.cannot_halt = self.cannot_halt.filter(|_| !self.by_name.is_empty());
    }

    /// When a Job that ends is to be helped for the first time.
    fn due(&self, run: &Run, patience: Patience) -> Option<Duration> {
        let since = run.last_seen.terminating.as_ref()?.since;
        let helped = run.last_seen.kind == Some(Kind::Queue) || self.by_name.contains_key(&run.name);
        (!helped).then(|| since.saturating_add(patience.0))
    }
}
