//! Checks that are Jobs: one at a time for the whole service, and its exit code is the answer.

use std::{collections::BTreeSet, time::Duration};

use crate::decide::{
    outcome::{End, JobName, Outcome, Reason},
    service::{policy::ServicePolicy, sentence::sentence},
};

/// How the checks of a service stand that are Jobs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct JobChecks {
    /// The replicas that the check under way is about: those that waited for one when it was begun.
    about: BTreeSet<JobName>,
    /// None is begun before this time.
    next_at: Duration,
    /// Why the last one gave no answer; nothing since one has.
    problem: Option<Box<str>>,
}

/// What a check that has ended says: nothing where it did not come so far.
pub type JobAnswer = Option<Result<(), Box<str>>>;

impl JobChecks {
    /// Why the last one gave no answer.
    pub fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }

    /// None is begun before this time.
    pub fn next_at(&self) -> Duration {
        self.next_at
    }

    /// Jobs check nothing any more.
    pub fn forget(&mut self) {
        *self = Self::default();
    }

    /// One is begun for these replicas.
    pub fn begin(&mut self, about: BTreeSet<JobName>) {
        self.about = about;
    }

    /// One has ended: about whom it was, and what it says. One that another process began is about nobody.
    pub fn note_ended(&mut self, end: &End, policy: &ServicePolicy, now: Duration) -> (BTreeSet<JobName>, JobAnswer) {
        let answer = answer(end);
        self.problem = answer.is_none().then(|| format!("check: {}", sentence(end)).into());
        let wait =
            if answer.is_some() { policy.check_interval } else { policy.check_interval.max(policy.wait_after_error) };
        self.next_at = now.saturating_add(wait);
        (std::mem::take(&mut self.about), answer)
    }
}

/// A Job that never ran, or that something else ended, says nothing of the service.
fn answer(end: &End) -> JobAnswer {
    match (end.outcome, end.reason) {
        (Outcome::Succeeded, _) => Some(Ok(())),
        (Outcome::Failed, Reason::Disrupted | Reason::PodDeleted) => None,
        (Outcome::Failed, _) => Some(Err(format!("check: {}", sentence(end)).into())),
        _ => None,
    }
}
