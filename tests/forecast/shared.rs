//! Queues that share places: the very same arbiter gives them away.

use std::{sync::Arc, time::Duration};

use job_chief::{
    config::{entry::Entry, jobs_file},
    decide::{
        forecast::{
            member::MemberInput,
            replay::{QueueInput, Replay, Replayed},
            scenario::Configuration,
            shared_places::SharedPlaces,
        },
        share::policy::MemberPolicy,
    },
};
use serde_json::{Value, json};

use crate::{MOMENTS, SPAN, at, one_each, queue, seconds};

/// Queues `a` and `b` with keys of their own, which may have five Jobs each.
fn configuration(root: &Value, [a, b]: [Value; 2]) -> Configuration {
    let entry = |name: &str, keys: Value| {
        let mut entry = json!({"queueName": name, "podConfig": {"image": "i"}, "maxConcurrentJobs": 5,
            "queueCheckInterval": "1h", "waitTimeAfterSuccessfulRun": "0s"});
        jobs_file::lay_over(&mut entry, keys);
        entry
    };
    let mut file = json!({"jobs": [entry("a", a), entry("b", b)]});
    jobs_file::lay_over(&mut file, root.clone());
    let file = jobs_file::load("jobs.json", &file.to_string()).unwrap_or_else(|problems| panic!("{problems}"));
    Configuration { entries: file.jobs, sharing: file.sharing }
}

/// So many messages in each of the two at one time, which take 5 s each.
fn replayed(of: &Configuration, each: usize) -> Replayed {
    let messages = || queue((0..each).map(|_| at(seconds(1_010))), seconds(5));
    let queues: [QueueInput; 2] = [messages(), messages()];
    let member = |(place, entry): (usize, &Entry)| MemberInput {
        config: entry.queue().unwrap().clone(),
        queue: place,
        model: Arc::new(one_each()),
        pools: MemberPolicy::of(entry, &of.sharing).pools,
    };
    let queues_only = of.entries.iter().filter(|entry| entry.queue().is_some());
    let members: Vec<MemberInput> = queues_only.enumerate().map(member).collect();
    let shared = SharedPlaces::begin(&of.entries, &of.sharing, SPAN.from);
    let mut replay = Replay::new(SPAN, &queues, &members, shared);
    while !replay.run(MOMENTS) {}
    replay.result()
}

fn waited(replayed: &Replayed, queue: usize) -> Vec<Duration> {
    replayed.waits[queue].iter().map(|wait| wait.unwrap()).collect()
}

fn all(replayed: &Replayed) -> Vec<Duration> {
    let mut all = [waited(replayed, 0), waited(replayed, 1)].concat();
    all.sort_unstable();
    all
}

#[test]
fn a_pool_of_one_serves_both_one_after_the_other() {
    let pools = || json!({"pools": ["gpu"]});
    let gpu = |jobs: u32| json!({"pools": {"gpu": {"jobs": jobs}}});
    let one = replayed(&configuration(&gpu(1), [pools(), pools()]), 2);
    assert_eq!(all(&one), [3, 11, 19, 27].map(seconds));
    assert_eq!(one.live_max, 1);
    let two = replayed(&configuration(&gpu(2), [pools(), pools()]), 2);
    assert_eq!((all(&two), two.live_max), ([3, 3, 11, 11].map(seconds).to_vec(), 2));
    let alone = replayed(&configuration(&gpu(1), [pools(), json!({})]), 2);
    assert_eq!(waited(&alone, 0), [3, 11].map(seconds));
    assert_eq!(waited(&alone, 1), [3, 3].map(seconds), "it shares nothing");
}

#[test]
fn who_has_more_priority_goes_first_and_limits_are_a_pool() {
    let limits = json!({"limits": {"jobs": 1}});
    let found = replayed(&configuration(&limits, [json!({}), json!({"priority": 5})]), 2);
    assert_eq!(waited(&found, 1), [3, 11].map(seconds));
    assert_eq!(waited(&found, 0), [19, 27].map(seconds));
}

#[test]
fn jobs_wait_for_their_minute() {
    let limits = json!({"limits": {"createsPerMinute": 6}});
    let found = replayed(&configuration(&limits, [json!({}), json!({"priority": -5})]), 1);
    // The bucket is full by the time of the first message, and has one more every 10 s.
    assert_eq!((waited(&found, 0), waited(&found, 1)), (vec![seconds(3)], vec![seconds(13)]));
}

#[test]
fn services_keep_their_places() {
    let service =
        json!({"type": "service", "name": "api", "podConfig": {"image": "i"}, "replicas": 2, "pools": ["gpu"]});
    let gpu = json!({"pools": {"gpu": {"jobs": 3}}});
    let mut of = configuration(&gpu, [json!({"pools": ["gpu"]}), json!({"pools": ["gpu"]})]);
    let file = json!({"pools": {"gpu": {"jobs": 3}}, "jobs": [service]});
    of.entries.extend(jobs_file::load("jobs.json", &file.to_string()).unwrap().jobs);
    assert_eq!(all(&replayed(&of, 1)), [3, 11].map(seconds), "one place is left");
}

#[test]
fn one_queue_is_asked_about_with_all_that_share_with_it() {
    let gpu = json!({"pools": {"gpu": {"jobs": 3}}});
    let names = |keys: [Value; 2], name: &str| {
        let about = configuration(&gpu, keys).about(name);
        about.entries.iter().map(|entry| entry.name().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names([json!({"pools": ["gpu"]}), json!({})], "a"), ["a"]);
    assert_eq!(names([json!({"pools": ["gpu"]}), json!({"pools": ["gpu"]})], "a"), ["a", "b"]);
    assert_eq!(names([json!({}), json!({})], "b"), ["b"]);
}
