//! Histories as pg-boss and our own tables would have them, and what a forecast says of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use job_chief::{
    config::{entry::Entry, jobs_file, sharing::Sharing},
    decide::{
        forecast::{
            history::{Known, Message, PastRun, QueueHistory, RunHistory},
            report::Report,
            scenario::{Configuration, Forecast},
        },
        outcome::Outcome,
    },
};
use serde_json::{Value, json};

use crate::{MOMENTS, SPAN, at, config, seconds};

/// Bursts of messages, each served by one slot after the other: Jobs take a message after 3 s, work for 5 s, and are
/// Complete a second later, as Kubernetes tells it: cut to the second. `slots` lists how many there are.
fn history(slots: usize, bursts: u64, each: usize) -> Known {
    let (mut messages, mut runs) = (vec![], vec![]);
    for burst in 0..bursts {
        let sent_at = SPAN.from + seconds(10 + 200 * burst) + Duration::from_millis(137 * burst);
        for number in 0..each {
            let round = u32::try_from(number / slots).unwrap();
            // No two are taken by one statement.
            let apart = Duration::from_micros(u64::try_from(number).unwrap());
            let wished_at = sent_at + seconds(9) * round + apart;
            let (taken_at, done_at) = (wished_at + seconds(3), wished_at + seconds(8));
            messages.push(Message { taken_at: Some(taken_at), done_at: Some(done_at), ..at(sent_at) });
            runs.push(PastRun {
                wished_at,
                started_at: Some(seconds((wished_at + seconds(2)).as_secs())),
                ended_at: Some(seconds((done_at + seconds(1)).as_secs())),
                outcome: Some(Outcome::Succeeded),
                took_nothing: false,
            });
        }
    }
    runs.sort_by_key(|run| run.wished_at);
    let queue = QueueHistory { notifies: true, ..QueueHistory::of(messages) };
    Known {
        span: SPAN,
        cut: false,
        queues: BTreeMap::from([("mail".to_owned(), queue)]),
        runs: BTreeMap::from([("mail".to_owned(), RunHistory { runs, cut: false })]),
        switched: BTreeSet::new(),
    }
}

fn report(known: Known, today: &Value, changed: Option<&Value>) -> Report {
    let of = |keys: &Value| Configuration { entries: vec![Entry::Queue(config(keys))], sharing: Sharing::default() };
    reported(known, &of(today), changed.map(of).as_ref(), None)
}

fn reported(known: Known, today: &Configuration, changed: Option<&Configuration>, name: Option<&str>) -> Report {
    let mut forecast = Forecast::begin(known, today, changed);
    while !forecast.run(MOMENTS) {}
    forecast.report(name)
}

fn remarks(report: &Report) -> String {
    serde_json::to_value(&report.jobs[0]).unwrap()["remarks"].to_string()
}

#[test]
fn a_forecast_of_what_was_in_force_tells_what_happened() {
    for slots in [1, 2, 4] {
        let report = report(history(slots, 15, 8), &json!({"maxConcurrentJobs": slots}), None);
        let verdict = report.total.verdict.unwrap();
        assert!(verdict.reliable && verdict.off_percent < 10.0, "{slots}: {verdict:?}");
        let (really, today) = (report.total.really, report.total.today.unwrap());
        assert_eq!((really.jobs, really.taken, really.live_max), (120, 120, slots as u64));
        assert_eq!((today.jobs, today.taken, today.left), (120, 120, 0));
        assert!((today.pod_hours / really.pod_hours - 1.0).abs() < 0.2, "{} {}", today.pod_hours, really.pod_hours);
    }
}

#[test]
fn another_configuration_stands_beside_it() {
    let report = report(history(1, 15, 8), &json!({}), Some(&json!({"maxConcurrentJobs": 8})));
    let (today, changed) = (report.total.today.unwrap(), report.total.changed.unwrap());
    assert!(today.wait_p95_seconds > 60.0 && changed.wait_p95_seconds < 5.0, "{today:?} {changed:?}");
    assert_eq!((changed.live_max, changed.jobs), (8, 120));
    let page = serde_json::to_value(&report.jobs[0]).unwrap();
    assert_eq!((&page["name"], &page["remarks"]), (&json!("mail"), &json!([])));
    assert_eq!(page["verdict"]["reliable"], true);
}

#[test]
fn what_it_can_not_tell_it_says() {
    let report = report(history(4, 15, 8), &json!({}), None);
    let verdict = report.total.verdict.unwrap();
    assert!(!verdict.reliable && verdict.told.contains("do not rely on it"), "there were four slots: {verdict:?}");
}

#[test]
fn what_is_not_known_is_remarked() {
    let mut known = history(1, 1, 8);
    known.runs.clear();
    known.cut = true;
    known.queues.get_mut("mail").unwrap().keyed = true;
    let report = report(known, &json!({}), None);
    assert!(report.remarks[0].contains("only 8 are replayed"), "{report:?}");
    let remarks = remarks(&report);
    assert!(remarks.contains("no run of it is known") && remarks.contains("by key"), "{remarks}");
    assert!(report.total.verdict.unwrap().told.contains("only 8 messages"));
}

#[test]
fn jobs_and_pod_hours_are_those_of_the_span_and_waits_those_of_the_same_messages() {
    let mut known = history(4, 15, 8);
    let queue = known.queues.get_mut("mail").unwrap();
    let mut messages = queue.messages.to_vec();
    // Nobody has taken the last burst, which came 10 s before the end.
    messages.extend((0..100).map(|_| at(SPAN.to - seconds(10))));
    *queue = QueueHistory { notifies: true, ..QueueHistory::of(messages) };
    let report = report(known, &json!({"maxConcurrentJobs": 4}), None);
    let (really, today) = (report.total.really, report.total.today.unwrap());
    assert_eq!((really.taken, really.left), (120, 100));
    assert_eq!((today.taken, today.left), (120, 0), "they are taken later, and tell nothing that reality does, too");
    assert!((today.wait_p95_seconds - report.total.verdict.unwrap().forecast_p95_seconds).abs() < 1e-9);
    assert!((121..=128).contains(&today.jobs), "those that are created after the span do not count: {today:?}");
    assert!((today.pod_hours / really.pod_hours - 1.0).abs() < 0.2, "{} {}", today.pod_hours, really.pod_hours);
}

#[test]
fn one_is_told_of_and_those_that_share_with_it_are_replayed_with_it() {
    let two = |keys: Value| {
        let other = config(&json!({"name": "other", "maxConcurrentJobs": 1}));
        let entries = vec![Entry::Queue(config(&keys)), Entry::Queue(other)];
        Configuration { entries, sharing: Sharing::default() }
    };
    let of_both = two(json!({})).about("mail");
    assert_eq!(of_both.entries.len(), 2, "the other one takes messages of the same queue");
    let report = reported(history(2, 15, 8), &of_both, Some(&two(json!({"maxConcurrentJobs": 8}))), Some("mail"));
    assert_eq!(report.jobs.len(), 1);
    let (told, total) = (serde_json::to_value(&report.jobs[0]).unwrap(), report.total);
    let today = total.today.unwrap();
    assert_eq!((&told["name"], &told["today"]["jobs"]), (&json!("mail"), &json!(today.jobs)));
    assert_eq!((report.messages, today.live_max), (120, 1), "the other one is not counted");
    assert!(today.jobs < 120 && today.wait_max_seconds < 50.0, "but it takes its part: {today:?}");
    assert!(told["remarks"].to_string().contains("another JobConfig"), "{told}");
}

#[test]
fn what_runs_did_before_pg_boss_remembers_is_remarked() {
    let mut known = history(1, 15, 8);
    assert_eq!(remarks(&report(known.clone(), &json!({}), None)), "[]");
    let queue = known.queues.get_mut("mail").unwrap();
    *queue = QueueHistory { notifies: true, ..QueueHistory::of(queue.messages[60..].to_vec()) };
    let told = remarks(&report(known, &json!({}), None));
    assert!(told.contains("60 of its 120 runs had ended before the first message"), "{told}");
}

#[test]
fn what_is_paused_by_hand_or_depends_on_others_is_remarked() {
    let mut known = history(1, 15, 8);
    known.switched.insert("mail".to_owned());
    let file = json!([{"queueName": "mail", "podConfig": {"image": "mail:1"}, "dependsOn": ["redis"]},
        {"type": "service", "name": "redis", "podConfig": {"image": "redis:8"}}]);
    let file = jobs_file::load("jobs.json", &file.to_string()).unwrap();
    let depends = Configuration { entries: file.jobs, sharing: file.sharing };
    let told = remarks(&reported(known.clone(), &depends, None, None));
    assert!(told.contains("it was paused by hand") && told.contains("it depends on redis"), "{told}");
    let told = remarks(&report(known, &json!({"paused": true}), None));
    assert!(told.contains("it was resumed by hand"), "{told}");
}
