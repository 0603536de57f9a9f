//! What a run was begun for.

use crate::decide::{
    decision::{Decision, DecisionReason, Tally},
    one_off::OneOff,
};

/// What a run was begun for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
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
    /// It runs once beside the replicas of a service, whichever process began it.
    OneOff(OneOff),
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
            Self::OneOff(one_off) => Decision { why: reason(one_off), jobs: 1, ..Decision::default() },
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

    /// What it runs once for beside the replicas of a service; `None` where it does not, or that is not known.
    pub fn one_off(&self) -> Option<&OneOff> {
        match self {
            Self::OneOff(one_off) => Some(one_off),
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

fn reason(one_off: &OneOff) -> DecisionReason {
    match one_off {
        OneOff::Check => DecisionReason::Checked,
        OneOff::Repair => DecisionReason::Repaired,
        OneOff::Action { number: Some(_), .. } => DecisionReason::Asked,
        OneOff::Action { number: None, .. } => DecisionReason::Scheduled,
    }
}
