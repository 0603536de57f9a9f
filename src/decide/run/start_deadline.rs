//! When a Job that does not start is given up.

use std::time::Duration;

use crate::decide::{
    outcome::{End, Outcome, Reason},
    pod::digest::StartProblem,
    run::policy::RunPolicy,
};

/// What is known of a Job that is starting.
#[derive(Clone, Copy, Debug)]
pub struct StartDeadline<'a> {
    /// Since when the start clock runs, and what keeps the pods; `None` while it stands, or where nothing is waited for.
    pub starting: Option<(Duration, Option<&'a StartProblem>)>,
    /// Since when a problem is there that somebody may mend within `startErrorGrace`.
    pub problem_since: Option<Duration>,
}

impl StartDeadline<'_> {
    /// Why the Job is not waited for any longer; `None` while it is.
    pub fn give_up_reason(&self, now: Duration, policy: &RunPolicy) -> Option<End> {
        let (since, problem) = self.starting?;
        let told = |outcome, reason| End {
            message: problem.map(|p| format!("{} {}", p.word, p.message).trim().to_owned()),
            ..End::new(outcome, reason)
        };
        if let Some(problem) = problem {
            let graced = self.problem_since.is_some_and(|at| now >= at.saturating_add(policy.start_error_grace));
            if problem.is_hopeless() || graced {
                return Some(told(Outcome::StartError, problem.reason));
            }
        }
        let reason = problem.map_or(Reason::ContainerCreating, |problem| problem.reason);
        let outcome = if reason.is_final() { Outcome::StartError } else { Outcome::StartTimedOut };
        (now >= since.saturating_add(policy.start_timeout)).then(|| told(outcome, reason))
    }

    /// When the Job is given up, if nothing changes; zero where that is due already.
    pub fn give_up_at(&self, policy: &RunPolicy) -> Option<Duration> {
        let (since, problem) = self.starting?;
        let hopeless = problem.filter(|problem| problem.is_hopeless()).map(|_| Duration::ZERO);
        let graced = self.problem_since.map(|at| at.saturating_add(policy.start_error_grace));
        [hopeless, graced, Some(since.saturating_add(policy.start_timeout))].into_iter().flatten().min()
    }
}
