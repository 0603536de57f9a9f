//! Every rendered object is one of Kubernetes' types, and has no field that they do not know.

use k8s_openapi::api::{
    apps::v1::Deployment,
    batch::v1::Job,
    core::v1::{ConfigMap, Secret, Service, ServiceAccount},
    networking::v1::{Ingress, NetworkPolicy},
    policy::v1::PodDisruptionBudget,
    rbac::v1::{Role, RoleBinding},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::release::{EVERYTHING, MINIMAL, ORIGINAL, objects};

/// Kinds whose types come with somebody's operator.
const FOREIGN: [&str; 4] = ["PodMonitor", "PrometheusRule", "ServiceMonitor", "Route"];

/// The object as its type has it: what the type does not know is gone.
fn known(object: &Value) -> Value {
    match object["kind"].as_str().unwrap() {
        "ConfigMap" => typed::<ConfigMap>(object),
        "Deployment" => typed::<Deployment>(object),
        "Ingress" => typed::<Ingress>(object),
        "Job" => typed::<Job>(object),
        "NetworkPolicy" => typed::<NetworkPolicy>(object),
        "PodDisruptionBudget" => typed::<PodDisruptionBudget>(object),
        "Role" => typed::<Role>(object),
        "RoleBinding" => typed::<RoleBinding>(object),
        "Secret" => typed::<Secret>(object),
        "Service" => typed::<Service>(object),
        "ServiceAccount" => typed::<ServiceAccount>(object),
        other => panic!("{other} has no type here"),
    }
}

fn typed<K: Serialize + DeserializeOwned>(object: &Value) -> Value {
    let typed: K = serde_json::from_value(object.clone()).unwrap_or_else(|error| panic!("{error}: {object}"));
    json!(typed)
}

/// The paths of what `given` has and `known` has not.
fn lost(given: &Value, known: &Value, path: &str) -> Vec<String> {
    match given {
        Value::Object(keys) => {
            keys.iter().flat_map(|(key, value)| lost(value, &known[key], &format!("{path}.{key}"))).collect()
        }
        Value::Array(items) => {
            items.iter().enumerate().flat_map(|(n, item)| lost(item, &known[n], &format!("{path}[{n}]"))).collect()
        }
        _ if given == known => vec![],
        _ => vec![path.to_owned()],
    }
}

#[test]
fn every_object_is_known_to_kubernetes_field_by_field() {
    for values in [MINIMAL, EVERYTHING, ORIGINAL] {
        for object in objects(values).iter().filter(|object| !FOREIGN.contains(&object["kind"].as_str().unwrap())) {
            let lost = lost(object, &known(object), "");
            assert!(lost.is_empty(), "{} {}: {lost:?}", object["kind"], object["metadata"]["name"]);
        }
    }
}

#[test]
fn a_field_that_kubernetes_does_not_know_would_be_noticed() {
    let wrong = json!({"kind": "Secret", "metadata": {"name": "x", "lables": {"a": "b"}}});
    assert_eq!(
        lost(&wrong, &json!({"kind": "Secret", "metadata": known(&wrong)["metadata"]}), ""),
        [".metadata.lables.a"]
    );
}

/// What every object and pod has to have, whatever the values.
#[test]
fn no_object_names_a_namespace_and_no_pod_is_privileged() {
    for object in [MINIMAL, EVERYTHING, ORIGINAL].iter().flat_map(|values| objects(values)) {
        assert!(object["metadata"].get("namespace").is_none(), "{object}");
        assert!(!object["kind"].as_str().unwrap().starts_with("Cluster"), "{object}");
        let pod = &object["spec"]["template"]["spec"];
        if pod.is_object() {
            assert_eq!(pod["enableServiceLinks"], false, "a Service called db would set DB_PORT");
            assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
            assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
            let limited = json!({"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}});
            assert_eq!(pod["containers"][0]["securityContext"], limited);
        }
    }
}
