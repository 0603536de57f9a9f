//! Jobs that run once beside services, on a real cluster.

use serde_json::{Value, json};

use crate::{
    services::{IDLE, service},
    stage::{Stage, eventually, keep_port, script, with},
};

/// A Job whose container is a shell script.
fn once(script: &str) -> Value {
    let pod =
        json!({"image": "job-chief.test/busybox:dev", "pullPolicy": "Never", "command": ["/bin/sh", "-c", script]});
    json!({ "podConfig": pod })
}

impl Stage {
    /// The ends of the Jobs of a service that ran once for this, once there are so many.
    async fn ended_once(&self, name: &str, purpose: &str, count: usize) -> Vec<Value> {
        eventually(&format!("{count} ends of {purpose} of {name}"), || async {
            let told = self.json(&format!("/services/{name}")).await?;
            let runs = told["runs"].as_array()?.iter();
            let ended: Vec<Value> =
                runs.filter(|run| run["purpose"] == purpose && run["endedAt"].is_string()).cloned().collect();
            (ended.len() >= count).then_some(ended)
        })
        .await
    }
}

/// What answers is what the repair's end makes answer; until then nobody who depends on it starts.
#[tokio::test]
async fn what_runs_elsewhere_is_repaired_and_others_wait_for_it() {
    let mut stage = Stage::set("elsewhere").await;
    let (port, kept) = keep_port();
    let broker = json!({
        "type": "service", "name": "broker", "checkInterval": "5s", "unhealthyThreshold": 1, "backoff": {"factor": 1},
        "waitTimeAfterSuccessfulRun": "1h", "check": {"tcp": {"host": "127.0.0.1", "port": port}}, "repair": once("exit 0"),
    });
    stage.run(json!([broker, service("api", IDLE, json!({"dependsOn": ["broker"]}))])).await;
    let repairs = stage.ended_once("broker", "repair", 1).await;
    assert_eq!(repairs[0]["outcome"], "succeeded", "{repairs:?}");
    stage.in_state("broker", "FAILED").await;
    eventually("api to wait for it", || async {
        let api = stage.json("/services/api").await?;
        (api["state"] == "NOT_STARTED" && api["error"] == "waits for broker").then_some(())
    })
    .await;
    // It answers from here on, also if nobody takes the connections of many checks.
    let _broker = kept.listen(1024).unwrap();
    stage.in_state("broker", "RUNNING").await;
    stage.in_state("api", "RUNNING").await;
    assert_eq!(stage.ended_once("broker", "repair", 1).await.len(), 1, "its wait is an hour");
}

/// What is asked for by hand is served once, also if the process is killed as soon as it has said yes.
#[tokio::test]
async fn actions_run_by_hand_and_in_time_also_over_a_restart() {
    let mut stage = Stage::set("actions").await.with_token();
    let actions = json!({"flush": once("exit 0"), "tick": with(once("exit 0"), json!({"every": "10s"}))});
    let jobs = json!([service("redis", IDLE, json!({ "actions": actions }))]);
    stage.run(jobs.clone()).await;
    stage.in_state("redis", "RUNNING").await;
    let told = stage.command(&["service", "action", "redis", "flush", "--why", "the test"]).await;
    assert!(told.contains("is asked for"), "{told}");
    stage.kill().await;
    stage.run(jobs).await;
    stage.ended_once("redis", "action", 3).await;
    eventually("the one that was asked for", || async {
        let statement = "select count(*) from chief.runs where action = 'flush' and outcome = 'succeeded'";
        (stage.count(statement).await == 1).then_some(())
    })
    .await;
    let redis = stage.in_state("redis", "RUNNING").await;
    assert_eq!(redis["restarts"], 0, "{redis}");
    let served = "select count(*) from chief.runs where action = 'flush'";
    assert_eq!(stage.count(served).await, 1, "once");
}

/// A replica is not started before what it requires answers, and is up when a Job says so.
#[tokio::test]
async fn a_start_waits_for_what_it_requires_and_a_job_says_that_it_is_up() {
    let mut stage = Stage::set("requires").await;
    let (port, kept) = keep_port();
    let keys = json!({
        "requirements": [{"tcp": {"host": "127.0.0.1", "port": port}}],
        "check": {"job": once("exit 0")},
    });
    stage.run(json!([service("web", IDLE, keys), script("other", "exit 0")])).await;
    let told = stage.in_state("web", "FAILED").await;
    assert!(told["error"].as_str().unwrap().starts_with(&format!("requires tcp 127.0.0.1:{port}")), "{told}");
    assert!(stage.jobs().await.is_empty(), "nothing is started");
    let _listener = kept.listen(1024).unwrap();
    stage.in_state("web", "RUNNING").await;
    let replicas = "select count(*) from chief.runs where job_config = 'web' and purpose is null";
    assert_eq!(stage.count(replicas).await, 1);
}
