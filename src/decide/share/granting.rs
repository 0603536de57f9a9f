//! Who is given the free places.
//!
//! First those whose oldest message is older than their `targetAge`, latest by ratio first; then by priority; among equals
//! by weight; then the oldest message, then the name. Who can't have all places of a Job is passed over, and the next is
//! asked, so no place stays free that somebody could use. Members with the same pools and priority are held up together, so
//! a full pool costs one question and not one for each of them.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    sync::Arc,
    time::Duration,
};

use crate::decide::{
    place::{Place, Places},
    share::{
        arbiter::Arbiter,
        index::{Index, Turn},
        member::{Group, Member},
        need::Grant,
        standing::{Standing, late_by, lateness},
        virtual_time::VirtualTime,
    },
};

/// The places that are given at one time, by member.
type Round = BTreeMap<Arc<str>, Vec<Places>>;

impl Arbiter {
    /// Gives away what is free. Each grant is to be sent to its member, whose places are held until its need has seen it.
    pub fn grants(&mut self, now: Duration) -> Vec<(Arc<str>, Grant)> {
        self.refill(now);
        let mut round = Round::new();
        let groups: Vec<Group> = self.index.waiting.keys().cloned().collect();
        self.serve_late(&groups, now, &mut round);
        for tier in groups.chunk_by(|a, b| a.priority == b.priority) {
            self.serve_by_weight(tier, &mut round);
        }
        let mut grants: Vec<_> = round.into_iter().map(|(name, places)| self.send(name, places)).collect();
        // Whoever is just given something has to take that in first.
        let members = &self.members;
        let is_free = |name: &Arc<str>| members.get(name).is_some_and(Member::may_be_sent);
        let to_load: Vec<Arc<str>> = self.to_load.extract_if(.., is_free).collect();
        grants.extend(to_load.into_iter().map(|name| self.send(name, vec![])));
        debug_assert!(self.index == Index::of(&self.members), "the index is what follows from the members");
        grants
    }

    /// The first pool that holds up a group.
    fn held_up_by<'a>(&self, group: &'a Group) -> Option<&'a Arc<str>> {
        group.pools.iter().find(|pool| self.obstacle(pool).is_some())
    }

    fn serve_late(&mut self, groups: &[Group], now: Duration, round: &mut Round) {
        let mut heads = BinaryHeap::new();
        for group in groups {
            let targets = self.index.waiting.get(group).filter(|_| self.held_up_by(group).is_none());
            let targets = targets.into_iter().flat_map(|waiting| waiting.aged.keys());
            heads.extend(targets.filter_map(|target| self.latest(group, *target, now)));
        }
        let charge = |time: &mut VirtualTime, member: &mut Member| time.charge_late(member);
        while let Some(Reverse(Standing { group, name, .. })) = heads.pop() {
            let target = self.members[&name].policy.target_age;
            while self.held_up_by(&group).is_none() && self.give(&name, charge, round) {}
            if self.held_up_by(&group).is_none() {
                heads.extend(target.and_then(|target| self.latest(&group, target, now)));
            }
        }
    }

    /// The member of a group that misses this target by most.
    fn latest(&self, group: &Group, target: Duration, now: Duration) -> Option<Reverse<Standing>> {
        let (oldest_at, pass, name) = self.index.waiting.get(group)?.aged.get(&target)?.first()?;
        let late = Some(late_by(*oldest_at, target, now)?);
        let turn = Turn { pass: *pass, oldest_at: *oldest_at, name: name.clone() };
        Some(Reverse(Standing { late, ..self.standing(group, &turn, None) }))
    }

    /// One priority.
    fn serve_by_weight(&mut self, tier: &[Group], round: &mut Round) {
        let first = |arbiter: &Self, group: &Group| {
            let turn = arbiter.index.waiting.get(group)?.turns.first()?;
            Some(Reverse(arbiter.standing(group, turn, None)))
        };
        let open = tier.iter().filter(|group| self.held_up_by(group).is_none());
        let mut heads: BinaryHeap<_> = open.filter_map(|group| first(self, group)).collect();
        let is_served = !heads.is_empty();
        while let Some(Reverse(Standing { group, name, .. })) = heads.pop() {
            if self.held_up_by(&group).is_none() {
                self.give(&name, VirtualTime::charge, round);
                heads.extend(first(self, &group));
            }
        }
        let stands = |group: &Group| Some((self.held_up_by(group)?.clone(), group.clone(), first(self, group)?.0.pass));
        if let Some(group) = tier.first().filter(|_| is_served) {
            let held_up: Vec<_> = tier.iter().filter_map(stands).collect();
            self.time.bring_up(group.priority.0, &held_up);
        }
    }

    /// Where a member stands; whether it is late, too, where the time is given.
    pub(super) fn standing(&self, group: &Group, turn: &Turn, now: Option<Duration>) -> Standing {
        Standing {
            late: now.and_then(|now| lateness(&self.members[&turn.name], now)),
            group: group.clone(),
            pass: self.time.lift(group).saturating_add(turn.pass),
            oldest_at: turn.oldest_at,
            name: turn.name.clone(),
        }
    }

    /// One Job more, if it wants one more: the lowest numbers that nobody holds, and a token of each bucket.
    fn give(&mut self, name: &Arc<str>, charge: impl Fn(&mut VirtualTime, &mut Member), round: &mut Round) -> bool {
        let member = self.members.get_mut(name).expect("who waits is a member");
        let given = round.get(name).map_or(0, Vec::len);
        if given as u64 >= member.wanted() {
            return false;
        }
        let place = |pool: &Arc<str>| {
            let number = self.index.holdings.get(pool).map_or(0, |holding| holding.lowest());
            Place { pool: pool.clone(), number }
        };
        let places: Places = member.policy.pools.iter().map(place).collect();
        for pool in member.policy.pools.iter() {
            if let Some(bucket) = self.pools.get_mut(pool).and_then(|pool| pool.bucket.as_mut()) {
                bucket.take(name);
            }
        }
        self.index.withdraw(name, member);
        self.index.add(name, member, &places);
        charge(&mut self.time, member);
        if given as u64 + 1 < member.wanted() {
            self.index.enter(name, member);
        }
        round.entry(name.clone()).or_default().push(places);
        true
    }

    /// A grant is on its way; nothing more is given to its member until it has been seen.
    fn send(&mut self, name: Arc<str>, places: Vec<Places>) -> (Arc<str>, Grant) {
        self.number += 1;
        let grant = Grant { number: self.number, places };
        let member = self.members.get_mut(&name).expect("who was given places is a member");
        self.index.withdraw(&name, member);
        member.last_grant = grant.places.len() as u64;
        member.unanswered = Some(grant.clone());
        (name, grant)
    }
}
