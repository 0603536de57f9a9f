//! What holds of every replay.

use std::time::Duration;

use job_chief::decide::forecast::{history::Message, replay::QueueInput, worker::WorkerModel};
use proptest::prelude::*;
use serde_json::json;

use crate::{SPAN, config, one_each, replayed};

/// Messages of an hour, each with what it takes.
fn messages() -> impl Strategy<Value = QueueInput> {
    let message = (0..3_600_000_u64, 0..60_000_u64, 0..5_000_u64, 0..3_i32);
    (prop::collection::vec(message, 1..60), any::<bool>()).prop_map(|(drawn, notifies)| {
        let mut all: Vec<(Message, Duration)> = drawn
            .into_iter()
            .map(|(after, deferred, work, priority)| {
                let sent_at = SPAN.from + Duration::from_millis(after);
                // Two of three are not deferred.
                let at = sent_at + Duration::from_millis(if deferred % 3 == 0 { deferred } else { 0 });
                (Message { at, sent_at, priority, ..Message::default() }, Duration::from_millis(work))
            })
            .collect();
        all.sort_by_key(|(message, _)| (message.at, message.sent_at));
        let (messages, work): (Vec<_>, Vec<_>) = all.into_iter().unzip();
        QueueInput { messages: messages.into(), work: work.into(), notifies }
    })
}

/// How workers behave.
fn model() -> impl Strategy<Value = WorkerModel> {
    (1..4_usize, prop::option::of(1..4_usize), 0..3_000_u64, 0..300_usize).prop_map(
        |(at_once, fetches_max, stays, failed)| WorkerModel {
            at_once,
            fetches_max,
            failed,
            stays: vec![Duration::from_millis(stays / 2), Duration::from_millis(stays)],
            ..one_each()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn every_message_is_taken_once_within_the_limits_and_again_the_same(
        queue in messages(), model in model(), jobs in 1..6_u64, per_job in 1..4_u64,
    ) {
        let config = config(&json!({"maxConcurrentJobs": jobs, "messagesPerJob": per_job, "queueCheckInterval": "10s"}));
        let members = [(config, model)];
        let found = replayed(&queue, &members);
        prop_assert_eq!(found.waits[0].len(), queue.messages.len());
        prop_assert!(found.waits[0].iter().all(Option::is_some), "an hour later all of them are taken: {:?}", found);
        let counted = found.counted[0];
        prop_assert!(counted.live_max <= jobs && counted.live_max >= 1);
        prop_assert!(counted.jobs >= 1);
        prop_assert_eq!(found, replayed(&queue, &members));
    }
}
