//! An exhaustive search over two processes: every order of all that may happen to them, within a bound.
//!
//! The bound is the trouble of one of the [`SEARCHES`] and its number of steps in a row; each state is visited once.

use std::{
    collections::HashSet,
    hash::{DefaultHasher, Hash, Hasher},
};

use crate::{
    histories::number,
    rivals::{Budget, World},
};

/// How much trouble there is in the histories of each search, and how many steps they have.
const SEARCHES: [(Budget, u32); 4] = [
    (Budget { answers_lost: 1, freezes: 1, crashes: 1, ends: 1, deletes: 0, views: 1 }, 12),
    (Budget { answers_lost: 0, freezes: 1, crashes: 0, ends: 1, deletes: 1, views: 1 }, 16),
    (Budget { answers_lost: 1, freezes: 1, crashes: 0, ends: 0, deletes: 0, views: 0 }, 16),
    (Budget { answers_lost: 1, freezes: 0, crashes: 1, ends: 0, deletes: 0, views: 1 }, 16),
];

/// What the search has seen.
#[derive(Default)]
struct Seen {
    /// Hashes of states.
    states: HashSet<u64>,
    steps: u64,
    taken_over: bool,
}

fn hash(world: &World) -> u64 {
    let mut hasher = DefaultHasher::new();
    world.hash(&mut hasher);
    hasher.finish()
}

/// Every history of so many steps. Returns how many states and steps there were.
fn search(budget: Budget, depth: u32) -> (usize, u64) {
    let mut layer = vec![World::begin(budget)];
    let mut seen = Seen::default();
    for _ in 0..depth {
        let mut next = vec![];
        for world in &layer {
            for step in world.steps() {
                seen.steps += 1;
                let mut after = world.clone();
                after.take(step);
                seen.taken_over |= after.record.term > 1 && !after.jobs.is_empty();
                if seen.states.insert(hash(&after)) {
                    next.push(after);
                }
            }
        }
        layer = next;
    }
    assert!(
        seen.taken_over || std::env::var_os("SEARCH_DEPTH").is_some(),
        "the search reaches what it is about: {budget:?}"
    );
    (seen.states.len(), seen.steps)
}

#[test]
fn nothing_is_doubled_whatever_happens_to_two_processes() {
    std::thread::scope(|scope| {
        for (budget, depth) in SEARCHES {
            let depth = number("SEARCH_DEPTH", depth.into()) as u32;
            scope.spawn(move || {
                let begun = std::time::Instant::now();
                let (states, steps) = search(budget, depth);
                eprintln!(
                    "{states} states, {steps} steps, up to {depth} in a row, {budget:?}: {:.1?}",
                    begun.elapsed()
                );
            });
        }
    });
}
