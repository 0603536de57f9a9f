//! A pod template: its main container becomes `podConfig`, the rest a fragment of a template.

use serde_json::{Map, Value, json};

use crate::import::{draft::place, fields::Fields, remark::Notes};

/// The name of the container that `podConfig` makes.
pub(super) const WORKER: &str = "worker";

/// What a pod template becomes.
#[derive(Default)]
pub(super) struct PodParts {
    /// `podConfig`.
    pub(super) config: Map<String, Value>,
    /// `jobTemplate.spec.template.spec`.
    pub(super) rest: Map<String, Value>,
}

/// Which container of a pod is the worker: the one that is called so, the one that is named, else the first.
pub(super) fn main_container(pod: &Value, named: Option<&str>) -> Option<usize> {
    let containers = pod["containers"].as_array().filter(|all| !all.is_empty())?;
    let called = |name: &str| containers.iter().position(|container| container["name"] == name);
    called(WORKER).or_else(|| named.and_then(called)).or(Some(0))
}

/// References to a container by its name, wherever they stand, follow it.
pub(super) fn rename(value: &mut Value, from: &str) {
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                if key == "containerName" && value == from {
                    *value = WORKER.into();
                }
                rename(value, from);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| rename(item, from)),
        _ => {}
    }
}

/// Reads a pod's spec whose worker is the container at this place.
pub(super) fn read(mut pod: Fields, main: usize, notes: &mut Notes) -> PodParts {
    let mut parts = PodParts::default();
    pod.leave(
        "restartPolicy",
        &["Never".into()],
        "Never instead: each run is one try, and a failed one is followed by a new one",
        notes,
    );
    let path = format!("{}[{main}]", pod.path("containers"));
    let mut containers = match pod.take("containers") {
        Some(Value::Array(containers)) => containers,
        _ => vec![],
    };
    let worker = if main < containers.len() { containers.remove(main) } else { Value::Null };
    let worker = container(Fields::of(&path, worker, notes), &mut parts.config, notes);
    for other in &containers {
        let text = "is kept as it is: a Job ends only when all of its containers have";
        notes.say(&pod.path("containers"), format!("the container {} {text}", other["name"]));
    }
    if !worker.is_empty() {
        let named = [("name".to_owned(), WORKER.into())].into_iter().chain(worker).collect::<Map<_, _>>();
        containers.insert(0, named.into());
    }
    place(&mut parts.rest, &["containers"], containers.into());
    parts.rest.extend(pod.rest());
    parts
}

/// Takes from a container what `podConfig` has, and gives back the rest.
fn container(mut worker: Fields, config: &mut Map<String, Value>, notes: &mut Notes) -> Map<String, Value> {
    if let Some(name) = worker.take("name").filter(|name| name != WORKER) {
        let text = "\"worker\" instead: that is what job-chief calls it (`kubectl logs -c worker`)";
        notes.found(&worker.path("name"), &name, text);
    }
    for (key, ours) in [
        ("image", "image"),
        ("command", "command"),
        ("args", "args"),
        ("env", "env"),
        ("imagePullPolicy", "pullPolicy"),
    ] {
        place(config, &[ours], worker.take(key).unwrap_or_default());
    }
    place(config, &["resources"], worker.take("resources").map(quantities).unwrap_or_default());
    if let Some(sources) = worker.take("envFrom") {
        match by_kind(&sources) {
            Some((maps, secrets)) => {
                place(config, &["configmaps"], maps.into());
                place(config, &["secrets"], secrets.into());
            }
            None => worker.put("envFrom", sources),
        }
    }
    if let Some(probe) = worker.take("livenessProbe") {
        match liveness(&probe) {
            Some(liveness) => place(config, &["liveness"], liveness),
            None => worker.put("livenessProbe", probe),
        }
    }
    worker.rest()
}

/// Quantities as texts: YAML reads `cpu: 1` as a number.
fn quantities(mut resources: Value) -> Value {
    for kind in ["limits", "requests"] {
        let all = resources.get_mut(kind).and_then(Value::as_object_mut);
        for quantity in all.into_iter().flat_map(|all| all.values_mut()).filter(|quantity| quantity.is_number()) {
            *quantity = quantity.to_string().into();
        }
    }
    resources
}

/// ConfigMaps and then Secrets, whole and required; what is more than that stays as Kubernetes has it.
fn by_kind(sources: &Value) -> Option<(Vec<String>, Vec<String>)> {
    let (mut maps, mut secrets) = (vec![], vec![]);
    for source in sources.as_array()? {
        let [(kind, reference)] = source.as_object()?.iter().collect::<Vec<_>>()[..] else { return None };
        let name = reference["name"].as_str().filter(|_| reference.as_object().is_some_and(|keys| keys.len() == 1))?;
        match kind.as_str() {
            "configMapRef" if secrets.is_empty() => maps.push(name.to_owned()),
            "secretRef" => secrets.push(name.to_owned()),
            _ => return None,
        }
    }
    Some((maps, secrets))
}

/// What `podConfig.liveness` knows of a probe, each with its range and with what Kubernetes writes where nothing is said.
const PROBE: [(&str, i64, i64); 3] =
    [("initialDelaySeconds", 0, 300), ("periodSeconds", 1, 300), ("timeoutSeconds", 1, 300)];

/// A probe by HTTP in the words of `podConfig.liveness`, if it says no more than that.
fn liveness(probe: &Value) -> Option<Value> {
    let get = probe["httpGet"].as_object()?;
    let port = get.get("port")?.as_u64().filter(|port| (1..=65_535).contains(port))?;
    let plain = |(key, value): (&String, &Value)| match key.as_str() {
        "path" => value.as_str().is_some(),
        "port" => true,
        "scheme" => value == "HTTP",
        _ => false,
    };
    if !get.iter().all(plain) {
        return None;
    }
    let mut ours =
        json!({"enabled": true, "path": get.get("path").cloned().unwrap_or_else(|| "/".into()), "port": port});
    for (key, value) in probe.as_object()? {
        match (key.as_str(), value.as_i64()) {
            ("httpGet", _) | ("failureThreshold", Some(3)) | ("successThreshold", Some(1)) => {}
            (key, Some(number)) => {
                PROBE.iter().find(|(known, least, most)| *known == key && (*least..=*most).contains(&number))?;
                ours[key] = value.clone();
            }
            _ => return None,
        }
    }
    Some(ours)
}
