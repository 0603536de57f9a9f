//! Every key that is accepted has an effect: a rendered Job, a request or a decision differs.

use std::{collections::BTreeMap, time::Duration};

use job_chief::{
    config::{job_config::JobConfig, schema::jobs_json_schema},
    decide::{
        outcome::{Outcome, Reason},
        queue::event::QueueEvent,
    },
};
use serde_json::{Value, json};

use crate::{
    keys::{at, entry, paths, rendered, settings},
    script::{Script, ended, problem, running, starting},
};

/// What the world does with every Job.
const WORLDS: [&str; 6] = ["succeeds", "fails", "runs on", "hangs", "finds no image", "is refused"];

/// What a lifecycle with this configuration does in ten minutes or so of one world, effect by effect.
fn transcript(config: &JobConfig, world: &str) -> String {
    let mut script = Script::of(config, vec![], BTreeMap::new());
    script.refuses = world == "is refused";
    // None of the services of this world is up.
    script.feed(QueueEvent::Blocked(!config.depends_on.is_empty()));
    for _ in 0..15 {
        if script.looks_within(Duration::from_secs(45)) {
            script.look(2, 1);
        }
        match world {
            "succeeds" => script.become_once(&ended(Outcome::Succeeded, Reason::Completed)),
            "fails" => script.become_once(&ended(Outcome::Failed, Reason::ExitCode)),
            "runs on" => script.become_once(&running()),
            "hangs" => script.become_once(&starting()),
            "finds no image" => script.become_once(&problem(Reason::ImagePull, "ImagePullBackOff")),
            _ => {}
        }
    }
    // What is kept of the history shows when nothing new ends.
    for _ in 0..10 {
        if script.looks_within(Duration::from_secs(45)) {
            script.look(0, 0);
        }
    }
    script.transcript.join("\n")
}

/// A value for each key of an entry under which something differs.
fn entry_values() -> Value {
    json!({
        "name": "n", "queueName": "r", "jobTemplate": {"spec": {"activeDeadlineSeconds": 5}}, "queueCheckInterval": "20s",
        "jobStartTimeout": "20s", "waitTimeAfterSuccessfulRun": "30s", "waitTimeAfterFailedRun": "2s", "waitTimeAfterTimeout": "50s",
        "waitTimeAfterError": "50s", "backoff": {"factor": 5, "max": "20s", "after": 1}, "maxConcurrentJobs": 2, "messagesPerJob": 3,
        "fetchGrace": "5s", "handover": "7s", "successfulJobsHistoryLimit": 2, "failedJobsHistoryLimit": 2,
        "ttlSecondsAfterFinished": 99, "startErrorGrace": "3s", "paused": true, "dependsOn": ["redis"],
        "podConfig": {
            "image": "j", "parallelism": 2, "command": ["c"], "args": ["a"], "annotations": {"a": "b"}, "injectPgConfig": true,
            "env": [{"name": "A", "value": "b"}], "configmaps": ["c"], "secrets": ["s"], "resources": {"limits": {"cpu": "1"}},
            "pullPolicy": "Never",
            "liveness": {"enabled": false, "path": "/x", "port": 81, "initialDelaySeconds": 4, "periodSeconds": 5, "timeoutSeconds": 6},
        },
    })
}

#[test]
fn every_key_of_jobs_json_has_an_effect() {
    let plain = settings(&json!({}));
    let base = entry(&json!({}));
    let before: Vec<String> = WORLDS.iter().map(|world| transcript(&base, world)).collect();
    let schema = jobs_json_schema();
    let all = paths(&schema, &schema["$defs"]["JobConfig"], "");
    assert!(all.len() > 30, "{all:?}");
    for path in all.iter().filter(|path| *path != "type") {
        let keys = at(path, &entry_values()).unwrap_or_else(|| panic!("{path} has no case in which anything differs"));
        let changed = entry(&keys);
        let differs = rendered(&changed, &plain) != rendered(&base, &plain)
            || WORLDS.iter().zip(&before).any(|(world, before)| transcript(&changed, world) != *before);
        assert!(differs, "{path} is accepted and changes nothing");
    }
}
