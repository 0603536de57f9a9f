//! The Helm chart on a real cluster: installed, upgraded, rolled back and uninstalled under Jobs that go on.

use std::{collections::BTreeSet, process::Output};

use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Pod, Secret},
    discovery::v1::EndpointSlice,
};
use kube::api::ListParams;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::{
    services::service,
    stage::{Stage, eventually, script, with},
};

/// The chart.
pub(crate) const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/helm/job-chief");

/// A worker that works on.
const LONG: &str = "trap 'exit 0' TERM; sleep 36000 & wait";

/// Helm as the administrator of the cluster, in the namespace of the case.
pub(crate) async fn helm(stage: &Stage, words: &[&str]) -> String {
    let program = std::env::var("JOB_CHIEF_TEST_HELM").expect("xtask says where Helm is");
    let mut helm = Command::new(program);
    helm.args(words).args(["--namespace", &stage.name]).args(["--kube-context", "job-chief-test"]);
    helm.env("KUBECONFIG", stage.site.text("kubeconfig"));
    // Nothing of whoever runs the tests is read.
    for folder in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
        helm.env(folder, stage.folder.path().join(folder));
    }
    told(helm.output().await.unwrap())
}

fn told(output: Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The values of the case, with others laid over, in a file.
pub(crate) fn values(stage: &Stage, more: Value) -> String {
    let web = service("web", "httpd -f -p 8080 -h /tmp", json!({"ports": [8080]}));
    let own = json!({
        "image": {"repository": "job-chief.test/job-chief", "tag": "dev"},
        "imagePullPolicy": "Never",
        "env": {"instanceUid": "e2e"},
        "jobs": [script("long", LONG), web],
        "dbConfig": {"urlSecret": {"name": "database"}},
        "migrate": {"enabled": true, "urlSecret": {"name": "database"}},
    });
    let path = stage.folder.path().join("values.json");
    std::fs::write(&path, with(own, more).to_string()).unwrap();
    path.to_str().unwrap().to_owned()
}

/// The uids of the pods of a label that run, once there are so many and no other is left.
async fn pods(stage: &Stage, label: &str, count: usize) -> BTreeSet<String> {
    let runs = |pod: &Pod| pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Running");
    eventually(&format!("{count} pods with {label} in {}", stage.name), || async {
        let found = stage.api::<Pod>().list(&ListParams::default().labels(label)).await.ok()?.items;
        let stays = |pod: &Pod| runs(pod) && pod.metadata.deletion_timestamp.is_none();
        (found.len() == count && found.iter().all(stays))
            .then(|| found.into_iter().filter_map(|pod| pod.metadata.uid).collect())
    })
    .await
}

/// The pods that work: those of Jobs.
async fn workers(stage: &Stage, count: usize) -> BTreeSet<String> {
    pods(stage, "app=job-chief,owner-id=e2e", count).await
}

/// job-chief's own pods.
async fn chiefs(stage: &Stage, count: usize) -> BTreeSet<String> {
    pods(stage, "app.kubernetes.io/name=job-chief", count).await
}

/// The Service of a service has an address behind it.
async fn is_reachable(stage: &Stage, name: &str) {
    let of = ListParams::default().labels(&format!("kubernetes.io/service-name={name}"));
    let ready = |slice: &EndpointSlice| {
        slice.endpoints.iter().any(|it| it.conditions.as_ref().and_then(|known| known.ready) == Some(true))
    };
    eventually(&format!("an address of {name}"), || async {
        stage.api::<EndpointSlice>().list(&of).await.ok()?.items.iter().any(ready).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_release_comes_changes_and_goes_and_jobs_go_on() {
    let stage = Stage::set("chart").await;
    let url = json!({"DATABASE_URL": stage.site.database_url(&stage.database())});
    stage.create::<Secret>(json!({"metadata": {"name": "database"}, "stringData": url})).await;
    let apply = ["upgrade", "job-chief", CHART, "--install", "--wait", "--timeout", "600s", "--values"];
    let told = helm(&stage, &[&apply[..], &[&values(&stage, json!({}))]].concat()).await;
    assert!(told.contains("rollout status"), "{told}");
    let leads = "select count(*) from chief.leadership where holder is not null";
    eventually("somebody to lead", || async { (stage.count(leads).await == 1).then_some(()) }).await;
    stage.send("long", 1).await;
    let first = workers(&stage, 2).await;
    is_reachable(&stage, "web").await;
    let installed = chiefs(&stage, 2).await;

    // A changed jobs.json reaches the processes that are there.
    let jobs = json!([
        script("long", LONG),
        script("late", LONG),
        service("web", "httpd -f -p 8080 -h /tmp", json!({"ports": [8080]}))
    ]);
    helm(&stage, &[&apply[..], &[&values(&stage, json!({"jobs": jobs}))]].concat()).await;
    stage.send("late", 1).await;
    let all = workers(&stage, 3).await;
    assert!(all.is_superset(&first), "a running Job was lost when jobs.json changed");
    assert_eq!(chiefs(&stage, 2).await, installed, "a changed jobs.json restarts no process");

    // A changed setting replaces the processes, and nothing else.
    helm(&stage, &[&apply[..], &[&values(&stage, json!({"jobs": jobs, "env": {"logLevel": "debug"}}))]].concat()).await;
    let upgraded = chiefs(&stage, 2).await;
    assert!(upgraded.is_disjoint(&installed));
    assert_eq!(workers(&stage, 3).await, all, "an upgrade touched what runs");

    // Back to where `late` does not exist: its Job is seen to its end, and its end is not hastened.
    helm(&stage, &["rollback", "job-chief", "1", "--wait", "--timeout", "600s"]).await;
    assert!(chiefs(&stage, 2).await.is_disjoint(&upgraded));
    assert_eq!(workers(&stage, 3).await, all, "a rollback touched what runs");

    helm(&stage, &["uninstall", "job-chief", "--wait", "--timeout", "600s"]).await;
    chiefs(&stage, 0).await;
    eventually("the Deployment to be gone", || async {
        stage.api::<Deployment>().get_opt("job-chief").await.is_ok_and(|it| it.is_none()).then_some(())
    })
    .await;
    assert_eq!(workers(&stage, 3).await, all, "what ran when job-chief left goes on");
}

/// kubectl as the administrator, in the namespace of the case.
pub(crate) async fn kubectl(stage: &Stage, words: &[&str]) -> String {
    told(try_kubectl(stage, words).await)
}

/// The same, however it ends.
pub(crate) async fn try_kubectl(stage: &Stage, words: &[&str]) -> Output {
    let mut kubectl = Command::new(stage.site.folder.join("bin/testenv"));
    kubectl.arg("kubectl").args(["--kubeconfig", stage.site.text("kubeconfig"), "--namespace", &stage.name]);
    kubectl.args(words).current_dir(env!("CARGO_MANIFEST_DIR")).output().await.unwrap()
}

/// The API server itself accepts everything that the chart can render, and the plain manifests, field by field.
#[tokio::test]
async fn the_api_server_accepts_every_object() {
    let stage = Stage::set("chart-dry").await;
    let dry = ["apply", "--dry-run=server", "--validate=strict"];
    let original = ["--set-file", "jobsJson=ci/jobs.json", "--set", "route.enabled=false"];
    let foreign = ["--set", "podMonitor.enabled=false,serviceMonitor.enabled=false,prometheusRule.enabled=false"];
    for (file, more) in [("minimal", &[][..]), ("everything", &foreign), ("original", &original)] {
        let (file, jobs) = (format!("{CHART}/ci/{file}.yaml"), format!("jobsJson={CHART}/ci/jobs.json"));
        let more: Vec<&str> =
            more.iter().map(|word| if word.starts_with("jobsJson") { jobs.as_str() } else { *word }).collect();
        let text = helm(&stage, &[&["template", "job-chief", CHART, "--values", &file], &more[..]].concat()).await;
        let path = stage.folder.path().join("rendered.yaml");
        std::fs::write(&path, text).unwrap();
        kubectl(&stage, &[&dry[..], &["--filename", path.to_str().unwrap()]].concat()).await;
    }
    kubectl(&stage, &[&dry[..], &["--filename", "deploy/role.yaml", "--filename", "deploy/job-chief.yaml"]].concat())
        .await;
    kubectl(&stage, &[&dry[..], &["--kustomize", "deploy"]].concat()).await;
}
