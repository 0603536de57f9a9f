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
    },
    /// A pod has started.
    Running {
        /// Since then.
        since: Duration,
    },
}

impl Progress {
    /// Since when the start clock runs, and what keeps the pods.
    pub(in crate::decide) fn starting(&self) -> Option<(Duration, Option<&StartProblem>)> {
        match self {
            Self::Starting { since, problem } => Some((*since, problem.as_ref())),
            _ => None,
        }
    }
}
