//! Every history of a service: what always holds, and that in the end it is up or down as it is wanted.

use std::{collections::BTreeSet, time::Duration};

use job_chief::decide::{
    one_off::{OneOff, is_one_off},
    service::state::ServiceState,
};

use crate::{
    cluster::Fate,
    service_world::{FAULTS, ServiceWorld},
    world::secs,
};

impl ServiceWorld {
    fn calm_step(&mut self) {
        while let Some(event) = self.answers.pop() {
            self.feed(event);
        }
        while !self.in_flight.is_empty() {
            let effect = self.in_flight.remove(0);
            let answers = self.perform(&effect);
            self.answer(answers);
        }
        self.jobs_advance();
        self.take_view();
        while !self.views.is_empty() {
            self.deliver_view();
        }
        let next = self.life.deadline().map_or(secs(10), |at| at.saturating_sub(self.now));
        self.now += next.clamp(Duration::from_millis(10), secs(10));
        self.deadline();
        self.check();
    }

    pub(crate) fn liveness_a_wanted_service_that_can_run_runs_and_another_is_down(&mut self) {
        (self.quiet, self.store_away, self.frozen) = (true, false, None);
        for it in self.cluster.jobs.values_mut() {
            (it.stuck, it.fate) = (false, Fate::Works);
        }
        let is_there = |world: &Self| {
            let live = world.cluster.jobs.iter().filter(|(name, it)| it.is_live() && !world.is_one_off(name)).count();
            let status = world.life.status(world.now);
            let is_new = |name| world.made.get(name).is_some_and(|(generation, _)| *generation == world.generation);
            let replicas = || world.cluster.jobs.iter().filter(|(name, it)| it.is_live() && !world.is_one_off(name));
            if !world.has_run_what_was_asked() {
                false
            } else if world.is_wanted() && world.config.is_external() {
                status.state == ServiceState::Running && live == 0
            } else if world.is_wanted() && world.config.keep_alive {
                let new = replicas().all(|(name, _)| is_new(name));
                status.state == ServiceState::Running && live == world.config.replicas as usize && new
            } else if world.is_wanted() {
                // Each replica runs, or has had its start as often as somebody said so.
                let starts = world.store.load(world.now).starts;
                let runs = |slot| status.live.iter().any(|job| job.slot == slot);
                let had = |slot| runs(slot) || starts.get(&slot).is_some_and(|starts| *starts >= world.orders.starts);
                status.state == ServiceState::Running || (0..world.config.replicas).all(had)
            } else {
                live == 0 && status.live.iter().all(|job| is_one_off(job.slot)) && (!world.left || world.life.is_done())
            }
        };
        // It comes to be so, and stays so.
        let mut steady = 0;
        for _ in 0..2000 {
            self.calm_step();
            steady = if is_there(self) { steady + 1 } else { 0 };
            if steady == 50 {
                return;
            }
        }
        let status = self.life.status(self.now);
        panic!("liveness: {:?} {status:?} {:?}", self.orders, self.cluster.jobs.keys());
    }
}

pub(crate) fn history(seed: u64, steps: u64) -> ServiceWorld {
    let mut world = ServiceWorld::new(seed);
    for _ in 0..steps {
        world.step();
    }
    world.liveness_a_wanted_service_that_can_run_runs_and_another_is_down();
    world.check_purposes();
    world
}

#[test]
fn every_history_of_a_service_holds() {
    let (seeds, steps) =
        (crate::histories::number("SIMULATION_SEEDS", 10_000), crate::histories::number("SIMULATION_STEPS", 300));
    let first = crate::histories::number("SIMULATION_SEED", 0);
    let seeds = if first > 0 { 1 } else { seeds };
    let mut struck = BTreeSet::new();
    let mut runs = 0;
    let mut purposes = BTreeSet::new();
    for seed in first..first + seeds {
        let history = std::panic::catch_unwind(|| history(seed, steps));
        let world = history.unwrap_or_else(|_| panic!("history {seed}: SIMULATION_SEED={seed} repeats it"));
        purposes.extend(world.store.rows.values().filter_map(|row| row.one_off.as_ref()).map(OneOff::purpose));
        struck.extend(world.struck);
        runs += world.store.rows.len();
    }
    eprintln!("{seeds} histories of a service: {runs} runs, {} kinds of faults struck", struck.len());
    assert!(seeds < 1000 || struck.len() == FAULTS, "{struck:?}");
    assert!(seeds < 1000 || purposes.len() == 3, "{purposes:?}");
}
