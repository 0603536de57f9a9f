//! The places of a service that names pools: one in each for every replica.
//!
//! A replica keeps its places from their grant on, also between two of its runs, until it is not wanted any more: else a
//! restart would be a way to lose them. What runs once beside the replicas takes none.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use crate::decide::{
    backoff::RETRY_MIN,
    one_off::is_one_off,
    outcome::{JobName, Slot},
    place::{Places, are_in},
    run::tracked_run::Run,
    service::{event::ServiceEffect, keep_alive::KeepAlive},
    share::need::{Grant, Need},
};

impl KeepAlive {
    /// What it holds and wants; `None`: as before, for it does not know itself.
    pub fn need(&self) -> Option<Need> {
        if !self.runs.knows() {
            return None;
        }
        let shares = self.shares();
        let between = self.places.kept.iter().filter(|(slot, _)| !self.runs.is_taken(**slot));
        let held = self.runs.held(shares).chain(between.map(|(_, places)| places.clone())).collect();
        Some(Need {
            held,
            wanted: self.places.waiting.len() as u64,
            since: self.places.since,
            oldest_at: None,
            seen: self.places.seen,
            returned: self.places.returned,
            partial: !shares,
            refused: self.runs.refused(),
        })
    }

    /// Its replicas take places.
    pub fn shares(&self) -> bool {
        !self.policy.pools.is_empty()
    }

    /// Places for replicas that are to be started now. What can't be used goes back at once.
    pub(super) fn note_grant(&mut self, grant: Grant, now: Duration) {
        if grant.number <= self.places.seen {
            return;
        }
        self.places.seen = grant.number;
        if grant.places.is_empty() {
            return self.runs.load_again(now);
        }
        for places in grant.places {
            let slot = self.places.waiting.iter().copied().find(|slot| self.may_start(*slot));
            if let Some(slot) = slot.filter(|_| self.is_usable(&places)) {
                self.places.waiting.remove(&slot);
                self.places.kept.insert(slot, places);
                continue;
            }
            self.places.returned = self.places.returned.saturating_add(1);
            if let Some(slot) = slot {
                // Whoever gave it knows another jobs.json, or other runs. Asking again keeps a pace.
                self.places.waiting.remove(&slot);
                self.replicas.entry(slot).or_default().wait_until = now.saturating_add(RETRY_MIN);
            }
        }
    }

    fn is_usable(&self, places: &Places) -> bool {
        let held = self.runs.by_name.values().map(|run| &run.places).chain(self.places.kept.values());
        are_in(places, &self.policy.pools) && !held.flat_map(|held| held.iter()).any(|place| places.contains(place))
    }

    /// The wish of a replica was refused: another process has begun a run in its slot, or has its places.
    pub(super) fn note_refused(&mut self, name: &JobName) {
        if let Some(run) = self.runs.by_name.get(name) {
            self.places.kept.remove(&run.slot);
        }
    }

    /// A replica that is wanted keeps what its run has; one that is not wanted any more keeps nothing.
    pub(super) fn keep_places(&mut self) {
        if !self.shares() {
            return self.places.kept.clear();
        }
        let mut kept = std::mem::take(&mut self.places.kept);
        for run in self.runs.by_name.values().filter(|run| !is_one_off(run.slot)) {
            kept.insert(run.slot, run.places.clone());
        }
        let is_kept = |slot: Slot| slot < self.policy.replicas && (self.runs.is_taken(slot) || !self.is_spent(slot));
        let wanted = self.is_wanted();
        kept.retain(|slot, places| wanted && is_kept(*slot) && are_in(places, &self.policy.pools));
        self.places.kept = kept;
    }

    /// Asks for the Jobs of replicas that may be started, have waited, and have what they need.
    pub(super) fn start_replicas(&mut self, now: Duration, effects: &mut Vec<ServiceEffect>) {
        let mut waiting = BTreeSet::new();
        for slot in 0..self.policy.replicas {
            if !self.may_start(slot) || self.wait_until(slot) > now {
                continue;
            }
            let met = self.one_offs.requirements.are_met(&self.policy, now);
            let lacks = self.shares() && !self.places.kept.contains_key(&slot);
            // While it can't be used, no place is wanted; while one is waited for, nothing is asked.
            if lacks && (met || self.places.is_waiting(slot)) {
                waiting.insert(slot);
                continue;
            }
            if !met {
                effects.extend(self.one_offs.requirements.ask(&self.policy, now));
                continue;
            }
            self.start(slot, now);
        }
        self.places.note_waiting(waiting, now);
    }

    fn start(&mut self, slot: Slot, now: Duration) {
        let name = self.runs.next_name();
        let mut run = Run::replica(name.clone(), slot, self.desired.starts, now);
        run.places = self.places.kept.get(&slot).cloned().unwrap_or_default();
        self.replicas.entry(slot).or_default().started = Some(self.desired.starts);
        self.runs.by_name.insert(name, run);
    }

    /// The pools of which a replica needs a place, in words.
    pub(super) fn pools_in_words(&self) -> String {
        let names: Vec<&str> = self.policy.pools.iter().map(Arc::as_ref).collect();
        names.join(" and ")
    }
}
