//! One JobConfig as the arbiter knows it.

use std::{cmp::Reverse, sync::Arc};

use crate::decide::{
    place::Places,
    share::{
        need::{Grant, Need},
        policy::MemberPolicy,
    },
};

/// What a Job of weight 1 moves the virtual time of its member on. Every weight up to 20 divides it, so that their shares
/// are exact, and 2^64 of it are 79 thousand million Jobs.
const STRIDE: u64 = 232_792_560;

/// Members with the same pools and the same priority: what holds up one of them holds up all.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Group {
    pub(super) priority: Reverse<i32>,
    pub(super) pools: Arc<[Arc<str>]>,
}

/// A JobConfig that shares something, or one that only still holds places.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Member {
    /// Without pools where it is none of the members in force.
    pub(super) policy: MemberPolicy,
    /// What Postgres had at the begin of the term, until it has told itself.
    pub(super) recorded: Vec<Places>,
    pub(super) need: Option<Need>,
    /// What is on record for it by a later reading, although it has told that it holds other things: a run of another
    /// process, or one that was written when nobody waited for it any more.
    pub(super) untold: Vec<Places>,
    /// The grant that it has not seen yet.
    pub(super) unanswered: Option<Grant>,
    /// Jobs of its last grant.
    pub(super) last_grant: u64,
    /// It goes on wanting places, also while a grant is on its way.
    pub(super) wants: bool,
    /// Its virtual time, above that of its group.
    pub(super) pass: u64,
}

impl Member {
    pub(super) fn group(&self) -> Option<Group> {
        let MemberPolicy { pools, priority, .. } = &self.policy;
        (!pools.is_empty()).then(|| Group { priority: Reverse(*priority), pools: pools.clone() })
    }

    /// What its runs hold, as far as is known.
    pub(super) fn held(&self) -> &[Places] {
        self.need.as_ref().map_or(&self.recorded, |need| &need.held)
    }

    /// What its runs hold, with what is on its way to it.
    pub(super) fn known(&self) -> impl Iterator<Item = &Places> {
        self.held().iter().chain(self.unanswered.iter().flat_map(|grant| &grant.places))
    }

    /// All that counts as held by it.
    pub(super) fn jobs(&self) -> impl Iterator<Item = &Places> {
        self.known().chain(&self.untold)
    }

    /// Whether it has not told yet what it is to tell: all of its runs. Whoever comes into a pool may have told before, and
    /// then of those with places only.
    pub(super) fn is_untold(&self) -> bool {
        self.need.as_ref().is_none_or(|need| need.partial) && !self.policy.pools.is_empty()
    }

    /// Neither a member nor one that holds, or may yet hold, anything. Who has told what it needs is remembered until it has
    /// left: it tells only what is new, and may be a member again before that.
    pub(super) fn is_nobody(&self) -> bool {
        let tells = self.need.is_some() || self.unanswered.is_some();
        self.policy.pools.is_empty() && !tells && self.jobs().next().is_none()
    }

    /// Jobs that it may be given.
    pub(super) fn wanted(&self) -> u64 {
        self.need.as_ref().filter(|_| self.may_be_sent()).map_or(0, |need| need.wanted)
    }

    /// A grant reaches it, and none is on its way.
    pub(super) fn may_be_sent(&self) -> bool {
        self.unanswered.is_none() && !self.policy.pools.is_empty()
    }

    /// What a Job of it moves its virtual time on.
    pub(super) fn stride(&self) -> u64 {
        (STRIDE / u64::from(self.policy.weight.max(1))).max(1)
    }
}
