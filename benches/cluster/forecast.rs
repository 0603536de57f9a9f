//! How long a forecast of very many messages takes, and how far a forecast of bursts that real pods have served is off.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use job_chief::{
    config::{entry::Entry, jobs_file, sharing::Sharing},
    decide::{
        forecast::{
            history::{Known, Message, PastRun, QueueHistory, RunHistory, Span},
            scenario::{Configuration, Forecast},
        },
        outcome::Outcome,
    },
};
use serde_json::{Value, json};

use crate::{
    figures::Figures,
    stage::{Stage, eventually},
};

/// Messages of the large forecast, over a day.
const MESSAGES: u64 = 100_000;

const DAY: Duration = Duration::from_secs(24 * 3_600);

/// Between two bursts of the large forecast.
const BURST_EVERY: Duration = Duration::from_secs(900);

/// Bursts that real pods serve, and the messages of each: three Jobs at once have some twenty seconds of work.
const BURSTS: u32 = 8;
const BURST: u32 = 24;

/// Between two of these bursts: they are served by then, mostly.
const REAL_BURST_EVERY: Duration = Duration::from_secs(25);

pub(crate) async fn measure(figures: &mut Figures, runs: u32) {
    for run in 0..runs {
        let verdict = real(run).await;
        let number = |key: &str| verdict[key].as_f64().unwrap();
        figures.add("p95 of the waits as they were", "s", None, number("reallyP95Seconds"));
        figures.add("p95 of the forecast", "s", None, number("forecastP95Seconds"));
        figures.add("off", "%", Some("≤ 15"), number("offPercent"));
    }
    for (how, each) in [("one message a Job", 1), ("ten messages a Job", 10)] {
        let jobs = config(&json!({"maxConcurrentJobs": 20, "messagesPerJob": each}));
        for _ in 0..runs {
            let (known, begun) = (day(each), Instant::now());
            let mut forecast = Forecast::begin(known, &jobs, None);
            while !forecast.run(1_000) {}
            let report = forecast.report(None);
            let took = begun.elapsed().as_secs_f64();
            assert_eq!(report.total.today.unwrap().taken, MESSAGES);
            figures.add(&format!("100,000 messages, {how}"), "s", Some("≤ 2"), took);
        }
    }
}

fn config(keys: &Value) -> Configuration {
    let mut entry = json!({"queueName": "mail", "podConfig": {"image": "mail:1"}});
    jobs_file::lay_over(&mut entry, keys.clone());
    let file = jobs_file::load("jobs.json", &json!([entry]).to_string()).unwrap();
    let entries: Vec<Entry> = file.jobs;
    Configuration { entries, sharing: Sharing::default() }
}

/// A day of bursts, whose Jobs took so many messages each.
fn day(each: u64) -> Known {
    let span = Span { from: DAY, to: DAY * 2 };
    let bursts = DAY.as_secs() / BURST_EVERY.as_secs();
    let per_burst = MESSAGES.div_ceil(bursts);
    let message = |number: u64| {
        let (burst, place) = (number / per_burst, number % per_burst);
        let sent_at = span.from + BURST_EVERY * u32::try_from(burst).unwrap() + Duration::from_micros(place);
        let taken_at = sent_at + Duration::from_millis(3_000 + 700 * place);
        let done_at = Some(taken_at + Duration::from_millis(500 + (place * 7_919) % 3_000));
        Message { at: sent_at, sent_at, priority: 0, taken_at: Some(taken_at), done_at }
    };
    let messages: Vec<Message> = (0..MESSAGES).map(message).collect();
    let first = messages.len() - 1_000 * usize::try_from(each).unwrap();
    let of_job = |taken: &[Message]| PastRun {
        wished_at: taken[0].taken_at.unwrap() - Duration::from_secs(3),
        started_at: Some(taken[0].taken_at.unwrap() - Duration::from_secs(1)),
        ended_at: Some(taken[taken.len() - 1].done_at.unwrap() + Duration::from_secs(1)),
        outcome: Some(Outcome::Succeeded),
        took_nothing: false,
    };
    let runs = messages[first..].chunks(usize::try_from(each).unwrap()).map(of_job).collect();
    let queue = QueueHistory { notifies: true, ..QueueHistory::of(messages) };
    Known {
        span,
        cut: false,
        queues: BTreeMap::from([("mail".to_owned(), queue)]),
        runs: BTreeMap::from([("mail".to_owned(), RunHistory { runs, cut: true })]),
        switched: BTreeSet::new(),
    }
}

/// Has real pods serve bursts, and asks for the verdict of the forecast of what was in force.
async fn real(run: u32) -> Value {
    let mut stage = Stage::set(&format!("bench-forecast-{run}")).await;
    let config = json!({
        "queueName": "burst", "maxConcurrentJobs": 3, "queueCheckInterval": "2s", "waitTimeAfterSuccessfulRun": "1s",
        "podConfig": {"image": "job-chief.test/worker:dev", "pullPolicy": "Never", "injectPgConfig": true,
            "env": [{"name": "WORK_TIME", "value": "1s"}]},
    });
    stage.boss(&["queue", "burst"]).await;
    stage.run(json!([config])).await;
    for burst in 0..BURSTS {
        // No two fall on the same place of an interval.
        tokio::time::sleep(REAL_BURST_EVERY + Duration::from_millis(u64::from(burst) * 370)).await;
        stage.send("burst", BURST).await;
    }
    let all = i64::from(BURSTS * BURST);
    eventually("all messages to be completed", || async {
        (stage.count("select count(*) from pgboss.job where state = 'completed'").await == all).then_some(())
    })
    .await;
    eventually("all runs to be on record", || async {
        (stage.count("select count(*) from chief.runs where ended_at is null").await == 0).then_some(())
    })
    .await;
    let told = stage.command(&["forecast", "burst", "--last", "1h", "-o", "json"]).await;
    let told: Value = serde_json::from_str(&told).unwrap();
    eprintln!("  {}", told["jobs"][0]);
    told["total"]["verdict"].clone()
}
