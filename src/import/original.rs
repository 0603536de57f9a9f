//! The original job-chief: its jobs.json, which is valid here as it is but for keys that it never looked at, and its
//! environment, also inside a Deployment or ConfigMap.

use serde_json::Value;

use crate::{
    config::{json, sources::is_variable},
    harmless::harmless,
    import::{connection::given, draft::Draft, fields::scalar, given::Given, remark::Notes},
};

/// The key of a ConfigMap that holds the entries.
const JOBS: &str = "jobs.json";

/// The entries of its jobs.json.
pub(super) fn entries(entries: Vec<Value>, notes: &mut Notes) -> Vec<Draft> {
    let mut drafts = vec![];
    let origin = notes.origin.clone();
    for (at, entry) in entries.into_iter().enumerate() {
        notes.origin.name = format!("{}[{at}]", origin.name);
        match entry {
            Value::Object(entry) => drafts.push(Draft::new(entry, "", notes)),
            other => notes.found("", &other, "left out: an entry is an object"),
        }
    }
    notes.origin = origin;
    drafts
}

/// Its variables.
pub(super) fn environment(variables: Vec<(String, String)>, notes: &mut Notes) {
    for (name, value) in variables {
        variable(&name, Given::Literal(value), notes);
    }
}

fn variable(name: &str, given: Given, notes: &mut Notes) {
    if is_variable(name) {
        notes.set(name, given);
    } else {
        notes.say(name, "left out: job-chief knows no such variable");
    }
}

/// Variables that nobody but job-chief has.
const UNMISTAKABLE: [&str; 4] =
    ["APP_INSTANCE_UID", "APP_JOBS_CONFIG_PATH", "K8S_LOAD_CONFIG_FROM_CLUSTER", "DB_MANAGER_SCHEMA"];

/// What is told of a Deployment or ConfigMap of somebody else: its `DB_HOST` is not ours.
const NOT_OURS: &str = "left out: nothing in it is job-chief's";

/// The variables of the original's Deployment.
pub(super) fn deployment(object: &Value, notes: &mut Notes) {
    let containers = object["spec"]["template"]["spec"]["containers"].as_array();
    let mut found = false;
    for (at, container) in containers.into_iter().flatten().enumerate() {
        let variables = container["env"].as_array().map(Vec::as_slice).unwrap_or_default();
        let image = container["image"].as_str().unwrap_or_default();
        let names = variables.iter().filter_map(|variable| variable["name"].as_str());
        if image.contains("job-chief") || has_unmistakable(names) {
            found = true;
            container_variables(&format!("spec.template.spec.containers[{at}]"), container, variables, notes);
        }
    }
    if !found {
        notes.say("", NOT_OURS);
    }
}

fn has_unmistakable<'a>(mut names: impl Iterator<Item = &'a str>) -> bool {
    names.any(|name| UNMISTAKABLE.contains(&name))
}

fn container_variables(path: &str, container: &Value, variables: &[Value], notes: &mut Notes) {
    for one in variables {
        let name = one["name"].as_str().unwrap_or_default();
        match given(one) {
            Some(given) => variable(name, given, notes),
            None if is_variable(name) => notes.say(name, "comes from the pod itself: keep it as it is"),
            None => variable(name, Given::Literal(String::new()), notes),
        }
    }
    for source in container["envFrom"].as_array().into_iter().flatten() {
        let reference = source["configMapRef"]["name"].as_str().or(source["secretRef"]["name"].as_str());
        let name = harmless(reference.unwrap_or_default());
        notes.say(
            &format!("{path}.envFrom"),
            format!("keep {name} for job-chief; where it is in these files, it is read as well"),
        );
    }
}

/// The original's ConfigMap: variables, and files of which one may be jobs.json.
pub(super) fn config_map(object: &Value, notes: &mut Notes) -> Result<Vec<Draft>, String> {
    let data = object["data"].as_object();
    let mut names = data.into_iter().flatten().map(|(name, _)| name.as_str());
    if !notes.origin.name.contains("job-chief")
        && !names.clone().any(|name| name == JOBS)
        && !has_unmistakable(&mut names)
    {
        notes.say("", NOT_OURS);
        return Ok(vec![]);
    }
    let mut drafts = vec![];
    for (key, value) in data.into_iter().flatten() {
        let text = scalar(value).unwrap_or_default();
        match json::parse(&text).map(|node| node.to_value()) {
            _ if !key.ends_with(".json") => variable(key, Given::Literal(text), notes),
            Ok(Value::Array(all)) => drafts.extend(entries(all, notes)),
            Err(_) if key == JOBS => {
                return Err("data[\"jobs.json\"] is no JSON: give it as a file, so that each problem is told".into());
            }
            _ => notes.say(
                &format!("data[{key:?}]"),
                "left out: give it to job-chief as its file of settings, with --config",
            ),
        }
    }
    Ok(drafts)
}
