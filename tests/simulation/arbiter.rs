//! What holds of the arbiter whatever happens: properties over the model of `arbiter_world.rs`.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use job_chief::decide::share::policy::{MemberPolicy, PoolPolicy};
use proptest::prelude::*;

use crate::arbiter_world::{Actor, MEMBERS, Op, Waits, World, op};

/// Jobs of the last grants that count in a pool.
fn given_in(world: &World, pool: &str, counts: impl Fn(&str) -> bool) -> u64 {
    let grants = world.given.iter().filter(|(name, _)| counts(name));
    let places = grants.flat_map(|(_, grant)| grant.places.iter().flat_map(|places| places.iter()));
    places.filter(|place| *place.pool == *pool).count() as u64
}

fn invariant_no_place_is_given_beyond_the_limit(world: &World) {
    for (pool, policy) in &world.pools {
        let held: u64 = world.holders(pool).values().sum();
        let is_given = given_in(world, pool, |_| true) > 0;
        assert!(
            !is_given || policy.jobs.is_none_or(|limit| held <= limit.into()),
            "invariant: no_place_is_given_beyond_the_limit: {held} in {pool}, {policy:?}"
        );
    }
}

fn invariant_numbers_are_below_the_limit(world: &World) {
    for place in world.given.iter().flat_map(|(_, grant)| grant.places.iter().flat_map(|places| places.iter())) {
        let limit = world.pools[&place.pool].jobs;
        assert!(limit.is_none_or(|limit| place.number < limit), "invariant: numbers_are_below_the_limit: {place:?}");
    }
}

fn invariant_no_place_is_held_twice(world: &World) {
    let places = world.places();
    let distinct: BTreeSet<_> = places.iter().collect();
    assert_eq!(distinct.len(), places.len(), "invariant: no_place_is_held_twice: {places:?}");
}

fn invariant_all_places_of_a_job_or_none(world: &World) {
    for (name, grant) in &world.given {
        for places in &grant.places {
            let pools: Vec<_> = places.iter().map(|place| place.pool.clone()).collect();
            assert_eq!(*pools, *world.members[name].pools, "invariant: all_places_of_a_job_or_none: {name}");
        }
    }
}

fn invariant_no_more_than_is_wanted(world: &World) {
    for (name, grant) in &world.given {
        let waited = world.waited.iter().find(|it| it.name == *name);
        let wanted = waited.map_or(0, |it| it.wanted);
        assert!(grant.places.len() as u64 <= wanted, "invariant: no_more_than_is_wanted: {name}, {wanted}");
    }
}

/// Those that waited before the last grants and were given less than they wanted.
fn unserved(world: &World) -> impl Iterator<Item = &Waits> {
    let given =
        |name: &str| world.given.iter().find(|(it, _)| **it == *name).map_or(0, |(_, it)| it.places.len() as u64);
    world.waited.iter().filter(move |it| given(&it.name) < it.wanted)
}

fn invariant_no_place_stays_free_that_somebody_could_use(world: &World) {
    for it in unserved(world) {
        let has_room = it.policy.pools.iter().all(|pool| world.has_room(pool, 0));
        let waits_for_token = has_room && world.has_rate(&it.policy);
        assert!(!has_room || waits_for_token, "invariant: no_place_stays_free_that_somebody_could_use: {}", it.name);
        let due = world.arbiter.deadline();
        let is_given = world.given.iter().any(|(name, _)| *name == it.name);
        assert!(
            is_given
                || !waits_for_token
                || due.is_some_and(|due| due > world.now && due <= world.now + Duration::from_secs(60)),
            "invariant: who_waits_for_a_token_alone_has_a_time: {}, {due:?} at {:?}",
            it.name,
            world.now
        );
    }
}

/// Nobody of these goes before one that could have used its place. Tokens are left out: a token that somebody else has
/// taken tells nothing.
fn nothing_goes_to(world: &World, it: &Waits, what: &str, those: impl Fn(&Waits) -> bool) {
    let counts = |name: &str| world.waited.iter().any(|other| *other.name == *name && those(other));
    let could = it.policy.pools.iter().all(|pool| world.has_room(pool, given_in(world, pool, counts)));
    let all_rates = world.pools.values().any(|policy| policy.creates_per_minute.is_some());
    let served = world.given.iter().any(|(name, _)| counts(name));
    assert!(!could || !served || all_rates, "invariant: {what}: {} waits, {:?}", it.name, world.given);
}

fn invariant_no_missed_target_waits_for_one_that_is_met(world: &World) {
    for it in unserved(world).filter(|it| it.is_late) {
        nothing_goes_to(world, it, "no_missed_target_waits_for_one_that_is_met", |other| !other.is_late);
    }
}

fn invariant_a_higher_priority_goes_first(world: &World) {
    for it in unserved(world) {
        nothing_goes_to(world, it, "a_higher_priority_goes_first", |other| {
            !other.is_late && other.policy.priority < it.policy.priority
        });
    }
}

/// Whatever is removed, reloaded or told while a grant is on its way: nothing is lost or counted twice.
fn invariant_what_is_held_is_what_the_actors_hold(world: &World) {
    let usage = world.arbiter.usage();
    for pool in usage.iter().map(|it| &it.pool).chain(world.pools.keys()) {
        let holders = usage.iter().find(|it| it.pool == *pool).map(|it| &it.holders);
        let told: BTreeMap<Arc<str>, u64> =
            holders.into_iter().flatten().map(|it| (it.job_config.clone(), it.places)).collect();
        assert_eq!(told, world.holders(pool), "invariant: what_is_held_is_what_the_actors_hold: {pool}");
    }
}

fn invariant_who_waits_is_told_why(world: &World) {
    for it in world.waiting() {
        let account = world.arbiter.account(&it.name, world.now).expect("it shares something");
        assert!(!account.held_up_by.is_empty(), "invariant: who_waits_is_told_why: {}, {account:?}", it.name);
        assert_eq!(account.wanted, it.wanted);
    }
}

fn check(world: &World) {
    invariant_no_place_is_given_beyond_the_limit(world);
    invariant_numbers_are_below_the_limit(world);
    invariant_no_place_is_held_twice(world);
    invariant_all_places_of_a_job_or_none(world);
    invariant_no_more_than_is_wanted(world);
    invariant_no_place_stays_free_that_somebody_could_use(world);
    invariant_no_missed_target_waits_for_one_that_is_met(world);
    invariant_a_higher_priority_goes_first(world);
    invariant_what_is_held_is_what_the_actors_hold(world);
    invariant_who_waits_is_told_why(world);
}

/// Everything is answered, all Jobs end, and time passes: whoever wants places has had them.
fn liveness_everybody_is_served(world: &mut World) {
    for policy in world.pools.values_mut() {
        policy.jobs = policy.jobs.map(|limit| limit.max(1));
    }
    world.configure();
    for _ in 0..200 {
        for who in 0..MEMBERS.len() {
            for op in [Op::Receive(who), Op::Decide(who, usize::MAX), Op::End(who)] {
                world.take(&op);
                check(world);
            }
        }
        world.take(&Op::Pass(11_000));
    }
    let left: Vec<_> = world.waiting().into_iter().map(|it| (it.name, it.wanted)).collect();
    assert!(left.is_empty(), "liveness: everybody_is_served: {left:?}");
}

/// All promises hold while this happens, and in the end everybody is served.
pub(crate) fn history(ops: &[Op]) {
    let mut world = World::new();
    for who in 0..MEMBERS.len() {
        world.take(&Op::Tell(who));
    }
    for op in ops {
        world.take(op);
        check(&world);
    }
    for who in 0..MEMBERS.len() {
        world.take(&Op::Tell(who));
    }
    liveness_everybody_is_served(&mut world);
}

/// Members of one pool, of which each wants all or nothing and answers at once.
fn greedy(pools: &[(u32, Option<u32>)], weights: &[(u32, &[&str])]) -> World {
    let mut world = World::new();
    world.pools = [("gpu", pools[0]), ("limits", pools[1])]
        .map(|(name, (jobs, creates_per_minute))| (name.into(), PoolPolicy { jobs: Some(jobs), creates_per_minute }))
        .into();
    let policy = |(weight, pools): &(u32, &[&str])| MemberPolicy {
        pools: pools.iter().map(|pool| Arc::from(*pool)).collect(),
        weight: *weight,
        ..MemberPolicy::default()
    };
    world.members = MEMBERS.iter().zip(weights).map(|(name, it)| (Arc::from(*name), policy(it))).collect();
    world.actors = world.members.keys().map(|name| (name.clone(), Actor::default())).collect();
    world.configure();
    for who in 0..weights.len() {
        world.take(&Op::Want(who, 0, 0));
    }
    world
}

/// What each was given at each step, and whether it wanted places all the while.
#[derive(Default)]
struct Log {
    steps: Vec<BTreeMap<Arc<str>, (bool, u64)>>,
}

impl Log {
    /// Gives until nobody can be given any more; every grant is used at once.
    fn serve(&mut self, world: &mut World, wants: &[bool]) {
        loop {
            let name = |who: usize| Arc::<str>::from(MEMBERS[who]);
            let given = |who| world.given.iter().find(|(it, _)| *it == name(who)).map_or(0, |(_, it)| it.places.len());
            self.steps.push((0..wants.len()).map(|who| (name(who), (wants[who], given(who) as u64))).collect());
            if world.given.is_empty() {
                return;
            }
            for (who, wants) in wants.iter().enumerate() {
                for op in [Op::Receive(who), Op::Decide(who, usize::MAX)] {
                    world.act_alone(&op);
                }
                world.act_alone(&Op::Want(who, if *wants { 20 } else { 0 }, 1));
            }
            world.grant();
        }
    }

    /// Over every interval in which both want places without a break.
    fn invariant_shares_are_within_one_job_of_the_weights(&self, one: (&str, u64), two: (&str, u64)) {
        let at = |step: &BTreeMap<Arc<str>, (bool, u64)>, name: &str| step[name];
        for from in 0..self.steps.len() {
            let (mut first, mut second) = (0, 0);
            for (to, step) in self.steps.iter().enumerate().skip(from) {
                let ((one_wants, one_given), (two_wants, two_given)) = (at(step, one.0), at(step, two.0));
                if !one_wants || !two_wants {
                    break;
                }
                (first, second) = (first + one_given, second + two_given);
                assert!(
                    (first * two.1).abs_diff(second * one.1) <= one.1 + two.1,
                    "invariant: shares_are_within_one_job_of_the_weights: {first} of {one:?}, {second} of {two:?} in {from}..={to}"
                );
            }
        }
    }
}

/// Jobs that were created, when they were granted: no stretch of time has more than it brought, and a burst.
fn invariant_tokens_never_exceed_rate_and_burst(created: &[(Duration, u64)], per_minute: u64) {
    let burst = (per_minute / 10).max(1);
    for (index, (from, _)) in created.iter().enumerate() {
        let mut jobs = 0;
        for (to, more) in &created[index..] {
            jobs += more;
            let brought = (*to - *from).as_nanos() * u128::from(per_minute);
            assert!(
                u128::from(jobs.saturating_sub(burst)) * 60_000_000_000 <= brought,
                "invariant: tokens_never_exceed_rate_and_burst: {jobs} from {from:?} to {to:?}"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_that_happens_breaks_a_promise(ops in proptest::collection::vec(op(), 1..80)) {
        history(&ops);
    }

    #[test]
    fn who_waits_has_its_share(
        weights in proptest::collection::vec(1u32..6, 3),
        limit in 1u32..6,
        gpu in 1u32..4,
        steps in proptest::collection::vec((0usize..4, any::<bool>(), any::<bool>()), 1..60),
    ) {
        let [a, b, d] = [weights[0], weights[1], weights[2]];
        let mut world = greedy(
            &[(gpu, None), (limit, None)],
            &[(a, &["limits"]), (b, &["limits"]), (1, &["gpu", "limits"]), (d, &["gpu", "limits"])],
        );
        let (mut log, mut wants) = (Log::default(), [false; 4]);
        for (who, turns, ends) in steps {
            if turns {
                wants[who] = !wants[who];
                world.take(&Op::Want(who, if wants[who] { 20 } else { 0 }, 1));
            } else if ends {
                world.take(&Op::End(who));
            }
            log.serve(&mut world, &wants);
        }
        log.invariant_shares_are_within_one_job_of_the_weights(("a", a.into()), ("b", b.into()));
        log.invariant_shares_are_within_one_job_of_the_weights(("c", 1), ("d", d.into()));
    }

    #[test]
    fn no_more_is_created_than_the_rate_allows(
        per_minute in 1u32..90,
        ops in proptest::collection::vec(prop_oneof![
            (0usize..3).prop_map(Op::Receive),
            (0usize..3, 0usize..4).prop_map(|(who, most)| Op::Decide(who, most)),
            (0usize..3, 0u64..9).prop_map(|(who, jobs)| Op::Want(who, jobs, 1)),
            (0u64..15_000).prop_map(Op::Pass),
        ], 1..150),
    ) {
        let limits: &[&str] = &["limits"];
        let mut world = greedy(&[(1, None), (1_000, Some(per_minute))], &[(1, limits), (2, limits), (1, limits)]);
        let (mut sent, mut granted, mut created) = (BTreeMap::new(), BTreeMap::<Arc<str>, Vec<Duration>>::new(), vec![]);
        for op in &ops {
            if let Op::Decide(who, _) = op {
                let name = Arc::<str>::from(MEMBERS[*who]);
                let before = world.actors[&name].runs.len();
                world.take(op);
                let used = world.actors[&name].runs.len() - before;
                // What has not arrived yet is not decided.
                let arrived: Vec<Duration> = granted.remove(&name).unwrap_or_default();
                created.extend(arrived.into_iter().take(used).map(|at| (at, 1)));
            } else {
                if let Op::Receive(who) = op {
                    let name = Arc::<str>::from(MEMBERS[*who]);
                    let sent: Vec<Duration> = sent.remove(&name).unwrap_or_default();
                    granted.entry(name).or_default().extend(sent);
                }
                world.take(op);
            }
            for (name, grant) in &world.given {
                sent.insert(name.clone(), grant.places.iter().map(|_| world.now).collect());
            }
        }
        created.sort();
        invariant_tokens_never_exceed_rate_and_burst(&created, per_minute.into());
    }
}

/// The last Job is at the same place in the queue as when it left.
#[test]
fn idling_and_coming_back_gain_nothing() {
    let limits: &[&str] = &["limits"];
    let mut world = greedy(&[(1, None), (1, None)], &[(1, limits), (1, limits)]);
    let mut log = Log::default();
    world.take(&Op::Want(0, 20, 1));
    for _ in 0..50 {
        log.serve(&mut world, &[true, false]);
        world.take(&Op::End(0));
    }
    let mut wins = [0, 0];
    for round in 0..20 {
        // One of them stops wanting for a moment, each time.
        world.take(&Op::Want(1, 0, 1));
        world.take(&Op::Want(1, 20, 1));
        log.serve(&mut world, &[true, true]);
        for (who, won) in wins.iter_mut().enumerate() {
            let runs = world.actors[MEMBERS[who]].runs.len();
            *won += runs;
            if runs > 0 {
                world.act_alone(&Op::End(who));
            }
        }
        world.grant();
        let apart = wins[0].abs_diff(wins[1]);
        assert!(apart <= 1, "after {round} rounds: {wins:?}");
    }
}
