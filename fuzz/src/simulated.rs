//! The worlds of the simulation with their invariants, whose dice fall as the input says: four bytes of faults, then
//! rolls. What the seeds of the simulation come upon by chance is looked for here, branch by branch.

use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};

use crate::{arbiter, arbiter_world, deployments, dice, faults::ALL, pools, queues, rollouts, services};

/// Steps of a history: each takes a byte at least, so that what follows once nothing disturbs any more is left to chance.
const STEPS: u64 = 200;

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

/// The arbiter alone, with what proptest makes of the input.
pub(crate) fn arbiter(input: &[u8]) {
    let random = TestRng::from_seed(RngAlgorithm::PassThrough, input);
    let mut runner = TestRunner::new_with_rng(Config::default(), random);
    let ops = proptest::collection::vec(arbiter_world::op(), 1..80).new_tree(&mut runner);
    // Nothing comes of an input that is at its end.
    let Ok(ops) = ops else { return };
    arbiter::history(&ops.current());
}
