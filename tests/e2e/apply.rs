//! Objects of deployments on a real API server: what it takes, fills in, refuses, and keeps of whose a field is.

use std::{sync::Arc, time::Duration};

use job_chief::{
    clock::Clock,
    cluster::{apply::Applier, apply_error::ApplyError, connect::Access, requests::Cluster},
    decide::{
        deployment::record::Change,
        live::{
            live_object::Live,
            owner::Owner,
            readiness::Readiness,
            rights::{Right, Verb, needed},
            written::Written,
        },
    },
    fence::Gate,
    metrics::Metrics,
    modules::object::{KINDS, Object, ObjectId, ObjectKind},
};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::{
    laptop::somebody,
    stage::{Stage, eventually},
};

/// Somebody who deploys, with a lease that outlasts the case.
struct Deployer {
    applier: Applier,
    gate: Gate,
}

impl Deployer {
    async fn of(stage: &Stage, kubeconfig: &str) -> Self {
        let access = Access::Context { kubeconfig: Some(kubeconfig.into()), context: "job-chief-test".into() };
        let (client, clock) = (access.client().await.unwrap(), Clock::start());
        let cluster = Cluster::new(&client, &stage.name, clock, Arc::new(Metrics::new().unwrap()));
        let gate = Gate::until(clock.now() + Duration::from_secs(86400), clock);
        Self { applier: Applier::new(&client, cluster), gate }
    }

    async fn apply(&self, object: &Object, force: bool) -> Result<Change, ApplyError> {
        self.apply_as(&owner(), object, force).await
    }

    async fn apply_as(&self, owner: &Owner, object: &Object, force: bool) -> Result<Change, ApplyError> {
        let fence = self.gate.fence();
        let applied = answered(&object.id, || self.applier.apply(object, owner, force, &fence)).await;
        applied.map(|applied| applied.change)
    }

    /// Applies all, and what became of each.
    async fn apply_all(&self, objects: &[Object]) -> Vec<Change> {
        let mut changes = vec![];
        for object in objects {
            changes.push(self.apply(object, false).await.unwrap());
        }
        changes
    }

    async fn dry_run(&self, objects: &[Object]) -> Vec<Result<Change, ApplyError>> {
        eventually("each to be judged", || async {
            let judged = self.applier.dry_run(objects, &owner(), false).await;
            judged.iter().all(is_answer).then_some(judged)
        })
        .await
    }

    async fn judge(&self, objects: &[Object]) -> Vec<Change> {
        self.dry_run(objects).await.into_iter().map(Result::unwrap).collect()
    }

    async fn look(&self, object: &Object) -> Option<Live> {
        answered(&object.id, || self.applier.look(&object.id)).await.unwrap()
    }

    /// Asks for the end of the object with this uid.
    async fn delete_uid(&self, object: &Object, uid: &str) {
        let fence = self.gate.fence();
        answered(&object.id, || self.applier.delete(&object.id, uid, &fence)).await.unwrap();
    }

    /// Deletes an object, and waits until it is gone.
    async fn delete(&self, object: &Object) {
        let uid = self.look(object).await.unwrap().uid().to_owned();
        self.delete_uid(object, &uid).await;
        eventually(&format!("the end of {}", object.id), || async { self.look(object).await.is_none().then_some(()) })
            .await;
    }

    async fn is_ready(&self, object: &Object) {
        eventually(&format!("{} to be ready", object.id), || async {
            let live = self.look(object).await?;
            (live.readiness() == Readiness::Ready).then_some(())
        })
        .await;
    }
}

/// An API server that is too busy to answer has not decided anything.
fn is_answer<T>(told: &Result<T, ApplyError>) -> bool {
    told.as_ref().err().is_none_or(|error| !error.is_transient())
}

/// What the API server answers, once it does.
async fn answered<T, F>(id: &ObjectId, mut ask: impl FnMut() -> F) -> Result<T, ApplyError>
where
    F: Future<Output = Result<T, ApplyError>>,
{
    eventually(&format!("an answer about {id}"), || {
        let asking = ask();
        async { Some(asking.await).filter(is_answer) }
    })
    .await
}

fn owner() -> Owner {
    Owner::new("e2e", "shop")
}

fn object(kind: ObjectKind, name: &str, rest: Value) -> Object {
    let mut body = rest.as_object().unwrap().clone();
    body.insert("apiVersion".into(), json!(kind.api_version()));
    body.insert("kind".into(), json!(kind.as_str()));
    body.insert("metadata".into(), json!({"name": name}));
    Object { id: ObjectId { kind, name: name.into() }, body, file: "shop.yaml".into(), line: 1 }
}

fn settings(color: &str) -> Object {
    object(ObjectKind::ConfigMap, "settings", json!({"data": {"color": color, "size": "7"}}))
}

/// A pod that ends when it is told to.
fn pod(script: &str, restart: &str) -> Value {
    let container = json!({
        "name": "main", "image": "job-chief.test/busybox:dev", "imagePullPolicy": "Never",
        "command": ["/bin/sh", "-c", format!("trap 'exit 0' TERM; {script}")],
        "ports": [{"containerPort": 8080}],
        "resources": {"requests": {"cpu": "1m", "memory": "1024Ki"}},
    });
    json!({"restartPolicy": restart, "containers": [container]})
}

fn web(version: &str) -> Object {
    let labels = json!({"app": "web"});
    let mut pod = pod("while :; do sleep 0.2; done", "Always");
    pod["containers"][0]["env"] = json!([{"name": "VERSION", "value": version}]);
    let template = json!({"metadata": {"labels": labels}, "spec": pod});
    let spec = json!({"replicas": 1, "selector": {"matchLabels": labels}, "template": template});
    object(ObjectKind::Deployment, "web", json!({"spec": spec}))
}

fn import(version: &str) -> Object {
    let spec = json!({"backoffLimit": 0, "template": {"spec": pod(&format!("echo {version}"), "Never")}});
    object(ObjectKind::Job, "import", json!({"spec": spec}))
}

/// One of each kind. What would make pods makes none, but for the Deployment and the Job.
fn shop() -> Vec<Object> {
    let labels = json!({"app": "store"});
    let template = json!({"metadata": {"labels": labels}, "spec": pod("sleep 1", "Always")});
    let store = json!({"serviceName": "web", "replicas": 0, "selector": {"matchLabels": labels}, "template": template});
    let nightly = json!({
        "schedule": "0 3 * * *", "suspend": true,
        "jobTemplate": {"spec": {"template": {"spec": pod("true", "Never")}}},
    });
    let claim = json!({"accessModes": ["ReadWriteOnce"], "storageClassName": "none", "resources": {"requests": {"storage": "1024Mi"}}});
    let ports = json!([{"port": 80, "targetPort": 8080}, {"name": "dns", "port": 53, "protocol": "UDP"}]);
    let mut service = json!({"spec": {"selector": {"app": "web"}, "ports": ports}});
    service["spec"]["ports"][0]["name"] = json!("http");
    vec![
        settings("red"),
        object(ObjectKind::Secret, "key", json!({"stringData": {"key": "hunter2"}})),
        object(ObjectKind::Service, "web", service),
        object(ObjectKind::ServiceAccount, "web", json!({"automountServiceAccountToken": false})),
        object(ObjectKind::PersistentVolumeClaim, "store", json!({"spec": claim})),
        web("1"),
        object(ObjectKind::StatefulSet, "store", json!({"spec": store})),
        object(ObjectKind::CronJob, "nightly", json!({"spec": nightly})),
        import("1"),
    ]
}

/// Somebody changes a field by hand.
async fn edit(stage: &Stage, name: &str, data: Value) {
    let by_hand = PatchParams { field_manager: Some("by-hand".into()), ..PatchParams::default() };
    let (maps, change) = (stage.api::<ConfigMap>(), Patch::Merge(json!({"data": data})));
    eventually("a change by hand", || async { maps.patch(name, &by_hand, &change).await.ok() }).await;
}

#[tokio::test]
async fn objects_are_judged_applied_changed_and_deleted() {
    let stage = Stage::set("apply").await;
    let deployer = Deployer::of(&stage, stage.site.text("kubeconfig")).await;
    let all = shop();
    let every = |change: Change| vec![change; all.len()];

    assert_eq!(deployer.judge(&all).await, every(Change::Created));
    for object in &all {
        assert!(deployer.look(object).await.is_none(), "{} was made by a dry run", object.id);
    }
    assert_eq!(deployer.apply_all(&all).await, every(Change::Created));
    // The controllers write into them meanwhile, which changes nothing of ours.
    for object in &all {
        deployer.is_ready(object).await;
        let live = deployer.look(object).await.unwrap();
        assert_eq!(live.drift(&Written::of(object, &owner())), [], "{}", object.id);
    }
    assert_eq!(deployer.judge(&all).await, every(Change::Unchanged));
    assert_eq!(deployer.apply_all(&all).await, every(Change::Unchanged));

    let import_before = deployer.look(&import("1")).await.unwrap().uid().to_owned();
    let next = [settings("green"), web("2"), import("2")];
    let expected = [Change::Configured, Change::Configured, Change::Replaced];
    assert_eq!(deployer.judge(&next).await, expected);
    assert_eq!(deployer.look(&import("1")).await.unwrap().uid(), import_before);
    assert_eq!(deployer.apply_all(&next).await, expected);
    assert_ne!(deployer.look(&import("2")).await.unwrap().uid(), import_before);
    deployer.is_ready(&web("2")).await;

    what_others_do(&stage, &deployer).await;
    what_is_refused(&deployer).await;

    let uid = deployer.look(&web("2")).await.unwrap().uid().to_owned();
    deployer.delete_uid(&web("2"), &import_before).await;
    assert_eq!(deployer.look(&web("2")).await.unwrap().uid(), uid, "it is deleted by its uid alone");
    for object in [settings("green"), web("2"), import("2")] {
        deployer.delete(&object).await;
    }
}

/// Fields and names of others.
async fn what_others_do(stage: &Stage, deployer: &Deployer) {
    edit(stage, "settings", json!({"color": "blue"})).await;
    let live = deployer.look(&settings("green")).await.unwrap();
    let drift = live.drift(&Written::of(&settings("green"), &owner()));
    assert_eq!((drift.len(), drift[0].field.as_str(), drift[0].by.as_deref()), (1, "data.color", Some("by-hand")));
    // Something new is not laid over what somebody has changed, unless it is said so.
    let told = deployer.apply(&settings("yellow"), false).await;
    let judged = deployer.dry_run(&[settings("yellow")]).await;
    assert_eq!(judged, std::slice::from_ref(&told));
    let Err(ApplyError::Conflict { fields, .. }) = told else { panic!("{told:?}") };
    assert_eq!((fields.len(), fields[0].to_string().as_str()), (1, "data.color (by-hand)"));
    // The same as before puts it back.
    assert_eq!(deployer.judge(&[settings("green")]).await, [Change::Configured]);
    assert_eq!(deployer.apply(&settings("green"), false).await, Ok(Change::Configured));
    let maps = stage.api::<ConfigMap>();
    let data = eventually("the settings", || async { maps.get("settings").await.ok() }).await.data.unwrap();
    assert_eq!(data["color"], "green");
    edit(stage, "settings", json!({"color": "blue"})).await;
    assert_eq!(deployer.apply(&settings("yellow"), true).await, Ok(Change::Configured));

    stage.create::<ConfigMap>(json!({"metadata": {"name": "theirs"}, "data": {"a": "b"}})).await;
    let theirs = object(ObjectKind::ConfigMap, "theirs", json!({"data": {"a": "c"}}));
    let told = deployer.apply(&theirs, false).await;
    assert!(matches!(told, Err(ApplyError::NameTaken { forcible: true, .. })), "{told:?}");
    assert_eq!(deployer.dry_run(std::slice::from_ref(&theirs)).await, [told]);
    assert_eq!(deployer.apply(&theirs, true).await, Ok(Change::Configured));
    let other = Owner::new("e2e", "mail");
    let told = deployer.apply_as(&other, &theirs, true).await;
    assert!(matches!(told, Err(ApplyError::NameTaken { forcible: false, .. })), "{told:?}");
}

/// What the API server does not take, in its words; of a Secret without them.
async fn what_is_refused(deployer: &Deployer) {
    let mut wrong = web("3");
    wrong.body["spec"]["replica"] = json!(2);
    let told = deployer.apply(&wrong, false).await;
    assert!(matches!(&told, Err(ApplyError::Refused { message, .. }) if message.contains("replica")), "{told:?}");
    let mut wrong = import("3");
    wrong.body["spec"]["template"]["spec"]["containers"][0]["imagee"] = json!("x");
    let before = deployer.look(&wrong).await.unwrap().uid().to_owned();
    let told = deployer.apply(&wrong, false).await;
    assert!(matches!(&told, Err(ApplyError::Refused { message, .. }) if message.contains("imagee")), "{told:?}");
    assert_eq!(deployer.look(&wrong).await.unwrap().uid(), before, "a Job that is refused costs none");
    for data in
        [json!({"data": {"key": "hunter2!"}}), json!({"data": {"key": 4711}}), json!({"stringData": {"key": 4711}})]
    {
        let told = deployer.apply(&object(ObjectKind::Secret, "key", data), false).await;
        assert!(matches!(told, Err(ApplyError::Refused { .. })), "{told:?}");
        let told = format!("{told:?} {}", told.as_ref().unwrap_err());
        assert!(!told.contains("hunter2") && !told.contains("4711"), "{told}");
    }
}

/// The rules of a Role with these rights.
fn rules(rights: impl IntoIterator<Item = Right>) -> Value {
    let rule = |right: Right| json!({"apiGroups": [right.kind.group()], "resources": [right.kind.plural()], "verbs": [right.verb.as_str()]});
    Value::Array(rights.into_iter().map(rule).collect())
}

#[tokio::test]
async fn each_right_that_is_missing_is_named() {
    let stage = Stage::set("apply-rights").await;
    let all = needed(KINDS);
    let of_role = needed([ObjectKind::Job]);
    let patch = Right { verb: Verb::Patch, kind: ObjectKind::ConfigMap };
    let whole = somebody(&stage, "whole", rules(all.clone())).await;
    let lacking = somebody(&stage, "lacking", rules(all.iter().copied().filter(|right| *right != patch))).await;
    let bare = somebody(&stage, "bare", rules(of_role.clone())).await;
    for (kubeconfig, missing) in
        [(whole, vec![]), (lacking, vec![patch]), (bare, all.difference(&of_role).copied().collect())]
    {
        let deployer = Deployer::of(&stage, &kubeconfig).await;
        // The API server learns of Roles by and by.
        eventually(&format!("these rights to be missing: {missing:?}"), || async {
            (deployer.applier.missing_rights(&all).await.ok()? == missing).then_some(())
        })
        .await;
        for object in shop() {
            let told = deployer.apply(&object, false).await;
            match told {
                Ok(_) => assert!(missing.iter().all(|right| right.kind != object.id.kind), "{}", object.id),
                Err(ApplyError::Forbidden { id, right }) => {
                    assert!(id == object.id && missing.contains(&right), "{id}: {right}");
                }
                Err(error) => panic!("{error}"),
            }
        }
        let dry = deployer.dry_run(&shop()).await;
        assert_eq!(dry.iter().any(Result::is_err), !missing.is_empty(), "{dry:?}");
        if !missing.is_empty() {
            continue;
        }
        for object in shop() {
            deployer.delete(&object).await;
        }
    }
}
