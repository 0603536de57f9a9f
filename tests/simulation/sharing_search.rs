//! An exhaustive search over two arbiters, one of which begins while the other's Jobs are still under way.
//!
//! Three JobConfigs share two pools. Each process has an arbiter and an actor for each of them, and between the two there
//! is only what Postgres refuses: a place that an unfinished run has. The second begins with what is recorded then, while
//! wishes of the first are still on their way and are written afterwards, as if no term held them off.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
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

use crate::{
    explore::{Explored, Searched, explore, hash},
    histories::number,
};

const NOW: Duration = Duration::from_secs(1_000);

/// The JobConfigs with their pools, and the messages of each.
const CONFIGS: [(&str, &[&str], u8); 3] = [("a", &["p"], 2), ("b", &["p", "q"], 1), ("c", &["q"], 1)];

/// The pools with their places.
const POOLS: [(&str, u32); 2] = [("p", 2), ("q", 1)];

/// Jobs that end on their own.
const ENDS: u8 = 1;

/// Times that an actor loads its runs although nothing was refused.
const LOADS: u8 = 1;

/// How many steps there are in a row.
const DEPTH: u32 = 12;

/// The actor of a JobConfig in one process.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
struct Actor {
    /// It has loaded its runs, and tells its need.
    told: bool,
    /// What it knows of, written or on the way.
    held: BTreeMap<u8, Places>,
    left: u8,
    mail: Option<Grant>,
    seen: u64,
    /// A wish was refused: it loads its runs before it tells anything.
    stale: bool,
}

/// One process.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Leader {
    arbiter: Arbiter,
    actors: [Actor; 3],
    /// Wishes on their way: which run, of which JobConfig.
    wishes: BTreeMap<u8, usize>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct World {
    leaders: Vec<Leader>,
    /// Unfinished runs in Postgres.
    rows: BTreeMap<u8, (usize, Places)>,
    runs: u8,
    ends: u8,
    loads: u8,
}

/// One thing that may happen next; a process first, then a JobConfig or a run.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// The second process begins.
    Begin,
    /// An actor loads its runs.
    Load(usize, usize),
    /// An actor takes its grant in, and asks for its Jobs.
    Take(usize, usize),
    /// A wish reaches Postgres, and is answered.
    Write(usize, u8),
    /// A run ends, and is recorded.
    End(u8),
    /// An actor learns that a run of it has ended.
    See(usize, usize, u8),
}

fn pools() -> Pools {
    let limit = |jobs| PoolPolicy { jobs: Some(jobs), creates_per_minute: None };
    POOLS.iter().map(|(name, jobs)| (Arc::from(*name), limit(*jobs))).collect()
}

impl Leader {
    fn begin(rows: &BTreeMap<u8, (usize, Places)>) -> Self {
        let mut recorded: BTreeMap<Arc<str>, Vec<Places>> = BTreeMap::new();
        for (config, places) in rows.values() {
            recorded.entry(CONFIGS[*config].0.into()).or_default().push(places.clone());
        }
        let mut arbiter = Arbiter::new(recorded, NOW);
        let policy = |pools: &[&str]| MemberPolicy {
            pools: pools.iter().map(|pool| Arc::from(*pool)).collect(),
            weight: 1,
            ..MemberPolicy::default()
        };
        let members = CONFIGS.iter().map(|(name, pools, _)| (Arc::from(*name), policy(pools))).collect();
        arbiter.configure(pools(), members, NOW);
        Self { arbiter, actors: [Actor::default(), Actor::default(), Actor::default()], wishes: BTreeMap::new() }
    }

    /// Loads, tells, and is given what is free.
    fn load(&mut self, config: usize, rows: &BTreeMap<u8, (usize, Places)>) {
        let wishes: Vec<u8> = self.wishes.keys().copied().collect();
        let actor = &mut self.actors[config];
        actor.held.retain(|run, _| wishes.contains(run));
        actor.held.extend(rows.iter().filter(|(_, (of, _))| *of == config).map(|(run, (_, it))| (*run, it.clone())));
        if !actor.told {
            actor.left = CONFIGS[config].2;
        }
        (actor.told, actor.stale) = (true, false);
        self.tell(config);
    }

    fn tell(&mut self, config: usize) {
        let actor = &self.actors[config];
        if !actor.told || actor.stale {
            return;
        }
        let need = Need {
            held: actor.held.values().cloned().collect(),
            wanted: actor.left.into(),
            since: Some(NOW),
            oldest_at: Some(NOW),
            seen: actor.seen,
            ..Need::default()
        };
        self.arbiter.note_need(&CONFIGS[config].0.into(), need, NOW);
        let mut known = self.known();
        for (name, grant) in self.arbiter.grants(NOW) {
            for place in grant.places.iter().flat_map(|places| places.iter()) {
                assert!(known.insert(place.clone()), "invariant: no_place_is_given_that_somebody_holds: {place:?}");
            }
            let to = CONFIGS.iter().position(|(it, ..)| **it == *name).expect("a member");
            assert!(self.actors[to].mail.is_none(), "invariant: one_grant_at_a_time");
            self.actors[to].mail = Some(grant);
        }
    }

    /// Every place of which this process knows that it is held, or on its way.
    fn known(&self) -> BTreeSet<Place> {
        let granted = |actor: &Actor| actor.mail.iter().flat_map(|it| it.places.clone()).collect::<Vec<Places>>();
        let held = self.actors.iter().flat_map(|actor| actor.held.values().cloned().chain(granted(actor)));
        held.flat_map(|places| places.to_vec()).collect()
    }
}

impl Searched for World {
    type Step = Step;

    fn steps(&self) -> Vec<Step> {
        let mut steps = vec![];
        steps.extend((self.leaders.len() == 1).then_some(Step::Begin));
        for (index, leader) in self.leaders.iter().enumerate() {
            for (config, actor) in leader.actors.iter().enumerate() {
                let loads = !actor.told || actor.stale || self.loads > 0;
                steps.extend(loads.then_some(Step::Load(index, config)));
                steps.extend((actor.mail.is_some() && actor.told).then_some(Step::Take(index, config)));
                let over = |run: &u8| !self.rows.contains_key(run) && !leader.wishes.contains_key(run);
                steps.extend(actor.held.keys().filter(|run| over(run)).map(|run| Step::See(index, config, *run)));
            }
            steps.extend(leader.wishes.keys().map(|run| Step::Write(index, *run)));
        }
        steps.extend(self.rows.keys().filter(|_| self.ends > 0).map(|run| Step::End(*run)));
        steps
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Begin => self.leaders.push(Leader::begin(&self.rows)),
            Step::Load(index, config) => {
                let actor = &self.leaders[index].actors[config];
                self.loads -= u8::from(actor.told && !actor.stale);
                self.leaders[index].load(config, &self.rows);
            }
            Step::Take(index, config) => {
                let leader = &mut self.leaders[index];
                let actor = &mut leader.actors[config];
                let grant = actor.mail.take().expect("it has one");
                actor.seen = grant.number;
                for places in grant.places {
                    assert!(actor.left > 0, "invariant: no_more_than_is_wanted");
                    actor.left -= 1;
                    actor.held.insert(self.runs, places);
                    leader.wishes.insert(self.runs, config);
                    self.runs += 1;
                }
                leader.tell(config);
            }
            Step::Write(index, run) => self.write(index, run),
            Step::End(run) => {
                self.ends = self.ends.saturating_sub(1);
                self.rows.remove(&run);
            }
            Step::See(index, config, run) => {
                self.leaders[index].actors[config].held.remove(&run);
                self.leaders[index].tell(config);
            }
        }
        self.check();
    }
}

impl World {
    fn begin() -> Self {
        let rows = BTreeMap::new();
        Self { leaders: vec![Leader::begin(&rows)], rows, runs: 0, ends: ENDS, loads: LOADS }
    }

    /// The wish and its places are written together or not at all.
    fn write(&mut self, index: usize, run: u8) {
        let leader = &mut self.leaders[index];
        let config = leader.wishes.remove(&run).expect("on its way");
        let places = leader.actors[config].held[&run].clone();
        let is_taken = |place: &Place| self.rows.values().any(|(_, taken)| taken.contains(place));
        if places.iter().any(is_taken) {
            let actor = &mut leader.actors[config];
            actor.held.remove(&run);
            (actor.left, actor.stale) = (actor.left + 1, true);
        } else {
            self.rows.insert(run, (config, places));
        }
    }

    fn check(&self) {
        for (pool, limit) in POOLS {
            let taken = self.rows.values().filter(|(_, places)| places.iter().any(|place| *place.pool == *pool));
            assert!(taken.count() <= limit as usize, "invariant: places_are_within_the_limit: {pool}");
        }
        for (config, places) in self.rows.values() {
            let pools: Vec<&str> = places.iter().map(|place| place.pool.as_ref()).collect();
            assert_eq!(pools, CONFIGS[*config].1, "invariant: all_places_of_a_job_or_none");
        }
    }

    /// All is answered, the Jobs end, and the view shows each actor its runs.
    fn liveness_everybody_is_served(mut self) {
        self.ends = 0;
        for _ in 0..20 {
            for index in 0..self.leaders.len() {
                for config in 0..CONFIGS.len() {
                    self.leaders[index].load(config, &self.rows);
                }
            }
            loop {
                let calm = |step: &&Step| matches!(step, Step::Take(..) | Step::Write(..) | Step::See(..));
                let Some(step) = self.steps().iter().find(calm).copied() else { break };
                self.take(step);
            }
            while let Some(run) = self.rows.keys().next().copied() {
                self.take(Step::End(run));
            }
        }
        let left = |leader: &Leader| leader.actors.iter().map(|actor| u32::from(actor.left)).sum::<u32>();
        let left: Vec<u32> = self.leaders.iter().map(left).collect();
        assert!(left.iter().all(|left| *left == 0), "liveness: everybody_is_served: {left:?} are left");
    }
}

#[test]
fn no_place_is_doubled_whatever_two_arbiters_do() {
    let depth = number("SEARCH_DEPTH", DEPTH.into()) as usize;
    let (mut last, mut refused) = (HashSet::new(), false);
    let Explored { states, steps } = explore(&World::begin(), depth, |world, taken| {
        refused |= world.leaders.iter().any(|leader| leader.actors.iter().any(|actor| actor.stale));
        if taken == depth && last.insert(hash(world)) {
            world.clone().liveness_everybody_is_served();
        }
    });
    assert!(refused || depth < DEPTH as usize, "the search reaches what it is about");
    eprintln!("{states} states and {} last ones, {steps} steps, up to {depth} in a row", last.len());
}
