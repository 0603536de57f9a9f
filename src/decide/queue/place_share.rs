//! The share of a queue in places: what it tells that it needs, and what it makes of what it is granted.
//!
//! A look tells how many Jobs there are messages and room for; those that have no places are wanted of the arbiter, whose
//! grant makes the next look due at once. That look decides anew, and what it does not use goes back: a place is never
//! kept for later. A JobConfig that names no pool comes by here and leaves nothing.

use std::time::Duration;

use crate::decide::{
    place::{Places, are_in},
    queue::lifecycle::Lifecycle,
    share::need::{Grant, Need},
};

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
