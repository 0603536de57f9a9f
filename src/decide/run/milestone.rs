//! What happens in the life of a run that is counted.

use std::time::Duration;

use crate::decide::outcome::{Outcome, Reason};

/// What is counted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Milestone {
    /// The first Job of a decision was confirmed.
    Created {
        /// Since the oldest message that it was decided for could be fetched.
        waited: Duration,
    },
    /// The first container of a Job began to run.
    Started {
        /// Since the Job's creation.
        took: Duration,
    },
    /// A run's end is on record.
    Ended {
        /// How.
        outcome: Outcome,
        /// Why.
        reason: Reason,
    },
    /// A success turned out to have taken nothing.
    TookNothing,
}
