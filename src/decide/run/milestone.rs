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
    /// The end of a Job is on record that ran once beside the replicas of a service.
    OneOffEnded {
        /// What it was for: a word of [`crate::decide::one_off::OneOff::purpose`].
        purpose: &'static str,
        /// How.
        outcome: Outcome,
    },
    /// A success turned out to have taken nothing.
    TookNothing,
}
