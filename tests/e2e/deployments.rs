//! Deployments on a real cluster: modules are deployed, used, put back and removed, whoever leads meanwhile.

use std::{path::Path, time::Duration};

use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{ConfigMap, PersistentVolume, PersistentVolumeClaim, Pod, Secret},
};
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    chart::{CHART, helm, values},
    laptop::somebody,
    services::{IDLE, service},
    stage::{Stage, eventually, made, script},
};

/// How long a page may take before it is asked for anew.
const PAGE_WITHIN: Duration = Duration::from_secs(10);

const TOKEN: &str = "Authorization: Bearer canary-token\r\nContent-Type: application/json\r\n";

/// Serves a folder until it is told to end, after something else.
pub(crate) fn serves(first: &str, folder: &str, port: u16) -> String {
    format!("{first}; httpd -p {port} -h {folder}; {IDLE}")
}

/// A queue that nothing is sent to.
pub(crate) fn other() -> Value {
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

    /// Waits until a pod says this on a port.
    async fn serves(&self, port: u16, wanted: &str) {
        eventually(&format!("a pod to say {wanted:?}"), || async {
            let addresses = self.pods().await.into_iter().filter_map(|pod: Pod| pod.status?.pod_ip);
            for address in addresses {
                // An address that nobody has any more does not answer.
                let page = tokio::time::timeout(PAGE_WITHIN, page(&format!("{address}:{port}"))).await;
                if page.ok().flatten().is_some_and(|page| page.contains(wanted)) {
                    return Some(());
                }
            }
            None
        })
        .await;
    }

    /// The deployment, once it is in this state.
    pub(crate) async fn deployed(&self, name: &str, state: &str) -> Value {
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

/// A volume of the case alone, which the claim of the shipped postgres gets: no cluster of the tests makes volumes.
struct Volume {
    volumes: Api<PersistentVolume>,
    name: String,
}

impl Volume {
    async fn make(stage: &Stage, claim: &str) -> Self {
        let (volumes, name) = (Api::all(stage.client.clone()), stage.name.clone());
        let volume = json!({
            "metadata": {"name": name, "labels": {"job-chief.test/case": "yes"}},
            "spec": {
                "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": name,
                "persistentVolumeReclaimPolicy": "Retain",
                "claimRef": {"namespace": stage.name, "name": claim},
                "hostPath": {"path": stage.folder.path().join("volume"), "type": "DirectoryOrCreate"},
            },
        });
        let volume: PersistentVolume = serde_json::from_value(volume).unwrap();
        eventually("a volume", || async { made(volumes.create(&PostParams::default(), &volume).await) }).await;
        Self { volumes, name }
    }

    async fn remove(self) {
        eventually("the volume to be gone", || async {
            match self.volumes.delete(&self.name, &DeleteParams::default()).await {
                Err(kube::Error::Api(status)) if status.code == 404 => Some(()),
                _ => None,
            }
        })
        .await;
    }
}

/// The rights of the chart's tier `rbac.apply`, and no others.
async fn tier(stage: &Stage) -> Value {
    let values = values(stage, json!({"rbac": {"apply": true}}));
    let words = ["template", "chief", CHART, "--values", &values, "--show-only", "templates/role.yaml"];
    let role: Value = serde_yaml_ng::from_str(&helm(stage, &words).await).unwrap();
    role["rules"].clone()
}

/// `name=JSON` of a command that is run by the shell.
fn command(script: &str) -> String {
    format!("command={}", json!(["/bin/sh", "-c", script]))
}

#[tokio::test]
async fn shipped_modules_are_deployed_used_and_removed_by_commands() {
    let modules = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/modules");
    let stage = Stage::set("deploying").await.with_token();
    let mut stage = stage.with("MODULES_PATH", modules.to_str().unwrap());
    stage.kubeconfig = Some(somebody(&stage, "chief", tier(&stage).await).await);
    stage.run(other()).await;
    let small = ["--set", "cpu=1m", "--set", "memory=64Mi", "--set", "pullPolicy=Never"];
    let image = ["--set", "image=job-chief.test/busybox:dev"];
    let serves = command(&serves("mkdir -p /tmp/www; echo in use > /tmp/www/index.html", "/tmp/www", 6379));
    let cache = ["deploy", "redis", "--set", "name=cache", "--set", "args=[\"x\"]", "--set", &serves];
    let cache = [&cache[..], &image, &small].concat();
    // The rights are in force by and by.
    let plan = stage.prints(&[&cache[..], &["--dry-run"]].concat(), &["JobConfig/cache"]).await;
    assert!(plan.contains("create"), "{plan}");
    let all = async || eventually("an answer", || stage.json("/deployment")).await;
    assert_eq!(all().await, json!({}), "nothing has changed");
    let told = stage.command(&[&cache[..], &["--wait"]].concat()).await;
    assert!(told.contains("JobConfig/cache ready (created)") && told.contains("cache: settled"), "{told}");
    stage.serves(6379, "in use").await;
    let plan = stage.command(&[&cache[..], &["--dry-run"]].concat()).await;
    assert!(plan.contains("unchanged"), "{plan}");

    a_volume_outlives_its_deployment(&stage, &[&image[..], &small].concat()).await;

    let mails = ["deploy", "worker", "--set", "name=mails", "--set", "image=job-chief.test/worker:dev"];
    let queue = ["--set", "queue=hello", "--set", "queueCheckInterval=500ms", "--set", "jobStartTimeout=5m"];
    let more = ["--set", "dependsOn=[\"cache\"]", "--wait"];
    stage.command(&[&mails[..], &small, &queue, &more].concat()).await;
    stage.send("hello", 1).await;
    eventually("the worker to have taken its message", || async {
        (stage.count("select count(*) from pgboss.job where state = 'completed'").await == 1).then_some(())
    })
    .await;

    let refused = stage.ask(&["undeploy", "cache"]).await;
    let why = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && why.contains("mails"), "another depends on it: {why}");
    assert!(stage.command(&["undeploy", "mails", "--wait"]).await.contains("mails: removed"));
    assert!(stage.command(&["undeploy", "cache", "--wait"]).await.contains("cache: removed"));
    assert_eq!(all().await, json!({}));
    eventually("the service to be gone", || async {
        let told = stage.get("/services/cache").await?;
        let runs = |pod: &Pod| pod.status.as_ref().is_some_and(|it| it.phase.as_deref() == Some("Running"));
        (told.0 == 404 && !stage.pods().await.iter().any(runs)).then_some(())
    })
    .await;
}

/// What the shipped postgres has written is there for the next one, until the volume is named.
async fn a_volume_outlives_its_deployment(stage: &Stage, image: &[&str]) {
    let volume = Volume::make(stage, "shop-data").await;
    stage.create::<Secret>(json!({"metadata": {"name": "keys"}, "stringData": {"shop": "canary-secret"}})).await;
    let class = format!("storageClass={}", json!({"storageClassName": volume.name, "volumeName": volume.name}));
    let keys = ["--set", "passwordSecret=keys", "--set", "passwordKey=shop", "--set", "user=ann"];
    let shop = ["deploy", "postgres", "--set", "name=shop", "--set", "claim=shop-data", "--set", "size=1Gi"];
    let shop = [&shop[..], &keys, &["--set", &class, "--wait"], image].concat();
    let claims = stage.api::<PersistentVolumeClaim>();
    let claim = async || eventually("an answer", || async { claims.get_opt("shop-data").await.ok() }).await;

    let writes = "mkdir -p $PGDATA; echo written by $POSTGRES_USER with $POSTGRES_PASSWORD > $PGDATA/index.html";
    let writes = command(&serves(writes, "$PGDATA", 5432));
    let told = stage.command(&[&shop[..], &["--set", &writes]].concat()).await;
    let ready = ["PersistentVolumeClaim/shop-data ready (created)", "JobConfig/shop ready (created)", "shop: settled"];
    assert!(ready.iter().all(|line| told.contains(line)), "{told}");
    stage.serves(5432, "written by ann with canary-secret").await;
    assert!(stage.command(&["undeploy", "shop", "--wait"]).await.contains("shop: removed"));
    let left = claim().await.expect("a volume stays");
    assert_eq!((left.metadata.deletion_timestamp, left.spec.unwrap().volume_name), (None, Some(volume.name.clone())));

    // The next one writes nothing.
    let reads = command(&serves(":", "$PGDATA", 5432));
    let told = stage.command(&[&shop[..], &["--set", &reads]].concat()).await;
    assert!(told.contains("PersistentVolumeClaim/shop-data ready (unchanged)"), "it is the same claim: {told}");
    stage.serves(5432, "written by ann with canary-secret").await;
    let told = stage.command(&["undeploy", "shop", "--volume", "shop-data", "--wait"]).await;
    assert!(told.contains("shop: removed"), "{told}");
    eventually("the claim to be gone", || async { claim().await.is_none().then_some(()) }).await;
    volume.remove().await;
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
    let before = eventually("the first object", || async { jobs.get_opt("gate").await.ok().flatten() }).await;
    let late = eventually("an answer", || first.get("/services/late")).await;
    assert_eq!(late.0, 404, "what comes after it waits");
    first.kill().await;
    second.leads().await;
    second.create::<ConfigMap>(json!({"metadata": {"name": "go"}, "data": {"go": "yes"}})).await;
    let told = second.deployed("gated", "settled").await;
    assert_eq!(told["revision"], 1);
    let after = eventually("the first object", || async { jobs.get_opt("gate").await.ok().flatten() }).await;
    assert_eq!(uid(&after), uid(&before), "it was found and left alone");
    second.in_state("late", "RUNNING").await;
}

/// A ConfigMap that says something.
pub(crate) fn note() -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "note"}, "data": {"says": "as deployed"}})
}

#[tokio::test]
async fn a_list_of_modules_is_deployed_but_for_what_is_wrong_in_it() {
    let mut stage = Stage::set("listed").await.with_modules(&[("note/latest/note.yaml", note())]);
    let list = json!({&stage.name: {"note": {"good": {"version": "latest"}}, "nothing": {"bad": {}}}});
    stage.run(json!({"jobs": other(), "modules": list})).await;
    stage.deployed("good", "settled").await;
    let maps = stage.api::<ConfigMap>();
    let note = eventually("the note", || async { maps.get_opt("note").await.ok().flatten() }).await;
    assert_eq!(note.data.unwrap()["says"], "as deployed");
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
    let look = || async { maps.get_opt("note").await.ok().flatten() };
    let says = || async { eventually("the note", look).await.data.unwrap()["says"].clone() };
    let by_hand = Patch::Merge(json!({"data": {"says": "by hand"}}));
    let ann = PatchParams { field_manager: Some("ann".into()), ..PatchParams::default() };
    eventually("a change by hand", || async { maps.patch("note", &ann, &by_hand).await.ok() }).await;
    let told = stage.deployed("note", "drifted").await;
    assert!(told["problem"].as_str().unwrap().contains("data.says"), "{told}");
    assert_eq!(says().await, "by hand", "it is only told");
    stage.command(&["deploy", "note", "--wait"]).await;
    assert_eq!(says().await, "as deployed");
    stage.command(&["undeploy", "note", "--wait"]).await;
    eventually("it to be gone", || async { maps.get_opt("note").await.ok()?.is_none().then_some(()) }).await;
}
