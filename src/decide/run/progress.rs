//! How far a run has come, in the lifecycle's time.

use std::time::Duration;

use crate::decide::pod::digest::StartProblem;

/// A Job that was deleted and is not gone yet.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Terminating {
    /// Since then.
    pub since: Duration,
    /// The node of one of its pods.
    pub node: Option<Box<str>>,
}

/// How far a run has come, in the lifecycle's time.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Progress {
    /// Wished, asked for, or not looked at by the controller yet.
    Queued,
    /// Suspended: the start clock stands.
    Suspended,
    /// The start clock runs.
    Starting {
        /// Since then.
        since: Duration,
        /// What keeps the pods.
        problem: Option<StartProblem>,
        /// Since when it has been a problem that somebody may mend within `startErrorGrace`.
        graced_since: Option<Duration>,
    },
    /// A pod has started.
    Running {
        /// Since then.
        since: Duration,
    },
}

impl Progress {
    /// The Job is starting since `since`, kept by this problem.
    pub(in crate::decide) fn starting(&self, since: Duration, problem: Option<StartProblem>, now: Duration) -> Self {
        let before = match self {
            Self::Starting { graced_since, .. } => *graced_since,
            _ => None,
        };
        let graced = problem.as_ref().is_some_and(StartProblem::is_graced);
        Self::Starting { since, problem, graced_since: graced.then(|| before.unwrap_or(now)) }
    }

    /// What keeps the pods of a Job that is starting.
    pub(in crate::decide) fn problem(&self) -> Option<&StartProblem> {
        match self {
            Self::Starting { problem, .. } => problem.as_ref(),
            _ => None,
        }
    }
}
