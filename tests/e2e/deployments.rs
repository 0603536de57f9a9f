//! Deployments on a real cluster: modules are deployed, used, put back and removed, whoever leads meanwhile.

use std::path::Path;

use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{ConfigMap, Pod},
};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    services::service,
    stage::{Stage, eventually, script},
};

const TOKEN: &str = "Authorization: Bearer canary-token\r\nContent-Type: application/json\r\n";

/// Says what it is on redis' port, until it is told to end.
const SERVES: &str = "mkdir -p /tmp/www; echo in use > /tmp/www/index.html; httpd -p 6379 -h /tmp/www; \
    trap 'exit 0' TERM; while :; do sleep 0.2; done";

/// Runs until it is told to end.
const IDLE: &str = "trap 'exit 0' TERM; while :; do sleep 0.2; done";

/// A queue that nothing is sent to.
fn other() -> Value {
    json!([script("other", "true")])
}

impl Stage {
    /// Modules of its own, each file by its path.
    pub(crate) fn with_modules(self, files: &[(&str, Value)]) -> Self {
        let folder = self.folder.path().join("modules");
        for (file, object) in files {
            let path = folder.join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            // JSON is YAML.
            std::fs::write(path, object.to_string()).unwrap();
        }
        self.with("MODULES_PATH", folder.to_str().unwrap())
    }

    /// The deployment, once it is in this state.
    async fn deployed(&self, name: &str, state: &str) -> Value {
        eventually(&format!("{name} to be {state}\n{}", self.log()), || async {
            self.json(&format!("/deployment/{name}")).await.filter(|told| told["state"] == state)
        })
        .await
    }
}

/// What listens at an address says.
async fn page(address: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    Some(answer)
}

#[tokio::test]
async fn shipped_modules_are_deployed_used_and_removed_by_commands() {
    let modules = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/modules");
    let stage = Stage::set("deploying").await.with_token();
    let mut stage = stage.with("MODULES_PATH", modules.to_str().unwrap());
    stage.run(other()).await;
    let serves = format!("command={}", json!(["/bin/sh", "-c", SERVES]));
    let image = ["--set", "image=job-chief.test/busybox:dev", "--set", "pullPolicy=Never"];
    let cache =
        [&["deploy", "redis", "--set", "name=cache", "--set", "args=[\"x\"]", "--set", &serves][..], &image].concat();
    let plan = stage.command(&[&cache[..], &["--dry-run"]].concat()).await;
    assert!(plan.contains("JobConfig/cache") && plan.contains("create"), "{plan}");
    assert_eq!(stage.json("/deployment").await, Some(json!({})), "nothing has changed");
    let told = stage.command(&[&cache[..], &["--wait"]].concat()).await;
    assert!(told.contains("JobConfig/cache ready (created)") && told.contains("cache: settled"), "{told}");
    eventually("the service to be of use", || async {
        let addresses = stage.pods().await.into_iter().filter_map(|pod: Pod| pod.status?.pod_ip);
        for address in addresses {
            if page(&format!("{address}:6379")).await.is_some_and(|page| page.contains("in use")) {
                return Some(());
            }
        }
        None
    })
    .await;
    let plan = stage.command(&[&cache[..], &["--dry-run"]].concat()).await;
    assert!(plan.contains("unchanged"), "{plan}");

    let works = format!("command={}", json!(["/bin/sh", "-c", "true"]));
    let queue = ["--set", "queue=hello", "--set", "queueCheckInterval=500ms", "--set", "jobStartTimeout=5m"];
    let mails =
        ["deploy", "worker", "--set", "name=mails", "--set", "dependsOn=[\"cache\"]", "--set", &works, "--wait"];
    stage.command(&[&mails[..], &queue, &image].concat()).await;
    stage.send("hello", 1).await;
    assert_eq!(stage.ended("mails", 1).await[0]["outcome"], "succeeded");

    let refused = stage.ask(&["undeploy", "cache"]).await;
    let why = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && why.contains("mails"), "another depends on it: {why}");
    assert!(stage.command(&["undeploy", "mails", "--wait"]).await.contains("mails: removed"));
    assert!(stage.command(&["undeploy", "cache", "--wait"]).await.contains("cache: removed"));
    assert_eq!(stage.json("/deployment").await, Some(json!({})));
    eventually("the service to be gone", || async {
        let told = stage.get("/services/cache").await?;
        (told.0 == 404
            && stage
                .pods()
                .await
                .iter()
                .all(|pod| pod.status.as_ref().is_none_or(|it| it.phase.as_deref() != Some("Running"))))
        .then_some(())
    })
    .await;
}

#[tokio::test]
async fn whoever_leads_next_finishes_a_deployment() {
    // Its container can't be made before there is a ConfigMap, which is the test's to make.
    let container = json!({"name": "gate", "image": "job-chief.test/busybox:dev", "imagePullPolicy": "Never", "command": ["/bin/sh", "-c", "true"],
        "env": [{"name": "GO", "valueFrom": {"configMapKeyRef": {"name": "go", "key": "go"}}}]});
    let gate = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "gate"},
        "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [container]}}}});
    let late = json!({"apiVersion": "job-chief/v1", "kind": "JobConfig", "metadata": {"name": "late"},
        "spec": service("late", IDLE, json!({"startTimeout": "5m"}))});
    let files = [("gated/latest/dependencies/gate.yaml", gate), ("gated/latest/late.yaml", late)];
    let mut first = Stage::set("handover").await.with_token().with_modules(&files);
    first.run(other()).await;
    first.leads().await;
    let mut second = first.beside().await;
    second.run(other()).await;
    let (code, told) = second.post("/deployment", TOKEN, r#"{"module": "gated", "waitSeconds": 0}"#).await;
    assert_eq!((code, told["deployment"]["revision"].as_i64()), (202, Some(1)), "{told}");
    let jobs = first.api::<Job>();
    let uid = |job: &Job| job.metadata.uid.clone();
    let before = eventually("the first object", || async { jobs.get_opt("gate").await.unwrap() }).await;
    assert_eq!(first.get("/services/late").await.map(|told| told.0), Some(404), "what comes after it waits");
    first.kill().await;
    second.leads().await;
    second.create::<ConfigMap>(json!({"metadata": {"name": "go"}, "data": {"go": "yes"}})).await;
    let told = second.deployed("gated", "settled").await;
    assert_eq!(told["revision"], 1);
    assert_eq!(uid(&jobs.get("gate").await.unwrap()), uid(&before), "it was found and left alone");
    second.in_state("late", "RUNNING").await;
    assert_eq!(second.count("select count(*) from chief.runs where job_config = 'late'").await, 1);
}

/// A ConfigMap that says something.
fn note() -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "note"}, "data": {"says": "as deployed"}})
}

#[tokio::test]
async fn a_list_of_modules_is_deployed_but_for_what_is_wrong_in_it() {
    let mut stage = Stage::set("listed").await.with_modules(&[("note/latest/note.yaml", note())]);
    let list = json!({&stage.name: {"note": {"good": {"version": "latest"}}, "nothing": {"bad": {}}}});
    stage.run(json!({"jobs": other(), "modules": list})).await;
    stage.deployed("good", "settled").await;
    assert_eq!(stage.api::<ConfigMap>().get("note").await.unwrap().data.unwrap()["says"], "as deployed");
    eventually("the wrong entry to be told", || async {
        let (code, told) = stage.get("/readiness").await?;
        (code == 200 && told.contains("nothing")).then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_is_changed_by_hand_is_told_and_put_back_when_it_is_deployed_again() {
    let mut stage = Stage::set("drifting").await.with_token().with_modules(&[("note/latest/note.yaml", note())]);
    stage.run(other()).await;
    stage.command(&["deploy", "note", "--wait"]).await;
    let maps = stage.api::<ConfigMap>();
    let says = || async { maps.get("note").await.unwrap().data.unwrap()["says"].clone() };
    let by_hand = Patch::Merge(json!({"data": {"says": "by hand"}}));
    maps.patch("note", &PatchParams { field_manager: Some("ann".into()), ..PatchParams::default() }, &by_hand)
        .await
        .unwrap();
    let told = stage.deployed("note", "drifted").await;
    assert!(told["problem"].as_str().unwrap().contains("data.says"), "{told}");
    assert_eq!(says().await, "by hand", "it is only told");
    stage.command(&["deploy", "note", "--wait"]).await;
    assert_eq!(says().await, "as deployed");
    stage.command(&["undeploy", "note", "--wait"]).await;
    eventually("it to be gone", || async { maps.get_opt("note").await.unwrap().is_none().then_some(()) }).await;
}
