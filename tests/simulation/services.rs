//! Every history of a service: what always holds, and that in the end it is up or down as it is wanted.

use std::{collections::BTreeSet, time::Duration};

use job_chief::decide::{
    one_off::{OneOff, is_one_off},
    service::state::ServiceState,
};

use crate::{
    cluster::Fate,
    histories::{each_holds, number},
    service_disturb::{FAULTS, Fault},
    service_world::ServiceWorld,
    states::{BEFORE_A_VIEW, Matrix, NO_ENTRY, NO_JOB, NO_POD, Pairs, State, UNKNOWN_JOB, Unseen},
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

/// Of all kinds.
const ENDS_AT_ONCE: Unseen = Unseen {
    states: &[State::Suspended, State::Stopping],
    why: "no Job of this world is suspended, and a process of it ends at once",
};

/// Pairs of a fault and a state that can't be.
const IMPOSSIBLE: &[Pairs<Fault>] = &[
    Pairs(&[], &ENDS_AT_ONCE),
    Pairs(&[Fault::RequestLate, Fault::ViewReturns], &BEFORE_A_VIEW),
    Pairs(&[Fault::LeavesTheFile, Fault::Reconfigured], &NO_ENTRY),
    Pairs(&[Fault::JobDeleted, Fault::PodDeleted, Fault::NodeGone], &NO_JOB),
    Pairs(&[Fault::PodDeleted, Fault::NodeGone], &NO_POD),
];

/// Pairs that may be, and are too seldom for the test run.
const SELDOM: &[Pairs<Fault>] = &[Pairs(&[Fault::PodDeleted, Fault::NodeGone], &UNKNOWN_JOB)];

#[test]
fn every_history_of_a_service_holds() {
    let steps = number("SIMULATION_STEPS", 300);
    let (mut struck, mut seen) = (BTreeSet::new(), Matrix::default());
    let (mut purposes, mut runs) = (BTreeSet::new(), 0);
    let seeds = each_holds(
        "a service",
        10_000,
        |seed| history(seed, steps),
        |world| {
            purposes.extend(world.store.rows.values().filter_map(|row| row.one_off.as_ref()).map(OneOff::purpose));
            struck.extend(world.struck.iter().copied());
            seen.add(&world.seen);
            runs += world.store.rows.len();
        },
    );
    eprintln!("{seeds} histories of a service: {runs} runs, {} kinds of faults struck", struck.len());
    assert!(seeds < 1000 || struck.len() == FAULTS.len(), "{struck:?}");
    eprintln!("what runs and their process were in as a fault struck:");
    seen.tell(&FAULTS);
    if seeds >= 10_000 {
        seen.invariant_each_pair_was_seen(&FAULTS, IMPOSSIBLE, SELDOM);
    }
    assert!(seeds < 1000 || purposes.len() == 3, "{purposes:?}");
}
