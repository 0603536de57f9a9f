//! The worked example of docs/forecast.md is what comes of its messages.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use job_chief::{
    config::jobs_file,
    decide::{
        forecast::{
            history::{Known, Message, PastRun, QueueHistory, RunHistory, Span},
            scenario::{Configuration, Forecast},
        },
        outcome::Outcome,
    },
    tables,
};
use serde_json::{Value, json};

/// Moments between two questions whether a replay is over.
const MOMENTS: usize = 1_000;

/// Monday morning, in seconds since 1970.
const FROM: u64 = 1_772_442_000;

/// Columns of a table that goes into a file.
const WIDTH: usize = 100;

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A hundred and twenty thumbnails every two hours, made by two Jobs at once, each of which makes one.
fn thumbnails() -> Known {
    let span = Span { from: seconds(FROM), to: seconds(FROM + 24 * 3_600) };
    let (mut messages, mut runs) = (vec![], vec![]);
    for burst in 0..12 {
        let sent_at = span.from + seconds(60 + burst * 7_200);
        let mut free_at = [sent_at; 2];
        for number in 0..120_u64 {
            let varies = |by: u64| Duration::from_millis(number * 7_919 % by);
            let slot = usize::from(free_at[1] < free_at[0]);
            let wished_at = free_at[slot];
            let taken_at = wished_at + Duration::from_millis(2_400) + varies(1_200) + Duration::from_micros(number);
            let done_at = taken_at + seconds(15) + varies(10_000);
            let ended_at = done_at + seconds(1);
            free_at[slot] = seconds(ended_at.as_secs() + 5).max(ended_at);
            messages.push(Message {
                taken_at: Some(taken_at),
                done_at: Some(done_at),
                at: sent_at,
                sent_at,
                priority: 0,
            });
            runs.push(PastRun {
                wished_at,
                started_at: Some(seconds((taken_at - seconds(1)).as_secs())),
                ended_at: Some(seconds(ended_at.as_secs())),
                outcome: Some(Outcome::Succeeded),
                took_nothing: false,
            });
        }
    }
    runs.sort_by_key(|run| run.wished_at);
    let queue = QueueHistory { notifies: true, ..QueueHistory::of(messages) };
    Known {
        span,
        cut: false,
        queues: BTreeMap::from([("thumbnails".to_owned(), queue)]),
        runs: BTreeMap::from([("thumbnails".to_owned(), RunHistory { runs, cut: false })]),
        switched: BTreeSet::new(),
    }
}

/// The text without colours.
fn plain(text: &str) -> String {
    let mut parts = text.split('\u{1b}');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |told, part| told + part.split_once('m').map_or(part, |(_, rest)| rest))
}

#[test]
fn the_worked_example_is_what_comes_of_its_messages() {
    let of = |jobs: u32| {
        let file = json!([{"queueName": "thumbnails", "podConfig": {"image": "i"}, "maxConcurrentJobs": jobs}]);
        let file = jobs_file::load("jobs.json", &file.to_string()).unwrap();
        Configuration { entries: file.jobs, sharing: file.sharing }
    };
    let mut forecast = Forecast::begin(thumbnails(), &of(2), Some(&of(8)));
    while !forecast.run(MOMENTS) {}
    let told: Value = serde_json::to_value(forecast.report(None)).unwrap();
    let table = plain(&tables::forecast::forecast(&told, WIDTH));
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/forecast.md");
    let page = std::fs::read_to_string(path).unwrap();
    let (before, rest) = page.split_once("```text\n").unwrap();
    let (shown, after) = rest.split_once("```").unwrap();
    if std::env::var("UPDATE_DOCS").is_ok() {
        std::fs::write(path, format!("{before}```text\n{}\n```{after}", table.trim_end())).unwrap();
    } else {
        assert_eq!(shown.trim_end(), table.trim_end(), "UPDATE_DOCS=1 cargo test --test pages writes it");
    }
}
