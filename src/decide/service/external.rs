//! A service that runs elsewhere: whether it answers, and when it is repaired.

use std::time::Duration;

use crate::decide::{
    backoff::{grown_wait, jittered},
    outcome::{End, Outcome, shorten},
    service::{
        policy::{RESET_AFTER, ServicePolicy},
        sentence::sentence,
        state::ServiceState,
    },
};

/// How a service does that runs elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ExternalHealth {
    in_flight: bool,
    /// A check was answered, well or not.
    begun: bool,
    /// Since its check passed first, after it had not.
    up_since: Option<Duration>,
    /// Checks in a row that failed.
    failures: u32,
    /// They were as many as `unhealthyThreshold`, and none has passed since.
    down: bool,
    /// The next check.
    check_at: Duration,
    /// What is wrong; nothing since a check has passed.
    problem: Option<Box<str>>,
    /// It is not repaired before this time.
    repair_at: Duration,
    /// Repairs since it was last up for long.
    repairs: u32,
}

impl ExternalHealth {
    /// Its check passed last, or has not failed often enough since.
    pub fn is_up(&self) -> bool {
        self.up_since.is_some()
    }

    /// It has begun to be looked after.
    pub fn has_begun(&self) -> bool {
        self.begun
    }

    /// What is wrong.
    pub fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }

    /// An answer is awaited.
    pub fn is_asking(&self) -> bool {
        self.in_flight
    }

    /// When it is checked next; `None` while an answer is awaited.
    pub fn check_at(&self) -> Option<Duration> {
        (!self.in_flight).then_some(self.check_at)
    }

    /// When it is to be repaired; `None` while its checks have not failed in a row.
    pub fn repair_at(&self, policy: &ServicePolicy) -> Option<Duration> {
        (self.failures >= policy.unhealthy_threshold).then_some(self.repair_at)
    }

    /// How long its next repair waits, if it does.
    pub fn waits_until(&self, now: Duration) -> Option<Duration> {
        Some(self.repair_at).filter(|at| *at > now && self.down)
    }

    /// It is not to be up: nothing is known of it any more but when it was repaired.
    pub fn forget(&mut self) {
        let Self { in_flight, repair_at, repairs, .. } = *self;
        *self = Self { in_flight, repair_at, repairs, ..Self::default() };
    }

    /// An operator who starts it does not want to wait.
    pub fn hurry(&mut self, now: Duration) {
        (self.repair_at, self.repairs, self.check_at) = (now, 0, self.check_at.min(now));
    }

    /// A check was sent.
    pub fn note_asked(&mut self) {
        self.in_flight = true;
    }

    /// A check was answered; one that was sent when it was still to be up says nothing now.
    pub fn note_answer(&mut self, answer: Result<(), Box<str>>, wanted: bool, policy: &ServicePolicy, now: Duration) {
        self.in_flight = false;
        if !wanted {
            return;
        }
        (self.begun, self.check_at) = (true, now.saturating_add(policy.check_interval));
        match answer {
            Ok(()) => {
                let since = *self.up_since.get_or_insert(now);
                (self.failures, self.down, self.problem) = (0, false, None);
                if now >= since.saturating_add(RESET_AFTER) {
                    self.repairs = 0;
                }
            }
            Err(problem) => {
                self.failures = self.failures.saturating_add(1);
                self.problem = Some(shorten(&problem).into());
                if self.failures >= policy.unhealthy_threshold {
                    (self.up_since, self.down) = (None, true);
                }
            }
        }
    }

    /// How long ago the last repair ended that is on record: the next one waits as after any.
    pub fn note_loaded(&mut self, repaired: Option<Duration>, policy: &ServicePolicy, now: Duration) {
        if let Some(age) = repaired {
            let until = now.saturating_sub(age).saturating_add(policy.wait_after_failure);
            (self.repair_at, self.repairs) = (self.repair_at.max(until), self.repairs.max(1));
        }
    }

    /// A repair has ended: it is checked at once, and the next repair waits as a start does.
    pub fn note_repaired(&mut self, end: &End, policy: &ServicePolicy, now: Duration, jitter: u32) {
        let wait = jittered(grown_wait(policy.wait_after(end.outcome), self.repairs, &policy.backoff), jitter);
        (self.repair_at, self.repairs) = (now.saturating_add(wait), self.repairs.saturating_add(1));
        (self.failures, self.check_at) = (0, now);
        if end.outcome != Outcome::Succeeded {
            self.problem = Some(format!("repair: {}", sentence(end)).into());
        }
    }

    /// How it stands that is to be up.
    pub fn state(&self, repairing: bool) -> ServiceState {
        match () {
            () if self.is_up() => ServiceState::Running,
            () if repairing => ServiceState::Restart,
            () if self.down => ServiceState::Failed,
            () if self.begun => ServiceState::Started,
            () => ServiceState::NotStarted,
        }
    }
}
