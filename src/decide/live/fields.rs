//! Which fields are whose, as Kubernetes keeps it in `metadata.managedFields`.
//!
//! Only what we wrote counts when an object is held against it: the API server fills in the rest. It also writes values
//! in its own way (`1000m` is `1`), so values are not compared: who changes a field of ours takes it from us, and that is
//! on record with its path. The elements of a list stand there by their keys.

use serde_json::{Map, Value, json};

/// Who we are to the API server.
pub const FIELD_MANAGER: &str = "job-chief";

/// What is not among the fields of anybody.
const NOT_OWNED: [&str; 3] = ["apiVersion", "kind", "metadata.name"];

/// The fields of somebody: a tree whose keys are `f:name` of a mapping, `k:{…}` or `v:…` of a list, and `.` for itself.
type Fields = Map<String, Value>;

/// A field that we wrote and that is no longer as we wrote it. Values are left out: it may be a Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drift {
    /// Such as `spec.template.spec.containers[name=web].image`.
    pub field: String,
    /// Who changed it, such as `kubectl-edit`; `None` where it was removed.
    pub by: Option<String>,
}

/// The fields that are ours.
pub(super) fn ours(live: &Value) -> Option<&Fields> {
    managers(live).find(|entry| is_ours(entry)).and_then(fields_of)
}

/// What of `written` is not ours in `live`, and has another value there.
pub(super) fn drift(written: &Value, live: &Value) -> Vec<Drift> {
    let others = managers(live)
        .filter(|entry| !is_ours(entry) && entry["subresource"].as_str().unwrap_or_default() != "status")
        .filter_map(|entry| Some((entry["manager"].as_str()?, fields_of(entry)?)));
    let mut found = vec![];
    let at = Place { ours: ours(live), others: others.collect(), live: Some(live), path: String::new() };
    at.compare(written, &mut found);
    found
}

fn managers(live: &Value) -> impl Iterator<Item = &Value> {
    live["metadata"]["managedFields"].as_array().into_iter().flatten()
}

/// Whether we have written this: by an apply, and a Job by its create.
fn is_ours(entry: &Value) -> bool {
    entry["manager"] == FIELD_MANAGER && entry.get("subresource").is_none()
}

fn fields_of(entry: &Value) -> Option<&Fields> {
    entry["fieldsV1"].as_object()
}

/// One place in an object, in all the trees at once.
struct Place<'a> {
    ours: Option<&'a Fields>,
    others: Vec<(&'a str, &'a Fields)>,
    live: Option<&'a Value>,
    path: String,
}

impl<'a> Place<'a> {
    /// Goes down as far as what is ours does. Nothing is sent for a null.
    fn compare(&self, written: &Value, found: &mut Vec<Drift>) {
        if written.is_null() || NOT_OWNED.contains(&self.path.as_str()) {
            return;
        }
        match self.ours {
            // A leaf is ours whole, also where it is a mapping or a list.
            Some(ours) if ours.keys().all(|key| key == ".") => return,
            // What is nobody's as a whole may still be there field by field.
            None if !(written.is_object() && self.live.is_some_and(Value::is_object)) => {
                if self.live != Some(written) {
                    let by = self.others.first().map(|(manager, _)| (*manager).to_owned());
                    found.push(Drift { field: self.path.clone(), by });
                }
                return;
            }
            _ => {}
        }
        match written {
            Value::Object(map) => map.iter().for_each(|(key, value)| self.field(key).compare(value, found)),
            Value::Array(items) => items.iter().for_each(|item| self.element(item).compare(item, found)),
            _ => {}
        }
    }

    /// The place under a key of a mapping.
    fn field(&self, key: &str) -> Self {
        let path = if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) };
        let name = format!("f:{key}");
        self.under(|fields| fields.get(&name), self.live.and_then(|live| live.get(key)), path)
    }

    /// The place of an element of a list: the one with its keys.
    fn element(&self, item: &Value) -> Self {
        let live = self.live.and_then(Value::as_array).into_iter().flatten();
        let all = || std::iter::once(self.ours).flatten().chain(self.others.iter().map(|(_, fields)| *fields));
        let key = all().flat_map(Map::keys).find(|key| is_key_of(key, item));
        let live = live.into_iter().find(|live| key.map_or(*live == item, |key| is_key_of(key, live)));
        let path = format!("{}[{}]", self.path, key.map_or_else(|| told(item), |key| told_key(key)));
        self.under(|fields| fields.iter().find(|(key, _)| is_key_of(key, item)).map(|(_, below)| below), live, path)
    }

    fn under(&self, step: impl Fn(&'a Fields) -> Option<&'a Value>, live: Option<&'a Value>, path: String) -> Self {
        let below = |fields: &'a Fields| step(fields).and_then(Value::as_object);
        let others = self.others.iter().filter_map(|(manager, fields)| Some((*manager, below(fields)?)));
        Place { ours: self.ours.and_then(below), others: others.collect(), live, path }
    }
}

/// Whether this key of a tree means this element. A key that the element leaves out has its default.
fn is_key_of(key: &str, item: &Value) -> bool {
    let parsed = |json: &str| serde_json::from_str::<Value>(json).unwrap_or_default();
    match key.split_once(':') {
        Some(("k", keys)) => parsed(keys)
            .as_object()
            .is_some_and(|keys| keys.iter().all(|(name, value)| item.get(name).is_none_or(|own| own == value))),
        Some(("v", value)) => parsed(value) == *item,
        _ => false,
    }
}

/// `k:{"name":"web"}` as `name=web`.
fn told_key(key: &str) -> String {
    match key.split_once(':') {
        Some(("k", keys)) => match serde_json::from_str::<Fields>(keys) {
            Ok(keys) => {
                keys.iter().map(|(name, value)| format!("{name}={}", text(value))).collect::<Vec<_>>().join(",")
            }
            Err(_) => keys.to_owned(),
        },
        Some((_, value)) => value.to_owned(),
        None => key.to_owned(),
    }
}

/// An element that nobody has on record, by what lists are mostly keyed by.
fn told(item: &Value) -> String {
    let keys = ["name", "mountPath", "containerPort", "port", "key", "ip"];
    let known = keys.iter().find_map(|key| Some((key, item.get(*key)?)));
    known.map_or_else(|| "?".to_owned(), |(key, value)| format!("{key}={}", text(value)))
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| json!(value).to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A Deployment as we have applied it, with what others have said of it.
    fn live(spec: Value, ours: Value, others: &[(&str, Value)]) -> Value {
        let entry = |manager: &str, operation: &str, fields: &Value| json!({"manager": manager, "operation": operation, "fieldsV1": {"f:spec": fields}});
        let mut managers = vec![entry(FIELD_MANAGER, "Apply", &ours)];
        managers.extend(others.iter().map(|(manager, fields)| entry(manager, "Update", fields)));
        json!({"metadata": {"name": "x", "managedFields": managers}, "spec": spec})
    }

    fn told(written: Value, live: &Value) -> Vec<String> {
        let written = json!({"kind": "Deployment", "metadata": {"name": "x"}, "spec": written});
        let drift = drift(&written, live);
        drift.iter().map(|drift| format!("{} by {}", drift.field, drift.by.as_deref().unwrap_or("nobody"))).collect()
    }

    #[test]
    fn what_the_api_server_fills_in_or_writes_its_own_way_is_no_drift() {
        let written = json!({"replicas": 2, "cpu": "1000m", "ports": [{"port": 80}], "args": ["a", "b"], "empty": {}, "none": null});
        let live = live(
            json!({"replicas": 2, "cpu": "1", "ports": [{"port": 80, "protocol": "TCP"}], "args": ["a", "b"], "empty": {}, "more": 1}),
            json!({
                "f:replicas": {}, "f:cpu": {}, "f:args": {}, "f:empty": {},
                "f:ports": {"k:{\"port\":80,\"protocol\":\"TCP\"}": {".": {}, "f:port": {}}},
            }),
            &[("controller", json!({"f:more": {}}))],
        );
        assert_eq!(told(written, &live), [""; 0]);
    }

    #[test]
    fn a_field_that_another_has_changed_is_named_with_who_it_was() {
        let written =
            json!({"replicas": 2, "containers": [{"name": "web", "image": "a:1"}, {"name": "log", "image": "l"}]});
        let key = |name: &str| format!("k:{{\"name\":\"{name}\"}}");
        let live = live(
            json!({"replicas": 3, "containers": [{"name": "log", "image": "l"}, {"name": "web", "image": "a:2"}]}),
            json!({"f:containers": {
                key("web"): {".": {}, "f:name": {}},
                key("log"): {".": {}, "f:name": {}, "f:image": {}},
            }}),
            &[
                ("kubectl-edit", json!({"f:containers": {key("web"): {"f:image": {}}}})),
                ("scaler", json!({"f:replicas": {}})),
            ],
        );
        let mut told = told(written, &live);
        told.sort();
        assert_eq!(told, ["spec.containers[name=web].image by kubectl-edit", "spec.replicas by scaler"]);
    }

    #[test]
    fn what_was_removed_is_nobodys() {
        let written =
            json!({"replicas": 2, "containers": [{"name": "web"}, {"name": "log"}], "finalizers": ["a", "b"]});
        let live = live(
            json!({"containers": [{"name": "web"}], "finalizers": ["a"]}),
            json!({"f:containers": {"k:{\"name\":\"web\"}": {".": {}, "f:name": {}}}, "f:finalizers": {"v:\"a\"": {}}}),
            &[],
        );
        let mut told = told(written, &live);
        told.sort();
        let expected =
            ["spec.containers[name=log] by nobody", "spec.finalizers[?] by nobody", "spec.replicas by nobody"];
        assert_eq!(told, expected);
    }

    #[test]
    fn what_was_changed_and_put_back_is_no_drift() {
        let live =
            live(json!({"replicas": 2}), json!({"f:paused": {}}), &[("kubectl-edit", json!({"f:replicas": {}}))]);
        assert_eq!(told(json!({"replicas": 2}), &live), [""; 0]);
        assert_eq!(told(json!({"replicas": 1}), &live), ["spec.replicas by kubectl-edit"]);
    }

    #[test]
    fn only_what_we_have_written_is_ours() {
        let mut live = live(json!({"replicas": 2}), json!({"f:replicas": {}}), &[]);
        assert!(ours(&live).is_some());
        for (key, value) in [("manager", "helm"), ("subresource", "status")] {
            let mut other = live.clone();
            other["metadata"]["managedFields"][0][key] = json!(value);
            assert_eq!(ours(&other), None, "{key}");
        }
        live["metadata"]["managedFields"] = json!([]);
        assert_eq!(told(json!({"replicas": 1}), &live), ["spec.replicas by nobody"]);
        live["spec"] = json!(null);
        assert_eq!(told(json!({"replicas": 1}), &live), ["spec by nobody"]);
    }
}
