//! Shares by weight: stride scheduling over members with different pools.
//!
//! Each Job moves the virtual time of its member on by its stride, which is the shorter, the larger its weight is, and the
//! member that is the least far on goes first. The present of a priority is where its last Job was begun. Who begins to want
//! places joins there, or where it has come to, if that is later: so neither waiting without want nor going and coming
//! back gains anything, and between two that wait for the same pools the difference is at most a stride of each, which
//! keeps both within one Job of their share.
//!
//! A group that is held up by a full pool is brought up to the present as a whole, with all that are held up by the same
//! pool: who could not have used a place did not save it up.

use std::{collections::BTreeMap, sync::Arc};

use crate::decide::share::member::{Group, Member};

/// Where the members stand.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct VirtualTime {
    /// By priority.
    present: BTreeMap<i32, u64>,
    /// What each group has been brought up by, above which its members are counted.
    lifts: BTreeMap<Group, u64>,
}

impl VirtualTime {
    pub(super) fn present(&self, priority: i32) -> u64 {
        self.present.get(&priority).copied().unwrap_or_default()
    }

    pub(super) fn lift(&self, group: &Group) -> u64 {
        self.lifts.get(group).copied().unwrap_or_default()
    }

    /// How far a member is.
    pub(super) fn pass(&self, member: &Member) -> u64 {
        member.group().map_or(member.pass, |group| self.lift(&group).saturating_add(member.pass))
    }

    fn set(&self, member: &mut Member, pass: u64) {
        let lift = member.group().map_or(0, |group| self.lift(&group));
        member.pass = pass.saturating_sub(lift);
    }

    /// It begins to want places, or goes on to.
    pub(super) fn join(&self, member: &mut Member, begins: bool) {
        let present = self.present(member.policy.priority);
        let least = if begins { present } else { 0 };
        let most = present.saturating_add(member.stride());
        self.set(member, self.pass(member).clamp(least, most));
    }

    /// It is given a Job because it is its turn.
    pub(super) fn charge(&mut self, member: &mut Member) {
        let (pass, present) = (self.pass(member), self.present.entry(member.policy.priority).or_default());
        *present = pass.max(*present);
        self.set(member, pass.saturating_add(member.stride()));
    }

    /// It is given a Job before its turn, because its target is missed: it does not pay for more than one of them, for the
    /// weights are to hold again as soon as it is back within its target.
    pub(super) fn charge_late(&self, member: &mut Member) {
        let present = self.present(member.policy.priority);
        let pass = self.pass(member).min(present).saturating_add(member.stride());
        self.set(member, pass);
    }

    /// It has not created so many Jobs. Who returns a whole grant and wants places all the same pays for one turn, or
    /// nobody else would ever have one.
    pub(super) fn give_back(&self, member: &mut Member, jobs: u64) {
        let paid = u64::from(member.wants && jobs >= member.last_grant);
        let back = member.stride().saturating_mul(jobs.saturating_sub(paid));
        let (pass, present) = (self.pass(member), self.present(member.policy.priority));
        self.set(member, pass.saturating_sub(back).max(present.min(pass)));
    }

    /// Brings groups of a priority that are held up to its present: each with the pool that holds it up, and where its
    /// first member stands.
    pub(super) fn bring_up(&mut self, priority: i32, held_up: &[(Arc<str>, Group, u64)]) {
        let present = self.present(priority);
        let mut first: BTreeMap<&Arc<str>, u64> = BTreeMap::new();
        for (pool, _, pass) in held_up {
            let first = first.entry(pool).or_insert(*pass);
            *first = (*first).min(*pass);
        }
        for (pool, group, _) in held_up {
            let by = present.saturating_sub(first[pool]);
            if by > 0 {
                *self.lifts.entry(group.clone()).or_default() += by;
            }
        }
    }

    /// Other members, other groups: takes the lifts off, so that each member stands for itself.
    pub(super) fn flatten<'a>(&mut self, members: impl Iterator<Item = &'a mut Member>) {
        for member in members {
            member.pass = self.pass(member);
        }
        self.lifts.clear();
    }

    /// A member that has come from another priority stands as far from the present as it did.
    pub(super) fn change_priority(&self, member: &mut Member, before: i32) {
        let ahead = member.pass.saturating_sub(self.present(before));
        member.pass = self.present(member.policy.priority).saturating_add(ahead);
    }

    /// Keeps only the priorities that a member has.
    pub(super) fn keep(&mut self, has: impl Fn(i32) -> bool) {
        self.present.retain(|priority, _| has(*priority));
    }
}
