//! What is away comes back: nothing ends, nothing is doubled, and readiness says what is missing.

use std::{collections::BTreeSet, time::Duration};

use serde_json::{Value, json};

use crate::{
    proxy::Wire,
    stage::{Stage, eventually, script, with},
};

async fn readiness(stage: &Stage, code: u16) -> Value {
    eventually(&format!("readiness {code}"), || async {
        let (found, body) = stage.get("/readiness").await?;
        (found == code).then(|| serde_json::from_str(&body).unwrap())
    })
    .await
}

/// A stage whose job-chief reaches Postgres through a wire.
pub(crate) async fn behind_wire(name: &str) -> (Stage, Wire) {
    let stage = Stage::set(name).await;
    let server = format!("{}:{}", stage.site.text("postgresHost"), stage.site.state["postgresPort"]);
    let wire = Wire::to(server).await;
    let stage = stage.with("DB_HOST", "127.0.0.1").with("DB_PORT", &wire.port.to_string());
    (stage, wire)
}

#[tokio::test]
async fn postgres_away_at_the_start_and_for_20_s_later() {
    let (mut stage, wire) = behind_wire("outage-postgres").await;
    wire.cut();
    stage.start(&json!([with(script("work", "sleep 2"), json!({"waitTimeAfterSuccessfulRun": "0s"}))]));
    let told = readiness(&stage, 503).await;
    assert_ne!(told["schema"], "ok", "{told}");
    assert_eq!(stage.get("/liveness").await.unwrap().0, 200, "a restart would mend nothing");
    wire.mend();
    readiness(&stage, 200).await;
    stage.send("work", 1).await;
    stage.ended("work", 1).await;

    wire.cut();
    // Only what is away is named.
    eventually("readiness to name it", || async {
        let (code, body) = stage.get("/readiness").await?;
        let told: Value = serde_json::from_str(&body).unwrap();
        (code == 503 && told["schema"] != "ok" && told["kubernetes"] == "ok").then_some(())
    })
    .await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(stage.exited(), None, "it goes on");
    wire.mend();
    readiness(&stage, 200).await;
    let before = stage.ended("work", 1).await.len();
    stage.ended("work", before + 2).await;
    let unfinished = stage.count("select count(*) from chief.runs where ended_at is null").await;
    assert!(unfinished <= 1, "{unfinished} unfinished runs with maxConcurrentJobs 1");
    one_line_per_change(&stage);
}

/// A line of the log says that a component does not work, and none does again before one says that it works.
fn one_line_per_change(stage: &Stage) {
    let mut away = BTreeSet::new();
    let log = stage.log();
    for line in log.lines() {
        for component in ["kubernetes", "queue", "schema"] {
            if line.contains(&format!("{component} does not work; trying again")) {
                assert!(away.insert(component), "one line per change of state, not per attempt: {line}\n{log}");
            } else if line.contains(&format!("{component} works")) {
                away.remove(component);
            }
        }
    }
}

/// A stage whose job-chief reaches the API server through a wire.
async fn api_behind_wire(name: &str) -> (Stage, Wire) {
    let mut stage = Stage::set(name).await;
    let api = stage.site.text("api").to_owned();
    let wire = Wire::to(api.clone()).await;
    let mut config: Value = serde_json::from_slice(&std::fs::read(stage.site.text("kubeconfig")).unwrap()).unwrap();
    let cluster = &mut config["clusters"][0]["cluster"];
    cluster["server"] = json!(format!("https://127.0.0.1:{}", wire.port));
    cluster["tls-server-name"] = json!(api.split(':').next().unwrap());
    let path = stage.folder.path().join("kubeconfig");
    std::fs::write(&path, config.to_string()).unwrap();
    stage.site.state["kubeconfig"] = json!(path);
    (stage, wire)
}

#[tokio::test]
async fn the_api_server_away_at_the_start_and_for_20_s_later() {
    let (mut stage, wire) = api_behind_wire("outage-api").await;
    wire.cut();
    stage.start(&json!([with(script("work", "sleep 36000"), json!({"maxConcurrentJobs": 2}))]));
    let told = readiness(&stage, 503).await;
    assert_ne!(told["kubernetes"], "ok", "{told}");
    stage.send("work", 1).await;
    wire.mend();
    stage.running(1).await;

    wire.cut();
    let told = eventually("readiness to name it", || async {
        let told = stage.json("/readiness").await?;
        (told["kubernetes"] != "ok").then_some(told)
    })
    .await;
    assert_eq!(told["schema"], "ok", "{told}");
    for (component, up) in [("kubernetes", 0), ("schema", 1), ("queue", 1)] {
        stage.shows(&format!("job_chief_component_up{{component=\"{component}\"}} {up}\n")).await;
    }
    stage.send("work", 3).await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(stage.exited(), None, "it goes on");
    wire.mend();
    readiness(&stage, 200).await;
    stage.running(2).await;
    assert_eq!(stage.jobs().await.len(), 2, "never more than maxConcurrentJobs, whatever was lost");
    assert_eq!(
        stage.count("select count(*) from chief.runs where ended_at is not null").await,
        0,
        "nothing was given up"
    );
}

#[tokio::test]
async fn watches_that_are_cut_again_and_again_lose_nothing() {
    let (mut stage, wire) = api_behind_wire("outage-watch").await;
    stage.run(json!([with(script("work", "sleep 1"), json!({"waitTimeAfterSuccessfulRun": "0s"}))])).await;
    stage.send("work", 1).await;
    for count in 1..=4 {
        stage.ended("work", count).await;
        wire.cut();
        tokio::time::sleep(Duration::from_millis(300)).await;
        wire.mend();
    }
    let runs = stage.ended("work", 5).await;
    assert!(runs.iter().all(|run| run["outcome"] == "succeeded"), "{runs:?}");
    eventually("the cuts to be counted", || async {
        let metrics = stage.get("/metrics").await?.1;
        let mut restarts = metrics.lines().filter(|line| line.starts_with("job_chief_watch_restarts_total"));
        restarts.any(|line| !line.ends_with(" 0")).then_some(())
    })
    .await;
}
