//! The table of worked sequences: each row names what a test of `tests/sequences` holds.

use crate::page;

/// Each row of the table, by how it begins, and the test that plays it.
const ROWS: [(&str, &str); 10] = [
    ("first message", "a_first_message_and_a_burst"),
    ("a burst of 10", "a_first_message_and_a_burst"),
    ("a long Job runs", "a_first_message_and_a_burst"),
    ("the message of a starting Job", "a_starting_job_is_not_doubled"),
    ("the worker crashes", "a_worker_that_crashes_is_followed_by_another_after_the_wait"),
    ("a pod has run for `fetchGrace`", "a_message_that_nobody_takes_blocks_nobody"),
    ("a worker succeeds without taking", "a_worker_that_succeeds_and_takes_nothing_backs_off_like_one_that_fails"),
    ("`m = 5`, a burst of 12", "a_batch_worker_gets_as_many_jobs_as_batches"),
    ("another consumer", "another_consumer_costs_at_most_one_idle_job"),
    ("restart while 2 Jobs start", "a_restart_adopts_and_doubles_nothing"),
];

#[test]
fn every_worked_sequence_is_played_by_a_test() {
    let rows = page::table("docs/queues.md", "## How many Jobs?");
    let tests = page::read("tests/sequences/main.rs");
    assert_eq!(rows.len(), ROWS.len(), "a row for each test, and a test for each row");
    for (row, (begin, test)) in rows.iter().zip(ROWS) {
        assert!(row[0].starts_with(begin), "{row:?}");
        assert!(tests.contains(&format!("fn {test}()")), "there is no test {test}");
    }
}
