//! Every history of a queue: what always holds, and that in the end every message has had its Job.

use std::time::Duration;

use crate::{
    faults::{ALL, Counters, FAULTS, Fault, faults_in_words},
    histories::Histories,
    scout::Scout,
    states::{BEFORE_A_VIEW, NO_ENTRY, NO_JOB, NO_POD, Pairs, UNKNOWN_JOB},
    world::World,
};

fn invariant_never_more_live_jobs_than_max(world: &World) {
    let live = world.cluster.jobs.values().filter(|it| it.is_live()).count();
    let max = world.allowed.most as usize;
    assert!(live <= max, "invariant: never_more_live_jobs_than_max: {live} > {max}");
}

fn liveness_fetchable_work_and_room_lead_to_a_job(world: &mut World) {
    for _ in 0..2000 {
        world.calm_step();
        let idle = world.cluster.jobs.values().all(|it| !it.is_live());
        let served = world.store.served == world.asked;
        if world.messages.is_empty() && idle && served && world.store.rows.values().all(|row| row.end.is_some()) {
            return;
        }
    }
    panic!(
        "liveness: fetchable_work_and_room_lead_to_a_job: {} messages left, jobs {:?}, status {:?}",
        world.messages.len(),
        world.cluster.jobs.keys(),
        world.life.status(world.now)
    );
}

/// Who has done everything comes to rest, and the Scout finds what comes then.
fn liveness_who_rests_is_woken(world: &mut World) {
    let rests = (0..200).any(|_| {
        world.calm_step();
        world.life.rest().is_some()
    });
    assert!(rests, "liveness: who_has_nothing_to_do_rests: {:?}", world.life.status(world.now));
    world.messages.extend([world.now, world.now + Duration::from_secs(7)]);
    liveness_fetchable_work_and_room_lead_to_a_job(world);
}

pub(crate) fn history(seed: u64, steps: u64, faults: u32) -> World {
    let mut world = World::new(seed, faults);
    // None that was kept before there was a Scout is among them: those stay as they were.
    world.scout = matches!(seed % 7, 0 | 3).then(Scout::default);
    for _ in 0..steps {
        world.step();
        invariant_never_more_live_jobs_than_max(&world);
    }
    world.calm();
    liveness_fetchable_work_and_room_lead_to_a_job(&mut world);
    if world.scout.is_some() {
        liveness_who_rests_is_woken(&mut world);
    }
    world
}

/// Pairs of a fault and a state that can't be.
const IMPOSSIBLE: &[Pairs<Fault>] = &[
    Pairs(&[Fault::RequestLate, Fault::ViewReturns], &BEFORE_A_VIEW),
    Pairs(&[Fault::LeavesTheFile, Fault::AskedByHand, Fault::Reconfigured], &NO_ENTRY),
    Pairs(&[Fault::JobDeleted, Fault::PodDeleted, Fault::NodeGone], &NO_JOB),
    Pairs(&[Fault::PodDeleted, Fault::NodeGone], &NO_POD),
];

/// Pairs that may be, and are too seldom for the test run.
const SELDOM: &[Pairs<Fault>] = &[Pairs(&[Fault::PodDeleted, Fault::NodeGone], &UNKNOWN_JOB)];

const HISTORIES: Histories<World> =
    Histories { run: history, faults: ALL, in_words: faults_in_words, kept: (include_str!("kept.txt"), "kept.txt") };

#[test]
fn kept_histories_hold() {
    HISTORIES.hold_kept();
}

#[test]
fn every_history_holds() {
    let (mut counters, mut created, mut recorded) = (Counters::default(), 0, 0);
    let seeds = HISTORIES.hold_all(10_000, 300, |world| {
        counters.add(&world.counters);
        created += world.created;
        recorded += world.store.rows.values().filter(|row| row.end.is_some()).count();
    });
    eprintln!(
        "{seeds} histories: {created} Jobs created, {recorded} runs recorded; struck (with a create or delete in flight):"
    );
    for kind in FAULTS {
        eprintln!("  {kind:?}: {} ({})", counters.struck[kind as usize], counters.in_flight[kind as usize]);
        let struck = counters.in_flight[kind as usize];
        assert!(seeds < 1000 || struck > 0, "{kind:?} never struck while a create or delete was in flight");
    }
    eprintln!("what runs and their process were in meanwhile:");
    counters.states.tell(&FAULTS);
    if seeds >= 10_000 {
        counters.states.invariant_each_pair_was_seen(&FAULTS, IMPOSSIBLE, SELDOM);
    }
}
