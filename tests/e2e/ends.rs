//! How runs end badly: each told apart on the real cluster, with what was recorded and which wait applied.

use std::time::Duration;

use k8s_openapi::{
    api::{
        batch::v1::Job,
        core::v1::{Pod, ResourceQuota},
    },
    jiff::Timestamp,
};
use kube::api::{DeleteParams, PostParams};
use serde_json::{Value, json};

use crate::stage::{PATIENCE, Stage, eventually, script, with};

/// What must be on record of the first run.
struct Expected {
    outcome: &'static str,
    reason: &'static str,
    exit_code: Option<i64>,
    message: &'static str,
}

impl Expected {
    /// The first run that has ended like this, and the one after it. Those before may have a message of another kind,
    /// if the kubelet or the scheduler was late: all have this outcome.
    async fn pair(&self, stage: &Stage) -> Vec<Value> {
        let is_it = |run: &Value| {
            run["reason"] == self.reason
                && run["exitCode"].as_i64() == self.exit_code
                && run["message"].as_str().unwrap_or_default().contains(self.message)
        };
        let end = tokio::time::Instant::now() + PATIENCE;
        loop {
            let runs = stage.ended("bad", 2).await;
            assert!(runs.iter().all(|run| run["outcome"] == self.outcome), "{runs:?}");
            if let Some(pair) = runs.windows(2).find(|pair| is_it(&pair[0])) {
                return pair.to_vec();
            }
            assert!(tokio::time::Instant::now() < end, "{runs:?}");
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
}

fn expected(outcome: &'static str, reason: &'static str, exit_code: Option<i64>, message: &'static str) -> Expected {
    Expected { outcome, reason, exit_code, message }
}

fn time(run: &Value, key: &str) -> Timestamp {
    run[key].as_str().unwrap().parse().unwrap()
}

/// Runs one JobConfig beside a healthy one, twice to its bad end; the second run comes after `wait` at the earliest.
async fn ends(name: &str, config: Value, wait: Duration, expected: Expected) -> Stage {
    let mut stage = Stage::set(name).await;
    let healthy = with(script("healthy", "true"), json!({"waitTimeAfterSuccessfulRun": "100ms"}));
    let waits = json!({
        "name": "bad", "startErrorGrace": "2s",
        "waitTimeAfterFailedRun": "1s", "waitTimeAfterTimeout": "2s", "waitTimeAfterError": "3s",
    });
    stage.run(json!([with(config, waits), healthy])).await;
    stage.send("bad", 1).await;
    stage.send("healthy", 1).await;
    let runs = expected.pair(&stage).await;
    let run = &runs[0];
    let waited = time(&runs[1], "wishedAt").duration_since(time(run, "endedAt"));
    // Kubernetes tells the end of a Job in whole seconds.
    assert!(waited.as_secs_f64() > wait.as_secs_f64() - 1.0, "waited {waited:?}, expected {wait:?}: {runs:?}");
    stage.ended("healthy", 2).await;
    stage.recording.keep(name, run["job"].as_str().unwrap()).await;
    stage
}

/// Jobs that were given up are gone, with their pods.
async fn only_one_job_is_left(stage: &Stage) {
    let of_bad = |labels: Option<&std::collections::BTreeMap<String, String>>| {
        labels.is_some_and(|labels| labels["job-chief/name"] == "bad")
    };
    eventually("the given up Jobs to be gone", || async {
        let jobs = stage.jobs_of("bad").await.len();
        let pods = stage.pods().await.iter().filter(|pod| of_bad(pod.metadata.labels.as_ref())).count();
        (jobs <= 1 && pods <= 1).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_non_zero_exit() {
    let config = script("bad", "echo broken > /dev/termination-log; exit 7");
    ends("ends-exit", config, Duration::from_secs(1), expected("failed", "exit_code", Some(7), "broken")).await;
}

#[tokio::test]
async fn an_oom_kill() {
    let config = with(
        script("bad", "x=0123456789abcdef; while true; do x=$x$x; done"),
        json!({"podConfig": {"resources": {"limits": {"memory": "32Mi"}}}}),
    );
    ends("ends-oom", config, Duration::from_secs(1), expected("failed", "oom_killed", Some(137), "")).await;
}

#[tokio::test]
async fn an_image_that_is_not_there() {
    let config = with(script("bad", "true"), json!({"podConfig": {"image": "job-chief.test/missing:dev"}}));
    let stage = ends(
        "ends-image",
        config,
        Duration::from_secs(3),
        expected("start_error", "image_pull", None, "ErrImageNeverPull"),
    )
    .await;
    only_one_job_is_left(&stage).await;
}

#[tokio::test]
async fn an_image_whose_name_is_none() {
    let config = with(script("bad", "true"), json!({"podConfig": {"image": "No Image:at all"}}));
    let stage = ends(
        "ends-image-name",
        config,
        Duration::from_secs(3),
        expected("start_error", "image_pull", None, "InvalidImageName"),
    )
    .await;
    only_one_job_is_left(&stage).await;
}

#[tokio::test]
async fn a_missing_configmap() {
    let config = with(script("bad", "true"), json!({"podConfig": {"configmaps": ["nowhere"]}}));
    let stage = ends(
        "ends-configmap",
        config,
        Duration::from_secs(3),
        expected("start_error", "container_config", None, "nowhere"),
    )
    .await;
    only_one_job_is_left(&stage).await;
}

#[tokio::test]
async fn a_missing_secret() {
    let config = with(script("bad", "true"), json!({"podConfig": {"secrets": ["nowhere"]}}));
    ends("ends-secret", config, Duration::from_secs(3), expected("start_error", "container_config", None, "nowhere"))
        .await;
}

#[tokio::test]
async fn no_node_with_room() {
    let config = with(
        script("bad", "true"),
        json!({"jobStartTimeout": "15s", "podConfig": {"resources": {"requests": {"cpu": "900"}}}}),
    );
    let stage = ends(
        "ends-unschedulable",
        config,
        Duration::from_secs(2),
        expected("start_timed_out", "unschedulable", None, "Insufficient cpu"),
    )
    .await;
    only_one_job_is_left(&stage).await;
}

#[tokio::test]
async fn an_init_container_that_fails() {
    let init = json!([{"name": "prepare", "image": "job-chief.test/busybox:dev", "imagePullPolicy": "Never", "command": ["/bin/sh", "-c", "exit 3"]}]);
    let config =
        with(script("bad", "true"), json!({"jobTemplate": {"spec": {"template": {"spec": {"initContainers": init}}}}}));
    ends("ends-init", config, Duration::from_secs(3), expected("start_error", "init_failed", None, "exit code 3"))
        .await;
}

#[tokio::test]
async fn a_command_that_is_not_in_the_image() {
    let config = with(script("bad", "true"), json!({"podConfig": {"command": ["/no/such/program"]}}));
    ends(
        "ends-command",
        config,
        Duration::from_secs(3),
        expected("start_error", "container_config", Some(128), "/no/such/program"),
    )
    .await;
}

#[tokio::test]
async fn a_service_account_that_is_missing_makes_no_pod() {
    let config = with(
        script("bad", "true"),
        json!({"jobStartTimeout": "15s", "jobTemplate": {"spec": {"template": {"spec": {"serviceAccountName": "nobody"}}}}}),
    );
    ends(
        "ends-account",
        config,
        Duration::from_secs(2),
        expected("start_timed_out", "no_pod", None, "quota, admission or service account"),
    )
    .await;
}

#[tokio::test]
async fn a_deadline_that_passes() {
    let config = with(
        script("bad", "sleep 100"),
        json!({"jobTemplate": {"spec": {"activeDeadlineSeconds": 6, "template": {"spec": {"terminationGracePeriodSeconds": 1}}}}}),
    );
    ends("ends-deadline", config, Duration::from_secs(1), expected("failed", "deadline", None, "")).await;
}

/// Waits until an object would be refused for a quota: those who judge by it learn of it a moment after it was made.
async fn is_refused<K>(stage: &Stage, object: Value)
where
    K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + serde::Serialize
        + serde::de::DeserializeOwned,
{
    let (object, dry): (K, _) =
        (serde_json::from_value(object).unwrap(), PostParams { dry_run: true, ..PostParams::default() });
    eventually("the quota to be in force", || async {
        let error = stage.api::<K>().create(&dry, &object).await.err()?;
        error.to_string().contains("exceeded quota").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_quota_that_refuses_the_job() {
    let mut stage = Stage::set("ends-quota").await;
    stage
        .create::<ResourceQuota>(json!({"metadata": {"name": "none"}, "spec": {"hard": {"count/jobs.batch": "0"}}}))
        .await;
    let quotas = stage.api::<ResourceQuota>();
    let pod = json!({"restartPolicy": "Never", "containers": [{"name": "worker", "image": "i"}]});
    is_refused::<Job>(&stage, json!({"metadata": {"name": "trial"}, "spec": {"template": {"spec": pod}}})).await;
    let keys = json!({"waitTimeAfterError": "2s", "backoff": {"max": "8s"}});
    stage.run(json!([with(script("bad", "true"), keys)])).await;
    stage.send("bad", 1).await;
    let runs = stage.ended("bad", 3).await;
    assert!(runs.iter().all(|run| run["outcome"] == "start_error" && run["reason"] == "refused"), "{runs:?}");
    assert!(runs[0]["message"].as_str().unwrap().contains("exceeded quota"), "{runs:?}");
    let wait = |at: usize| time(&runs[at + 1], "wishedAt").duration_since(time(&runs[at], "endedAt")).as_secs_f64();
    assert!(wait(0) >= 2.0 && wait(1) >= 4.0, "the wait grows: {} s, then {} s", wait(0), wait(1));
    quotas.delete("none", &DeleteParams::default()).await.unwrap();
    let healed = eventually("a success once the quota is lifted", || async {
        stage.json("/jobs/bad").await?["runs"].as_array()?.iter().find(|run| run["outcome"] == "succeeded").cloned()
    })
    .await;
    assert_eq!(healed["reason"], "completed");
}

#[tokio::test]
async fn a_quota_that_refuses_the_pod() {
    let mut stage = Stage::set("ends-pod-quota").await;
    let healthy = with(script("healthy", "true"), json!({"waitTimeAfterSuccessfulRun": "100ms"}));
    let limit = |memory: &str| json!({"resources": {"limits": {"memory": memory}}});
    let bad = |timeout: &str| {
        let keys = json!({"jobStartTimeout": timeout, "waitTimeAfterTimeout": "1s", "backoff": {"max": "2s"}});
        with(with(script("bad", "true"), keys), json!({"podConfig": limit("256Mi")}))
    };
    let healthy = with(healthy, json!({"podConfig": limit("64Mi")}));
    stage
        .create::<ResourceQuota>(json!({"metadata": {"name": "small"}, "spec": {"hard": {"limits.memory": "128Mi"}}}))
        .await;
    let mut container = limit("256Mi");
    container.as_object_mut().unwrap().extend([("name".into(), json!("worker")), ("image".into(), json!("i"))]);
    is_refused::<Pod>(&stage, json!({"metadata": {"name": "trial"}, "spec": {"containers": [container]}})).await;
    stage.run(json!([bad("6s"), healthy])).await;
    stage.send("bad", 1).await;
    stage.send("healthy", 1).await;
    let run = stage.ended("bad", 1).await.remove(0);
    assert_eq!((run["outcome"].as_str(), run["reason"].as_str()), (Some("start_timed_out"), Some("no_pod")), "{run}");
    assert!(run["message"].as_str().unwrap().contains("quota"), "it says where to look: {run}");
    stage.ended("healthy", 2).await;
    stage.recording.keep("ends-pod-quota", run["job"].as_str().unwrap()).await;
    only_one_job_is_left(&stage).await;
    // Those that may start have all the time that they need.
    stage.write_jobs(&json!([bad("5m"), healthy]).to_string());
    stage.shows("job_chief_config_reloads_total{result=\"ok\"} 1").await;
    let quotas: kube::Api<ResourceQuota> = stage.api();
    quotas.delete("small", &DeleteParams::default()).await.unwrap();
    eventually("a success once the quota is lifted", || async {
        stage.json("/jobs/bad").await?["runs"].as_array()?.iter().any(|run| run["outcome"] == "succeeded").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_job_deleted_by_hand() {
    let mut stage = Stage::set("ends-job-deleted").await;
    stage.run(json!([script("long", "sleep 36000")])).await;
    stage.send("long", 1).await;
    stage.running(1).await;
    let name = stage.jobs_of("long").await.remove(0).metadata.name.unwrap();
    stage.api::<Job>().delete(&name, &DeleteParams::background().grace_period(0)).await.unwrap();
    let run = stage.ended("long", 1).await.remove(0);
    assert_eq!((run["outcome"].as_str(), run["job"].as_str()), (Some("vanished"), Some(name.as_str())), "{run}");
    stage.recording.keep("ends-job-deleted", &name).await;
    eventually("another Job", || async {
        stage.jobs().await.into_iter().find(|job| job.metadata.name.as_deref() != Some(&name))
    })
    .await;
}

#[tokio::test]
async fn a_pod_deleted_by_hand() {
    let mut stage = Stage::set("ends-pod-deleted").await;
    // Kubernetes counts a pod that ends with 0 as a success, unless the Job controller has seen before that it is being
    // deleted: this one takes its time to end, as workers do.
    stage.run(json!([script("long", "trap 'sleep 15; exit 0' TERM; sleep 600 & wait")])).await;
    stage.send("long", 1).await;
    stage.running(1).await;
    let name = stage.pods().await.remove(0).metadata.name.unwrap();
    stage.api::<Pod>().delete(&name, &DeleteParams::default()).await.unwrap();
    let run = stage.ended("long", 1).await.remove(0);
    assert_eq!((run["outcome"].as_str(), run["reason"].as_str()), (Some("failed"), Some("pod_deleted")), "{run}");
    stage.recording.keep("ends-pod-deleted", run["job"].as_str().unwrap()).await;
}

#[tokio::test]
async fn a_job_that_ends_in_milliseconds() {
    let mut stage = Stage::set("ends-quick").await;
    stage.run(json!([with(script("quick", "true"), json!({"waitTimeAfterSuccessfulRun": "0s"}))])).await;
    stage.send("quick", 1).await;
    let runs = stage.ended("quick", 3).await;
    assert!(runs.iter().all(|run| run["outcome"] == "succeeded"), "{runs:?}");
    stage.recording.keep("ends-quick", runs[0]["job"].as_str().unwrap()).await;
}
