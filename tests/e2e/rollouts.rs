//! Replicas that are replaced one after another, and services that are started anew when a file changes.

use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use serde_json::{Value, json};

use crate::{
    services::{IDLE, service},
    stage::{Stage, eventually, with},
};

fn rolling() -> Value {
    json!({"replicas": 3, "startErrorGrace": "1s", "updateStrategy": {"type": "RollingReplace", "maxUnavailable": 1}})
}

/// The service, once all its replicas are up and of the generation that is wanted, which is as it should be.
async fn all_of(stage: &Stage, what: &str, is_right: impl Fn(&str) -> bool) -> Value {
    eventually(&format!("{what}\n{}", stage.log()), || async {
        let told = stage.json("/services/api").await?;
        let generation = told["generation"].as_str().filter(|generation| !generation.is_empty())?;
        let replicas = told["perReplica"].as_array().filter(|all| !all.is_empty())?;
        let are_there = replicas.iter().all(|it| it["state"] == "up" && it["generation"] == generation);
        (told["state"] == "RUNNING" && are_there && is_right(generation)).then_some(told)
    })
    .await
}

fn generation(told: &Value) -> String {
    told["generation"].as_str().unwrap().to_owned()
}

/// The Jobs of replicas, by their numbers.
fn jobs(told: &Value) -> Vec<String> {
    told["perReplica"].as_array().unwrap().iter().map(|it| it["job"].as_str().unwrap().to_owned()).collect()
}

/// Looks all the time that at least so many pods run and are not on their way out.
struct Watchman(tokio::task::JoinHandle<()>);

impl Watchman {
    fn begin(stage: &Stage, fewest: usize) -> Self {
        let pods: kube::Api<Pod> = stage.api();
        Self(tokio::spawn(async move {
            loop {
                // What is not answered says nothing.
                if let Ok(seen) = pods.list(&ListParams::default()).await {
                    let runs = |pod: &&Pod| {
                        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
                        phase == Some("Running") && pod.metadata.deletion_timestamp.is_none()
                    };
                    let running = seen.items.iter().filter(runs).count();
                    assert!(running >= fewest, "only {running} pods run");
                }
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }))
    }

    /// Fails if it has seen fewer.
    fn end(self) {
        assert!(!self.0.is_finished(), "fewer pods ran than have to stay");
        self.0.abort();
    }
}

#[tokio::test]
async fn replicas_are_replaced_one_after_another_and_the_others_run_on() {
    let mut stage = Stage::set("rollouts-rolled").await;
    stage.run(json!([service("api", IDLE, rolling())])).await;
    let first = all_of(&stage, "all to be up", |_| true).await;
    let watchman = Watchman::begin(&stage, 2);
    let changed = format!("{IDLE} # changed");
    stage.write_jobs(&json!([service("api", &changed, rolling())]).to_string());
    let old = generation(&first);
    let second = all_of(&stage, "all to be replaced", |generation| generation != old).await;
    watchman.end();
    let before = jobs(&first);
    assert!(jobs(&second).iter().all(|job| !before.contains(job)), "{first}\n{second}");
}

#[tokio::test]
async fn a_bad_generation_stops_at_the_first_replica_and_going_back_goes_on() {
    let mut stage = Stage::set("rollouts-bad").await;
    let good = json!([service("api", IDLE, rolling())]);
    stage.run(good.clone()).await;
    let first = all_of(&stage, "all to be up", |_| true).await;
    let bad = with(rolling(), json!({"podConfig": {"image": "job-chief.test/nowhere:dev"}}));
    stage.write_jobs(&json!([service("api", IDLE, bad)]).to_string());
    let stopped = eventually(&format!("the rollout to stop\n{}", stage.log()), || async {
        let told = stage.json("/services/api").await?;
        told["rollout"]["stopped"].is_string().then_some(told)
    })
    .await;
    assert_eq!(stopped["rollout"]["outdated"], 2, "{stopped}");
    assert!(stopped["error"].as_str().unwrap().starts_with("the rollout has stopped"), "{stopped}");
    let outdated = |told: &Value| -> Vec<String> {
        let all = told["perReplica"].as_array().unwrap().iter().filter(|it| it["outdated"] == true);
        all.map(|it| it["job"].as_str().unwrap().to_owned()).collect()
    };
    let stay = outdated(&stopped);
    assert!(stay.len() == 2 && stay.iter().all(|job| jobs(&first).contains(job)), "{first}\n{stopped}");
    let why = stage.command(&["why", "api"]).await;
    assert!(why.contains("has stopped (0 of 3 replaced, 2 yet to be)"), "{why}");

    stage.write_jobs(&good.to_string());
    let old = generation(&first);
    let back = all_of(&stage, "all to be as before", |generation| generation == old).await;
    assert!(stay.iter().all(|job| jobs(&back).contains(job)), "{stopped}\n{back}");
}

#[tokio::test]
async fn a_file_that_changes_starts_a_service_anew_and_one_that_is_missing_does_not() {
    let mut stage = Stage::set("rollouts-files").await;
    let file = stage.folder.path().join("api.conf");
    std::fs::write(&file, "one").unwrap();
    stage.run(json!([service("api", IDLE, json!({"restartOn": [file.to_str().unwrap()]}))])).await;
    let first = all_of(&stage, "it to be up", |generation| generation.contains('.')).await;
    std::fs::write(&file, "another one").unwrap();
    let old = generation(&first);
    let second = all_of(&stage, "it to be started anew", |generation| generation != old).await;
    assert_ne!(jobs(&first), jobs(&second));
    std::fs::remove_file(&file).unwrap();
    let missing = eventually(&format!("the file to be missed\n{}", stage.log()), || async {
        let told = stage.json("/services/api").await?;
        told["unread"].is_string().then_some(told)
    })
    .await;
    assert!(missing["unread"].as_str().unwrap().contains("api.conf"), "{missing}");
    let why = stage.command(&["why", "api"]).await;
    assert!(why.contains("nothing is restarted on it"), "{why}");
    let still = all_of(&stage, "it to be as it was", |_| true).await;
    assert_eq!((generation(&still), jobs(&still)), (generation(&second), jobs(&second)), "{still}");
}
