//! A restart with a thousand running Jobs: how long until it is ready, and whether it leaves them alone.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    figures::Figures,
    process::resident_kb,
    stage::{Stage, eventually, script, with},
};

/// Jobs that run while it restarts.
const JOBS: u32 = 1_000;

/// Once they have run for so long they are known to have taken their messages, also by whoever has just started.
const FETCH_GRACE: Duration = Duration::from_secs(15);

/// Messages that come while it is away.
const MEANWHILE: u32 = 10;

/// What a pod that only plays to run needs: the scale node, and to stay.
pub(crate) fn plays() -> Value {
    json!({"jobTemplate": {"spec": {"template": {
        "metadata": {"labels": {"job-chief.test/stays": "yes"}},
        "spec": {
            "nodeSelector": {"job-chief.test/node": "scale"},
            "tolerations": [{"key": "job-chief.test/scale", "operator": "Exists"}],
        },
    }}}})
}

/// A JobConfig of such pods.
pub(crate) fn playing(queue: &str, keys: Value) -> Value {
    with(with(script(queue, "unused"), plays()), keys)
}

pub(crate) async fn measure(figures: &mut Figures, runs: u32) {
    let mut stage = Stage::set("bench-restart").await.with("LOG_LEVEL", "info");
    let config = json!([playing(
        "many",
        json!({"maxConcurrentJobs": JOBS + 5_000, "fetchGrace": format!("{}s", FETCH_GRACE.as_secs())})
    )]);
    stage.run(config.clone()).await;
    settle().await;
    let empty = stage.resident_kb().await;
    stage.send("many", JOBS).await;
    running(&stage, JOBS as usize).await;
    take(&stage).await;
    for run in 1..=runs {
        tokio::time::sleep(FETCH_GRACE).await;
        let before = uids(&stage).await;
        stage.kill().await;
        stage.send("many", MEANWHILE).await;
        let begun = Instant::now();
        stage.start(&config);
        loop {
            if stage.get("/readiness").await.is_some_and(|(code, _)| code == 200) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        figures.add("from start to ready", "s", Some("< 2"), begun.elapsed().as_secs_f64());
        while !stage.is_leading().await {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        figures.add("from start to leading, after a kill", "s", Some("≤ 5"), begun.elapsed().as_secs_f64());
        running(&stage, (JOBS + run * MEANWHILE) as usize).await;
        figures.add("from start to the last Job for what came meanwhile", "s", None, begun.elapsed().as_secs_f64());
        take(&stage).await;
        settle().await;
        let after = uids(&stage).await;
        let created = after.difference(&before).count() as f64;
        figures.add("Jobs created in excess", "Jobs", Some("0"), created - f64::from(MEANWHILE));
        figures.add("Jobs deleted", "Jobs", Some("0"), before.difference(&after).count() as f64);
        let per_job = (stage.resident_kb().await - empty) / after.len() as f64;
        figures.add("resident memory of the process per running Job", "kB", None, per_job);
    }
}

/// Several looks long: whatever it still wants to do, it does now.
async fn settle() {
    tokio::time::sleep(Duration::from_secs(3)).await;
}

pub(crate) async fn running(stage: &Stage, count: usize) {
    eventually("running Jobs", || async {
        let told = stage.json("/jobs").await?;
        (told[0]["phase"]["running"].as_u64()? == count as u64).then_some(())
    })
    .await;
}

/// The workers have taken every message, as those of containers would.
async fn take(stage: &Stage) {
    stage.count("with taken as (update pgboss.job set state = 'active' where state < 'active' returning 1) select count(*) from taken").await;
}

async fn uids(stage: &Stage) -> BTreeSet<String> {
    stage.jobs().await.into_iter().filter_map(|job| job.metadata.uid).collect()
}

impl Stage {
    /// Resident memory in kB after a scrape.
    pub(crate) async fn resident_kb(&self) -> f64 {
        self.get("/metrics").await.unwrap();
        resident_kb(self.pid())
    }
}
