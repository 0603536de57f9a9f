//! Every history of rollouts in a world in which replicas go away by nobody's hand but ours: whatever is lost, late or out of
//! date, and whichever process leads, no more are away than may be, also where the new generation never comes up.

use job_chief::decide::one_off::is_one_off;
use serde_json::json;

use crate::{
    cluster::observed,
    dice::Dice,
    histories::{each_holds, number},
    service_disturb::Fault,
    service_one_offs::beside,
    service_world::{ServiceWorld, read},
};

/// Those that take no replica away by themselves.
fn harms_no_replica(fault: Fault) -> bool {
    matches!(
        fault,
        Fault::RequestLost
            | Fault::AnswerLost
            | Fault::RequestLate
            | Fault::ViewLags
            | Fault::ViewShrinks
            | Fault::ViewReturns
            | Fault::ViewStale
            | Fault::Restart
            | Fault::Frozen
            | Fault::StoreAway
            | Fault::ActionAsked
    )
}

/// What came of the histories.
#[derive(Default)]
pub(crate) struct Seen {
    changes: u64,
    replaced: u64,
    stopped: u64,
    one_offs: usize,
}

struct Rolling {
    world: ServiceWorld,
    unavailable_max: usize,
    /// All replicas have been up since the beginning.
    begun: bool,
}

impl Rolling {
    fn new(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let replicas = 2 + dice.roll(3);
        let unavailable_max = 1 + dice.roll(replicas - 1);
        let entry = json!({
            "type": "service", "name": "api", "podConfig": {"image": "i"}, "replicas": replicas, "startTimeout": "40s",
            "stopTimeout": "5s", "backoff": {"max": "30s"},
            "updateStrategy": {"type": "RollingReplace", "maxUnavailable": unavailable_max},
        });
        let mut entry = beside(entry, &mut dice);
        if dice.once_in(3) {
            entry["requirements"] = json!([{"tcp": {"host": "db", "port": 5432}}]);
        }
        let mut world = ServiceWorld::of(read(&entry), dice, seed);
        world.faults = harms_no_replica;
        Self { world, unavailable_max: usize::try_from(unavailable_max).unwrap(), begun: false }
    }

    /// Another generation, good or bad, or one that was there before.
    fn change(&mut self) {
        let world = &mut self.world;
        let newest = world.made.values().map(|(generation, _)| *generation).max().unwrap_or(0).max(world.generation);
        world.generation = if world.dice.once_in(3) { world.dice.roll(newest + 1) } else { newest + 1 };
        world.went_back |= world.generation <= newest;
        if world.generation > newest && world.dice.once_in(2) {
            world.bad.insert(world.generation);
        }
        let policy = world.policy();
        world.feed(job_chief::decide::service::event::ServiceEvent::Configured(Box::new(policy)));
    }

    fn up(&self) -> usize {
        let seen = observed(&self.world.cluster.snapshot(), self.world.now);
        let replicas = seen.jobs.values().filter(|job| job.is_live() && !job.slot.is_some_and(is_one_off));
        replicas.filter(|job| job.terminating.is_none() && job.address.is_some()).count()
    }

    fn invariant_no_more_are_away_than_may_be(&mut self) {
        let (up, replicas) = (self.up(), self.world.config.replicas as usize);
        self.begun |= up == replicas;
        let away = replicas - up;
        assert!(
            !self.begun || away <= self.unavailable_max,
            "invariant: no_more_are_away_than_may_be: {away} of {replicas}, allowed {}",
            self.unavailable_max
        );
    }
}

pub(crate) fn history(seed: u64, steps: u64, seen: &mut Seen) {
    let mut it = Rolling::new(seed);
    let mut was_stopped = false;
    for _ in 0..steps {
        it.world.step();
        if it.begun && it.world.dice.once_in(120) {
            it.change();
            seen.changes += 1;
        }
        it.invariant_no_more_are_away_than_may_be();
        let status = it.world.life.status(it.world.now);
        let is_stopped = status.rollout.is_some_and(|rollout| rollout.stopped.is_some());
        seen.stopped += u64::from(is_stopped && !was_stopped);
        was_stopped = is_stopped;
    }
    let ends = it.world.store.rows.values().filter_map(|row| row.end.as_ref());
    seen.replaced += ends.filter(|end| format!("{end:?}").contains("Replaced")).count() as u64;
    seen.one_offs += it.world.store.rows.values().filter(|row| row.one_off.is_some()).count();
    it.world.check_purposes();
    it.world.liveness_a_wanted_service_that_can_run_runs_and_another_is_down();
}

#[test]
fn every_history_of_rollouts_holds() {
    let steps = number("SIMULATION_STEPS", 600);
    let mut all = Seen::default();
    let seeds = each_holds(
        "rollouts",
        1_000,
        |seed| {
            let mut seen = Seen::default();
            history(seed, steps, &mut seen);
            seen
        },
        |seen| {
            all.changes += seen.changes;
            all.replaced += seen.replaced;
            all.stopped += seen.stopped;
            all.one_offs += seen.one_offs;
        },
    );
    let Seen { changes, replaced, stopped, one_offs } = all;
    eprintln!(
        "{seeds} histories of rollouts: {changes} changes, {replaced} replicas replaced, {stopped} rollouts stopped, {one_offs} Jobs beside"
    );
    assert!(seeds < 1000 || (replaced > 500 && stopped > 50 && one_offs > 1000), "{replaced} {stopped} {one_offs}");
}
