//! Services: how soon a lost replica is replaced, and what many that are up cost.

use std::time::{Duration, Instant};

use k8s_openapi::api::{batch::v1::Job, core::v1::Pod};
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::{
    figures::Figures,
    idle::requests,
    process::cpu_seconds,
    restart::plays,
    stage::{Stage, eventually, with},
    witness::Witness,
};

/// Services that are up.
const SERVICES: usize = 500;

/// Pods that are killed in one run.
const KILLS: u32 = 20;

/// Before it is measured: what starting them has left is done.
const SETTLES: Duration = Duration::from_secs(15);

/// How long it is measured.
const MEASURED: Duration = Duration::from_secs(30);

fn service(name: &str, keys: Value) -> Value {
    let entry = json!({
        "type": "service", "name": name, "waitTimeAfterSuccessfulRun": "0s", "waitTimeAfterFailedRun": "0s",
        "podConfig": {"image": "unused"},
    });
    with(with(entry, plays()), keys)
}

pub(crate) async fn measure(figures: &mut Figures, runs: u32) {
    replaced(figures, runs).await;
    cost(figures, runs, "without checks", json!({}), "≤ 2").await;
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let listening = tokio::spawn(async move { while listener.accept().await.is_ok() {} });
    let local = json!({"ports": [port], "jobTemplate": {"spec": {"template": {"metadata": {"labels": {"job-chief.test/local": "yes"}}}}}});
    cost(figures, runs, "with a TCP check each 10 s", local, "≤ 5").await;
    listening.abort();
}

/// The Job controller says that it has failed.
fn has_failed(job: &Job) -> bool {
    let conditions = job.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    conditions.iter().any(|it| it.type_ == "Failed" && it.status == "True")
}

async fn replaced(figures: &mut Figures, runs: u32) {
    let mut stage = Stage::set("bench-replaced").await.with("LOG_LEVEL", "info");
    stage.run(json!([service("one", json!({}))])).await;
    up(&stage, 1).await;
    let mut new = Witness::begin(&stage).await;
    let mut failed = Witness::of(&stage, has_failed).await;
    for _ in 0..runs * KILLS {
        let pods = stage.pods().await;
        let lives = |pod: &&Pod| pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Running");
        let pod = pods.iter().find(lives).and_then(|pod| pod.metadata.name.clone()).unwrap();
        // As the kubelet tells of a container that was killed: the scale node plays no such thing.
        let killed = json!({"exitCode": 137, "reason": "Error", "startedAt": null, "finishedAt": null});
        let container = json!({"name": "worker", "image": "unused", "imageID": "", "ready": false, "restartCount": 0, "state": {"terminated": killed}});
        let status = json!({"status": {"phase": "Failed", "containerStatuses": [container]}});
        stage.api::<Pod>().patch_status(&pod, &PatchParams::default(), &Patch::Merge(status)).await.unwrap();
        let (gone, again) = (failed.next().await.at, new.next().await.at);
        figures.add(
            "from a Job that has failed to the next",
            "s",
            Some("≤ 1"),
            again.saturating_duration_since(gone).as_secs_f64(),
        );
        up(&stage, 1).await;
    }
    stage.kill().await;
}

/// So many services are RUNNING.
async fn up(stage: &Stage, count: usize) {
    eventually("all services to be up", || async {
        let told = stage.json("/services").await?;
        (told.as_array()?.iter().filter(|it| it["state"] == "RUNNING").count() == count).then_some(())
    })
    .await;
}

async fn cost(figures: &mut Figures, runs: u32, what: &str, keys: Value, goal: &'static str) {
    let mut stage = Stage::set("bench-services").await.with("LOG_LEVEL", "info");
    let jobs: Vec<Value> = (1..=SERVICES).map(|n| service(&format!("service-{n}"), keys.clone())).collect();
    let begun = Instant::now();
    stage.run(json!(jobs)).await;
    up(&stage, SERVICES).await;
    figures.add(
        &format!("{SERVICES} services {what}: until all are RUNNING"),
        "s",
        None,
        begun.elapsed().as_secs_f64(),
    );
    tokio::time::sleep(SETTLES).await;
    for _ in 0..runs {
        let (cpu, writes, begun) = (cpu_seconds(stage.pid()), requests(&stage).await, Instant::now());
        tokio::time::sleep(MEASURED).await;
        let took = begun.elapsed().as_secs_f64();
        let used = 100.0 * (cpu_seconds(stage.pid()) - cpu) / took;
        figures.add(&format!("{SERVICES} services {what}: our CPU"), "% of a core", Some(goal), used);
        let writes = (requests(&stage).await - writes) * 60.0 / took;
        figures.add(&format!("{SERVICES} services {what}: requests to the API server"), "a minute", Some("0"), writes);
        let resident = stage.resident_kb().await / 1024.0;
        figures.add(&format!("{SERVICES} services {what}: resident memory"), "MiB", None, resident);
    }
    up(&stage, SERVICES).await;
    stage.kill().await;
    let namespaces: kube::Api<k8s_openapi::api::core::v1::Namespace> = kube::Api::all(stage.client.clone());
    namespaces.delete(&stage.name, &DeleteParams::default()).await.unwrap();
    eventually("the namespace to be gone", || async {
        namespaces.get_opt(&stage.name).await.unwrap().is_none().then_some(())
    })
    .await;
}
