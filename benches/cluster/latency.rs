//! From a message's commit to its Job, as an independent watch sees it; and from a bare request to its Job, in turn.

use std::time::Instant;

use k8s_openapi::api::batch::v1::Job;
use kube::{Api, api::PostParams};
use serde_json::{Value, json};

use crate::{
    burst::named,
    figures::{Figures, within},
    stage::Stage,
    witness::{Witness, pause, podless, send, take_all},
};

/// Messages of one run with notifications, and of one without, where each waits for the next look.
const MESSAGES: [u64; 2] = [100, 30];

/// Jobs live on, for nobody runs them: room for all runs.
const ROOM: u32 = 5_000;

pub(crate) async fn measure(figures: &mut Figures, runs: u32) {
    let listening = json!({"maxConcurrentJobs": ROOM, "queueCheckInterval": "1h", "fetchGrace": "1h"});
    let polling = json!({"maxConcurrentJobs": ROOM, "queueCheckInterval": "1s", "fetchGrace": "1h"});
    for (how, keys, notify, goals) in [
        ("with LISTEN", listening, true, [None; 3]),
        ("with polling at 1 s", polling, false, [None, None, Some("≤ 1050")]),
    ] {
        series(figures, runs, how, keys, notify, goals).await;
    }
}

async fn series(
    figures: &mut Figures,
    runs: u32,
    how: &str,
    keys: Value,
    notify: bool,
    goals: [Option<&'static str>; 3],
) {
    let mut stage = Stage::set(&format!("bench-latency-{notify}")).await.with("LOG_LEVEL", "info");
    stage.queues("'one'", 1).await;
    stage.run(json!([podless("one", keys)])).await;
    let mut connection = stage.connection().await;
    let mut witness = Witness::begin(&stage).await;
    // The first one waits for the tables that a first start makes.
    send(&mut connection, "one", 1, notify).await;
    witness.next().await;
    take_all(&mut connection).await;
    let pattern = json!(stage.jobs().await.remove(0));
    let bare: Api<Job> = stage.api();
    for run in 0..runs {
        let (mut samples, mut raw) = (vec![], vec![]);
        for number in 0..MESSAGES[usize::from(!notify)] {
            pause(number + u64::from(run)).await;
            let sent = send(&mut connection, "one", 1, notify).await;
            samples.push(witness.next().await.at.duration_since(sent).as_secs_f64() * 1000.0);
            take_all(&mut connection).await;
            if notify {
                // As rested as all were for ours: what has just worked answers sooner.
                pause(number + u64::from(run)).await;
                let job = named(&pattern, &format!("raw-{run}-{number}"));
                let begun = Instant::now();
                bare.create(&PostParams::default(), &job).await.unwrap();
                raw.push(witness.next().await.at.duration_since(begun).as_secs_f64() * 1000.0);
            }
        }
        for (share, goal, beyond) in [(50, goals[0], "≤ 3"), (99, goals[1], "≤ 10"), (100, goals[2], "")] {
            let ours = within(&samples, share);
            let name = if share == 100 { "longest".to_owned() } else { format!("p{share}") };
            figures.add(&format!("{how}, {name}"), "ms", goal, ours);
            if notify {
                let bare = within(&raw, share);
                figures.add(&format!("a bare request beside it, {name}"), "ms", None, bare);
                figures.add(&format!("{how}, {name}, beyond the bare request"), "ms", Some(beyond), ours - bare);
            }
        }
    }
    stage.kill().await;
    stage.clear().await;
}
