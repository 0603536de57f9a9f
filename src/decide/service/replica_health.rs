//! How a replica does whose container runs: whether it is up, and when it is given up.

use std::time::Duration;

use crate::decide::{
    outcome::{End, Outcome, Reason, shorten},
    run::tracked_run::Run,
    service::{
        event::ServiceEffect,
        policy::{HealthCheck, ServicePolicy},
    },
};

/// Between two checks of a replica that is not up yet.
const STARTING_EVERY: Duration = Duration::from_secs(1);

/// How one replica does.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ReplicaHealth {
    /// It was first seen running at this time.
    since: Duration,
    /// Since it was first ready and its check passed.
    up_since: Option<Duration>,
    /// Checks in a row that failed.
    failures: u32,
    /// The next check, or the next look at whether it is ready.
    check_at: Duration,
    in_flight: bool,
    /// What the last check that failed found; nothing since one has passed.
    problem: Option<Box<str>>,
    /// Which was that the pod is not ready.
    unready: bool,
}

const NOT_READY: &str = "the pod is not ready";

/// What is to be done about a replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HealthAction {
    /// Nothing.
    Nothing,
    /// It is to be checked.
    Check(Box<ServiceEffect>),
    /// A Job is to check it.
    CheckByJob,
    /// It is to end.
    End(End),
    /// It is to end, unless a live look finds its pod ready.
    EndUnlessReady(End),
}

impl ReplicaHealth {
    /// Of a replica that runs since now.
    pub fn begin(now: Duration) -> Self {
        Self { since: now, up_since: None, failures: 0, check_at: now, in_flight: false, problem: None, unready: false }
    }

    /// Since when it is up, if it is or was.
    pub fn up_since(&self) -> Option<Duration> {
        self.up_since
    }

    /// What its check found wrong last.
    pub fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }

    /// It is up, and its last check found nothing wrong.
    pub fn is_well(&self) -> bool {
        self.up_since.is_some() && self.problem.is_none()
    }

    /// What was found wrong last is that its pod is not ready.
    pub fn is_unready(&self) -> bool {
        self.unready
    }

    /// Its check waits for an answer.
    pub fn is_checking(&self) -> bool {
        self.in_flight
    }

    /// Its check was sent.
    pub fn note_asked(&mut self) {
        self.in_flight = true;
    }

    /// Its check was answered.
    pub fn note_checked(&mut self, answer: Result<(), Box<str>>, run: &Run, policy: &ServicePolicy, now: Duration) {
        self.in_flight = false;
        match answer {
            Ok(()) if run.last_seen.address.is_some() => self.pass(now, policy),
            Ok(()) => self.fail(NOT_READY, true, now, policy),
            Err(problem) => self.fail(&shorten(&problem), false, now, policy),
        }
    }

    fn pass(&mut self, now: Duration, policy: &ServicePolicy) {
        (self.failures, self.problem, self.unready) = (0, None, false);
        self.up_since.get_or_insert(now);
        self.check_at = now.saturating_add(policy.check_interval);
    }

    fn fail(&mut self, problem: &str, unready: bool, now: Duration, policy: &ServicePolicy) {
        (self.problem, self.unready) = (Some(problem.into()), unready);
        let every = if self.up_since.is_some() { policy.check_interval } else { STARTING_EVERY };
        self.failures = self.failures.saturating_add(u32::from(self.up_since.is_some()));
        self.check_at = now.saturating_add(every);
    }

    /// What is to be done now about a replica whose container runs.
    pub fn watch(&mut self, run: &Run, policy: &ServicePolicy, now: Duration) -> HealthAction {
        self.refresh_readiness(run, policy, now);
        if self.failures >= policy.unhealthy_threshold {
            return self.end(Outcome::Stopped, Reason::Unhealthy);
        }
        // A pod that has become ready is asked before it is given up.
        let late = now >= self.since.saturating_add(policy.runs.start_timeout) && self.problem.is_some();
        if self.up_since.is_none() && late {
            return self.end(Outcome::StartTimedOut, Reason::NotReady);
        }
        match (&policy.check, &run.last_seen.address) {
            (Some(HealthCheck::Job), Some(_)) if now >= self.check_at => HealthAction::CheckByJob,
            (Some(HealthCheck::Job), _) => HealthAction::Nothing,
            (Some(check), Some(address)) if !self.in_flight && now >= self.check_at => {
                HealthAction::Check(Box::new(ServiceEffect::CheckHealth {
                    name: run.name.clone(),
                    address: address.clone(),
                    check: check.clone(),
                }))
            }
            _ => HealthAction::Nothing,
        }
    }

    /// Takes over from the view whether the pod is ready; nothing is sent for that.
    fn refresh_readiness(&mut self, run: &Run, policy: &ServicePolicy, now: Duration) {
        let is_due = now >= self.check_at && !self.in_flight;
        match (run.last_seen.address.is_some(), policy.check.is_some()) {
            // Ready is up at once, not only when it is looked at.
            (true, false) if is_due || self.unready || self.up_since.is_none() => self.pass(now, policy),
            // It is ready again, and the next check shows more.
            (true, true) if self.unready => {
                (self.problem, self.unready, self.check_at) = (None, false, now);
                self.failures = self.failures.min(policy.unhealthy_threshold.saturating_sub(1));
            }
            (false, _) if is_due && self.up_since.is_some() => self.fail(NOT_READY, true, now, policy),
            (false, _) if self.up_since.is_none() => (self.problem, self.unready) = (Some(NOT_READY.into()), true),
            _ => {}
        }
    }

    fn end(&self, outcome: Outcome, reason: Reason) -> HealthAction {
        let end = End { message: self.problem.as_deref().map(str::to_owned), ..End::new(outcome, reason) };
        if self.unready { HealthAction::EndUnlessReady(end) } else { HealthAction::End(end) }
    }

    /// When a Job is to check it, if Jobs do.
    pub fn job_check_at(&self, run: &Run) -> Option<Duration> {
        let can_be_asked = run.is_running() && !run.is_ending() && run.last_seen.address.is_some();
        can_be_asked.then_some(self.check_at)
    }

    /// When it is to be looked at again.
    pub fn deadline(&self, run: &Run, policy: &ServicePolicy) -> Option<Duration> {
        if !run.is_running() || run.is_ending() {
            return None;
        }
        let starts = self.up_since.is_none() && self.problem.is_some();
        let timeout = starts.then(|| self.since.saturating_add(policy.runs.start_timeout));
        // Nothing comes of a look at a pod that is ready and is asked nothing, nor at one that never was ready.
        let asked = policy.check.as_ref().is_some_and(|check| *check != HealthCheck::Job);
        let asks = if run.last_seen.address.is_some() { asked } else { self.up_since.is_some() };
        let check = (asks && !self.in_flight).then_some(self.check_at);
        [timeout, check].into_iter().flatten().min()
    }
}
