//! When a Job that does not start is given up.

use std::time::Duration;

use crate::decide::{
    outcome::{End, Outcome, Reason},
    pod::digest::StartProblem,
    run::{policy::RunPolicy, progress::Progress},
};

/// When a Job is given up if nothing changes, and why.
#[derive(Clone, Copy, Debug)]
pub struct StartDeadline<'a> {
    /// Zero where waiting mends nothing.
    pub at: Duration,
    outcome: Outcome,
    problem: Option<&'a StartProblem>,
}

impl<'a> StartDeadline<'a> {
    /// What waiting can't mend is given up at once, and what somebody may mend after `startErrorGrace`; all else after
    /// `jobStartTimeout`. `None` while the start clock does not run.
    pub fn of(progress: &'a Progress, policy: &RunPolicy) -> Option<Self> {
        let Progress::Starting { since, problem, graced_since } = progress else { return None };
        let timeout = since.saturating_add(policy.start_timeout);
        let problem = problem.as_ref();
        let hopeless = problem.filter(|problem| problem.is_hopeless()).map(|_| Duration::ZERO);
        let graced = graced_since.map(|since| since.saturating_add(policy.start_error_grace));
        let error = hopeless.or(graced).filter(|at| *at <= timeout);
        let is_final = problem.is_some_and(|problem| problem.reason.is_final());
        let outcome = if error.is_some() || is_final { Outcome::StartError } else { Outcome::StartTimedOut };
        Some(Self { at: error.unwrap_or(timeout), outcome, problem })
    }

    /// What is recorded of a Job that was given up.
    pub fn end(&self) -> End {
        let reason = self.problem.map_or(Reason::ContainerCreating, |problem| problem.reason);
        let message = self.problem.map(|p| format!("{} {}", p.word, p.message).trim().to_owned());
        End { message, ..End::new(self.outcome, reason) }
    }
}
