//! Cases that run one after another, with no other beside them: the servers themselves are killed, and a browser loses its
//! connections whenever a pod's interface comes or goes.

#[path = "dashboard.rs"]
mod dashboard;

use std::{process::Command, time::Duration};

use serde_json::json;

use crate::{
    replicas::{both, goes_on},
    stage::{PATIENCE, Stage, eventually, script, with},
};

/// How long a server stays away.
const AWAY: Duration = Duration::from_secs(20);

fn cluster(action: &str, process: &str) {
    let xtask = std::env::var("JOB_CHIEF_TEST_XTASK").expect("cargo xtask test says where it is");
    let done = Command::new(xtask).args(["cluster", action, process]).status().unwrap();
    assert!(done.success(), "cluster {action} {process}: {done}");
}

/// Starts the server again, also when the case fails.
struct Away(&'static str);

impl Away {
    fn kill(process: &'static str) -> Self {
        cluster("kill", process);
        Self(process)
    }
}

impl Drop for Away {
    fn drop(&mut self) {
        cluster("revive", self.0);
    }
}

async fn readiness(stage: &Stage, code: u16) {
    eventually(&format!("readiness {code}"), || async { (stage.get("/readiness").await?.0 == code).then_some(()) })
        .await;
}

#[tokio::test]
async fn the_api_server_is_killed_for_20_s() {
    let mut stage = Stage::set("alone-api").await;
    let busy = with(script("busy", "sleep 1"), json!({"maxConcurrentJobs": 3, "waitTimeAfterSuccessfulRun": "0s"}));
    stage.run(json!([with(script("long", "sleep 36000"), json!({"maxConcurrentJobs": 2})), busy])).await;
    stage.send("long", 1).await;
    stage.send("busy", 3).await;
    stage.ended("busy", 3).await;
    eventually("the long one to run", || async {
        (stage.json("/jobs/long").await?["phase"]["running"] == 1).then_some(())
    })
    .await;
    let away = Away::kill("apiserver");
    stage.send("long", 1).await;
    readiness(&stage, 503).await;
    tokio::time::sleep(AWAY).await;
    assert_eq!(stage.exited(), None, "it goes on");
    assert_eq!(stage.get("/liveness").await.unwrap().0, 200, "a restart would mend nothing");
    drop(away);
    readiness(&stage, 200).await;
    eventually("both long ones to run", || async {
        (stage.json("/jobs/long").await?["phase"]["running"] == 2).then_some(())
    })
    .await;
    let before = stage.ended("busy", 3).await.len();
    stage.ended("busy", before.min(17) + 3).await;
    let long = stage.count("select count(*) from chief.runs where job_config = 'long'").await;
    assert_eq!(long, 2, "nothing was doubled, nothing given up");
    let doubled = "select count(*) from chief.runs where outcome not in ('succeeded') and job_config = 'busy'";
    assert_eq!(stage.count(doubled).await, 0, "each was recorded as it ended");
}

#[tokio::test]
async fn postgres_is_killed_for_20_s() {
    let mut stage = Stage::set("alone-postgres").await;
    let busy = with(script("busy", "sleep 1"), json!({"maxConcurrentJobs": 3, "waitTimeAfterSuccessfulRun": "0s"}));
    stage.run(json!([busy])).await;
    stage.send("busy", 3).await;
    stage.ended("busy", 3).await;
    let away = Away::kill("postgres");
    readiness(&stage, 503).await;
    let live = stage.jobs().await.len();
    tokio::time::sleep(AWAY).await;
    assert_eq!(stage.exited(), None, "it goes on");
    assert!(stage.jobs().await.len() <= live + 3, "no Job is asked for that is not on record");
    drop(away);
    readiness(&stage, 200).await;
    let since =
        "select count(*) from chief.runs where outcome = 'succeeded' and wished_at > pg_postmaster_start_time()";
    let begun = tokio::time::Instant::now();
    while stage.count(since).await < 3 {
        assert!(begun.elapsed() < PATIENCE, "it goes on where it was");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let lost = "select count(*) from chief.runs where outcome not in ('succeeded')";
    assert_eq!(stage.count(lost).await, 0, "ends that could not be written were written later");
}

#[tokio::test]
async fn postgres_is_killed_under_two_processes_and_one_of_them_goes_on() {
    let (mut first, second) = both("alone-replicas").await;
    let away = Away::kill("postgres");
    readiness(&second, 503).await;
    tokio::time::sleep(AWAY / 2).await;
    drop(away);
    goes_on(&first).await;
    assert_eq!(second.json("/members").await.unwrap()["leads"], false, "whoever led before leads again");
    // And once more, with the leader gone while nobody can be asked.
    let away = Away::kill("postgres");
    readiness(&second, 503).await;
    first.kill().await;
    drop(away);
    goes_on(&second).await;
}
