//! A node that goes away with a pod on it, and Jobs that outlive their JobConfig.

use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{Node, Pod},
};
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use crate::stage::{Stage, eventually, script, with};

/// A node without a kubelet: the case says what it tells of itself and of its pods.
async fn mute_node(stage: &Stage) -> (Api<Node>, String) {
    let nodes: Api<Node> = Api::all(stage.client.clone());
    let name = format!("mute-{}", stage.name);
    let node = json!({
        "metadata": {"name": name, "labels": {"job-chief.test/node": name}},
        "spec": {"taints": [{"key": "job-chief.test/mute", "effect": "NoSchedule"}]},
    });
    nodes.create(&PostParams::default(), &serde_json::from_value(node).unwrap()).await.unwrap();
    let resources = json!({"cpu": "8", "memory": "8Gi", "pods": "10"});
    say(&nodes, &name, "True", &json!({"allocatable": resources, "capacity": resources})).await;
    (nodes, name)
}

async fn say(nodes: &Api<Node>, name: &str, ready: &str, more: &Value) {
    let mut status =
        json!({"conditions": [{"type": "Ready", "status": ready, "reason": "Said", "message": "by the case"}]});
    status.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let patch = Patch::Strategic(json!({"status": status}));
    nodes.patch_status(name, &PatchParams::default(), &patch).await.unwrap();
}

/// A node that says nothing for long counts as gone, so it is said again and again that it is there.
async fn lives(nodes: &Api<Node>, name: &str) {
    let now = k8s_openapi::jiff::Timestamp::now();
    let ready = json!({"type": "Ready", "status": "True", "reason": "Said", "message": "by the case", "lastHeartbeatTime": now});
    let patch = Patch::Strategic(json!({"status": {"conditions": [ready]}}));
    // Said once more before long.
    drop(nodes.patch_status(name, &PatchParams::default(), &patch).await);
}

async fn taint(nodes: &Api<Node>, name: &str, taints: Value) {
    // Whoever else taints it meanwhile is not to be overwritten.
    let kept = json!({"key": "job-chief.test/mute", "effect": "NoSchedule"});
    let all: Vec<Value> = taints.as_array().unwrap().iter().cloned().chain([kept]).collect();
    let patch = Patch::Merge(json!({"spec": {"taints": all}}));
    nodes.patch(name, &PatchParams::default(), &patch).await.unwrap();
}

#[tokio::test]
async fn a_node_that_goes_away_keeps_its_slot_by_name_until_the_pod_is_given_up() {
    let mut stage = Stage::set("nodes-gone").await;
    let (nodes, node) = mute_node(&stage).await;
    let pinned = json!({"jobTemplate": {"spec": {"template": {"spec": {
        "nodeSelector": {"job-chief.test/node": node},
        "tolerations": [{"key": "job-chief.test/mute", "operator": "Exists"}],
    }}}}});
    let healthy = with(script("healthy", "true"), json!({"waitTimeAfterSuccessfulRun": "100ms"}));
    stage.run(json!([with(script("far", "sleep 36000"), pinned), healthy])).await;
    stage.send("far", 2).await;
    stage.send("healthy", 1).await;
    let pods: Api<Pod> = stage.api();
    let pod = eventually("the pod to be bound", || async {
        lives(&nodes, &node).await;
        let bound = |pod: &Pod| pod.spec.as_ref().unwrap().node_name.as_deref() == Some(&node);
        stage.pods().await.into_iter().find(bound)
    })
    .await;
    let pod_name = pod.metadata.name.unwrap();
    let started = json!({"name": "worker", "image": "x", "imageID": "", "ready": true, "restartCount": 0,
        "state": {"running": {"startedAt": k8s_openapi::jiff::Timestamp::now()}}});
    let running = Patch::Strategic(json!({"status": {"phase": "Running", "containerStatuses": [started]}}));
    pods.patch_status(&pod_name, &PatchParams::default(), &running).await.unwrap();
    eventually("the Job to run", || async {
        lives(&nodes, &node).await;
        (stage.json("/jobs/far").await?["phase"]["running"] == 1).then_some(())
    })
    .await;

    // The node falls silent, and its pods are evicted: a deleted pod without a kubelet stays Terminating.
    say(&nodes, &node, "Unknown", &json!({})).await;
    taint(&nodes, &node, json!([{"key": "job-chief.test/gone", "effect": "NoExecute"}])).await;
    let told = eventually("the hanging Job to be named", || async {
        let told = stage.json("/jobs/far").await?;
        (told["live"][0]["phase"] == "terminating").then_some(told)
    })
    .await;
    assert_eq!(told["live"][0]["node"], node.as_str(), "{told}");
    assert!(told["live"][0]["terminatingSeconds"].is_number(), "{told}");
    assert_eq!(stage.jobs_of("far").await.len(), 1, "it keeps its slot");
    stage.shows("job_chief_job_terminating_since_timestamp_seconds{job_config=\"far\"}").await;
    stage.ended("healthy", 2).await;

    // Somebody declares the node dead: Kubernetes gives its pods up.
    taint(
        &nodes,
        &node,
        json!([
            {"key": "job-chief.test/gone", "effect": "NoExecute"},
            {"key": "node.kubernetes.io/out-of-service", "value": "nodeshutdown", "effect": "NoExecute"},
        ]),
    )
    .await;
    let run = stage.ended("far", 1).await.remove(0);
    assert_eq!((run["outcome"].as_str(), run["reason"].as_str()), (Some("failed"), Some("disrupted")), "{run}");
    stage.recording.keep("nodes-gone", run["job"].as_str().unwrap()).await;
    let told = eventually("what is told of it", || stage.json("/jobs/far")).await;
    assert_eq!(told["failedInARow"], 0, "nobody's fault: {told}");
    nodes.delete(&node, &DeleteParams::default()).await.unwrap();
}

async fn job_of(stage: &Stage, name: &str) -> Option<Job> {
    stage.jobs_of(name).await.into_iter().next()
}

#[tokio::test]
async fn jobs_whose_jobconfig_left_the_file_are_seen_to_their_end() {
    let mut stage = Stage::set("nodes-left").await;
    let other = script("other", "true");
    stage
        .run(json!([
            script("leaving", "while ! test -e /go; do sleep 0.2; done"),
            script("gone", "sleep 36000"),
            other.clone()
        ]))
        .await;
    stage.send("leaving", 3).await;
    stage.send("gone", 1).await;
    stage.running(2).await;
    stage.terminate().await;
    // One of the two goes while nobody looks.
    let gone = job_of(&stage, "gone").await.unwrap().metadata.name.unwrap();
    let jobs: Api<Job> = stage.api();
    jobs.delete(&gone, &DeleteParams::background().grace_period(0)).await.unwrap();
    stage.run(json!([other])).await;
    eventually("both to be taken over", || async {
        let leaving = stage.json("/jobs/leaving").await?;
        let done =
            stage.count("select count(*) from chief.runs where job_config = 'gone' and outcome = 'vanished'").await;
        (leaving["left"] == true && leaving["phase"]["running"] == 1 && done == 1).then_some(())
    })
    .await;
    let leaving = job_of(&stage, "leaving").await.unwrap().metadata.name.unwrap();
    jobs.delete(&leaving, &DeleteParams::background().grace_period(0)).await.unwrap();
    eventually("its actor to end with it", || async { (stage.get("/jobs/leaving").await?.0 == 404).then_some(()) })
        .await;
    assert_eq!(
        stage.count("select count(*) from chief.runs where ended_at is null and job_config <> 'other'").await,
        0
    );
    assert_eq!(
        stage.count("select count(*) from chief.runs where job_config = 'leaving'").await,
        1,
        "no other was created"
    );
}
