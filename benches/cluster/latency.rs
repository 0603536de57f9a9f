//! From a message's commit to its Job, as an independent watch sees it.

use serde_json::{Value, json};

use crate::{
    figures::Figures,
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
        ("with LISTEN", listening, true, [Some("≤ 8"), Some("≤ 30"), None]),
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
    for run in 0..runs {
        let mut samples = vec![];
        for number in 0..MESSAGES[usize::from(!notify)] {
            pause(number + u64::from(run)).await;
            let sent = send(&mut connection, "one", 1, notify).await;
            samples.push(witness.next().await.at.duration_since(sent).as_secs_f64() * 1000.0);
            take_all(&mut connection).await;
        }
        samples.sort_by(f64::total_cmp);
        for (share, goal) in [(50, goals[0]), (99, goals[1]), (100, goals[2])] {
            let at = (samples.len() * share / 100).min(samples.len() - 1);
            let name = if share == 100 { format!("{how}, longest") } else { format!("{how}, p{share}") };
            figures.add(&name, "ms", goal, samples[at]);
        }
    }
    stage.kill().await;
    stage.clear().await;
}
