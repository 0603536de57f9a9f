//! Five hundred messages at once, beside a bare client that creates the same Jobs as fast as it can.

use std::{sync::Arc, time::Instant};

use futures::{StreamExt, stream};
use k8s_openapi::api::batch::v1::Job;
use kube::api::PostParams;
use serde_json::{Value, json};

use crate::{
    figures::{Figures, median},
    process::cpu_seconds,
    stage::Stage,
    witness::{Witness, podless, send, take_all},
};

/// Messages of a burst.
const BURST: usize = 500;

/// Pairs of runs, in turn: raw, ours, raw, ours …
const PAIRS_MIN: u32 = 7;

/// Requests that the bare client has in flight.
const IN_FLIGHT: [usize; 4] = [1, 8, 16, 32];

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

    let mut best = (1, 0.0);
    for in_flight in IN_FLIGHT {
        let rate = raw(&stage, &mut witness, &pattern, in_flight).await;
        figures.add(&format!("raw, {in_flight} in flight"), "Jobs/s", None, rate);
        if rate > best.1 {
            best = (in_flight, rate);
        }
        stage.clear().await;
    }
    let mut ceilings = vec![];
    for pair in 0..pairs {
        let ceiling = raw(&stage, &mut witness, &pattern, best.0).await;
        stage.clear().await;
        let queue = format!("burst-{pair}");
        let cpu = cpu_seconds(stage.pid());
        let sent = send(&mut connection, &queue, BURST, true).await;
        let first = witness.next().await.at.duration_since(sent).as_secs_f64();
        figures.add("until the first Job", "ms", None, first * 1000.0);
        let took = witness.last_of(BURST - 1).await.duration_since(sent).as_secs_f64();
        let rate = BURST as f64 / took;
        figures.add("raw in pairs", "Jobs/s", Some("≥ 900, or void"), ceiling);
        figures.add("ours", "Jobs/s", Some("≥ 700"), rate);
        figures.add("until the 500th Job", "ms", None, took * 1000.0);
        figures.add("our CPU for it", "ms", None, 1000.0 * (cpu_seconds(stage.pid()) - cpu));
        figures.add("ours of raw", "%", Some("≥ 85"), 100.0 * rate / ceiling);
        ceilings.push(ceiling);
        take_all(&mut connection).await;
        stage.clear().await;
    }
    if median(&ceilings) < CEILING_MIN {
        eprintln!("  this run is void: the bare client made fewer than {CEILING_MIN} Jobs a second");
    }
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
