//! One Job in simulated time: it starts as others have, takes messages, and is Complete or Failed in the end.

use std::time::Duration;

use crate::decide::{
    outcome::{End, JobName, Outcome, Reason, Slot},
    pod::observation::{Phase, SeenJob},
};

/// A Job that exists.
#[derive(Clone, Debug)]
pub struct SimulatedJob {
    /// Its name.
    pub name: JobName,
    /// Its slot.
    pub slot: Slot,
    /// When it was created.
    pub created_at: Duration,
    /// When its first container runs.
    pub runs_at: Duration,
    /// Its workers that have not ended.
    pub workers: u32,
    /// Messages that they have taken.
    pub taken: u64,
    /// When it was Complete or Failed, and which of the two.
    pub ended: Option<(Duration, Outcome)>,
}

impl SimulatedJob {
    /// As the watches show it.
    pub fn seen(&self, now: Duration) -> SeenJob {
        SeenJob {
            slot: Some(self.slot),
            age: now.saturating_sub(self.created_at),
            ran: (self.runs_at <= now).then(|| now.saturating_sub(self.runs_at)),
            phase: self.phase(now),
            ..SeenJob::default()
        }
    }

    fn phase(&self, now: Duration) -> Phase {
        match self.ended {
            Some((at, outcome)) => Phase::Ended {
                end: End::new(outcome, if outcome == Outcome::Failed { Reason::ExitCode } else { Reason::Completed }),
                terminal: true,
                explained: true,
                // Kubernetes cuts its times to whole seconds, and slots cool from then on.
                age: now.saturating_sub(Duration::from_secs(at.as_secs())),
            },
            None if self.runs_at <= now => Phase::Running { age: now.saturating_sub(self.runs_at) },
            None => Phase::Starting { age: now.saturating_sub(self.created_at), problem: None },
        }
    }
}
