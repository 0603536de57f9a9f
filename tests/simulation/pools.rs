//! Every history of queues that share pools: what always holds, and that in the end every message has had its Job.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use job_chief::decide::place::Place;

use crate::{
    faults::{ALL, FAULTS, faults_in_words},
    histories::Histories,
    pools_disturb::{SHARING_FAULTS, SharingFault},
    pools_world::{Member, SharingWorld, is_in},
    states::{Matrix, Pairs, State, Unseen},
};

/// All kinds of faults: those of a single world, and those of all.
pub(crate) const ALL_SHARING: u32 = ALL | (((1 << SHARING_FAULTS.len()) - 1) << FAULTS.len());

/// Rounds within which everything comes to its end once nothing disturbs any more.
const ROUNDS_MAX: u32 = 4_000;

fn invariant_no_pool_has_more_jobs_than_its_limit(world: &SharingWorld) {
    for (pool, allowed) in &world.allowed {
        let live: usize = world.members.iter().map(|member| world.live_in(member, pool).count()).sum();
        assert!(
            live as u64 <= *allowed,
            "invariant: no_pool_has_more_jobs_than_its_limit: {pool}: {live} > {allowed}: {:#?}",
            world.members.iter().map(|member| world.account_of(member, pool)).collect::<Vec<_>>()
        );
    }
}

fn invariant_no_place_has_two_runs(world: &SharingWorld) {
    let mut taken = BTreeSet::new();
    for place in world.members.iter().flat_map(|member| member.world.store.held()) {
        assert!(taken.insert(place), "invariant: no_place_has_two_runs: {place:?}");
    }
}

/// Not of a broker that has begun while actors were at work: then Postgres alone tells who is first.
fn invariant_no_place_is_given_twice(world: &SharingWorld) {
    if world.broker.is_anew {
        return;
    }
    let mut taken: BTreeMap<Place, &Arc<str>> = BTreeMap::new();
    for member in world.members.iter().filter(|member| !member.gone) {
        let held = member.world.life.need().into_iter().flat_map(|need| need.held);
        // Whoever has been given what a late wish has taken finds out when its own is refused.
        for place in held.flat_map(|places| places.to_vec()).filter(|place| !is_late(world, place)) {
            let other = taken.insert(place.clone(), &member.name);
            assert_eq!(other, None, "invariant: no_place_is_given_twice: {place:?}, {}", member.name);
        }
    }
}

fn invariant_the_arbiter_knows_of_every_place(world: &SharingWorld) {
    let Some(arbiter) = world.broker.arbiter.as_ref().filter(|_| !world.broker.is_anew) else { return };
    for usage in arbiter.usage() {
        let all = world.members.iter();
        let rows =
            all.flat_map(|member| member.world.store.rows.iter().filter(|row| !member.late_runs.contains(row.0)));
        let open = rows.filter(|(_, row)| row.end.is_none() && is_in(&row.places, &usage.pool)).count() as u64;
        assert!(open <= usage.held, "invariant: the_arbiter_knows_of_every_place: {open} in {usage:?}");
    }
}

/// A wish that was written when nobody waited for it has this place.
fn is_late(world: &SharingWorld, place: &Place) -> bool {
    world.members.iter().any(|member| {
        let late = member.late_runs.iter().filter_map(|name| member.world.store.rows.get(name));
        late.into_iter().any(|row| row.places.contains(place))
    })
}

/// At rest, what the arbiter counts is what the JobConfigs hold.
fn invariant_no_place_leaks(world: &SharingWorld) {
    let arbiter = world.broker.arbiter.as_ref().expect("it has begun");
    // Whoever loads anew has taken in a grant, maybe, and can't tell yet.
    if world.members.iter().any(|member| member.told.is_none() || member.told != member.world.life.need()) {
        return;
    }
    for usage in arbiter.usage() {
        let of = |(at, member): (usize, &Member)| {
            let is_member = world.broker.file.pools_of(at).contains(&usage.pool);
            let held = member.told.iter().flat_map(|need| need.held.iter());
            held.filter(|places| is_member || is_in(places, &usage.pool)).count() as u64
        };
        let held: u64 = world.members.iter().enumerate().map(of).sum();
        assert_eq!(usage.held, held, "invariant: no_place_leaks: {usage:?}");
    }
}

/// At rest, nobody waits who could have all its places.
fn invariant_nobody_waits_who_could_go_on(world: &SharingWorld) {
    let arbiter = world.broker.arbiter.as_ref().expect("it has begun");
    let usage: BTreeMap<Arc<str>, _> = arbiter.usage().into_iter().map(|it| (it.pool.clone(), it)).collect();
    for (at, member) in world.members.iter().enumerate() {
        let need = member.world.life.need();
        assert!(need.is_none() || need == member.told, "invariant: what_is_needed_is_told");
        let Some(need) = need.filter(|need| need.wanted > 0) else { continue };
        let holds_up = |pool: &Arc<str>| {
            let usage = &usage[pool];
            usage.limit.is_some_and(|limit| usage.held >= u64::from(limit)) || usage.creates_per_minute.is_some()
        };
        // Who loads its runs anew can't tell what it holds, and nothing is given meanwhile.
        let untold = world.members.iter().any(|other| other.told.is_none() || other.world.life.need().is_none());
        let pools = world.broker.file.pools_of(at);
        assert!(
            untold || pools.iter().any(holds_up),
            "invariant: nobody_waits_who_could_go_on: {} {need:?} {usage:?} {:?}",
            member.name,
            arbiter.account(&member.name, world.now)
        );
    }
}

fn liveness_every_message_gets_its_job_and_every_place_is_given_back(world: &mut SharingWorld) {
    world.calm();
    for _ in 0..ROUNDS_MAX {
        world.settle();
        check(world);
        invariant_no_place_leaks(world);
        invariant_nobody_waits_who_could_go_on(world);
        let over = |member: &Member| {
            let world = &member.world;
            let idle = world.cluster.jobs.values().all(|it| !it.is_live());
            // A wish that was written too late is nobody's business as long as nobody misses its slot or its places.
            let ended = world.store.rows.iter().all(|(name, row)| row.end.is_some() || member.late_runs.contains(name));
            world.messages.is_empty() && idle && ended && world.store.served == world.asked
        };
        let free = world.broker.arbiter.iter().flat_map(|arbiter| arbiter.usage()).all(|usage| usage.held == 0);
        if world.members.iter().all(over) && free {
            return;
        }
        world.time_passes();
    }
    let told =
        |member: &Member| format!("{}: {} messages, {:?}", member.name, member.world.messages.len(), member.told);
    let told: Vec<String> = world.members.iter().map(told).collect();
    let usage = world.broker.arbiter.as_ref().map(|arbiter| arbiter.usage());
    panic!("liveness: every_message_gets_its_job_and_every_place_is_given_back: {told:#?} {usage:#?}");
}

fn check(world: &SharingWorld) {
    invariant_no_pool_has_more_jobs_than_its_limit(world);
    invariant_no_place_has_two_runs(world);
    invariant_no_place_is_given_twice(world);
    invariant_the_arbiter_knows_of_every_place(world);
}

pub(crate) fn history(seed: u64, steps: u64, faults: u32) -> SharingWorld {
    let mut world = SharingWorld::new(seed, faults);
    for _ in 0..steps {
        world.step();
        check(&world);
    }
    liveness_every_message_gets_its_job_and_every_place_is_given_back(&mut world);
    world
}

const HISTORIES: Histories<SharingWorld> = Histories {
    run: history,
    faults: ALL_SHARING,
    in_words: |faults| format!("{} {:?}", faults_in_words(faults), kinds(faults)),
    kept: (include_str!("kept_pools.txt"), "kept_pools.txt"),
};

fn kinds(faults: u32) -> Vec<SharingFault> {
    SHARING_FAULTS.into_iter().filter(|kind| faults & kind.bit() != 0).collect()
}

/// Pairs of a fault and a state that can't be.
const IMPOSSIBLE: &[Pairs<SharingFault>] =
    &[Pairs(&[], &Unseen { states: &[State::Stopping], why: "here a process ends at once and with all its actors" })];

#[test]
fn kept_histories_of_sharing_hold() {
    HISTORIES.hold_kept();
}

#[test]
fn every_history_of_sharing_holds() {
    let mut seen = Matrix::default();
    let (mut created, mut placed) = (0, 0);
    let seeds = HISTORIES.hold_all(1_000, 1_500, |world| {
        seen.add(&world.seen);
        for member in &world.members {
            created += member.world.created;
            placed += member.world.store.rows.values().filter(|row| !row.places.is_empty()).count();
        }
    });
    eprintln!("{seeds} histories of sharing: {created} Jobs created, {placed} runs with places");
    eprintln!("what runs and their processes were in as a fault struck:");
    seen.tell(&SHARING_FAULTS);
    assert!(seeds < 100 || placed > 0, "no run had a place");
    if seeds >= 1_000 {
        seen.invariant_each_pair_was_seen(&SHARING_FAULTS, IMPOSSIBLE, &[]);
    }
}
