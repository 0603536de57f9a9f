//! How a queue stands with its places: what it is granted, how many it waits for, and since when.

use std::{collections::VecDeque, time::Duration};

use crate::decide::place::Places;

/// How a lifecycle stands with its places.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct PlaceShare {
    /// The number of the last grant that was taken in.
    pub(super) seen: u64,
    /// Granted, and not used yet: the decision that follows takes of them.
    pub(super) granted: VecDeque<Places>,
    /// Jobs that were granted and not asked for.
    pub(super) returned: u64,
    /// Jobs that the last decision would have asked for, had it had their places.
    pub(super) lacking: u64,
    /// A Job that was asked for by hand waits for its places.
    pub(super) by_hand: bool,
    /// Since when places are wanted, without a break.
    pub(super) since: Option<Duration>,
    /// Since when the oldest message has waited, by the last look.
    pub(super) oldest_at: Option<Duration>,
}

impl PlaceShare {
    /// Jobs that wait for places, or are about to be decided for those that were granted: the room that these need is no
    /// reason to look.
    pub(super) fn usable(&self) -> u64 {
        self.lacking.saturating_add(self.by_hand.into())
    }

    /// Places are there that a decision may take.
    pub(super) fn is_granted(&self) -> bool {
        !self.granted.is_empty()
    }

    /// Since when places are wanted.
    pub(super) fn since(&self) -> Option<Duration> {
        self.since
    }

    /// A look was answered.
    pub(super) fn note_look(&mut self, oldest_age: Option<Duration>, now: Duration) {
        self.oldest_at = oldest_age.map(|age| now.saturating_sub(age));
    }

    /// Jobs that a decision may ask for: who asked by hand goes first.
    pub(super) fn granted(&self) -> u64 {
        (self.granted.len() as u64).saturating_sub(self.by_hand.into())
    }

    /// A decision was made and has taken what it could; it would have asked for so many more. The rest goes back.
    pub(super) fn note_decided(&mut self, lacking: u64) {
        self.lacking = lacking;
        self.keep(self.by_hand.into());
    }

    /// The places of one Job, used from here on.
    pub(super) fn take(&mut self) -> Places {
        self.granted.pop_front().unwrap_or_default()
    }

    /// Nothing is known any more of what could be created: the next look tells.
    pub(super) fn give_up(&mut self) {
        self.lacking = 0;
        self.keep(0);
    }

    /// What is granted beyond so many Jobs goes back.
    pub(super) fn keep(&mut self, jobs: u64) {
        let back = (self.granted.len() as u64).saturating_sub(jobs);
        self.returned = self.returned.saturating_add(back);
        self.granted.truncate(usize::try_from(jobs).unwrap_or(usize::MAX));
    }

    /// So many places could be used now: what is beyond goes back.
    pub(super) fn bound(&mut self, lacking: u64, by_hand: bool, now: Duration) {
        (self.lacking, self.by_hand) = (lacking, by_hand);
        self.keep(self.usable());
        self.since = self.since.or(Some(now)).filter(|_| self.usable() > 0);
    }
}
