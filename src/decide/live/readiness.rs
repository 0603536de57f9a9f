//! Whether an object does what it is there for, so that what needs it can begin.

use serde_json::Value;

use crate::{decide::outcome::shorten, modules::object::ObjectKind};

/// How an object does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// It does what it is there for.
    Ready,
    /// Not yet, and why.
    NotYet(String),
    /// It has come to a bad end, and why. It does not become ready by waiting.
    Failed(String),
}

/// The controller of the volumes has begun to have one made, and says who makes it.
const PROVISIONER: [&str; 2] =
    ["volume.kubernetes.io/storage-provisioner", "volume.beta.kubernetes.io/storage-provisioner"];

/// How an object of this kind does. What a controller says counts only if it says it of the newest generation: else an
/// object that was changed would be as ready as it was before.
pub(super) fn judge(kind: ObjectKind, object: &Value) -> Readiness {
    if object["metadata"]["deletionTimestamp"].is_string() {
        return Readiness::NotYet("it is being deleted".into());
    }
    match kind {
        ObjectKind::Job => job(object),
        ObjectKind::Deployment => behind(object).unwrap_or_else(|| deployment(object)),
        ObjectKind::StatefulSet => behind(object).unwrap_or_else(|| stateful_set(object)),
        ObjectKind::PersistentVolumeClaim => claim(object),
        // These are there, and that is all there is to them. A CronJob's runs come later.
        ObjectKind::ConfigMap
        | ObjectKind::Secret
        | ObjectKind::Service
        | ObjectKind::ServiceAccount
        | ObjectKind::CronJob
        | ObjectKind::JobConfig => Readiness::Ready,
    }
}

fn job(job: &Value) -> Readiness {
    if let Some(why) = condition(job, "Failed", "True") {
        return Readiness::Failed(why);
    }
    if condition(job, "Complete", "True").is_some() {
        return Readiness::Ready;
    }
    if job["spec"]["suspend"] == true {
        return Readiness::NotYet("it is suspended".into());
    }
    let wanted = job["spec"]["completions"].as_i64();
    let of = wanted.map(|wanted| format!(" of {wanted}")).unwrap_or_default();
    Readiness::NotYet(format!("{}{of} pods have succeeded", number(&job["status"]["succeeded"])))
}

/// What has been written has not been looked at by the controller.
fn behind(object: &Value) -> Option<Readiness> {
    let (generation, observed) =
        (number(&object["metadata"]["generation"]), number(&object["status"]["observedGeneration"]));
    (observed < generation).then(|| Readiness::NotYet("its controller has not looked at it yet".into()))
}

fn deployment(deployment: &Value) -> Readiness {
    let status = &deployment["status"];
    let wanted = replicas(deployment);
    let (updated, available) = (number(&status["updatedReplicas"]), number(&status["availableReplicas"]));
    let old = number(&status["replicas"]) - updated;
    if updated >= wanted && old <= 0 && available >= wanted {
        return Readiness::Ready;
    }
    let is_late = |condition: &&Value| condition["reason"] == "ProgressDeadlineExceeded";
    if let Some(late) = conditions(deployment, "Progressing", "False").find(is_late) {
        let why = condition(deployment, "ReplicaFailure", "True").unwrap_or_else(|| told(late));
        return Readiness::Failed(why);
    }
    if let Some(why) = condition(deployment, "ReplicaFailure", "True") {
        return Readiness::NotYet(why);
    }
    if deployment["spec"]["paused"] == true {
        return Readiness::NotYet("its rollout is paused".into());
    }
    Readiness::NotYet(match () {
        () if updated < wanted => format!("{updated} of {wanted} pods are new"),
        () if old > 0 => format!("{old} old pods are still there"),
        () => format!("{available} of {wanted} pods are available"),
    })
}

fn stateful_set(set: &Value) -> Readiness {
    let (status, strategy) = (&set["status"], &set["spec"]["updateStrategy"]);
    let wanted = replicas(set);
    // Below the partition, and with OnDelete, pods stay as they are until somebody deletes them.
    let renewed = match strategy["type"].as_str() {
        Some("OnDelete") => 0,
        _ => wanted - number(&strategy["rollingUpdate"]["partition"]).min(wanted),
    };
    let is_current = status["currentRevision"] == status["updateRevision"];
    let updated = if is_current { wanted } else { number(&status["updatedReplicas"]) };
    let available = number(&status["availableReplicas"]);
    if updated < renewed {
        return Readiness::NotYet(format!("{updated} of {renewed} pods are new"));
    }
    if available < wanted {
        return Readiness::NotYet(format!("{available} of {wanted} pods are available"));
    }
    Readiness::Ready
}

/// A claim that nobody has begun to serve counts as ready: with `volumeBindingMode: WaitForFirstConsumer` it is bound
/// only when a pod uses it, and that pod may be among what waits for it. The mode stands in the StorageClass, which
/// our rights do not reach.
fn claim(claim: &Value) -> Readiness {
    let annotations = &claim["metadata"]["annotations"];
    match claim["status"]["phase"].as_str() {
        Some("Bound") => Readiness::Ready,
        Some("Lost") => Readiness::Failed("its volume is lost".into()),
        _ => match PROVISIONER.iter().find_map(|name| annotations[*name].as_str()) {
            Some(provisioner) => Readiness::NotYet(format!("{provisioner} is making its volume")),
            None => Readiness::Ready,
        },
    }
}

/// `spec.replicas`, which is 1 where it is not said.
fn replicas(object: &Value) -> i64 {
    object["spec"]["replicas"].as_i64().unwrap_or(1)
}

fn number(value: &Value) -> i64 {
    value.as_i64().unwrap_or_default()
}

fn conditions<'a>(object: &'a Value, kind: &'a str, status: &'a str) -> impl Iterator<Item = &'a Value> {
    let all = object["status"]["conditions"].as_array().into_iter().flatten();
    all.filter(move |condition| condition["type"] == kind && condition["status"] == status)
}

/// What a condition says, where it has this status.
fn condition(object: &Value, kind: &str, status: &str) -> Option<String> {
    conditions(object, kind, status).next().map(told)
}

fn told(condition: &Value) -> String {
    let text = |key: &str| condition[key].as_str().unwrap_or_default();
    match (text("reason"), text("message")) {
        ("", message) => shorten(message),
        (reason, "") => shorten(reason),
        (reason, message) => shorten(&format!("{reason}: {message}")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn judged(kind: ObjectKind, object: Value) -> String {
        match judge(kind, &object) {
            Readiness::Ready => "ready".into(),
            Readiness::NotYet(why) => format!("not yet: {why}"),
            Readiness::Failed(why) => format!("failed: {why}"),
        }
    }

    #[test]
    fn a_job_is_ready_when_it_is_complete() {
        let of = |conditions: Value, status: Value| {
            let mut status = status;
            status["conditions"] = conditions;
            judged(ObjectKind::Job, json!({"spec": {"completions": 2}, "status": status}))
        };
        let condition =
            |kind: &str, status: &str| json!({"type": kind, "status": status, "reason": "R", "message": "m"});
        assert_eq!(of(json!([condition("Complete", "True")]), json!({})), "ready");
        assert_eq!(
            of(json!([condition("FailureTarget", "True"), condition("Failed", "True")]), json!({})),
            "failed: R: m"
        );
        assert_eq!(
            of(json!([condition("Complete", "False")]), json!({"succeeded": 1})),
            "not yet: 1 of 2 pods have succeeded"
        );
        let suspended = json!({"spec": {"suspend": true}});
        assert_eq!(judged(ObjectKind::Job, suspended), "not yet: it is suspended");
    }

    /// A Deployment of two pods, all well, with what is different.
    fn deployment(changes: Value) -> String {
        let mut object = json!({
            "metadata": {"generation": 3}, "spec": {"replicas": 2},
            "status": {"observedGeneration": 3, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2},
        });
        for (key, value) in changes.as_object().into_iter().flatten() {
            object["status"][key] = value.clone();
        }
        judged(ObjectKind::Deployment, object)
    }

    #[test]
    fn a_deployment_is_ready_when_all_its_pods_are_new_and_available() {
        assert_eq!(deployment(json!({})), "ready");
        assert_eq!(deployment(json!({"observedGeneration": 2})), "not yet: its controller has not looked at it yet");
        assert_eq!(deployment(json!({"updatedReplicas": 1})), "not yet: 1 of 2 pods are new");
        assert_eq!(deployment(json!({"replicas": 3})), "not yet: 1 old pods are still there");
        assert_eq!(deployment(json!({"availableReplicas": 1})), "not yet: 1 of 2 pods are available");
        let fresh = json!({"metadata": {"generation": 1}, "spec": {}, "status": {}});
        assert_eq!(judged(ObjectKind::Deployment, fresh), "not yet: its controller has not looked at it yet");
    }

    #[test]
    fn a_deployment_that_does_not_get_on_says_why() {
        let late = json!({"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"});
        let quota = json!({"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "quota"});
        assert_eq!(
            deployment(json!({"availableReplicas": 0, "conditions": [late]})),
            "failed: ProgressDeadlineExceeded"
        );
        assert_eq!(
            deployment(json!({"availableReplicas": 0, "conditions": [late, quota]})),
            "failed: FailedCreate: quota"
        );
        assert_eq!(deployment(json!({"updatedReplicas": 0, "conditions": [quota]})), "not yet: FailedCreate: quota");
        assert_eq!(deployment(json!({"conditions": [late]})), "ready", "what was late has come");
    }

    #[test]
    fn a_stateful_set_is_ready_when_its_pods_are_as_new_as_they_are_to_be() {
        let of = |spec: Value, status: Value| {
            let mut object = json!({"metadata": {"generation": 1}, "spec": spec, "status": status});
            object["status"]["observedGeneration"] = json!(1);
            judged(ObjectKind::StatefulSet, object)
        };
        let status = |updated: i64, available: i64| json!({"currentRevision": "a", "updateRevision": "b", "updatedReplicas": updated, "availableReplicas": available});
        assert_eq!(of(json!({"replicas": 3}), status(2, 3)), "not yet: 2 of 3 pods are new");
        assert_eq!(of(json!({"replicas": 3}), status(3, 2)), "not yet: 2 of 3 pods are available");
        assert_eq!(of(json!({"replicas": 3}), status(3, 3)), "ready");
        let partition = json!({"replicas": 3, "updateStrategy": {"rollingUpdate": {"partition": 2}}});
        assert_eq!(of(partition, status(1, 3)), "ready");
        assert_eq!(of(json!({"replicas": 3, "updateStrategy": {"type": "OnDelete"}}), status(0, 3)), "ready");
        let settled = json!({"currentRevision": "a", "updateRevision": "a", "availableReplicas": 1});
        assert_eq!(of(json!({}), settled), "ready", "updatedReplicas is left out when nothing is renewed");
    }

    #[test]
    fn a_claim_that_waits_for_its_first_pod_is_ready() {
        let of = |phase: &str, annotations: Value| {
            let object = json!({"metadata": {"annotations": annotations}, "status": {"phase": phase}});
            judged(ObjectKind::PersistentVolumeClaim, object)
        };
        assert_eq!(of("Bound", json!({})), "ready");
        assert_eq!(of("Pending", json!({})), "ready");
        assert_eq!(of("Pending", json!({PROVISIONER[0]: "csi"})), "not yet: csi is making its volume");
        assert_eq!(of("Lost", json!({})), "failed: its volume is lost");
    }

    #[test]
    fn what_is_being_deleted_is_not_ready() {
        let going = json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}});
        for kind in [ObjectKind::ConfigMap, ObjectKind::Job, ObjectKind::Service] {
            assert_eq!(judged(kind, going.clone()), "not yet: it is being deleted");
            assert!(kind == ObjectKind::Job || judged(kind, json!({})) == "ready");
        }
    }
}
