//! What follows from what the members have told, kept up to date: who holds places, and who waits for some.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use crate::decide::{
    place::Places,
    share::{
        holding::Holding,
        member::{Group, Member},
    },
};

/// Derived from the members alone: [`Index::of`] is what it is at any time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Index {
    /// By pool, also by those that are in no file any more.
    pub(super) holdings: BTreeMap<Arc<str>, Holding>,
    /// By pool, the members that have told nothing yet.
    pub(super) untold: BTreeMap<Arc<str>, BTreeSet<Arc<str>>>,
    /// Those that may be given places, by group, in the order in which they are asked.
    pub(super) waiting: BTreeMap<Group, Waiting>,
}

/// The members of a group that may be given places.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Waiting {
    /// By whose turn it is.
    pub(super) turns: BTreeSet<Turn>,
    /// By `targetAge`, those that have one, by who misses it first: among equal targets the oldest message is the latest by
    /// ratio, too, at any time.
    pub(super) aged: BTreeMap<Duration, BTreeSet<Aged>>,
}

/// Since when the oldest message of a member waits, and how far on and who it is.
pub(super) type Aged = (Duration, u64, Arc<str>);

/// Whose turn it is within a group: the least goes first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Turn {
    /// Its virtual time, above that of its group.
    pub(super) pass: u64,
    /// Since when its oldest message waits; the end of time where none is known.
    pub(super) oldest_at: Duration,
    pub(super) name: Arc<str>,
}

impl Turn {
    pub(super) fn of(name: &Arc<str>, member: &Member) -> Self {
        let oldest_at = member.need.as_ref().and_then(|need| need.oldest_at);
        Self { pass: member.pass, oldest_at: oldest_at.unwrap_or(Duration::MAX), name: name.clone() }
    }
}

impl Index {
    /// The index of these members, from scratch.
    pub(super) fn of(members: &BTreeMap<Arc<str>, Member>) -> Self {
        let mut index = Self::default();
        for (name, member) in members {
            for places in member.jobs() {
                index.add(name, member, places);
            }
            index.expect(name, member);
            if member.wanted() > 0 {
                index.enter(name, member);
            }
        }
        index
    }

    /// One more Job of this member.
    pub(super) fn add(&mut self, name: &Arc<str>, member: &Member, places: &Places) {
        for (pool, number) in parts(member, places) {
            match self.holdings.get_mut(pool) {
                Some(holding) => holding.add(name, number),
                None => self.holdings.entry(pool.clone()).or_default().add(name, number),
            }
        }
    }

    /// A Job of this member is no more.
    pub(super) fn remove(&mut self, name: &str, member: &Member, places: &Places) {
        for (pool, number) in parts(member, places) {
            let holding = self.holdings.get_mut(pool).expect("only what was added is removed");
            holding.remove(name, number);
            if holding.jobs == 0 {
                self.holdings.remove(pool);
            }
        }
    }

    /// The Jobs of a member are others than before. Most are the same, so only what lies between is counted.
    pub(super) fn replace(&mut self, name: &Arc<str>, member: &Member, before: &[Places], after: &[Places]) {
        let same = before.iter().zip(after).take_while(|(a, b)| a == b).count();
        let (before, after) = (&before[same..], &after[same..]);
        let same = before.iter().rev().zip(after.iter().rev()).take_while(|(a, b)| a == b).count();
        for places in &before[..before.len() - same] {
            self.remove(name, member, places);
        }
        for places in &after[..after.len() - same] {
            self.add(name, member, places);
        }
    }

    /// A member is to tell its need, if it has not.
    pub(super) fn expect(&mut self, name: &Arc<str>, member: &Member) {
        for pool in member.policy.pools.iter().filter(|_| member.is_untold()) {
            self.untold.entry(pool.clone()).or_default().insert(name.clone());
        }
    }

    /// A member has told its need.
    pub(super) fn tell(&mut self, name: &str, member: &Member) {
        for pool in member.policy.pools.iter() {
            if let Some(names) = self.untold.get_mut(pool) {
                names.remove(name);
                if names.is_empty() {
                    self.untold.remove(pool);
                }
            }
        }
    }

    /// A member may be given places from now on.
    pub(super) fn enter(&mut self, name: &Arc<str>, member: &Member) {
        let Some(group) = member.group() else { return };
        let waiting = self.waiting.entry(group).or_default();
        let turn = Turn::of(name, member);
        if let Some(target) = target_age(member) {
            waiting.aged.entry(target).or_default().insert((turn.oldest_at, turn.pass, turn.name.clone()));
        }
        waiting.turns.insert(turn);
    }

    /// It may not, as it stands, or is about to change.
    pub(super) fn withdraw(&mut self, name: &Arc<str>, member: &Member) {
        let Some(group) = member.group() else { return };
        let Some(waiting) = self.waiting.get_mut(&group) else { return };
        let turn = Turn::of(name, member);
        waiting.turns.remove(&turn);
        if let Some(target) = target_age(member)
            && let Some(aged) = waiting.aged.get_mut(&target)
        {
            aged.remove(&(turn.oldest_at, turn.pass, turn.name));
            if aged.is_empty() {
                waiting.aged.remove(&target);
            }
        }
        if waiting.turns.is_empty() {
            self.waiting.remove(&group);
        }
    }
}

/// The `targetAge` of a member that knows of a message.
fn target_age(member: &Member) -> Option<Duration> {
    member.policy.target_age.filter(|_| member.need.as_ref().is_some_and(|need| need.oldest_at.is_some()))
}

/// In which pools a Job counts, and with which number: where it has a place, also if its policy no longer names that
/// pool, and where its policy has it take one.
fn parts<'a>(member: &'a Member, places: &'a Places) -> impl Iterator<Item = (&'a Arc<str>, Option<u32>)> {
    let lacks = |pool: &&Arc<str>| !places.iter().any(|place| place.pool == **pool);
    let numbered = places.iter().map(|place| (&place.pool, Some(place.number)));
    numbered.chain(member.policy.pools.iter().filter(lacks).map(|pool| (pool, None)))
}
