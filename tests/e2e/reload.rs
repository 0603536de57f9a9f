//! A changed jobs.json is applied while it runs: what is not changed goes on, what is wrong changes nothing.

use std::{collections::BTreeSet, os::unix::fs::symlink};

use k8s_openapi::api::batch::v1::Job;
use serde_json::{Value, json};

use crate::stage::{Stage, eventually, script, with};

/// The Jobs of a JobConfig by name, with their commands.
async fn commands(stage: &Stage, queue: &str) -> Vec<(String, String)> {
    let label = |job: &Job| job.metadata.labels.as_ref().and_then(|all| all.get("queue-name").cloned());
    let command = |job: Job| {
        let pod = job.spec?.template.spec?;
        Some((job.metadata.name?, pod.containers.first()?.command.as_ref()?.last()?.clone()))
    };
    let jobs = stage.jobs().await.into_iter().filter(|job| label(job).as_deref() == Some(queue));
    jobs.filter_map(command).collect()
}

async fn metric(stage: &Stage, line: &str) {
    eventually(&format!("{line}\n{}", stage.log()), || async {
        stage.get("/metrics").await?.1.lines().any(|it| it == line).then_some(())
    })
    .await;
}

fn long(queue: &str, seconds: u32) -> Value {
    with(script(queue, &format!("sleep {seconds}")), json!({"maxConcurrentJobs": 2}))
}

#[tokio::test]
async fn each_entry_is_started_changed_drained_or_left_alone() {
    let mut stage = Stage::set("reload").await;
    // As a ConfigMap is mounted: the file leads through a link that is changed in one go.
    let folder = stage.folder.path().to_path_buf();
    let mount = |name: &str, text: &str| {
        std::fs::create_dir(folder.join(name)).unwrap();
        std::fs::write(folder.join(name).join("mounted.json"), text).unwrap();
        symlink(name, folder.join("..data_tmp")).unwrap();
        std::fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
    };
    mount("first", &json!([long("same", 36000), long("changed", 36000), long("leaves", 36000)]).to_string());
    symlink("..data/mounted.json", folder.join("mounted.json")).unwrap();
    stage = stage.with("APP_JOBS_CONFIG_PATH", "mounted.json");
    stage.run(json!([])).await;
    for queue in ["same", "changed", "leaves"] {
        stage.send(queue, 1).await;
    }
    stage.running(3).await;
    let before: BTreeSet<String> = stage.jobs().await.into_iter().filter_map(|job| job.metadata.name).collect();

    mount("second", &json!([long("same", 36000), long("changed", 36001), long("new", 36000)]).to_string());
    metric(&stage, "job_chief_config_reloads_total{result=\"ok\"} 1").await;
    stage.send("changed", 1).await;
    stage.send("new", 1).await;
    stage.send("leaves", 1).await;
    stage.running(5).await;
    let mut told: Vec<String> = commands(&stage, "changed").await.into_iter().map(|(_, command)| command).collect();
    told.sort();
    assert_eq!(told, ["sleep 36000", "sleep 36001"], "what runs goes on, what is new is by the new entry");
    let now: BTreeSet<String> = stage.jobs().await.into_iter().filter_map(|job| job.metadata.name).collect();
    assert!(before.is_subset(&now), "nothing was stopped");
    assert_eq!(commands(&stage, "leaves").await.len(), 1, "nothing is created for what has left");
    eventually("what has left to be told of", || async {
        let leaves = stage.json("/jobs/leaves").await?;
        (leaves["left"] == true && leaves["phase"]["running"] == 1).then_some(())
    })
    .await;

    mount("third", "[{\"queueName\": \"same\", \"podConfig\": {\"image\": \"i\", \"paralelism\": 1}}]");
    metric(&stage, "job_chief_config_last_reload_successful 0").await;
    // The last good one is in force.
    eventually("readiness", || async { (stage.get("/readiness").await?.0 == 200).then_some(()) }).await;
    let log = stage.logs("the last valid one stays in force").await;
    assert!(log.contains("did you mean"), "{log}");
    stage.send("same", 1).await;
    stage.running(6).await;

    // It comes back, and a signal has it read at once.
    mount(
        "fourth",
        &json!([long("same", 36000), long("changed", 36001), long("new", 36000), long("leaves", 36000)]).to_string(),
    );
    stage.signal("-HUP").await;
    metric(&stage, "job_chief_config_last_reload_successful 1").await;
    stage.running(7).await;
    let runs = stage.count("select count(*) from chief.runs where job_config = 'leaves'").await;
    assert_eq!(runs, 2, "its message had waited, and its first Job was not doubled");
}
