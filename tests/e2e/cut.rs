//! Postgres away for one job-chief alone: a wire between them counts its connections, and is cut.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    proxy::Wire,
    stage::{Stage, eventually, script, with},
};

/// Queues that are all read every second.
const QUEUES: usize = 60;

/// How long Postgres is away.
const AWAY: Duration = Duration::from_secs(10);

/// Attempts to connect that are enough for a second: those of the readers, of the writer and of the listener, each with
/// its waits, and none for each queue.
const ATTEMPTS_A_SECOND: usize = 15;

/// How often all queues were read with a result.
async fn reads(stage: &Stage, result: &str) -> f64 {
    let page = stage.get("/metrics").await.unwrap().1;
    let name = format!("job_chief_queue_reads_total{{result=\"{result}\"}} ");
    page.lines().find_map(|line| line.strip_prefix(&name)?.parse().ok()).unwrap_or_default()
}

#[tokio::test]
async fn many_queues_are_few_connections_also_when_postgres_comes_back() {
    let stage = Stage::set("cut-postgres").await;
    let site = &stage.site;
    let wire = Wire::to(format!("{}:{}", site.text("postgresHost"), site.state["postgresPort"])).await;
    let url =
        format!("postgres://postgres:{}@127.0.0.1:{}/{}", site.text("postgresPassword"), wire.port, stage.database());
    let mut stage = stage.with("DATABASE_URL", &url);
    let config = |number: usize| with(script(&format!("queue-{number}"), "true"), json!({"queueCheckInterval": "1s"}));
    stage.run(json!((0..QUEUES).map(config).collect::<Vec<Value>>())).await;
    let before = reads(&stage, "ok").await;
    eventually("every queue to be read again", || async {
        (reads(&stage, "ok").await > before + 2.0 * QUEUES as f64).then_some(())
    })
    .await;
    few_are_alive(&wire).await;

    wire.cut();
    // Once it is known to be away, how old what is shown is stands there, and for a while the last good value.
    eventually("what was read last to be shown", || async {
        let page = stage.get("/metrics").await?.1;
        let away = page.contains("job_chief_component_up{component=\"schema\"} 0");
        let shown = ["job_chief_queue_last_read_timestamp_seconds ", "queue=\"queue-0\",state=\"ready\"} 0"];
        (away && shown.iter().all(|shown| page.contains(shown))).then_some(())
    })
    .await;
    eventually("readiness to tell", || async { (stage.get("/readiness").await?.0 == 503).then_some(()) }).await;
    let (accepted, begun) = (wire.tried(), tokio::time::Instant::now());
    tokio::time::sleep(AWAY).await;
    eventually("an attempt to connect", || async { (wire.tried() > accepted).then_some(()) }).await;
    let (attempts, seconds) = (wire.tried() - accepted, begun.elapsed().as_secs_f64());
    assert!(
        attempts as f64 <= ATTEMPTS_A_SECOND as f64 * (seconds + 1.0),
        "{attempts} attempts to connect in {seconds} s"
    );
    assert_eq!(stage.get("/liveness").await.unwrap().0, 200);

    stage.send("queue-7", 1).await;
    let accepted = wire.tried();
    wire.mend();
    eventually("readiness", || async { (stage.get("/readiness").await?.0 == 200).then_some(()) }).await;
    assert_eq!(stage.ended("queue-7", 1).await[0]["outcome"], "succeeded");
    let back = wire.tried() - accepted;
    assert!(back < QUEUES / 2, "{back} connections when it was back");
    few_are_alive(&wire).await;
}

/// One connection may have its end while another begins: then both are counted, for a moment.
async fn few_are_alive(wire: &Wire) {
    eventually("3 connections at most", || async { (wire.alive() <= 3).then_some(()) }).await;
}
