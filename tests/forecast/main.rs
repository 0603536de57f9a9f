//! The replay of forecasts: scripts whose answers are known, properties, and whether a forecast of what happened tells
//! what happened.
#![expect(clippy::unwrap_used, reason = "test code")]

mod properties;
mod scripts;
mod shared;
mod truth;

use std::{sync::Arc, time::Duration};

use job_chief::{
    config::{entry::Entry, job_config::JobConfig, jobs_file},
    decide::forecast::{
        history::{Message, Span},
        member::MemberInput,
        replay::{QueueInput, Replay, Replayed},
        worker::{Start, WorkerModel},
    },
};
use serde_json::{Value, json};

/// Moments between two questions whether a replay is over.
const MOMENTS: usize = 1_000;

pub(crate) const SPAN: Span = Span { from: seconds(1_000), to: seconds(5_000) };

pub(crate) const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A JobConfig without waits that looks when it is notified.
pub(crate) fn config(keys: &Value) -> Arc<JobConfig> {
    let mut entry = json!({"queueName": "mail", "podConfig": {"image": "mail:1"}, "waitTimeAfterSuccessfulRun": "0s",
        "waitTimeAfterFailedRun": "0s", "queueCheckInterval": "1h"});
    jobs_file::lay_over(&mut entry, keys.clone());
    let file =
        jobs_file::load("jobs.json", &json!([entry]).to_string()).unwrap_or_else(|problems| panic!("{problems}"));
    file.jobs.iter().find_map(Entry::queue).unwrap().clone()
}

/// Jobs run after 2 s, take one message after 3 s, and are Complete as soon as they are done with it.
pub(crate) fn one_each() -> WorkerModel {
    WorkerModel {
        starts: vec![Start { fetched: seconds(3), ran: seconds(2) }],
        stays: vec![Duration::ZERO],
        at_once: 1,
        fetches_max: Some(1),
        failed: 0,
        taken_by_others: 0,
    }
}

/// A message that can be fetched as it is sent.
pub(crate) fn at(time: Duration) -> Message {
    Message { at: time, sent_at: time, ..Message::default() }
}

/// Messages that take a worker so long each.
pub(crate) fn queue(messages: impl IntoIterator<Item = Message>, work: Duration) -> QueueInput {
    let messages: Arc<[Message]> = messages.into_iter().collect();
    let work = messages.iter().map(|_| work).collect();
    QueueInput { messages, work, notifies: true }
}

/// A replay of these JobConfigs over the queue, to its end.
pub(crate) fn replayed(queue: &QueueInput, members: &[(Arc<JobConfig>, WorkerModel)]) -> Replayed {
    let member = |(config, model): &(Arc<JobConfig>, WorkerModel)| MemberInput {
        config: config.clone(),
        queue: 0,
        model: Arc::new(model.clone()),
        pools: [].into(),
    };
    let members: Vec<MemberInput> = members.iter().map(member).collect();
    let mut replay = Replay::new(SPAN, std::slice::from_ref(queue), &members, None);
    while !replay.run(MOMENTS) {}
    replay.result()
}

/// How long the messages waited that one JobConfig with these keys took.
pub(crate) fn waits(queue: &QueueInput, keys: &Value, model: WorkerModel) -> Vec<Option<Duration>> {
    replayed(queue, &[(config(keys), model)]).waits.remove(0)
}

/// The same in seconds, where all were taken.
pub(crate) fn waited(queue: &QueueInput, keys: &Value, model: WorkerModel) -> Vec<f64> {
    waits(queue, keys, model).into_iter().map(|wait| wait.unwrap().as_secs_f64()).collect()
}
