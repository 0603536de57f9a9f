//! The real lifecycle and the real observation code in a seeded world of fakes with faults.
//!
//! `SIMULATION_TRACE=1` prints every event with its effects. `SIMULATION_SEEDS` and `SIMULATION_STEPS` make a longer run, `SIMULATION_SEED` one history. A failing
//! history is shrunk (fewer steps, fewer kinds of faults), printed, and belongs into `kept.txt`.
#![expect(clippy::unwrap_used, clippy::cast_possible_truncation, clippy::disallowed_methods, reason = "test code")]

mod cluster;
mod deployment_world;
mod deployments;
mod dice;
mod disturb;
mod faults;
mod policy;
mod recorded;
mod rivals;
mod rollouts;
mod search;
mod service_disturb;
mod service_world;
mod services;
mod store;
mod views;
mod world;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use faults::{Counters, FAULTS};
use world::World;

/// All kinds of faults.
const ALL: u32 = (1 << FAULTS.len()) - 1;

pub(crate) fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

fn invariant_never_more_live_jobs_than_max(world: &World) {
    let live = world.cluster.jobs.values().filter(|it| it.is_live()).count();
    let max = world.policy.jobs_max as usize;
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

fn outcome(seed: u64, steps: u64, faults: u32) -> Result<World, String> {
    catch_unwind(AssertUnwindSafe(|| history(seed, steps, faults))).map_err(|panic| {
        panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()))
            .unwrap_or_default()
    })
}

/// The same failure with fewer kinds of faults and fewer steps.
fn shrink(seed: u64, mut steps: u64, mut faults: u32) -> (u64, u32) {
    for kind in 0..FAULTS.len() {
        let without = faults & !(1 << kind);
        if without != faults && outcome(seed, steps, without).is_err() {
            faults = without;
        }
    }
    let mut cut = steps / 2;
    while cut > 0 {
        while steps > cut && outcome(seed, steps - cut, faults).is_err() {
            steps -= cut;
        }
        cut /= 2;
    }
    (steps, faults)
}

fn fail(seed: u64, steps: u64, faults: u32) -> ! {
    let (steps, faults) = shrink(seed, steps, faults);
    let kinds: Vec<_> = FAULTS.iter().filter(|kind| faults & (1 << **kind as u32) != 0).collect();
    let why = outcome(seed, steps, faults).err().unwrap_or_default();
    panic!("history {seed} {steps} {faults} (add this line to tests/simulation/kept.txt), faults {kinds:?}:\n{why}");
}

#[test]
fn kept_histories_hold() {
    for line in include_str!("kept.txt").lines().filter(|line| !line.starts_with('#')) {
        let numbers: Vec<u64> = line.split_whitespace().map(|word| word.parse().unwrap()).collect();
        let [seed, steps, faults] = numbers[..] else { panic!("three numbers a line: {line}") };
        if let Err(why) = outcome(seed, steps, u32::try_from(faults).unwrap()) {
            panic!("kept history {line}: {why}");
        }
    }
}

#[test]
fn every_history_holds() {
    let (seeds, steps) = (number("SIMULATION_SEEDS", 10_000), number("SIMULATION_STEPS", 300));
    let first = number("SIMULATION_SEED", 0);
    let seeds = if first > 0 { 1 } else { seeds };
    let next = AtomicU64::new(first);
    let totals = Mutex::new((Counters::default(), 0, 0));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let failed: Mutex<Option<u64>> = Mutex::new(None);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + seeds || failed.lock().unwrap().is_some() {
                        return;
                    }
                    match outcome(seed, steps, ALL) {
                        Ok(world) => {
                            let mut totals = totals.lock().unwrap();
                            totals.0.add(&world.counters);
                            totals.1 += world.created;
                            totals.2 += world.store.rows.values().filter(|row| row.end.is_some()).count();
                        }
                        Err(_) => *failed.lock().unwrap() = Some(seed),
                    }
                }
            });
        }
    });
    let failed = *failed.lock().unwrap();
    if let Some(seed) = failed {
        std::panic::set_hook(hook);
        fail(seed, steps, ALL);
    }
    std::panic::set_hook(hook);
    let (counters, created, recorded) = totals.into_inner().unwrap();
    eprintln!(
        "{seeds} histories of {steps} steps: {created} Jobs created, {recorded} runs recorded; struck (with a create or delete in flight):"
    );
    for kind in FAULTS {
        eprintln!("  {kind:?}: {} ({})", counters.struck[kind as usize], counters.in_flight[kind as usize]);
        let struck = counters.in_flight[kind as usize];
        assert!(seeds < 1000 || struck > 0, "{kind:?} never struck while a create or delete was in flight");
    }
}
