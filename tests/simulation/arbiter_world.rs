//! The real arbiter with a small model of those who ask it: what `arbiter.rs` and its properties run on.
//!
//! The model knows who really holds what, and works out anew at each step what the arbiter keeps up to date.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use job_chief::decide::{
    place::{Place, Places},
    share::{
        arbiter::Arbiter,
        need::{Grant, Need},
        policy::{MemberPolicy, PoolPolicy, Pools},
    },
};
use proptest::prelude::*;

pub(crate) const POOLS: [&str; 3] = ["gpu", "licence", "limits"];
pub(crate) const MEMBERS: [&str; 4] = ["a", "b", "c", "d"];

/// One thing that happens; members and pools by their place in the lists above.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    /// So many messages wait, the oldest for so many seconds.
    Want(usize, u64, u64),
    /// The grant arrives, and its places are held.
    Receive(usize),
    /// So many Jobs are created with what has arrived; the rest goes back.
    Decide(usize, usize),
    /// It tells how it stands, also if its grant has not arrived yet.
    Tell(usize),
    End(usize),
    Pass(u64),
    Pool(usize, Option<PoolPolicy>),
    Policy(usize, MemberPolicy),
    Remove(usize),
    Leave(usize),
    NewTerm,
}

/// What stands for an actor.
#[derive(Clone, Default)]
pub(crate) struct Actor {
    pub(crate) told: bool,
    pub(crate) runs: Vec<Places>,
    pub(crate) pending: Vec<Places>,
    pub(crate) mail: Option<Grant>,
    pub(crate) demand: u64,
    oldest_at: Option<Duration>,
    seen: u64,
    returned: u64,
    draining: bool,
}

/// Somebody who may be given places.
#[derive(Clone)]
pub(crate) struct Waits {
    pub(crate) name: Arc<str>,
    pub(crate) policy: MemberPolicy,
    pub(crate) wanted: u64,
    pub(crate) is_late: bool,
}

pub(crate) struct World {
    pub(crate) arbiter: Arbiter,
    pub(crate) now: Duration,
    pub(crate) pools: Pools,
    pub(crate) members: BTreeMap<Arc<str>, MemberPolicy>,
    pub(crate) actors: BTreeMap<Arc<str>, Actor>,
    /// Who waited before the last grants.
    pub(crate) waited: Vec<Waits>,
    /// The last grants.
    pub(crate) given: Vec<(Arc<str>, Grant)>,
}

impl Actor {
    fn wanted(&self) -> u64 {
        if self.draining { 0 } else { self.demand.saturating_sub(self.pending.len() as u64) }
    }

    fn need(&self) -> Need {
        let wanted = self.wanted();
        Need {
            held: self.runs.iter().chain(&self.pending).cloned().collect(),
            wanted,
            since: (wanted > 0).then_some(self.oldest_at).flatten(),
            oldest_at: self.oldest_at.filter(|_| wanted > 0),
            seen: self.seen,
            returned: self.returned,
            ..Need::default()
        }
    }

    /// All that counts against a limit.
    pub(crate) fn held(&self) -> impl Iterator<Item = &Places> {
        self.runs.iter().chain(&self.pending).chain(self.mail.iter().flat_map(|grant| &grant.places))
    }
}

impl World {
    pub(crate) fn new() -> Self {
        let now = Duration::from_secs(10_000);
        let limit = |jobs| PoolPolicy { jobs: Some(jobs), creates_per_minute: None };
        let pools = POOLS.iter().zip([3, 2, 4]).map(|(name, jobs)| ((*name).into(), limit(jobs))).collect();
        let policy = |pools: &[&str]| MemberPolicy {
            pools: pools.iter().map(|pool| Arc::from(*pool)).collect(),
            weight: 1,
            ..MemberPolicy::default()
        };
        let sets: [&[&str]; 4] = [&["gpu", "limits"], &["limits"], &["gpu", "licence", "limits"], &["gpu", "limits"]];
        let members: BTreeMap<Arc<str>, MemberPolicy> =
            MEMBERS.iter().zip(sets).map(|(name, pools)| (Arc::from(*name), policy(pools))).collect();
        let actors = members.keys().map(|name| (name.clone(), Actor::default())).collect();
        let arbiter = Arbiter::new(BTreeMap::new(), now);
        let mut world = Self { arbiter, now, pools, members, actors, waited: vec![], given: vec![] };
        world.configure();
        world
    }

    pub(crate) fn configure(&mut self) {
        self.arbiter.configure(self.pools.clone(), self.members.clone(), self.now);
    }

    /// Whoever shares nothing tells only what it holds of before, and tells anew should it share something again.
    pub(crate) fn tell(&mut self, name: &Arc<str>) {
        let shares = self.members.get(name).is_some_and(|policy| !policy.pools.is_empty());
        if let Some(actor) = self.actors.get_mut(name) {
            actor.told = shares;
            let need = actor.need();
            let wanted = if shares { need.wanted } else { 0 };
            self.arbiter.note_need(name, Need { wanted, partial: !shares, ..need }, self.now);
        }
    }

    /// Does it, and has the arbiter give what is free.
    pub(crate) fn take(&mut self, op: &Op) {
        self.act_alone(op);
        self.grant();
    }

    pub(crate) fn grant(&mut self) {
        self.waited = self.waiting();
        self.given = self.arbiter.grants(self.now);
        for (name, grant) in &self.given {
            let actor = self.actors.get_mut(name).expect("invariant: only_actors_are_given_places");
            assert!(actor.mail.is_none(), "invariant: one_grant_at_a_time");
            assert!(grant.number > actor.seen, "invariant: numbers_go_up");
            actor.mail = Some(grant.clone());
        }
    }

    /// Does it, and nothing is given for it.
    pub(crate) fn act_alone(&mut self, op: &Op) {
        let name = |index: &usize| Arc::<str>::from(MEMBERS[*index]);
        let (now, tells) = (self.now, matches!(op, Op::Want(..) | Op::Receive(_) | Op::Decide(..) | Op::End(_)));
        match op {
            Op::Want(who, ..) | Op::Receive(who) | Op::Decide(who, _) | Op::Tell(who) | Op::End(who) => {
                if let Some(actor) = self.actors.get_mut(&name(who)) {
                    actor.act(op, now);
                }
                if tells || matches!(op, Op::Tell(_)) {
                    self.tell(&name(who));
                }
            }
            Op::Pass(ms) => self.now += Duration::from_millis(*ms),
            Op::Pool(index, policy) => {
                let pool = Arc::<str>::from(POOLS[*index]);
                match policy {
                    Some(policy) => drop(self.pools.insert(pool, *policy)),
                    None => {
                        self.pools.remove(&pool);
                        for member in self.members.values_mut() {
                            member.pools = member.pools.iter().filter(|it| **it != pool).cloned().collect();
                        }
                    }
                }
                self.configure();
            }
            Op::Policy(who, policy) => {
                let mut policy = policy.clone();
                policy.pools = policy.pools.iter().filter(|pool| self.pools.contains_key(*pool)).cloned().collect();
                self.members.insert(name(who), policy);
                self.configure();
                let actor = self.actors.entry(name(who)).or_default();
                actor.draining = false;
                if actor.told {
                    self.tell(&name(who));
                }
            }
            Op::Remove(who) => {
                self.members.remove(&name(who));
                self.configure();
                if let Some(actor) = self.actors.get_mut(&name(who)) {
                    actor.draining = true;
                    self.tell(&name(who));
                }
            }
            Op::Leave(who) => {
                let ended = |actor: &Actor| actor.draining && actor.runs.is_empty() && actor.pending.is_empty();
                if self.actors.get(&name(who)).is_some_and(ended) {
                    self.actors.remove(&name(who));
                    self.arbiter.leave(MEMBERS[*who], now);
                }
            }
            Op::NewTerm => self.new_term(),
        }
    }

    /// Another process leads: what is written counts, and nothing else is left.
    fn new_term(&mut self) {
        let recorded = self.actors.iter().map(|(name, actor)| (name.clone(), actor.runs.clone())).collect();
        for actor in self.actors.values_mut() {
            *actor = Actor {
                runs: std::mem::take(&mut actor.runs),
                demand: actor.demand,
                oldest_at: actor.oldest_at,
                draining: actor.draining,
                ..Actor::default()
            };
        }
        self.arbiter = Arbiter::new(recorded, self.now);
        self.configure();
    }

    /// Those that may be given places.
    pub(crate) fn waiting(&self) -> Vec<Waits> {
        let waits = |(name, policy): (&Arc<str>, &MemberPolicy)| {
            let actor = self.actors.get(name).filter(|actor| actor.told && actor.mail.is_none())?;
            let age = actor.oldest_at.map(|at| self.now.saturating_sub(at));
            let is_late = policy.target_age.is_some_and(|target| age.is_some_and(|age| age > target));
            let (wanted, policy) = (actor.wanted(), policy.clone());
            (wanted > 0 && !policy.pools.is_empty()).then(|| Waits { name: name.clone(), policy, wanted, is_late })
        };
        self.members.iter().filter_map(waits).collect()
    }

    /// Who holds how many places of a pool, from scratch.
    pub(crate) fn holders(&self, pool: &str) -> BTreeMap<Arc<str>, u64> {
        let mut holders = BTreeMap::new();
        for (name, actor) in &self.actors {
            let named = self.members.get(name).is_some_and(|policy| policy.pools.iter().any(|it| **it == *pool));
            let jobs = actor.held().filter(|places| named || places.iter().any(|place| *place.pool == *pool)).count();
            if jobs > 0 {
                holders.insert(name.clone(), jobs as u64);
            }
        }
        holders
    }

    /// Whether a place of a pool is free if so many were not held; not whether there is a token.
    pub(crate) fn has_room(&self, pool: &str, not_held: u64) -> bool {
        let untold = |(name, policy): (&Arc<str>, &MemberPolicy)| {
            policy.pools.iter().any(|it| **it == *pool) && !self.actors.get(name).is_some_and(|actor| actor.told)
        };
        let held: u64 = self.holders(pool).values().sum();
        let limit = self.pools.get(pool).and_then(|policy| policy.jobs);
        !self.members.iter().any(untold) && limit.is_none_or(|limit| held - not_held < u64::from(limit))
    }

    pub(crate) fn has_rate(&self, policy: &MemberPolicy) -> bool {
        policy.pools.iter().any(|pool| self.pools[pool].creates_per_minute.is_some())
    }

    /// Every place that anybody holds.
    pub(crate) fn places(&self) -> Vec<&Place> {
        self.actors.values().flat_map(|actor| actor.held().flat_map(|places| places.iter())).collect()
    }
}

impl Actor {
    fn act(&mut self, op: &Op, now: Duration) {
        match op {
            Op::Want(_, demand, age) => {
                self.demand = *demand;
                self.oldest_at = (*demand > 0).then(|| now - Duration::from_secs(*age));
            }
            Op::Receive(_) => {
                if let Some(grant) = self.mail.take() {
                    self.seen = grant.number;
                    self.pending.extend(grant.places);
                }
            }
            Op::Decide(_, most) => {
                let most = if self.draining { 0 } else { *most };
                let jobs = self.pending.len().min(most).min(usize::try_from(self.demand).expect("small"));
                self.runs.extend(self.pending.drain(..jobs));
                self.demand -= jobs as u64;
                self.returned += self.pending.len() as u64;
                self.pending.clear();
            }
            Op::End(_) if !self.runs.is_empty() => drop(self.runs.remove(0)),
            _ => {}
        }
    }
}

fn policy() -> impl Strategy<Value = MemberPolicy> {
    let pools = proptest::sample::subsequence(POOLS.to_vec(), 0..=POOLS.len());
    let target = proptest::option::of(Just(Duration::from_secs(60)));
    (pools, 1u32..4, 0i32..2, target).prop_map(|(pools, weight, priority, target_age)| MemberPolicy {
        pools: pools.into_iter().map(Arc::from).collect::<BTreeSet<Arc<str>>>().into_iter().collect(),
        weight,
        priority,
        target_age,
    })
}

pub(crate) fn op() -> impl Strategy<Value = Op> {
    let who = || 0..MEMBERS.len();
    let rate = proptest::option::weighted(0.3, prop_oneof![Just(6u32), Just(30)]);
    let pool = (proptest::option::weighted(0.8, 0u32..5), rate)
        .prop_map(|(jobs, creates_per_minute)| PoolPolicy { jobs, creates_per_minute });
    prop_oneof![
        8 => (who(), 0u64..5, 0u64..120).prop_map(|(who, jobs, age)| Op::Want(who, jobs, age)),
        8 => who().prop_map(Op::Receive),
        8 => (who(), 0usize..4).prop_map(|(who, most)| Op::Decide(who, most)),
        4 => who().prop_map(Op::Tell),
        8 => who().prop_map(Op::End),
        4 => (0u64..20_000).prop_map(Op::Pass),
        2 => (0..POOLS.len(), proptest::option::weighted(0.9, pool)).prop_map(|(pool, policy)| Op::Pool(pool, policy)),
        3 => (who(), policy()).prop_map(|(who, policy)| Op::Policy(who, policy)),
        1 => who().prop_map(Op::Remove),
        2 => who().prop_map(Op::Leave),
        1 => Just(Op::NewTerm),
    ]
}
