//! Jobs that run once beside the replicas of a service: what each is for, and the slot that it has to itself.
//!
//! A slot has one unfinished run, in the core and in Postgres; so there are never two Jobs for one purpose at once, not
//! even while one process takes over from another.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::decide::outcome::Slot;

/// Slots from here on are those of Jobs that run once; below are replicas, and Jobs that were found beyond them.
pub const ONE_OFF_SLOT: Slot = 2_000_000;

/// Slots of actions: one of each hash of a name.
const ACTION_SLOT: Slot = ONE_OFF_SLOT + 2;

/// What a Job that runs once is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OneOff {
    /// Its exit code says whether the service is well.
    Check,
    /// It mends a service that runs elsewhere.
    Repair,
    /// An action of the service.
    Action {
        /// Its name.
        name: Box<str>,
        /// Which of those that were asked for by hand it is, from 1; `None` where it runs every so often.
        number: Option<u64>,
    },
}

impl OneOff {
    /// What a record says, if that is one of them.
    pub fn of_record(purpose: Option<&str>, action: Option<&str>, number: Option<u64>) -> Option<Self> {
        match (purpose?, action) {
            ("check", _) => Some(Self::Check),
            ("repair", _) => Some(Self::Repair),
            ("action", Some(name)) => Some(Self::Action { name: name.into(), number }),
            _ => None,
        }
    }

    /// The slot that all of its purpose share.
    pub fn slot(&self) -> Slot {
        match self {
            Self::Check => ONE_OFF_SLOT,
            Self::Repair => ONE_OFF_SLOT + 1,
            Self::Action { name, .. } => action_slot(name),
        }
    }

    /// The word in the database, in labels and in metrics.
    pub fn purpose(&self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::Repair => "repair",
            Self::Action { .. } => "action",
        }
    }

    /// The name of the action, if it is one.
    pub fn action(&self) -> Option<&str> {
        match self {
            Self::Action { name, .. } => Some(name),
            _ => None,
        }
    }

    /// Which of those that were asked for by hand it is.
    pub fn number(&self) -> Option<u64> {
        match self {
            Self::Action { number, .. } => *number,
            _ => None,
        }
    }
}

impl fmt::Display for OneOff {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Action { name, .. } => write!(to, "action {name}"),
            other => to.write_str(other.purpose()),
        }
    }
}

/// The slot of an action. Two names that share one would wait for one another, and no more than that.
pub fn action_slot(name: &str) -> Slot {
    let digest = Sha256::digest(name.as_bytes());
    let hash = digest.iter().take(4).fold(0_u32, |hash, byte| (hash << 8) | u32::from(*byte));
    ACTION_SLOT + hash % (1 << 30)
}

/// The word for whatever has this slot, of which no more is known.
pub fn purpose_of(slot: Slot) -> Option<&'static str> {
    match slot {
        _ if !is_one_off(slot) => None,
        ONE_OFF_SLOT => Some(OneOff::Check.purpose()),
        _ if slot < ACTION_SLOT => Some(OneOff::Repair.purpose()),
        _ => Some("action"),
    }
}

/// Whether a slot is that of a Job that runs once.
pub fn is_one_off(slot: Slot) -> bool {
    slot >= ONE_OFF_SLOT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_purpose_has_a_slot_of_its_own_and_is_read_as_it_was_written() {
        let action = |name: &str, number| OneOff::Action { name: name.into(), number };
        let all = [OneOff::Check, OneOff::Repair, action("backup", None), action("vacuum", Some(3))];
        let mut slots: Vec<Slot> = all.iter().map(OneOff::slot).collect();
        slots.sort_unstable();
        slots.dedup();
        assert_eq!(slots.len(), all.len());
        assert!(slots.iter().all(|slot| is_one_off(*slot)));
        for it in &all {
            assert_eq!(purpose_of(it.slot()), Some(it.purpose()));
            assert_eq!(OneOff::of_record(Some(it.purpose()), it.action(), it.number()).as_ref(), Some(it));
        }
        assert_eq!(action("backup", None).slot(), action("backup", Some(1)).slot());
        assert_eq!((OneOff::of_record(None, None, None), purpose_of(ONE_OFF_SLOT - 1)), (None, None));
    }
}
