//! The worlds of the simulation with their invariants, whose dice fall as the input says: four bytes of faults, then
//! rolls. What the seeds of the simulation come upon by chance is looked for here, branch by branch.

use std::{sync::Arc, time::Duration};

use job_chief::decide::share::policy::{MemberPolicy, PoolPolicy};

use crate::{
    arbiter,
    arbiter_world::{MEMBERS, Op, POOLS},
    deployments,
    dice::{self, Dice},
    faults::ALL,
    pools, queues, rollouts, services,
};

/// Steps of a history: each takes a byte at least, so that what follows once nothing disturbs any more is left to chance.
const STEPS: u64 = 200;

/// Things that happen to the arbiter in one history.
const OPS_MAX: usize = 80;

/// What the dice are seeded with behind the end of the input.
const SEED: u64 = 7;

/// Loads the dice. Returns the kinds of faults that are on.
fn begin(input: &[u8]) -> u32 {
    let (faults, rolls) =
        input.split_first_chunk().map_or((u32::MAX, input), |(f, rolls)| (u32::from_le_bytes(*f), rolls));
    let most = rolls.len().min(usize::try_from(STEPS).expect("small"));
    dice::load(&rolls[..most]);
    faults
}

pub(crate) fn queue(input: &[u8]) {
    let faults = begin(input) & ALL;
    queues::history(SEED, STEPS, faults);
}

pub(crate) fn service(input: &[u8]) {
    begin(input);
    services::history(SEED, STEPS);
}

pub(crate) fn rollout(input: &[u8]) {
    begin(input);
    rollouts::history(SEED, STEPS, &mut rollouts::Seen::default());
}

pub(crate) fn sharing(input: &[u8]) {
    let faults = begin(input) & pools::ALL_SHARING;
    pools::history(SEED, STEPS, faults);
}

pub(crate) fn deployment(input: &[u8]) {
    begin(input);
    deployments::history(SEED, STEPS);
}

/// The arbiter alone, and whatever may happen to it.
pub(crate) fn arbiter(input: &[u8]) {
    dice::load(input);
    let mut dice = Dice(SEED);
    let mut ops = vec![];
    while !dice::are_at_the_end() && ops.len() < OPS_MAX {
        ops.push(op(&mut dice));
    }
    arbiter::history(&ops);
}

/// As `arbiter_world::op` has them.
fn op(dice: &mut Dice) -> Op {
    let who = index(dice, MEMBERS.len());
    match dice.roll(11) {
        0 | 1 => Op::Want(who, dice.roll(5), dice.roll(120)),
        2 => Op::Receive(who),
        3 => Op::Decide(who, index(dice, 4)),
        4 => Op::Tell(who),
        5 => Op::End(who),
        6 => Op::Pass(dice.roll(20_000)),
        7 => Op::Pool(index(dice, POOLS.len()), (!dice.once_in(10)).then(|| pool(dice))),
        8 => Op::Policy(who, member(dice)),
        9 if dice.once_in(4) => Op::NewTerm,
        9 => Op::Remove(who),
        _ => Op::Leave(who),
    }
}

fn index(dice: &mut Dice, among: usize) -> usize {
    usize::try_from(dice.roll(among as u64)).expect("in range")
}

fn pool(dice: &mut Dice) -> PoolPolicy {
    let jobs = (!dice.once_in(5)).then(|| dice.roll(5) as u32);
    PoolPolicy { jobs, creates_per_minute: dice.once_in(3).then(|| if dice.once_in(2) { 6 } else { 30 }) }
}

fn member(dice: &mut Dice) -> MemberPolicy {
    MemberPolicy {
        pools: POOLS.into_iter().filter(|_| dice.once_in(2)).map(Arc::from).collect(),
        weight: 1 + dice.roll(3) as u32,
        priority: dice.roll(2) as i32,
        target_age: dice.once_in(2).then_some(Duration::from_secs(60)),
    }
}
