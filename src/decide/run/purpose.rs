//! What a run was begun for.

use crate::decide::decision::{Decision, DecisionReason, Tally};

/// What a run was begun for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Messages of a queue.
    Messages {
        /// The decision, with its inputs.
        decision: Decision,
        /// What had been taken when it was decided.
        tally: Tally,
    },
    /// A person asked for it.
    Manual {
        /// The decision, with its inputs.
        decision: Decision,
        /// Which of the Jobs that were asked for by hand it is, from 1.
        number: u64,
    },
    /// A replica of a service.
    Replica {
        /// How often the service had been started by hand.
        starts: u64,
    },
    /// Another process began it, for messages or, where `starts` says how often it was started, for a service.
    BegunBefore {
        /// See [`Purpose::Replica`].
        starts: Option<u64>,
    },
    /// Unknown: its Job was found without a run.
    Found,
}

impl Purpose {
    /// The decision that its record keeps.
    pub fn decision(&self) -> Decision {
        match self {
            Self::Messages { decision, .. } | Self::Manual { decision, .. } => *decision,
            Self::Replica { .. } => Decision { why: DecisionReason::KeptUp, jobs: 1, ..Decision::default() },
            Self::BegunBefore { .. } | Self::Found => Decision::default(),
        }
    }

    /// What had been taken when it was decided; `None` where that is not known.
    pub fn tally(&self) -> Option<Tally> {
        match self {
            Self::Messages { tally, .. } => Some(*tally),
            _ => None,
        }
    }

    /// Which of the Jobs that were asked for by hand it is.
    pub fn manual_number(&self) -> Option<u64> {
        match self {
            Self::Manual { number, .. } => Some(*number),
            _ => None,
        }
    }

    /// How often its service had been started by hand; `None` where that is not known.
    pub fn starts(&self) -> Option<u64> {
        match self {
            Self::Replica { starts } => Some(*starts),
            Self::BegunBefore { starts } => *starts,
            _ => None,
        }
    }

    /// Created while backing off, so its failure makes the wait grow.
    pub fn is_trial(&self) -> bool {
        self.decision().backing_off
    }
}
