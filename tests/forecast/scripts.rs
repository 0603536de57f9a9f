//! Sequences that can be computed by hand.

use std::time::Duration;

use job_chief::decide::forecast::{history::Message, replay::QueueInput, worker::WorkerModel};
use serde_json::json;

use crate::{at, config, one_each, queue, replayed, seconds, waited, waits};

const WORK: Duration = seconds(5);

/// So many messages at one time.
fn burst(count: usize) -> QueueInput {
    queue((0..count).map(|_| at(seconds(1_010))), WORK)
}

#[test]
fn one_slot_serves_one_after_the_other() {
    // Each Job takes its message after 3 s and works for 5 s; the next one is created as it ends.
    assert_eq!(waited(&burst(3), &json!({}), one_each()), [3.0, 11.0, 19.0]);
    let apart = queue([1_010, 1_014, 1_030].map(|second| at(seconds(second))), WORK);
    assert_eq!(waited(&apart, &json!({}), one_each()), [3.0, 7.0, 3.0]);
}

#[test]
fn twice_the_jobs_take_half_the_time() {
    for (jobs, longest) in [(1, 3 + 8 * 99), (2, 3 + 8 * 49), (4, 3 + 8 * 24), (100, 3)] {
        let replayed = replayed(&burst(100), &[(config(&json!({"maxConcurrentJobs": jobs})), one_each())]);
        let waits: Vec<Duration> = replayed.waits[0].iter().map(|wait| wait.unwrap()).collect();
        assert_eq!(waits.iter().max(), Some(&seconds(longest)), "{jobs}");
        let counted = replayed.counted[0];
        assert_eq!((counted.jobs, counted.live_max, counted.took_nothing), (100, jobs, 0), "{jobs}");
        assert_eq!(counted.pod_time, seconds(100 * 6), "a pod runs for 1 s before it takes a message");
        assert_eq!(replayed.live_max, jobs);
    }
}

#[test]
fn a_worker_that_goes_on_needs_no_other_job() {
    let goes_on = WorkerModel { fetches_max: None, ..one_each() };
    let replayed = replayed(&burst(3), &[(config(&json!({"messagesPerJob": 10})), goes_on)]);
    assert_eq!(replayed.waits[0], [3, 8, 13].map(|second| Some(seconds(second))));
    assert_eq!(replayed.counted[0].jobs, 1);
    let twice = WorkerModel { fetches_max: Some(2), ..one_each() };
    assert_eq!(waited(&burst(3), &json!({"messagesPerJob": 2}), twice), [3.0, 8.0, 16.0]);
}

#[test]
fn messages_that_are_taken_together_are_worked_on_together_and_pods_side_by_side() {
    let three = WorkerModel { at_once: 3, ..one_each() };
    assert_eq!(waited(&burst(4), &json!({"messagesPerJob": 3}), three), [3.0, 3.0, 3.0, 3.0 + 15.0 + 3.0]);
    let side_by_side = json!({"podConfig": {"parallelism": 2}});
    let replayed = replayed(&burst(3), &[(config(&side_by_side), one_each())]);
    assert_eq!(replayed.waits[0], [3, 3, 11].map(|second| Some(seconds(second))));
    assert_eq!(replayed.counted[0].pod_time, seconds(2 * 6 + 2 * 6));
}

#[test]
fn slots_cool_as_they_do() {
    let cooling = json!({"waitTimeAfterSuccessfulRun": "7s"});
    assert_eq!(waited(&burst(2), &cooling, one_each()), [3.0, 3.0 + 5.0 + 7.0 + 3.0]);
    let fails = WorkerModel { failed: 1_000, ..one_each() };
    let cooling = json!({"waitTimeAfterFailedRun": "9s", "backoff": {"after": 1000}});
    assert_eq!(waited(&burst(2), &cooling, fails), [3.0, 3.0 + 5.0 + 9.0 + 3.0]);
}

#[test]
fn a_job_stays_as_long_as_others_have() {
    let stays = WorkerModel { stays: vec![seconds(2)], ..one_each() };
    assert_eq!(waited(&burst(2), &json!({}), stays), [3.0, 13.0]);
}

#[test]
fn what_waits_at_the_begin_has_waited_since_then() {
    let before = queue([at(seconds(900)), at(seconds(1_010))], WORK);
    assert_eq!(waited(&before, &json!({}), one_each()), [103.0, 3.0]);
}

#[test]
fn a_deferred_message_is_looked_for_in_its_time() {
    let deferred = Message { sent_at: seconds(1_005), ..at(seconds(1_100)) };
    let waits = waited(&queue([deferred], WORK), &json!({"queueCheckInterval": "10s"}), one_each());
    // A millisecond later than promised it can be fetched for sure.
    assert_eq!(waits, [3.001]);
}

#[test]
fn without_notifications_messages_wait_for_the_next_look_and_idle_looks_that_are_passed_over_change_nothing() {
    let hours = (1..=100).map(|number| at(seconds(1_000) + number * Duration::from_millis(39_731)));
    let apart = QueueInput { notifies: false, ..queue(hours, WORK) };
    let waits = waited(&apart, &json!({"queueCheckInterval": "10s"}), one_each());
    assert!(waits.iter().all(|wait| (3.0..=13.0).contains(wait)), "{waits:?}");
    let mean = waits.iter().sum::<f64>() / 100.0;
    // The phase of the looks is that of nobody: half an interval on average.
    assert!((7.0..9.0).contains(&mean), "{mean}");
}

#[test]
fn nothing_is_created_while_paused_and_what_is_left_has_no_wait() {
    assert_eq!(waits(&burst(2), &json!({"paused": true}), one_each()), [None, None]);
}

#[test]
fn a_job_that_would_start_too_late_is_given_up() {
    let late = json!({"jobStartTimeout": "1s", "waitTimeAfterTimeout": "1h"});
    let replayed = replayed(&burst(1), &[(config(&late), one_each())]);
    assert_eq!(replayed.waits[0], [None], "its pod never runs");
    assert!(replayed.counted[0].jobs >= 1);
}

#[test]
fn two_jobconfigs_of_one_queue_take_its_messages_from_one_another() {
    let members = ["a", "b"].map(|name| (config(&json!({"name": name, "maxConcurrentJobs": 3})), one_each()));
    let replayed = replayed(&burst(3), &members);
    assert_eq!(replayed.waits[0], [3; 3].map(|second| Some(seconds(second))));
    assert_eq!(replayed.counted[0].jobs + replayed.counted[1].jobs, 6, "each starts one for every message");
    assert_eq!(replayed.live_max, 6);
}
