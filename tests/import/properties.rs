//! Whatever a ScaledJob of known fields says: a valid entry or a named problem, and never a panic.

use job_chief::import::{Imported, file::File, import};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Any value, of the right kind or not.
fn anything() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        prop::collection::vec("[a-z]{0,3}", 0..3).prop_map(Value::from),
        Just(json!({"a": {"b": [1]}})),
    ]
}

/// Paths of known fields of a ScaledJob.
const FIELDS: [&str; 34] = [
    "/metadata",
    "/metadata/name",
    "/metadata/labels",
    "/metadata/annotations",
    "/metadata/annotations/autoscaling.keda.sh~1paused",
    "/spec",
    "/spec/pollingInterval",
    "/spec/successfulJobsHistoryLimit",
    "/spec/failedJobsHistoryLimit",
    "/spec/maxReplicaCount",
    "/spec/minReplicaCount",
    "/spec/rollout",
    "/spec/scalingStrategy",
    "/spec/jobTargetRef",
    "/spec/jobTargetRef/parallelism",
    "/spec/jobTargetRef/completions",
    "/spec/jobTargetRef/backoffLimit",
    "/spec/jobTargetRef/ttlSecondsAfterFinished",
    "/spec/jobTargetRef/activeDeadlineSeconds",
    "/spec/jobTargetRef/template/metadata",
    "/spec/jobTargetRef/template/spec/restartPolicy",
    "/spec/jobTargetRef/template/spec/volumes",
    "/spec/jobTargetRef/template/spec/containers",
    "/spec/jobTargetRef/template/spec/containers/0/name",
    "/spec/jobTargetRef/template/spec/containers/0/env",
    "/spec/jobTargetRef/template/spec/containers/0/envFrom",
    "/spec/jobTargetRef/template/spec/containers/0/resources",
    "/spec/jobTargetRef/template/spec/containers/0/livenessProbe",
    "/spec/triggers",
    "/spec/triggers/0/authenticationRef",
    "/spec/triggers/0/metadata",
    "/spec/triggers/0/metadata/query",
    "/spec/triggers/0/metadata/targetQueryValue",
    "/spec/triggers/0/metadata/host",
];

fn whole() -> Value {
    json!({
        "apiVersion": "keda.sh/v1alpha1", "kind": "ScaledJob",
        "metadata": {"name": "mail", "labels": {"a": "b"}, "annotations": {"autoscaling.keda.sh/paused": "true"}},
        "spec": {
            "pollingInterval": 5, "successfulJobsHistoryLimit": 1, "failedJobsHistoryLimit": 1,
            "maxReplicaCount": 5, "minReplicaCount": 0, "rollout": {}, "scalingStrategy": {},
            "jobTargetRef": {
                "parallelism": 1, "completions": 1, "backoffLimit": 0, "ttlSecondsAfterFinished": 100,
                "activeDeadlineSeconds": 60,
                "template": {"metadata": {}, "spec": {"restartPolicy": "Never", "volumes": [], "containers": [
                    {"name": "c", "image": "i", "env": [], "envFrom": [], "resources": {}, "livenessProbe": {}}
                ]}}
            },
            "triggers": [{"type": "postgresql", "authenticationRef": {}, "metadata": {
                "query": "select count(*) from pgboss.job where name = 'mail' and state < 'active'", "targetQueryValue": "1", "host": "pg"
            }}]
        }
    })
}

fn imported(object: &Value) -> Imported {
    import(&[File { name: "f".into(), bytes: object.to_string().into_bytes() }])
}

proptest! {
    #[test]
    fn a_scaled_job_becomes_a_valid_entry_or_is_told(changes in prop::collection::vec((prop::sample::select(&FIELDS[..]), anything()), 1..4)) {
        let mut object = whole();
        for (path, value) in changes {
            if let Some(place) = object.pointer_mut(path) {
                *place = value;
            }
        }
        let Imported { jobs_json, failures, .. } = imported(&object);
        let valid = job_chief::config::jobs_file::load("jobs.json", &jobs_json).is_ok();
        prop_assert_eq!(valid, failures.is_empty(), "{:?}\n{}", failures, jobs_json);
    }

    #[test]
    fn no_query_and_no_text_is_a_panic(query in "\\PC{0,60}", text in "\\PC{0,200}") {
        let mut object = whole();
        object["spec"]["triggers"][0]["metadata"]["query"] = query.into();
        imported(&object);
        import(&[File { name: "f".into(), bytes: text.into_bytes() }]);
    }
}

#[test]
fn what_means_the_same_needs_no_remark() {
    let mut object = whole();
    object["spec"]["triggers"][0]["authenticationRef"].take();
    let Imported { remarks, failures, .. } = imported(&object);
    assert!(failures.is_empty(), "{failures:?}");
    assert_eq!(
        remarks.iter().map(|remark| remark.path.as_str()).collect::<Vec<_>>(),
        ["spec.jobTargetRef.template.spec.containers[0].name"]
    );
}
