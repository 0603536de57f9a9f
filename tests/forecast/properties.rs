//! What holds of every replay.

use std::time::Duration;

use job_chief::decide::forecast::{history::Message, replay::QueueInput, worker::WorkerModel};
use proptest::prelude::*;
use serde_json::json;

use crate::{SPAN, at, config, one_each, replayed, seconds, waits};

/// Two notifications this close to one another are one look.
const LOOK_GAP: Duration = Duration::from_millis(10);

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

/// When messages were taken, in order.
fn taken(queue: &QueueInput, waits: &[Option<Duration>]) -> Vec<Duration> {
    let mut taken: Vec<Duration> =
        waits.iter().zip(&*queue.messages).filter_map(|(wait, message)| Some(message.at + (*wait)?)).collect();
    taken.sort_unstable();
    taken
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

    #[test]
    fn with_more_jobs_at_once_no_message_is_taken_later(
        times in prop::collection::vec(0..600_000_u64, 1..60), jobs in 1..8_u64, work in 1..20_u64,
    ) {
        let mut times = times;
        times.sort_unstable();
        let queue = crate::queue(times.iter().map(|ms| at(SPAN.from + Duration::from_millis(*ms))), seconds(work));
        let of = |jobs: u64| taken(&queue, &waits(&queue, &json!({"maxConcurrentJobs": jobs}), one_each()));
        let (few, more) = (of(jobs), of(jobs + 1));
        prop_assert_eq!(few.len(), more.len());
        for (number, (few, more)) in few.iter().zip(&more).enumerate() {
            prop_assert!(*more <= *few + LOOK_GAP, "{} of {}: {:?} {:?}", number, times.len(), few, more);
        }
    }
}
