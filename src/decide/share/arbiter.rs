//! The arbiter: takes what each member has told, and gives free places away.
//!
//! `note_need` and `configure` take facts in, `grants` gives (`granting.rs`), `account` and `usage` tell people why. A place
//! is free if neither a run holds it, nor a grant that is on its way, nor one that was recorded when the term began and of
//! whose JobConfig nothing has been heard since.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use crate::decide::{
    place::Places,
    share::{
        bucket::Bucket,
        index::Index,
        member::Member,
        need::{Grant, Need},
        policy::{MemberPolicy, PoolPolicy, Pools},
        virtual_time::VirtualTime,
    },
};

/// A pool of jobs.json.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Pool {
    pub(super) policy: PoolPolicy,
    pub(super) bucket: Option<Bucket>,
}

/// Who shares what in one term.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Arbiter {
    /// Also JobConfigs that are no members and still hold places.
    pub(super) members: BTreeMap<Arc<str>, Member>,
    pub(super) pools: BTreeMap<Arc<str>, Pool>,
    pub(super) time: VirtualTime,
    /// The number of the last grant, of all members.
    pub(super) number: u64,
    /// What follows from the members.
    pub(super) index: Index,
}

/// What keeps a member from a place in a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Obstacle {
    /// A member of the pool has told nothing yet.
    Untold,
    /// All places are held.
    Full,
    /// No Job may be created yet.
    Rate,
}

impl Arbiter {
    /// At the begin of a term: the places that Postgres has, by JobConfig. Buckets begin empty.
    pub fn new(recorded: BTreeMap<Arc<str>, Vec<Places>>, now: Duration) -> Self {
        let member = |recorded| Member { recorded, ..Member::default() };
        let members = recorded.into_iter().map(|(name, recorded)| (name, member(recorded))).collect();
        let index = Index::of(&members);
        let mut arbiter = Self { members, pools: BTreeMap::new(), time: VirtualTime::default(), number: 0, index };
        arbiter.refill(now);
        arbiter
    }

    /// The pools and the members in force, also those that share nothing. Whoever is no member any more keeps its places
    /// until it has given them up.
    pub fn configure(&mut self, pools: Pools, members: BTreeMap<Arc<str>, MemberPolicy>, now: Duration) {
        self.refill(now);
        let mut before = std::mem::take(&mut self.pools);
        for (name, policy) in pools {
            let bucket = before.remove(&name).and_then(|pool| pool.bucket);
            let bucket = policy.creates_per_minute.map(|rate| match bucket {
                Some(mut bucket) => {
                    bucket.change(rate, now);
                    bucket
                }
                None => Bucket::empty(rate, now),
            });
            self.pools.insert(name, Pool { policy, bucket });
        }
        self.time.flatten(self.members.values_mut());
        let mut policies = members;
        policies.retain(|_, policy| !policy.pools.is_empty());
        for name in policies.keys() {
            self.members.entry(name.clone()).or_default();
        }
        for (name, member) in &mut self.members {
            change_policy(&self.time, member, policies.remove(name).unwrap_or_default());
        }
        self.members.retain(|_, member| !is_nobody(member));
        let members = &self.members;
        self.time.keep(|priority| members.values().any(|member| member.policy.priority == priority));
        self.index = Index::of(&self.members);
    }

    /// What a JobConfig holds and wants now, also one that is no member (any more). A need that was sent before its grant
    /// was seen wants what it was just granted, too; so it is not asked for more until its answer is here.
    pub fn note_need(&mut self, name: &Arc<str>, need: Need, now: Duration) {
        self.number = self.number.max(need.seen);
        let mut member = self.members.remove(name).unwrap_or_default();
        self.index.withdraw(name, &member);
        self.index.tell(name, &member);
        self.index.replace(name, &member, member.held(), &need.held);
        if let Some(grant) = member.unanswered.take_if(|grant| grant.number <= need.seen) {
            for places in &grant.places {
                self.index.remove(name, &member, places);
            }
        }
        let returned = member.need.as_ref().map_or(0, |before| need.returned.saturating_sub(before.returned));
        member.recorded = vec![];
        member.need = Some(need);
        self.turn(name, &mut member, returned, now);
        if member.wanted() > 0 {
            self.index.enter(name, &member);
        }
        self.members.insert(name.clone(), member);
    }

    /// Whether it begins to want places, goes on to, or has had enough; and what it gives back of its turn.
    fn turn(&mut self, name: &str, member: &mut Member, returned: u64, now: Duration) {
        let wanted_before = member.wants;
        if member.unanswered.is_none() {
            member.wants = member.wanted() > 0;
        }
        if returned > 0 {
            let unseen = member.unanswered.as_ref().map_or(0, |grant| grant.places.len() as u64);
            self.time.give_back(member, returned);
            for pool in member.policy.pools.iter() {
                if let Some(bucket) = self.pools.get_mut(pool).and_then(|pool| pool.bucket.as_mut()) {
                    bucket.refill(now);
                    bucket.put_back(name, returned, unseen);
                }
            }
        }
        if member.wants {
            self.time.join(member, !wanted_before);
        }
    }

    /// The actor of a JobConfig has ended, and nothing is left of its runs. A grant that it never saw is void; its tokens
    /// are not given back, for nobody knows what became of it.
    pub fn leave(&mut self, name: &str, now: Duration) {
        self.refill(now);
        let Some((name, mut member)) = self.members.remove_entry(name) else { return };
        self.index.withdraw(&name, &member);
        self.index.tell(&name, &member);
        let jobs: Vec<Places> = member.jobs().cloned().collect();
        for places in &jobs {
            self.index.remove(&name, &member, places);
        }
        if !member.policy.pools.is_empty() {
            member =
                Member { policy: member.policy, pass: member.pass, need: Some(Need::default()), ..Member::default() };
            self.members.insert(name, member);
        }
    }

    /// The grant that a member has not answered yet: an actor that begins anew is to be told it again.
    pub fn unanswered(&self, name: &str) -> Option<&Grant> {
        self.members.get(name)?.unanswered.as_ref()
    }

    /// When the next token comes that somebody waits for while nothing else stands in its way.
    pub fn deadline(&self) -> Option<Duration> {
        let waiting = self.index.waiting.keys();
        waiting.filter_map(|group| self.rated_until(&group.pools)).min()
    }

    /// When there is a token in each of these pools, if that is all that is missing.
    fn rated_until(&self, pools: &[Arc<str>]) -> Option<Duration> {
        let obstacles = || pools.iter().filter_map(|pool| Some((pool, self.obstacle(pool)?)));
        if obstacles().any(|(_, obstacle)| obstacle != Obstacle::Rate) {
            return None;
        }
        let ready: Option<Vec<Duration>> =
            obstacles().map(|(pool, _)| self.pools[pool].bucket.as_ref().and_then(Bucket::ready_at)).collect();
        ready?.into_iter().max()
    }

    pub(super) fn refill(&mut self, now: Duration) {
        for bucket in self.pools.values_mut().filter_map(|pool| pool.bucket.as_mut()) {
            bucket.refill(now);
        }
    }

    /// What keeps anybody from a place in this pool. One that is in no file has no limit.
    pub(super) fn obstacle(&self, pool: &str) -> Option<Obstacle> {
        if self.index.untold.contains_key(pool) {
            return Some(Obstacle::Untold);
        }
        let Pool { policy, bucket } = self.pools.get(pool)?;
        let held = self.index.holdings.get(pool).map_or(0, |holding| holding.jobs);
        if policy.jobs.is_some_and(|limit| held >= u64::from(limit)) {
            return Some(Obstacle::Full);
        }
        bucket.as_ref().is_some_and(|bucket| !bucket.has_token()).then_some(Obstacle::Rate)
    }
}

/// Another policy, or none any more. Whoever changes its pools or its priority joins the others as if it began to want.
fn change_policy(time: &VirtualTime, member: &mut Member, policy: MemberPolicy) {
    let (group, priority) = (member.group(), member.policy.priority);
    member.policy = policy;
    let moves = member.group() != group;
    time.change_priority(member, priority);
    if member.unanswered.is_none() {
        member.wants = member.wanted() > 0;
    }
    if member.wants {
        time.join(member, moves);
    }
}

/// Neither a member nor one that holds, or may yet hold, anything.
fn is_nobody(member: &Member) -> bool {
    member.policy.pools.is_empty() && member.jobs().next().is_none() && member.unanswered.is_none()
}
