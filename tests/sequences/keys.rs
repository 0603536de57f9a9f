//! Keys by their paths in a schema, and what they are laid over: for the tests that each has an effect.

use std::collections::BTreeMap;

use job_chief::{
    config::{job_config::JobConfig, jobs_file, settings::Settings, sources},
    decide::{
        decision::Wish,
        outcome::JobName,
        pod::{
            inputs::{Instance, Parts},
            manifest::Template,
        },
    },
};
use k8s_openapi::api::batch::v1::Job;
use serde_json::{Value, json};

/// The Job of an entry as it is written.
pub(crate) fn job<'a>(config: impl Into<Parts<'a>>, settings: &Settings) -> Job {
    let wish = Wish::example(JobName("x".into()));
    Template::of(config, &Instance::of(settings)).job(&wish)
}

pub(crate) fn rendered(config: &JobConfig, settings: &Settings) -> Value {
    json!(job(config, settings))
}

pub(crate) fn settings(keys: &Value) -> Settings {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("settings.json");
    std::fs::write(&path, keys.to_string()).unwrap();
    sources::load(Some(&path), &BTreeMap::new()).unwrap().settings
}

pub(crate) fn entry(keys: &Value) -> JobConfig {
    let mut entry = json!({
        "queueName": "q", "maxConcurrentJobs": 4, "successfulJobsHistoryLimit": 1, "failedJobsHistoryLimit": 1,
        "podConfig": {"image": "i", "liveness": {"enabled": true, "path": "/", "port": 80}},
    });
    jobs_file::lay_over(&mut entry, keys.clone());
    let redis = json!({"type": "service", "name": "redis", "podConfig": {"image": "i"}});
    let text = json!({"pools": {"gpu": {"jobs": 4}}, "jobs": [entry, redis]}).to_string();
    jobs_file::load("jobs.json", &text).unwrap().jobs[0].queue().unwrap().as_ref().clone()
}

/// The paths of all keys of an object's schema that are ours to keep, such as `podConfig.liveness.port`.
pub(crate) fn paths(root: &Value, schema: &Value, under: &str) -> Vec<String> {
    let resolved = |schema: &Value| -> Value {
        let any = schema["anyOf"].as_array().and_then(|all| all.iter().find(|it| it["$ref"].is_string()));
        let name = any.unwrap_or(schema)["$ref"].as_str().and_then(|path| path.strip_prefix("#/$defs/"));
        name.map_or_else(|| schema.clone(), |name| root["$defs"][name].clone())
    };
    let mut found = vec![];
    for (key, property) in resolved(schema)["properties"].as_object().into_iter().flatten() {
        let path = format!("{under}{key}");
        let whole = property.to_string().contains("io.k8s");
        let below = if whole { vec![] } else { paths(root, property, &format!("{path}.")) };
        if below.is_empty() { found.push(path) } else { found.extend(below) }
    }
    found
}

pub(crate) fn at(path: &str, values: &Value) -> Option<Value> {
    let value = values.pointer(&format!("/{}", path.replace('.', "/")))?.clone();
    Some(path.rsplit('.').fold(value, |inner, key| json!({key: inner})))
}
