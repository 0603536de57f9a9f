//! Five hundred messages at once, beside a bare client that creates the same Jobs as fast as it can; and what a neighbour
//! feels of either, who only reads.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{StreamExt, stream};
use k8s_openapi::api::{batch::v1::Job, core::v1::ConfigMap};
use kube::api::PostParams;
use serde_json::{Value, json};

use crate::{
    figures::{Figures, median, within},
    process::{cpu_seconds, cpu_seconds_of},
    stage::Stage,
    witness::{Witness, podless, send, take_all},
};

/// Messages of a burst.
const BURST: usize = 500;

/// Pairs of runs, as many with either one first.
const PAIRS_MIN: u32 = 8;

/// Requests that the bare client has in flight.
const IN_FLIGHT: [usize; 4] = [8, 16, 32, 64];

/// How often the best of them is looked for: the median of so many counts.
const SEARCHES: u32 = 3;

/// Who else works for a burst: names in the cluster's state.
const OTHERS: [&str; 4] = ["apiserver", "etcd", "controllers", "postgres"];

/// The neighbour reads so often, and so long before each pair.
const READS_EVERY: Duration = Duration::from_millis(5);
const ALONE: Duration = Duration::from_secs(2);

/// A machine on which a bare client makes fewer Jobs a second says nothing about ours.
const CEILING_MIN: f64 = 900.0;

pub(crate) async fn measure(figures: &mut Figures, runs: u32) {
    let pairs = runs.max(PAIRS_MIN);
    let mut stage = Stage::set("bench-burst").await.with("LOG_LEVEL", "info");
    let keys = json!({"maxConcurrentJobs": BURST, "queueCheckInterval": "1h", "fetchGrace": "1h"});
    let configs: Vec<Value> = (0..pairs).map(|pair| podless(&format!("burst-{pair}"), keys.clone())).collect();
    stage.queues("'burst-' || (n - 1)", pairs).await;
    stage.run(json!(configs)).await;
    let mut connection = stage.connection().await;
    let mut witness = Witness::begin(&stage).await;

    // One Job of ours is what the bare client sends, too.
    send(&mut connection, "burst-0", 1, true).await;
    witness.next().await;
    take_all(&mut connection).await;
    let pattern = json!(stage.jobs().await.remove(0));
    stage.clear().await;

    let best = best_in_flight(figures, &stage, &mut witness, &pattern).await;
    let mut ceilings = vec![];
    let [mut alone, mut beside_raw, mut beside_ours] = [const { vec![] }; 3];
    for pair in 0..pairs {
        alone.extend(neighbour(&stage, tokio::time::sleep(ALONE)).await.1);
        let (mut ceiling, mut took) = (0.0, 0.0);
        for turn in turns(pair) {
            let before = OTHERS.map(|name| cpu_seconds_of(&stage, name));
            match turn {
                Turn::Raw => {
                    let felt;
                    (ceiling, felt) = neighbour(&stage, raw(&stage, &mut witness, &pattern, best)).await;
                    beside_raw.extend(felt);
                    add_others(figures, &stage, before, "raw");
                }
                Turn::Ours => {
                    let cpu = cpu_seconds(stage.pid());
                    let sent = send(&mut connection, &format!("burst-{pair}"), BURST, true).await;
                    let seen = async { (witness.next().await.at, witness.last_of(BURST - 1).await) };
                    let ((first, last), felt) = neighbour(&stage, seen).await;
                    beside_ours.extend(felt);
                    took = last.duration_since(sent).as_secs_f64();
                    let waited = first.duration_since(sent).as_secs_f64();
                    figures.add("until the first Job", "ms", None, 1000.0 * waited);
                    figures.add("our CPU for it", "ms", None, 1000.0 * (cpu_seconds(stage.pid()) - cpu));
                    add_others(figures, &stage, before, "ours");
                    take_all(&mut connection).await;
                }
            }
            stage.clear().await;
        }
        let rate = BURST as f64 / took;
        figures.add("raw in pairs", "Jobs/s", Some("≥ 900, or void"), ceiling);
        figures.add("ours", "Jobs/s", Some("≥ 700"), rate);
        figures.add("until the 500th Job", "ms", None, 1000.0 * took);
        figures.add("ours of raw", "%", Some("≥ 95"), 100.0 * rate / ceiling);
        ceilings.push(ceiling);
    }
    for (who, felt) in
        [("alone", alone), ("beside the bare client", beside_raw), ("beside a burst of ours", beside_ours)]
    {
        figures.add(&format!("a neighbour's p99, {who}"), "ms", None, within(&felt, 99));
    }
    if median(&ceilings) < CEILING_MIN {
        eprintln!("  this run is void: the bare client made fewer than {CEILING_MIN} Jobs a second");
    }
}

/// Whose burst it is.
#[derive(Clone, Copy)]
enum Turn {
    Raw,
    Ours,
}

/// The order of a pair. The API server collects its garbage every fourth burst or so, which halves the rate of that one: in a
/// simple alternation it would always be one of the same side. By the Thue-Morse sequence no period falls in step with it.
fn turns(pair: u32) -> [Turn; 2] {
    if pair.count_ones().is_multiple_of(2) { [Turn::Raw, Turn::Ours] } else { [Turn::Ours, Turn::Raw] }
}

/// The CPU that the others took since `before`.
fn add_others(figures: &mut Figures, stage: &Stage, before: [f64; OTHERS.len()], whose: &str) {
    for (name, before) in OTHERS.into_iter().zip(before) {
        let took = 1000.0 * (cpu_seconds_of(stage, name) - before);
        figures.add(&format!("CPU of {name} for a burst, {whose}"), "ms", None, took);
    }
}

/// With how many requests in flight the bare client is quickest here.
async fn best_in_flight(figures: &mut Figures, stage: &Stage, witness: &mut Witness, pattern: &Value) -> usize {
    let mut rates = IN_FLIGHT.map(|in_flight| (in_flight, vec![]));
    for _ in 0..SEARCHES {
        for (in_flight, rates) in &mut rates {
            let rate = raw(stage, witness, pattern, *in_flight).await;
            figures.add(&format!("raw, {in_flight} in flight"), "Jobs/s", None, rate);
            rates.push(rate);
            stage.clear().await;
        }
    }
    let best = rates.iter().max_by(|(_, one), (_, other)| median(one).total_cmp(&median(other)));
    best.expect("some were tried").0
}

/// What somebody else who reads from the same API server waits for while this goes on, in milliseconds.
async fn neighbour<T>(stage: &Stage, meanwhile: impl Future<Output = T>) -> (T, Vec<f64>) {
    let api = kube::Api::<ConfigMap>::namespaced(stage.site.client().await, &stage.name);
    // The first request connects.
    let _: Option<ConfigMap> = api.get_opt("nobody").await.unwrap();
    let mut waits = vec![];
    let reading = async {
        loop {
            let begun = Instant::now();
            let _: Option<ConfigMap> = api.get_opt("nobody").await.unwrap();
            waits.push(begun.elapsed().as_secs_f64() * 1000.0);
            tokio::time::sleep(READS_EVERY).await;
        }
    };
    let done = tokio::select! {
        done = meanwhile => done,
        () = reading => unreachable!("it reads for ever"),
    };
    (done, waits)
}

/// How many Jobs a second a bare client makes, seen by the same witness.
async fn raw(stage: &Stage, witness: &mut Witness, pattern: &Value, in_flight: usize) -> f64 {
    let api = Arc::new(stage.api::<Job>());
    let jobs: Vec<Job> = (0..BURST).map(|number| named(pattern, &format!("raw-{in_flight}-{number}"))).collect();
    let begun = Instant::now();
    let creating = stream::iter(jobs).for_each_concurrent(in_flight, |job| {
        let api = api.clone();
        async move {
            api.create(&PostParams::default(), &job).await.unwrap();
        }
    });
    let (last, ()) = tokio::join!(witness.last_of(BURST), creating);
    BURST as f64 / last.duration_since(begun).as_secs_f64()
}

/// The Job as it was asked for, under another name and of nobody.
pub(crate) fn named(pattern: &Value, name: &str) -> Job {
    let mut job = pattern.clone();
    job["status"] = Value::Null;
    job["spec"]["selector"] = Value::Null;
    job["spec"]["template"]["metadata"]["labels"] = Value::Null;
    let labels = json!({"app": "raw"});
    job["metadata"] = json!({"name": name, "labels": labels, "annotations": pattern["metadata"]["annotations"]});
    serde_json::from_value(job).unwrap()
}
