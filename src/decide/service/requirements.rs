//! What has to answer before a replica is started, and when it is asked.

use std::{sync::Arc, time::Duration};

use crate::decide::{
    backoff::{grown_wait, jittered},
    outcome::shorten,
    service::{
        event::{Asking, ServiceEffect},
        policy::ServicePolicy,
        target::Target,
    },
};

/// An answer holds for so long: replicas that start together are asked for once.
const HOLDS_FOR: Duration = Duration::from_secs(5);

/// How the requirements of a service stand.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Requirements {
    /// What is asked, while an answer is awaited.
    asked: Option<Arc<[Target]>>,
    /// All of them answered; that holds until then.
    met_until: Duration,
    /// Nothing is asked before this time.
    retry_at: Duration,
    /// Answers in a row that at least one did not answer.
    failures: u32,
    /// Which one, and why; nothing since all have.
    problem: Option<Box<str>>,
}

impl Requirements {
    /// Whether a replica may be started now.
    pub fn are_met(&self, policy: &ServicePolicy, now: Duration) -> bool {
        policy.requirements.is_empty() || now < self.met_until
    }

    /// Which one does not answer.
    pub fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }

    /// An answer is awaited.
    pub fn is_asking(&self) -> bool {
        self.asked.is_some()
    }

    /// Nobody waits for a start any more.
    pub fn forget(&mut self) {
        *self = Self { asked: self.asked.take(), ..Self::default() };
    }

    /// An operator who starts the service does not want to wait.
    pub fn hurry(&mut self) {
        (self.retry_at, self.failures) = (Duration::ZERO, 0);
    }

    /// A replica could be started, if they are met.
    pub fn ask(&mut self, policy: &ServicePolicy, now: Duration) -> Option<ServiceEffect> {
        if self.is_asking() || self.are_met(policy, now) || now < self.retry_at {
            return None;
        }
        self.asked = Some(policy.requirements.clone());
        Some(ServiceEffect::AskTargets(Asking::Requirements, policy.requirements.clone()))
    }

    /// They were asked; whether others answer than are required now says nothing.
    pub fn note_answer(&mut self, answer: Result<(), Box<str>>, policy: &ServicePolicy, now: Duration, jitter: u32) {
        if self.asked.take().is_some_and(|asked| asked != policy.requirements) {
            return;
        }
        match answer {
            Ok(()) => {
                *self = Self { met_until: now.saturating_add(HOLDS_FOR), ..Self::default() };
            }
            Err(problem) => {
                let wait = jittered(grown_wait(policy.wait_after_error, self.failures, &policy.backoff), jitter);
                self.retry_at = now.saturating_add(wait);
                self.failures = self.failures.saturating_add(1);
                self.problem = Some(shorten(&format!("requires {problem}")).into());
            }
        }
    }

    /// When a replica that could be started at `start` is, or is asked for.
    pub fn deadline(&self, policy: &ServicePolicy, start: Duration) -> Option<Duration> {
        if policy.requirements.is_empty() {
            return Some(start);
        }
        (!self.is_asking()).then(|| start.max(self.retry_at))
    }
}
