//! What jobs.json says of sharing, as the arbiter wants it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use crate::{
    config::{entry::Entry, sharing::Sharing},
    decide::place::LIMITS,
};

/// Every pool by its name, with its limits; also [`LIMITS`] where jobs.json has `limits`.
pub type Pools = BTreeMap<Arc<str>, PoolPolicy>;

/// The limits of one pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct PoolPolicy {
    /// Places; `None`: as many as are wanted.
    pub jobs: Option<u32>,
    /// Jobs created a minute; `None`: as many as are wanted.
    pub creates_per_minute: Option<u32>,
}

/// The share of one JobConfig.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct MemberPolicy {
    /// The pools of which each of its Jobs takes a place, sorted, each once, with [`LIMITS`] where that applies. Empty: it
    /// shares nothing, and is asked about nothing.
    pub pools: Arc<[Arc<str>]>,
    /// Its part among equals, from 1.
    pub weight: u32,
    /// Who has more goes first.
    pub priority: i32,
    /// Its oldest message is to wait no longer than this.
    pub target_age: Option<Duration>,
}

/// The pools of a jobs.json.
pub fn pools(sharing: &Sharing) -> Pools {
    let named = sharing.pools.iter().map(|(name, pool)| {
        let policy = PoolPolicy { jobs: Some(pool.jobs), creates_per_minute: pool.creates_per_minute };
        (name.as_str().into(), policy)
    });
    let limits = sharing
        .limits
        .as_ref()
        .map(|limits| (LIMITS.into(), PoolPolicy { jobs: limits.jobs, creates_per_minute: limits.creates_per_minute }));
    named.chain(limits).collect()
}

impl MemberPolicy {
    /// The share of an entry. A service takes places only if it names a pool.
    pub fn of(entry: &Entry, sharing: &Sharing) -> Self {
        let share = entry.share();
        let mut pools: Vec<Arc<str>> = share.pools.iter().map(|pool| pool.as_str().into()).collect();
        if sharing.limits.is_some() && (entry.queue().is_some() || !pools.is_empty()) {
            pools.push(LIMITS.into());
        }
        pools.sort();
        pools.dedup();
        // All that share nothing have the same.
        let pools = if pools.is_empty() { Arc::default() } else { pools.into() };
        Self { pools, weight: share.weight, priority: share.priority, target_age: share.target_age }
    }
}
