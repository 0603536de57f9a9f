//! The gauges of queues: current while nothing is created, and gone when nobody knows better any more.

use serde_json::{Value, json};

use crate::{
    outages::behind_wire,
    stage::{Stage, eventually, script, with},
};

/// The value of a series of `/metrics`; `None` where it is not shown, or the page is not.
async fn gauge(stage: &Stage, series: &str) -> Option<f64> {
    value(&stage.get("/metrics").await?.1, series)
}

fn value(page: &str, series: &str) -> Option<f64> {
    page.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok())
}

const READY: &str = "job_chief_queue_messages{job_config=\"work\",queue=\"work\",state=\"ready\"} ";
const AGE: &str = "job_chief_queue_oldest_ready_age_seconds{job_config=\"work\",queue=\"work\"} ";

async fn ready_is(stage: &Stage, ready: f64) {
    let found = || async { gauge(stage, READY).await.filter(|found| *found == ready) };
    eventually(&format!("{ready} messages to be ready"), found).await;
}

/// Waits until a page has none of the gauges of the queue.
async fn they_go(stage: &Stage) {
    eventually("the gauges to go", || async {
        let page = stage.get("/metrics").await?.1;
        [READY, AGE].iter().all(|series| value(&page, series).is_none()).then_some(())
    })
    .await;
}

/// One Job that runs on and takes nothing.
fn long() -> Value {
    with(script("work", "sleep 36000"), json!({"maxConcurrentJobs": 1, "fetchGrace": "1h"}))
}

#[tokio::test]
async fn they_are_current_while_a_queue_is_full_and_while_it_is_paused() {
    let mut stage = Stage::set("gauges-full").await;
    stage.run(json!([long()])).await;
    stage.send("work", 2).await;
    stage.running(1).await;
    stage.send("work", 2).await;
    ready_is(&stage, 4.0).await;
    let before = eventually("the age of the oldest", || gauge(&stage, AGE)).await;
    eventually("the oldest message to be older", || async { gauge(&stage, AGE).await.filter(|age| *age > before) })
        .await;
    stage.write_jobs(&json!([with(long(), json!({"paused": true}))]).to_string());
    eventually("it to be paused", || async { (stage.json("/jobs/work").await?["paused"] == true).then_some(()) }).await;
    stage.send("work", 1).await;
    ready_is(&stage, 5.0).await;
    assert_eq!(stage.jobs().await.len(), 1, "a look for the gauges creates nothing");
    stage.write_jobs(&json!([script("other", "true")]).to_string());
    they_go(&stage).await;
}

#[tokio::test]
async fn they_go_while_postgres_is_away_and_come_back_with_it() {
    let (mut stage, wire) = behind_wire("gauges-away").await;
    stage.run(json!([with(script("work", "true"), json!({"paused": true}))])).await;
    stage.send("work", 3).await;
    ready_is(&stage, 3.0).await;
    wire.cut();
    they_go(&stage).await;
    wire.mend();
    ready_is(&stage, 3.0).await;
}

#[tokio::test]
async fn they_are_current_while_a_service_is_waited_for() {
    let mut stage = Stage::set("gauges-held").await;
    let never = json!({"type": "service", "name": "never", "enabled": false, "podConfig": {"image": "i"}});
    stage.run(json!([never, with(script("work", "true"), json!({"dependsOn": ["never"]}))])).await;
    stage.send("work", 2).await;
    ready_is(&stage, 2.0).await;
    let before = eventually("the age of the oldest", || gauge(&stage, AGE)).await;
    eventually("the oldest message to be older", || async { gauge(&stage, AGE).await.filter(|age| *age > before) })
        .await;
    stage.send("work", 1).await;
    ready_is(&stage, 3.0).await;
    assert_eq!(stage.json("/jobs/work").await.unwrap()["waitsFor"], "never");
    assert_eq!(stage.jobs().await.len(), 0, "a look for the gauges creates nothing");
}
