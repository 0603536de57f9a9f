//! The real lifecycle and the real observation code in a seeded world of fakes with faults.
//!
//! `SIMULATION_TRACE=1` prints every event with its effects. `SIMULATION_SEEDS` and `SIMULATION_STEPS` make a longer run, `SIMULATION_SEED` one history (of the kinds of `SIMULATION_FAULTS` only). A failing
//! history is shrunk (fewer steps, fewer kinds of faults), printed, and belongs into `kept.txt`.
#![expect(clippy::unwrap_used, clippy::cast_possible_truncation, clippy::disallowed_methods, reason = "test code")]

mod arbiter;
mod arbiter_world;
mod cluster;
mod deployment_world;
mod deployments;
mod dice;
mod disturb;
mod faults;
mod histories;
mod policy;
mod pools;
mod pools_broker;
mod pools_disturb;
mod pools_world;
mod recorded;
mod rivals;
mod rollouts;
mod search;
mod service_disturb;
mod service_one_offs;
mod service_world;
mod services;
mod sharing_search;
mod store;
mod views;
mod windows;
mod world;

use faults::{Counters, FAULTS};
use histories::Histories;
use world::World;

/// All kinds of faults.
const ALL: u32 = (1 << FAULTS.len()) - 1;

pub(crate) fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

fn invariant_never_more_live_jobs_than_max(world: &World) {
    let live = world.cluster.jobs.values().filter(|it| it.is_live()).count();
    let max = world.allowed.most as usize;
    assert!(live <= max, "invariant: never_more_live_jobs_than_max: {live} > {max}");
}

fn liveness_fetchable_work_and_room_lead_to_a_job(world: &mut World) {
    world.calm();
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

fn history(seed: u64, steps: u64, faults: u32) -> World {
    let mut world = World::new(seed, faults);
    for _ in 0..steps {
        world.step();
        invariant_never_more_live_jobs_than_max(&world);
    }
    liveness_fetchable_work_and_room_lead_to_a_job(&mut world);
    world
}

const HISTORIES: Histories<World> =
    Histories { run: history, faults: ALL, in_words: faults_in_words, kept: (include_str!("kept.txt"), "kept.txt") };

/// These kinds of faults of a single world.
fn faults_in_words(faults: u32) -> String {
    let kinds: Vec<_> = FAULTS.iter().filter(|kind| faults & (1 << **kind as u32) != 0).collect();
    format!("{kinds:?}")
}

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
}
