//! Every key of a service has an effect: a rendered Job, a request or a decision differs.

use std::time::Duration;

use job_chief::{
    config::{jobs_file, schema::jobs_json_schema},
    decide::{
        outcome::{Outcome, Reason},
        pod::observation::Phase,
        service::{desired::DesiredState, event::ServiceEvent},
    },
};
use k8s_openapi::api::batch::v1::Job;
use serde_json::{Value, json};

use crate::{
    keys::{at, job, paths, settings},
    script::SECOND,
    service::{Service, config, policy},
};

/// What a service does in ten minutes or so of one world.
fn transcript(keys: &Value, world: &str) -> String {
    let mut it = Service::begin(keys);
    it.refuses = world == "is refused";
    for _ in 0..20 {
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
        "configure": {"command": ["c"], "image": "c"}, "check": {"tcp": 80, "http": {"port": 80, "path": "/x", "expect": 204}},
        "unhealthyThreshold": 1, "ports": [80], "waitTimeAfterSuccessfulRun": "40s", "waitTimeAfterFailedRun": "2s",
        "waitTimeAfterTimeout": "50s", "waitTimeAfterError": "50s", "backoff": {"factor": 5, "max": "20s"}, "ttlSecondsAfterFinished": 99,
        "updateStrategy": {"type": "RollingReplace", "maxUnavailable": 2}, "restartOn": ["/etc/n.conf"],
    });
    values["podConfig"] = pod;
    values
}

/// Keys that are read where a service is told of, and not by its core: each has its own test.
const ELSEWHERE: [&str; 4] = ["quiet", "priority", "dependsOn", "restartOn"];

/// Keys that have no other value beside the rest of an entry.
pub(crate) const LEFT_OUT: [&str; 4] =
    ["type", "check.http.port", "podConfig.parallelism", "podConfig.liveness.enabled"];

/// An entry without a key, but with what that needs to be looked at at all; and the same with it.
pub(crate) fn with(path: &str) -> (Value, Value) {
    let keys = at(path, &values()).unwrap_or_else(|| panic!("{path} has no case in which anything differs"));
    let mut base = match path {
        _ if path.starts_with("podConfig.liveness") => {
            json!({"podConfig": {"liveness": {"enabled": true, "path": "/", "port": 80}}})
        }
        _ if path.starts_with("check.http") => json!({"ports": [80], "check": {"http": {"port": 80}}}),
        "check.tcp" => json!({"ports": [80, 81]}),
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

/// The Job of a service as it is written.
pub(crate) fn rendered(keys: &Value) -> Job {
    job(&config(keys), &settings(&json!({})))
}

#[test]
fn every_key_of_a_service_has_an_effect() {
    let schema = jobs_json_schema();
    let all = paths(&schema, &schema["$defs"]["ServiceConfig"], "");
    assert!(all.len() > 40, "{all:?}");
    let tried = |path: &&String| !LEFT_OUT.contains(&path.as_str()) && !ELSEWHERE.contains(&path.as_str());
    for path in all.iter().filter(tried) {
        let (before, after) = with(path);
        let differs = rendered(&before) != rendered(&after)
            || WORLDS.iter().any(|world| transcript(&before, world) != transcript(&after, world));
        assert!(differs, "{path} is accepted and changes nothing");
    }
}
