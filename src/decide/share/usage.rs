//! How the pools are used, and who waits: for people and for metrics.

use std::{sync::Arc, time::Duration};

use schemars::JsonSchema;
use serde::Serialize;

use crate::decide::share::{arbiter::Arbiter, member::Member};

/// One pool; also one that has left jobs.json while places of it are held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PoolUsage {
    /// Its name.
    pub pool: Arc<str>,
    /// Places; none: as many as are wanted.
    pub limit: Option<u32>,
    /// Jobs created a minute; none: as many as are wanted.
    pub creates_per_minute: Option<u32>,
    /// Places that are held, also those on their way; more than the limit while that was lowered.
    pub held: u64,
    /// By whom, by name.
    pub holders: Vec<Holder>,
    /// JobConfigs that want a place of it.
    pub waiting: u64,
}

/// Who holds places.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Holder {
    /// Its name.
    pub job_config: Arc<str>,
    /// Places of the pool that it holds.
    pub places: u64,
}

/// How long a member waits; times are in the core's time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberWait {
    /// Its name.
    pub job_config: Arc<str>,
    /// Since when it wants places that it has not.
    pub since: Option<Duration>,
}

impl Arbiter {
    /// Every pool of jobs.json, and every other of which places are held, by name.
    pub fn usage(&self) -> Vec<PoolUsage> {
        let mut names: Vec<&Arc<str>> = self.pools.keys().chain(self.index.holdings.keys()).collect();
        names.sort();
        names.dedup();
        names.into_iter().map(|pool| self.usage_of(pool)).collect()
    }

    /// How one pool is used.
    pub(super) fn usage_of(&self, pool: &Arc<str>) -> PoolUsage {
        let policy = self.pools.get(pool).map(|pool| pool.policy).unwrap_or_default();
        let holding = self.index.holdings.get(pool);
        let holder = |(name, places): (&Arc<str>, &u64)| Holder { job_config: name.clone(), places: *places };
        let waiting = self.index.waiting.iter().filter(|(group, _)| group.pools.contains(pool));
        PoolUsage {
            pool: pool.clone(),
            limit: policy.jobs,
            creates_per_minute: policy.creates_per_minute,
            held: holding.map_or(0, |holding| holding.jobs),
            holders: holding.into_iter().flat_map(|holding| &holding.holders).map(holder).collect(),
            waiting: waiting.map(|(_, waiting)| waiting.turns.len() as u64).sum(),
        }
    }

    /// The first of those that wait for a place in a pool, in the order in which it is their turn.
    pub fn next_in(&self, pool: &Arc<str>, now: Duration, most: usize) -> Vec<Arc<str>> {
        let groups = self.index.waiting.iter().filter(|(group, _)| group.pools.contains(pool));
        let standings =
            groups.flat_map(|(group, waiting)| waiting.turns.iter().map(|turn| self.standing(group, turn, Some(now))));
        let mut standings: Vec<_> = standings.collect();
        standings.sort_unstable();
        standings.into_iter().take(most).map(|standing| standing.name).collect()
    }

    /// Every member, by name.
    pub fn waits(&self) -> Vec<MemberWait> {
        let members = self.members.iter().filter(|(_, member)| !member.policy.pools.is_empty());
        let wait = |(name, member): (&Arc<str>, &Member)| MemberWait {
            job_config: name.clone(),
            since: member.need.as_ref().filter(|need| need.wanted > 0).and_then(|need| need.since),
        };
        members.map(wait).collect()
    }
}
