//! Every key that is accepted has an effect: a rendered Job, a request, a decision or a share differs.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use job_chief::{
    config::{entry::Entry, job_config::JobConfig, jobs_file, schema::jobs_json_schema},
    decide::{
        outcome::{Outcome, Reason},
        queue::event::QueueEvent,
        share::policy::{Pools, pools},
    },
};
use serde_json::{Value, json};

use crate::{
    keys::{at, entry, paths, rendered, settings},
    script::{Script, ended, problem, running, starting},
    shared::member,
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
    let mut values = json!({
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
    });
    let shared = json!({"pools": ["gpu"], "weight": 3, "priority": 10, "targetAge": "2m"});
    jobs_file::lay_over(&mut values, shared);
    let windows = json!({"windows": [{"from": "22:00", "to": "23:00", "maxConcurrentJobs": 1}]});
    jobs_file::lay_over(&mut values, windows);
    values
}

#[test]
fn every_key_of_jobs_json_has_an_effect() {
    let plain = settings(&json!({}));
    let base = entry(&json!({}));
    let share = |config: &JobConfig| member(&Entry::Queue(Arc::new(config.clone())));
    let before: Vec<String> = WORLDS.iter().map(|world| transcript(&base, world)).collect();
    let schema = jobs_json_schema();
    let all = paths(&schema, &schema["$defs"]["JobConfig"], "");
    assert!(all.len() > 30, "{all:?}");
    for path in all.iter().filter(|path| *path != "type") {
        let keys = at(path, &entry_values()).unwrap_or_else(|| panic!("{path} has no case in which anything differs"));
        let changed = entry(&keys);
        let differs = rendered(&changed, &plain) != rendered(&base, &plain)
            || share(&changed) != share(&base)
            || WORLDS.iter().zip(&before).any(|(world, before)| transcript(&changed, world) != *before);
        assert!(differs, "{path} is accepted and changes nothing");
    }
}

/// The pools of a jobs.json with these keys.
fn pools_with(keys: &Value) -> Pools {
    let mut file = json!({"limits": {"jobs": 40}, "pools": {"gpu": {"jobs": 4}}, "jobs": [{"queueName": "q", "podConfig": {"image": "i"}}]});
    jobs_file::lay_over(&mut file, keys.clone());
    pools(&jobs_file::load("jobs.json", &file.to_string()).unwrap().sharing)
}

#[test]
fn every_key_of_what_is_shared_has_an_effect() {
    let base = pools_with(&json!({}));
    assert_eq!(base.keys().map(|name| &**name).collect::<Vec<_>>(), ["gpu", "limits"]);
    let schema = jobs_json_schema();
    for (kind, under, count) in [("Limits", "limits.", 2), ("Pool", "pools.gpu.", 2)] {
        let all = paths(&schema, &schema["$defs"][kind], under);
        assert_eq!(all.len(), count, "{all:?}");
        for path in all {
            let value = path.rsplit('.').fold(json!(7), |inner, key| json!({key: inner}));
            assert_ne!(pools_with(&value), base, "{path} is accepted and changes nothing");
        }
    }
}
