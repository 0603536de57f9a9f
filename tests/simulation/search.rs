//! An exhaustive search over two processes: every order of all that may happen to them, within a bound.
//!
//! The bound is the trouble of one of the [`SEARCHES`] and its number of steps in a row; each state is gone on from once.

use crate::{
    explore::{Explored, explore},
    histories::number,
    rivals::{Budget, World},
};

/// How much trouble there is in the histories of each search, and how many steps they have.
const SEARCHES: [(Budget, u32); 4] = [
    (Budget { answers_lost: 1, freezes: 1, crashes: 1, ends: 1, deletes: 0, views: 1 }, 13),
    (Budget { answers_lost: 0, freezes: 1, crashes: 0, ends: 1, deletes: 1, views: 1 }, 17),
    (Budget { answers_lost: 1, freezes: 1, crashes: 0, ends: 0, deletes: 0, views: 0 }, 17),
    (Budget { answers_lost: 1, freezes: 0, crashes: 1, ends: 0, deletes: 0, views: 1 }, 17),
];

/// Every history of so many steps.
fn search(budget: Budget, length: usize) -> Explored {
    let mut taken_over = false;
    let explored = explore(&World::begin(budget), length, |world, _| {
        taken_over |= world.record.term > 1 && !world.jobs.is_empty();
    });
    assert!(
        taken_over || std::env::var_os("SEARCH_DEPTH").is_some(),
        "the search reaches what it is about: {budget:?}"
    );
    explored
}

#[test]
fn nothing_is_doubled_whatever_happens_to_two_processes() {
    std::thread::scope(|scope| {
        for (budget, depth) in SEARCHES {
            let depth = number("SEARCH_DEPTH", depth.into()) as u32;
            scope.spawn(move || {
                let begun = std::time::Instant::now();
                let Explored { states, steps } = search(budget, depth as usize);
                eprintln!(
                    "{states} states, {steps} steps, up to {depth} in a row, {budget:?}: {:.1?}",
                    begun.elapsed()
                );
            });
        }
    });
}
