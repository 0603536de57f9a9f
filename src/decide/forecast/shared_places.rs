//! Places that JobConfigs share, in simulated time: the very same arbiter, told at once and believed at once.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use crate::{
    config::{entry::Entry, sharing::Sharing},
    decide::{
        place::{Place, Places},
        share::{
            arbiter::Arbiter,
            need::{Grant, Need},
            policy::{MemberPolicy, pools},
        },
    },
};

/// Who shares places, and the one who gives them away.
#[derive(Clone, Debug)]
pub struct SharedPlaces {
    arbiter: Arbiter,
    /// The members of the replay by their names.
    members: BTreeMap<Arc<str>, usize>,
    names: Vec<Arc<str>>,
    /// What each of them has told last.
    told: BTreeMap<usize, Need>,
}

impl SharedPlaces {
    /// The queues among these entries are the members of the replay, in this order; services have all of their replicas,
    /// which keep their places. `None` where nothing is shared.
    pub fn begin(entries: &[Entry], sharing: &Sharing, now: Duration) -> Option<Self> {
        let policies: BTreeMap<Arc<str>, MemberPolicy> =
            entries.iter().map(|entry| (entry.name().into(), MemberPolicy::of(entry, sharing))).collect();
        if policies.values().all(|policy| policy.pools.is_empty()) {
            return None;
        }
        let names: Vec<Arc<str>> = entries.iter().filter_map(Entry::queue).map(|it| it.name.clone()).collect();
        let mut arbiter = Arbiter::new(BTreeMap::new(), now);
        arbiter.configure(pools(sharing), policies.clone(), now);
        let mut numbers: BTreeMap<Arc<str>, u32> = BTreeMap::new();
        for service in entries.iter().filter_map(Entry::service) {
            let name: Arc<str> = service.name.as_str().into();
            let replicas = if service.enabled { service.replicas } else { 0 };
            let held = (0..replicas).map(|_| next_places(&policies[&name], &mut numbers)).collect();
            arbiter.note_need(&name, Need { held, ..Need::default() }, now);
        }
        let members = names.iter().enumerate().map(|(member, name)| (name.clone(), member)).collect();
        Some(Self { arbiter, members, names, told: BTreeMap::new() })
    }

    /// What a member holds and wants.
    pub fn tell(&mut self, member: usize, need: Need, now: Duration) {
        if self.told.get(&member) != Some(&need) {
            self.told.insert(member, need.clone());
            self.arbiter.note_need(&self.names[member], need, now);
        }
    }

    /// Gives away what is free, and to whom.
    pub fn grants(&mut self, now: Duration) -> Vec<(usize, Grant)> {
        let grants = self.arbiter.grants(now);
        grants.into_iter().filter_map(|(name, grant)| Some((*self.members.get(&name)?, grant))).collect()
    }

    /// When the next one may be created that somebody waits for.
    pub fn deadline(&self) -> Option<Duration> {
        self.arbiter.deadline()
    }
}

/// The next place in each pool.
fn next_places(policy: &MemberPolicy, numbers: &mut BTreeMap<Arc<str>, u32>) -> Places {
    let mut next = |pool: &Arc<str>| {
        let number = numbers.entry(pool.clone()).or_default();
        *number += 1;
        Place { pool: pool.clone(), number: *number - 1 }
    };
    policy.pools.iter().map(&mut next).collect()
}
