//! Every key that is accepted has an effect: a rendered Job, a request, a connection or a decision differs.

use std::{collections::BTreeMap, time::Duration};

use job_chief::{
    cluster::connect::Access,
    config::{job_config::JobConfig, jobs_file, schema::jobs_json_schema, settings::Settings, sources},
    decide::{
        event::{Decision, Wish},
        manifest::{Instance, Template},
        run::{JobName, Outcome, Reason},
    },
    queue::connect,
    sql::quoted,
};
use serde_json::{Value, json};

use crate::script::{Script, ended, problem, running, starting};

/// What the world does with every Job.
const WORLDS: [&str; 6] = ["succeeds", "fails", "runs on", "hangs", "finds no image", "is refused"];

/// What a lifecycle with this configuration does in ten minutes or so of one world, effect by effect.
fn transcript(config: &JobConfig, world: &str) -> String {
    let mut script = Script::of(config, vec![], BTreeMap::new());
    script.refuses = world == "is refused";
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

fn rendered(config: &JobConfig, settings: &Settings) -> Value {
    let wish = Wish { name: JobName("x".into()), slot: 0, decision: Decision::default(), adopted: None };
    json!(Template::of(config, &Instance::of(settings)).job(&wish))
}

fn settings(keys: &Value) -> Settings {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("settings.json");
    std::fs::write(&path, keys.to_string()).unwrap();
    sources::load(Some(&path), &BTreeMap::new()).unwrap().settings
}

fn entry(keys: &Value) -> JobConfig {
    let mut entry = json!({
        "queueName": "q", "maxConcurrentJobs": 4, "successfulJobsHistoryLimit": 1, "failedJobsHistoryLimit": 1,
        "podConfig": {"image": "i", "liveness": {"enabled": true, "path": "/", "port": 80}},
    });
    lay(&mut entry, keys);
    jobs_file::load("jobs.json", &json!([entry]).to_string()).unwrap().jobs.remove(0)
}

fn lay(under: &mut Value, over: &Value) {
    match (under, over) {
        (Value::Object(under), Value::Object(over)) => {
            over.iter().for_each(|(key, value)| lay(under.entry(key).or_insert(Value::Null), value));
        }
        (under, over) => *under = over.clone(),
    }
}

/// A value for each key of an entry under which something differs.
fn entry_values() -> Value {
    json!({
        "name": "n", "queueName": "r", "jobTemplate": {"spec": {"activeDeadlineSeconds": 5}}, "queueCheckInterval": "20s",
        "jobStartTimeout": "20s", "waitTimeAfterSuccessfulRun": "30s", "waitTimeAfterFailedRun": "2s", "waitTimeAfterTimeout": "50s",
        "waitTimeAfterError": "50s", "backoff": {"factor": 5, "max": "20s", "after": 1}, "maxConcurrentJobs": 2, "messagesPerJob": 3,
        "fetchGrace": "5s", "handover": "7s", "successfulJobsHistoryLimit": 2, "failedJobsHistoryLimit": 2,
        "ttlSecondsAfterFinished": 99, "startErrorGrace": "3s", "paused": true,
        "podConfig": {
            "image": "j", "parallelism": 2, "command": ["c"], "args": ["a"], "annotations": {"a": "b"}, "injectPgConfig": true,
            "env": [{"name": "A", "value": "b"}], "configmaps": ["c"], "secrets": ["s"], "resources": {"limits": {"cpu": "1"}},
            "pullPolicy": "Never",
            "liveness": {"enabled": false, "path": "/x", "port": 81, "initialDelaySeconds": 4, "periodSeconds": 5, "timeoutSeconds": 6},
        },
    })
}

/// A value for each setting under which something differs.
fn setting_values() -> Value {
    json!({
        "app": {"instanceUid": "other", "environment": "dev"},
        "db": {
            "host": "h", "port": 1, "user": "u", "password": "p", "passwordSecret": {"name": "n", "key": "k"}, "database": "d",
            "schema": "s", "managerSchema": "m", "enableSslAuth": true, "certSecretName": "c",
            "sslPaths": {"ca": "/other/ca", "cert": "/other/cert", "key": "/other/key"},
        },
        "kubernetes": {"namespace": "n", "loadConfigFromCluster": true, "pullSecret": "p", "jobMaxAgeForDeletion": "9m"},
    })
}

/// Settings whose effect another test shows, and its name.
const SHOWN_ELSEWHERE: [(&str, &str, &str); 6] = [
    ("app.jobsConfigPath", "tests/commands.rs", "run_with_a_bad_configuration_starts_nothing_and_ends_with_2"),
    ("db.monitorStateIntervalSeconds", "tests/e2e/path.rs", "workers_take_every_message_and_no_job_is_left_over"),
    ("server.port", "tests/commands.rs", "logs_and_the_server_are_as_the_settings_say"),
    ("server.host", "tests/commands.rs", "logs_and_the_server_are_as_the_settings_say"),
    ("telemetry.logger.level", "tests/commands.rs", "logs_and_the_server_are_as_the_settings_say"),
    ("telemetry.logger.prettyPrint", "tests/commands.rs", "logs_and_the_server_are_as_the_settings_say"),
];

/// The paths of all keys of an object's schema that are ours to keep, such as `podConfig.liveness.port`.
fn paths(root: &Value, schema: &Value, under: &str) -> Vec<String> {
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

fn at(path: &str, values: &Value) -> Option<Value> {
    let value = values.pointer(&format!("/{}", path.replace('.', "/")))?.clone();
    Some(path.rsplit('.').fold(value, |inner, key| json!({key: inner})))
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

#[test]
fn every_setting_has_an_effect() {
    let schema = job_chief::config::schema::schema_of::<Settings>();
    let injected = entry(&json!({"podConfig": {"injectPgConfig": "libpq"}}));
    let told = |settings: &Settings| {
        let db = &settings.db;
        let access = Access::of(settings.kubernetes.load_config_from_cluster, None, None);
        format!(
            "{} {:?} {} {} {access:?} {}",
            rendered(&injected, settings),
            connect::options(db),
            quoted(&db.schema),
            quoted(&db.manager_schema),
            Instance::of(settings).selector(),
        )
    };
    // Certificates count only with TLS.
    let base = json!({"db": {"enableSslAuth": true, "sslPaths": {"ca": "/a/ca", "cert": "/a/cert", "key": "/a/key"}, "certSecretName": "x"}});
    let mut changes = setting_values();
    changes["db"]["enableSslAuth"] = json!(false);
    changes["db"]["passwordSecret"] = Value::Null;
    for path in paths(&schema, &schema, "") {
        if let Some((_, file, test)) = SHOWN_ELSEWHERE.iter().find(|(shown, ..)| *shown == path) {
            let text = std::fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
            assert!(text.contains(&format!("fn {test}()")), "{path} is said to be shown by {test} in {file}");
            continue;
        }
        let keys = match path.as_str() {
            "db.passwordSecret.name" | "db.passwordSecret.key" => {
                json!({"db": {"passwordSecret": {"name": "n", "key": "k"}}})
            }
            _ => at(&path, &changes).unwrap_or_else(|| panic!("{path} has no case in which anything differs")),
        };
        let mut changed = base.clone();
        lay(&mut changed, &keys);
        assert!(told(&settings(&changed)) != told(&settings(&base)), "{path} is accepted and changes nothing");
    }
}
