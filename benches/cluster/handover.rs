//! A leader that is killed or stopped under load, and the one that follows it: how long until it leads, and whether any
//! message is answered twice or not at all.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::{
    bouncer::Bouncer,
    figures::Figures,
    restart::playing,
    stage::{Stage, eventually},
    witness::Witness,
};

/// Hand-overs of each kind in one run.
const HANDOVERS: u32 = 20;

/// Messages that come just before, and as many just after.
const MESSAGES: u32 = 5;

pub(crate) async fn measure(figures: &mut Figures, runs: u32) {
    let stage = Stage::set("bench-handover").await.with("LOG_LEVEL", "info");
    let kinds = [(Kind::Kill, "after a kill", "≤ 5"), (Kind::Stop, "after a stop, by LISTEN", "≤ 0.5")];
    repeat(figures, runs, stage, &kinds).await;
    let stage = Stage::set("bench-pooled").await.with("LOG_LEVEL", "info");
    let bouncer = Bouncer::start(&stage.site.database_url(&stage.database()), "");
    let through = format!("postgres://postgres:any@127.0.0.1:{}/{}", bouncer.port, stage.database());
    let kinds = [(Kind::Stop, "after a stop, through PgBouncer", "≤ 1.5")];
    repeat(figures, runs, stage.with("DATABASE_URL", &through), &kinds).await;
}

/// How a leader goes.
#[derive(Clone, Copy)]
enum Kind {
    Kill,
    Stop,
}

/// What happens, what it is called, and the goal in seconds.
type Named = (Kind, &'static str, &'static str);

async fn repeat(figures: &mut Figures, runs: u32, mut leader: Stage, kinds: &[Named]) {
    let config = json!([playing("one", json!({"maxConcurrentJobs": 5_000, "fetchGrace": "1s"}))]);
    leader.run(config.clone()).await;
    leader.leads().await;
    let mut follower = leader.beside().await;
    let working = tokio::spawn(Witness::begin(&leader).await.work(leader.connection().await));
    let mut messages = 0;
    for _ in 0..runs {
        for (kind, name, goal) in std::iter::repeat_n(kinds, HANDOVERS as usize).flatten() {
            follower.run(config.clone()).await;
            leader.send("one", MESSAGES).await;
            let begun = hand_over(&mut leader, *kind).await;
            while !follower.is_leading().await {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            figures.add(name, "s", Some(*goal), begun.elapsed().as_secs_f64());
            follower.send("one", MESSAGES).await;
            messages += 2 * MESSAGES;
            answered(&follower, messages).await;
            std::mem::swap(&mut leader, &mut follower);
        }
        // Whatever was still to be created is, within some looks.
        tokio::time::sleep(Duration::from_secs(15)).await;
        let excess = jobs(&leader).await - f64::from(messages);
        figures.add("Jobs in excess of messages, or messages without a Job", "", Some("0"), excess);
    }
    working.abort();
}

/// From here on the leader is gone, or on its way.
async fn hand_over(leader: &mut Stage, kind: Kind) -> Instant {
    let begun = Instant::now();
    match kind {
        Kind::Kill => leader.kill().await,
        Kind::Stop => drop(leader.terminate().await),
    }
    begun
}

async fn jobs(stage: &Stage) -> f64 {
    stage.jobs().await.len() as f64
}

/// Each message has its Job, which runs and has taken it.
async fn answered(stage: &Stage, messages: u32) {
    eventually("a Job for each message", || async {
        let told = stage.json("/jobs").await?;
        (told[0]["phase"]["running"].as_u64()? >= messages.into()).then_some(())
    })
    .await;
}
