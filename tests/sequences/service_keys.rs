//! Every key of a service has an effect: a rendered Job, a request, a decision or a share differs.

use std::{sync::Arc, time::Duration};

use job_chief::{
    config::{entry::Entry, jobs_file, schema::jobs_json_schema},
    decide::{
        decision::Wish,
        one_off::OneOff,
        outcome::{JobName, Outcome, Reason},
        pod::{
            inputs::{Instance, Parts},
            manifest::Template,
            observation::Phase,
        },
        service::{desired::DesiredState, event::ServiceEvent},
    },
};
use k8s_openapi::api::batch::v1::Job;
use serde_json::{Value, json};

use crate::{
    keys::{at, job, paths, settings},
    script::SECOND,
    service::{Service, config, policy},
    shared::member,
};

/// What a service does in ten minutes or so of one world.
fn transcript(keys: &Value, world: &str) -> String {
    let mut it = Service::begin(keys);
    it.refuses = world == "is refused";
    for _ in 0..20 {
        it.targets_answer(if world == "fails" { Err("down") } else { Ok(()) });
        match world {
            "ends" => it.all_end(Outcome::Succeeded, Reason::Completed),
            "fails" => it.all_end(Outcome::Failed, Reason::ExitCode),
            "hangs" => {}
            "finds no image" => it.all_become(&crate::script::problem(Reason::ImagePull, "ImagePullBackOff"), None),
            "flaps" => {
                it.all_run();
                it.probed(Ok(()));
                it.pass(6 * SECOND);
                it.probed(Err("down"));
                it.all_become(&Phase::Running { age: Duration::ZERO }, None);
            }
            "changes" => {
                it.all_run();
                it.generation = format!("{}+", it.generation);
                let changed = policy(keys, &it.generation);
                it.feed(ServiceEvent::Configured(Box::new(changed)));
            }
            "does not end" => {
                it.all_run();
                it.order(DesiredState { stopped: true, ..DesiredState::default() });
            }
            _ => it.all_run(),
        }
        it.pass(30 * SECOND);
        if world != "does not end" {
            it.gone();
        }
    }
    it.transcript.join("\n")
}

const WORLDS: [&str; 9] =
    ["ends", "fails", "hangs", "finds no image", "flaps", "changes", "does not end", "is refused", "runs"];

/// A value for each key of a service under which something differs.
pub(crate) fn values() -> Value {
    let pod = json!({
        "image": "j", "command": ["c"], "args": ["a"], "annotations": {"a": "b"}, "injectPgConfig": true,
        "env": [{"name": "A", "value": "b"}], "configmaps": ["c"], "secrets": ["s"], "resources": {"limits": {"cpu": "1"}},
        "pullPolicy": "Never",
        "liveness": {"enabled": true, "path": "/x", "port": 81, "initialDelaySeconds": 4, "periodSeconds": 5, "timeoutSeconds": 6},
    });
    let mut values = json!({
        "name": "n", "enabled": false, "keepAlive": false, "quiet": true, "replicas": 2, "priority": 3, "dependsOn": ["redis"],
        "jobTemplate": {"spec": {"activeDeadlineSeconds": 5}}, "checkInterval": "5s", "startTimeout": "20s", "stopTimeout": "3s",
        "startErrorGrace": "3s", "readiness": {"httpGet": {"port": 80}}, "prepare": {"command": ["p"], "image": "p"},
        "configure": {"command": ["c"], "image": "c"}, "requirements": [{"tcp": {"host": "db", "port": 5432}}], "actions": {"a": {"podConfig": {"image": "a"}, "every": "1m"}},
        "unhealthyThreshold": 1, "ports": [80], "waitTimeAfterSuccessfulRun": "40s", "waitTimeAfterFailedRun": "2s",
        "waitTimeAfterTimeout": "50s", "waitTimeAfterError": "50s", "backoff": {"factor": 5, "max": "20s"}, "ttlSecondsAfterFinished": 99,
        "updateStrategy": {"type": "RollingReplace", "maxUnavailable": 2}, "restartOn": ["/etc/n.conf"],
        "pools": ["gpu"],
    });
    let once = json!({"podConfig": pod, "jobTemplate": {"metadata": {"labels": {"a": "b"}}}, "timeout": "7s"});
    values["podConfig"] = pod;
    values["check"] = json!({"tcp": {"host": "h", "port": 81}, "http": {"port": 80, "path": "/x", "expect": 204, "url": "http://h/x"}});
    (values["check"]["job"], values["repair"]) = (once.clone(), once);
    values
}

/// Keys that are read where a service is told of, and not by its core: each has its own test.
const ELSEWHERE: [&str; 4] = ["quiet", "priority", "dependsOn", "restartOn"];

/// Keys that have no other value beside the rest of an entry.
const LEFT_OUT: [&str; 4] = ["type", "check.http.port", "podConfig.parallelism", "podConfig.liveness.enabled"];

/// Whether a key, wherever its object stands, is one of them.
pub(crate) fn is_left_out(path: &str) -> bool {
    LEFT_OUT.iter().any(|left| path == *left || path.ends_with(&format!(".{left}")))
}

/// An entry without a key, but with what that needs to be looked at at all; and the same with it.
pub(crate) fn with(path: &str) -> (Value, Value) {
    let keys = at(path, &values()).unwrap_or_else(|| panic!("{path} has no case in which anything differs"));
    let mut base = match path {
        _ if path.starts_with("podConfig.liveness") => {
            json!({"podConfig": {"liveness": {"enabled": true, "path": "/", "port": 80}}})
        }
        _ if path.starts_with("check.tcp") || path.starts_with("check.http.url") || path.starts_with("repair") => {
            elsewhere(path)
        }
        _ if path.starts_with("check.job") => json!({"check": {"job": once(path)}}),
        _ if path.starts_with("check.http") => json!({"ports": [80], "check": {"http": {"port": 80}}}),
        _ if path.starts_with("prepare") => json!({"prepare": {"command": ["x"]}}),
        _ if path.starts_with("configure") => json!({"configure": {"command": ["x"]}}),
        "updateStrategy.type" => json!({"replicas": 3}),
        "updateStrategy.maxUnavailable" => json!({"replicas": 3, "updateStrategy": {"type": "RollingReplace"}}),
        _ => json!({}),
    };
    let before = base.clone();
    jobs_file::lay_over(&mut base, keys);
    (before, base)
}

/// A service that runs elsewhere, with what a key of it needs to be looked at.
fn elsewhere(path: &str) -> Value {
    let check = match path {
        "check.http.url" => json!({"http": {"url": "http://h/y"}}),
        _ => json!({"tcp": {"host": "db", "port": 80}}),
    };
    json!({"podConfig": null, "check": check, "repair": once(path)})
}

/// A Job that runs once, with what a key of it needs to be looked at.
fn once(path: &str) -> Value {
    let liveness = json!({"enabled": true, "path": "/", "port": 80});
    let liveness = if path.contains("liveness") { json!({"liveness": liveness}) } else { json!({}) };
    let mut pod = json!({"image": "i"});
    jobs_file::lay_over(&mut pod, liveness);
    json!({ "podConfig": pod })
}

/// The Jobs of a service that run once, as they are written.
fn rendered_once(keys: &Value) -> Vec<Job> {
    let (config, instance) = (config(keys), Instance::of(&settings(&json!({}))));
    let action = OneOff::Action { name: "a".into(), number: None };
    let all = [OneOff::Check, OneOff::Repair, action];
    let parts = all.iter().filter_map(|one_off| Parts::one_off(&config, one_off));
    parts.map(|parts| Template::of(parts, &instance).job(&Wish::example(JobName("x".into())))).collect()
}

/// The Job of a service as it is written.
pub(crate) fn rendered(keys: &Value) -> Job {
    job(&config(keys), &settings(&json!({})))
}

#[test]
fn every_key_of_a_service_has_an_effect() {
    let schema = jobs_json_schema();
    let all = paths(&schema, &schema["$defs"]["ServiceConfig"], "");
    let share = |keys: &Value| member(&Entry::Service(Arc::new(config(keys))));
    assert!(all.len() > 40, "{all:?}");
    let tried = |path: &&String| !is_left_out(path) && !ELSEWHERE.contains(&path.as_str());
    for path in all.iter().filter(tried) {
        let (before, after) = with(path);
        let differs = rendered(&before) != rendered(&after)
            || rendered_once(&before) != rendered_once(&after)
            || share(&before) != share(&after)
            || WORLDS.iter().any(|world| transcript(&before, world) != transcript(&after, world));
        assert!(differs, "{path} is accepted and changes nothing");
    }
}
