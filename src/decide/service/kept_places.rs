//! How the replicas of a service stand with their places: which are kept, and which replicas wait.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use crate::decide::{outcome::Slot, place::Places};

/// How the replicas of one service stand with their places.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct ReplicaPlaces {
    /// The number of the last grant that was taken in.
    pub(super) seen: u64,
    /// Replicas whose places were granted and went back at once.
    pub(super) returned: u64,
    /// Those of each replica that is wanted, whether it has a run or not.
    pub(super) kept: BTreeMap<Slot, Places>,
    /// Replicas that could be started if they had theirs.
    pub(super) waiting: BTreeSet<Slot>,
    /// Since when any replica waits, without a break.
    pub(super) since: Option<Duration>,
}

impl ReplicaPlaces {
    /// A replica could be started if it had its places.
    pub(super) fn is_waiting(&self, slot: Slot) -> bool {
        self.waiting.contains(&slot)
    }

    /// The first replica that waits.
    pub(super) fn first_waiting(&self) -> Option<Slot> {
        self.waiting.first().copied()
    }

    /// Since when any replica waits.
    pub(super) fn since(&self) -> Option<Duration> {
        self.since
    }

    pub(super) fn note_waiting(&mut self, waiting: BTreeSet<Slot>, now: Duration) {
        self.since = self.since.or(Some(now)).filter(|_| !waiting.is_empty());
        self.waiting = waiting;
    }
}
