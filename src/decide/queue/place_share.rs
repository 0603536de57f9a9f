//! The share of a queue in places: what it is granted, how many it waits for, and since when.
//!
//! A look tells how many Jobs there are messages and room for; those that have no places are wanted of the arbiter, whose
//! grant makes the next look due at once. That look decides anew, and what it does not use goes back: a place is never
//! kept for later. A JobConfig that names no pool comes by here and leaves nothing.

use std::{collections::VecDeque, time::Duration};

use crate::decide::{
    place::{Places, are_in},
    queue::lifecycle::Lifecycle,
    share::need::{Grant, Need},
};

/// How a lifecycle stands with its places.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct PlaceShare {
    /// The number of the last grant that was taken in.
    seen: u64,
    /// Granted, and not used yet: the decision that follows takes of them.
    granted: VecDeque<Places>,
    /// Jobs that were granted and not asked for.
    returned: u64,
    /// Jobs that the last decision would have asked for, had it had their places.
    lacking: u64,
    /// A Job that was asked for by hand waits for its places.
    by_hand: bool,
    /// Since when places are wanted, without a break.
    since: Option<Duration>,
    /// Since when the oldest message has waited, by the last look.
    oldest_at: Option<Duration>,
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
    fn granted(&self) -> u64 {
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
    fn keep(&mut self, jobs: u64) {
        let back = (self.granted.len() as u64).saturating_sub(jobs);
        self.returned = self.returned.saturating_add(back);
        self.granted.truncate(usize::try_from(jobs).unwrap_or(usize::MAX));
    }

    /// So many places could be used now: what is beyond goes back.
    fn bound(&mut self, lacking: u64, by_hand: bool, now: Duration) {
        (self.lacking, self.by_hand) = (lacking, by_hand);
        self.keep(self.usable());
        self.since = self.since.or(Some(now)).filter(|_| self.usable() > 0);
    }
}

impl Lifecycle {
    /// What it holds and wants; `None`: as before, for it does not know itself.
    pub fn need(&self) -> Option<Need> {
        if !self.runs.knows() {
            return None;
        }
        let shares = self.shares();
        let held = self.runs.held(shares).chain(self.share.granted.iter().cloned()).collect();
        let wanted = self.share.usable().saturating_sub(self.share.granted.len() as u64);
        Some(Need {
            held,
            wanted,
            since: self.share.since.filter(|_| wanted > 0),
            oldest_at: self.share.oldest_at.filter(|_| shares),
            seen: self.share.seen,
            returned: self.share.returned,
            partial: !shares,
            refused: self.runs.refused(),
        })
    }

    /// Its Jobs take places.
    pub fn shares(&self) -> bool {
        !self.policy.pools.is_empty()
    }

    /// Places for Jobs that are to be created now. What can't be used goes back: the same step bounds it.
    pub(super) fn note_grant(&mut self, grant: Grant, now: Duration) {
        if grant.number <= self.share.seen {
            return;
        }
        self.share.seen = grant.number;
        if grant.places.is_empty() {
            return self.runs.load_again(now);
        }
        let runs = || self.runs.by_name.values().flat_map(|run| run.places.iter());
        let is_usable =
            |places: &Places| are_in(places, &self.policy.pools) && !runs().any(|place| places.contains(place));
        let usable = grant.places.iter().all(is_usable);
        self.share.granted.extend(grant.places);
        if !usable {
            self.share.give_up();
            // Whoever gave it knows another jobs.json, or other runs. Asking again by a look keeps a pace.
            if self.shares() {
                self.looks.note_notified(now);
            }
        }
    }

    /// One more Job may be asked for, as far as places go.
    pub(super) fn has_place(&self) -> bool {
        !self.shares() || self.share.is_granted()
    }

    /// Of so many Jobs that are to be created, those that have their places.
    pub(super) fn with_places(&self, jobs: u64) -> u64 {
        if self.shares() { jobs.min(self.share.granted()) } else { jobs }
    }

    /// What it can't use now goes back at once, and it wants no more than there is room for. Once there is room again,
    /// a look tells what is wanted then.
    pub(super) fn bound_share(&mut self, now: Duration) {
        if !self.shares() {
            return self.share.bound(0, false, now);
        }
        let waiting = self.backoff.until().is_some_and(|until| until > now);
        // Who asked by hand goes first.
        let by_hand = self.next_manual_slot().is_some();
        let free = u64::from(self.in_force.max).saturating_sub(self.live()).saturating_sub(by_hand.into());
        let room = if self.may_create() && !waiting { self.room().min(free) } else { 0 };
        self.looks.backlog_left |= self.share.lacking > room;
        self.share.bound(self.share.lacking.min(room), by_hand, now);
    }
}
