//! The arbiter: takes what each member has told, and gives free places away.
//!
//! `note_need` and `configure` take facts in, `grants` gives (`granting.rs`), `account` and `usage` tell people why. A place
//! is free if neither a run holds it, nor a grant that is on its way, nor one that was recorded when the term began and of
//! whose JobConfig nothing has been heard since.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use crate::decide::{
    place::Places,
    share::{
        bucket::Bucket,
        index::Index,
        member::Member,
        need::Need,
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
    /// Also JobConfigs that are no members: they still hold places, or have told what they need and not left.
    pub(super) members: BTreeMap<Arc<str>, Member>,
    pub(super) pools: BTreeMap<Arc<str>, Pool>,
    pub(super) time: VirtualTime,
    /// The number of the last grant, of all members.
    pub(super) number: u64,
    /// What is on record may be another than what was told.
    pub(super) in_doubt: bool,
    /// Those that are to load their runs anew.
    pub(super) to_load: BTreeSet<Arc<str>>,
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
        let (pools, time, to_load) = (BTreeMap::new(), VirtualTime::default(), BTreeSet::new());
        let mut arbiter = Self { members, pools, time, number: 0, in_doubt: false, to_load, index };
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
        self.members.retain(|_, member| !member.is_nobody());
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
        self.find_untold(name, &mut member, |places| !need.held.contains(places));
        let returned = member.need.as_ref().map_or(0, |before| need.returned.saturating_sub(before.returned));
        self.in_doubt |= need.refused > member.need.as_ref().map_or(0, |before| before.refused);
        member.recorded = vec![];
        member.need = Some(need);
        self.index.expect(name, &member);
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
        self.to_load.remove(&name);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::{
        place::Place,
        share::{account::HeldUp, sentence::sentence},
    };

    const NOW: Duration = Duration::from_secs(1_000);

    fn policy(pools: &[&str]) -> MemberPolicy {
        let pools = pools.iter().map(|pool| Arc::from(*pool)).collect();
        MemberPolicy { pools, weight: 1, ..MemberPolicy::default() }
    }

    fn arbiter(pools: &[(&str, PoolPolicy)], members: &[(&str, MemberPolicy)]) -> Arbiter {
        let mut arbiter = Arbiter::new(BTreeMap::new(), NOW);
        configure(&mut arbiter, pools, members);
        arbiter
    }

    fn configure(arbiter: &mut Arbiter, pools: &[(&str, PoolPolicy)], members: &[(&str, MemberPolicy)]) {
        let pools = pools.iter().map(|(name, policy)| (Arc::from(*name), *policy)).collect();
        let members = members.iter().map(|(name, policy)| (Arc::from(*name), policy.clone())).collect();
        arbiter.configure(pools, members, NOW);
    }

    fn places(jobs: u32) -> PoolPolicy {
        PoolPolicy { jobs: Some(jobs), creates_per_minute: None }
    }

    /// Jobs with one place each in a pool.
    fn held(pool: &str, numbers: &[u32]) -> Vec<Places> {
        numbers.iter().map(|number| [Place { pool: pool.into(), number: *number }].into()).collect()
    }

    fn want(wanted: u64, age: u64) -> Need {
        let at = Some(NOW - Duration::from_secs(age));
        Need { wanted, since: at, oldest_at: at, ..Need::default() }
    }

    fn tell(arbiter: &mut Arbiter, name: &str, need: Need) {
        arbiter.note_need(&name.into(), need, NOW);
    }

    /// Who is given how many places.
    fn given(arbiter: &mut Arbiter) -> String {
        let grants = arbiter.grants(NOW);
        let told: Vec<String> = grants.iter().map(|(name, grant)| format!("{name} {}", grant.places.len())).collect();
        told.join(", ")
    }

    fn said(arbiter: &Arbiter, name: &str) -> String {
        sentence(&arbiter.account(name, NOW).expect("it shares something")).expect("it waits")
    }

    #[test]
    fn the_later_by_ratio_goes_first_then_priority_weight_and_age() {
        let target = |seconds, policy| MemberPolicy { target_age: Some(Duration::from_secs(seconds)), ..policy };
        let high = MemberPolicy { priority: 5, ..policy(&["p"]) };
        let members = [
            ("a", target(10, policy(&["p"]))),
            ("b", target(100, high.clone())),
            ("c", high),
            ("d", policy(&["p"])),
            ("e", MemberPolicy { weight: 3, ..policy(&["p"]) }),
        ];
        let mut arbiter = arbiter(&[("p", places(0))], &members);
        for (name, age) in [("a", 40), ("b", 300), ("c", 1), ("d", 500), ("e", 1)] {
            tell(&mut arbiter, name, want(2, age));
        }
        let expected = ["a 2", "a 2, b 1", "a 2, b 2, c 1", "a 2, b 2, c 2, d 1", "a 2, b 2, c 2, d 1, e 2"];
        for (limit, expected) in [2, 3, 5, 7, 9].into_iter().zip(expected) {
            let mut arbiter = arbiter.clone();
            configure(&mut arbiter, &[("p", places(limit))], &members);
            assert_eq!(given(&mut arbiter), expected, "{limit} places");
        }
        let before =
            "before it go a (its targetAge is missed), b (its targetAge is missed), c (its priority is higher)";
        let starves = "others of a higher priority may keep it waiting for ever, for it has no targetAge";
        assert_eq!(
            said(&arbiter, "d"),
            format!("waits for 8m 20s for places for 2 Jobs: p has no places; {before}; {starves}")
        );
    }

    #[test]
    fn nothing_is_given_before_every_member_has_told() {
        let recorded = [("old".into(), held("p", &[0]))].into();
        let mut arbiter = Arbiter::new(recorded, NOW);
        configure(
            &mut arbiter,
            &[("p", places(2)), ("q", places(1))],
            &[("a", policy(&["p"])), ("b", policy(&["p", "q"])), ("c", policy(&["q"]))],
        );
        tell(&mut arbiter, "a", want(2, 3));
        assert_eq!(given(&mut arbiter), "");
        assert_eq!(said(&arbiter, "a"), "waits for 3s for places for 2 Jobs: what b holds in p is not known yet");
        tell(&mut arbiter, "b", Need::default());
        let grants = arbiter.grants(NOW);
        assert_eq!(grants[0].1.places, held("p", &[1]), "a stranger has the other, by what is recorded");
        arbiter.leave("old", NOW);
        tell(&mut arbiter, "a", Need { held: held("p", &[1]), seen: 1, ..want(1, 3) });
        assert_eq!(arbiter.grants(NOW)[0].1.places, held("p", &[0]));
    }

    #[test]
    fn a_need_that_crosses_its_grant_is_given_nothing_for_it() {
        let mut arbiter = arbiter(&[("p", places(5))], &[("a", policy(&["p"]))]);
        tell(&mut arbiter, "a", want(2, 1));
        assert_eq!(given(&mut arbiter), "a 2");
        tell(&mut arbiter, "a", want(3, 1));
        assert_eq!((given(&mut arbiter).as_str(), arbiter.usage()[0].held), ("", 2));
        assert_eq!(arbiter.account("a", NOW).map(|account| account.granted), Some(2));
        tell(&mut arbiter, "a", Need { held: held("p", &[0, 1]), seen: 1, ..want(1, 1) });
        assert_eq!((given(&mut arbiter).as_str(), arbiter.usage()[0].held), ("a 1", 3));
    }

    #[test]
    fn a_lower_limit_drains_and_a_pool_without_one_has_room() {
        let mut arbiter = arbiter(&[("p", places(3))], &[("a", policy(&["p"])), ("b", policy(&["p"]))]);
        tell(&mut arbiter, "a", Need { held: held("p", &[0, 1, 2]), ..want(0, 1) });
        tell(&mut arbiter, "b", want(1, 1));
        configure(&mut arbiter, &[("p", places(2))], &[("a", policy(&["p"])), ("b", policy(&["p"]))]);
        assert_eq!(given(&mut arbiter), "");
        assert_eq!(said(&arbiter, "b"), "waits for 1s for places for 1 Job: p is full, 3 of 2 places are held by a 3");
        tell(&mut arbiter, "a", Need { held: held("p", &[2]), ..want(0, 1) });
        assert_eq!(arbiter.grants(NOW)[0].1.places, held("p", &[0]));
        configure(&mut arbiter, &[], &[]);
        assert_eq!((given(&mut arbiter).as_str(), arbiter.usage()[0].held, arbiter.usage()[0].limit), ("", 2, None));
        arbiter.leave("a", NOW);
        arbiter.leave("b", NOW);
        assert_eq!(arbiter.usage(), []);
    }

    #[test]
    fn who_comes_back_into_a_pool_is_asked_anew_for_its_runs_without_places_are_not_known() {
        let with = [("x", policy(&["p"])), ("y", policy(&["p"]))];
        let mut arbiter = arbiter(&[("p", places(2))], &with);
        tell(&mut arbiter, "x", Need { held: held("p", &[0]), ..Need::default() });
        tell(&mut arbiter, "y", Need::default());
        configure(&mut arbiter, &[("p", places(2))], &with[1..]);
        // It goes on creating without places, and does not tell of that.
        tell(&mut arbiter, "x", Need { held: held("p", &[0]), partial: true, ..Need::default() });
        configure(&mut arbiter, &[("p", places(2))], &with);
        tell(&mut arbiter, "y", want(1, 5));
        assert_eq!(given(&mut arbiter), "");
        assert_eq!(said(&arbiter, "y"), "waits for 5s for places for 1 Job: what x holds in p is not known yet");
        tell(&mut arbiter, "x", Need { partial: true, ..Need::default() });
        assert_eq!(given(&mut arbiter), "", "it was sent before its orders reached it");
        tell(&mut arbiter, "x", Need { held: vec![[].into(), [].into()], ..Need::default() });
        assert_eq!((given(&mut arbiter).as_str(), arbiter.usage()[0].held), ("", 2));
        tell(&mut arbiter, "x", Need { held: vec![[].into()], ..Need::default() });
        assert_eq!(given(&mut arbiter), "y 1");
    }

    #[test]
    fn who_is_in_force_no_more_is_given_nothing_whatever_it_wants() {
        let mut arbiter = arbiter(&[("p", places(2))], &[("a", policy(&["p"]))]);
        tell(&mut arbiter, "a", Need { held: held("p", &[0]), ..want(1, 1) });
        configure(&mut arbiter, &[("q", places(9))], &[]);
        tell(&mut arbiter, "a", Need { held: held("p", &[0]), ..want(2, 1) });
        assert_eq!((given(&mut arbiter).as_str(), arbiter.usage()[0].held), ("", 1));
    }

    #[test]
    fn a_run_without_a_place_in_a_pool_of_its_policy_counts_there() {
        let mut arbiter =
            arbiter(&[("p", places(2)), ("q", places(1))], &[("a", policy(&["p", "q"])), ("b", policy(&["q"]))]);
        tell(&mut arbiter, "a", Need { held: vec![[].into()], ..want(0, 1) });
        tell(&mut arbiter, "b", want(1, 1));
        assert_eq!(given(&mut arbiter), "");
        let account = arbiter.account("b", NOW).expect("a member");
        assert!(matches!(&account.held_up_by[..], [HeldUp::Full { held: 1, limit: 1, .. }]), "{account:?}");
    }

    #[test]
    fn the_next_token_is_the_deadline_while_nothing_else_is_missing() {
        let rated = PoolPolicy { jobs: Some(1), creates_per_minute: Some(6) };
        let mut arbiter = arbiter(&[("p", rated)], &[("a", policy(&["p"]))]);
        tell(&mut arbiter, "a", Need::default());
        assert_eq!(arbiter.deadline(), None, "nobody waits");
        tell(&mut arbiter, "a", want(2, 1));
        assert_eq!(given(&mut arbiter), "", "it begins empty");
        let due = NOW + Duration::from_secs(10);
        assert_eq!(arbiter.deadline(), Some(due));
        assert_eq!(
            said(&arbiter, "a"),
            "waits for 1s for places for 2 Jobs: p lets 6 Jobs be created a minute, the next in 10s"
        );
        assert_eq!(arbiter.grants(due).len(), 1);
        tell(&mut arbiter, "a", Need { held: held("p", &[0]), seen: 1, ..want(1, 1) });
        assert_eq!(arbiter.deadline(), None, "it waits for a place");
        tell(&mut arbiter, "a", Need { seen: 1, returned: 1, ..want(1, 1) });
        assert_eq!(arbiter.grants(due).len(), 1, "the token has come back");
    }

    #[test]
    fn who_returns_everything_and_wants_on_lets_others_have_their_turn() {
        let mut arbiter = arbiter(&[("p", places(1))], &[("a", policy(&["p"])), ("b", policy(&["p"]))]);
        tell(&mut arbiter, "b", Need::default());
        tell(&mut arbiter, "a", want(1, 9));
        assert_eq!(given(&mut arbiter), "a 1");
        tell(&mut arbiter, "b", want(1, 1));
        tell(&mut arbiter, "a", Need { seen: 1, returned: 1, ..want(1, 9) });
        assert_eq!(given(&mut arbiter), "b 1");
    }

    #[test]
    fn a_group_that_was_held_up_has_saved_up_nothing() {
        let members = [("a", policy(&["p"])), ("b", policy(&["p", "q"]))];
        let mut arbiter = arbiter(&[("p", places(4)), ("q", places(0))], &members);
        tell(&mut arbiter, "b", want(100, 9));
        for seen in 0..50 {
            tell(&mut arbiter, "a", Need { seen, ..want(1, 1) });
            assert_eq!(given(&mut arbiter), "a 1");
        }
        configure(&mut arbiter, &[("p", places(8)), ("q", places(9))], &members);
        tell(&mut arbiter, "a", Need { seen: 50, ..want(100, 1) });
        assert_eq!(
            given(&mut arbiter),
            "a 3, b 5",
            "a has just had a turn; b has none of the fifty that it could not have used"
        );
    }
}
