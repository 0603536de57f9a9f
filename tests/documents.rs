//! What people write: the shipped files load, wrong files give every problem with its place, and Jobs look as they are
//! documented. What people read is held by `tests/pages`.
#![expect(clippy::unwrap_used, reason = "test code")]

#[path = "documents/sharing.rs"]
mod sharing;

use std::{collections::BTreeMap, fs, path::Path};

use job_chief::{
    config::{job_config::JobConfig, jobs_file, schema::jobs_json_schema, settings::Settings, sources},
    decide::{
        decision::{Decision, DecisionReason, Wish},
        outcome::JobName,
        pod::{inputs::Instance, manifest::Template},
        trace_context::{Sampler, trace_id},
    },
};
use serde_json::{Value, json};

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

fn problems(text: &str) -> String {
    jobs_file::load("jobs.json", text).unwrap_err().to_string()
}

fn settings(environment: &[(&str, &str)]) -> Settings {
    let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    sources::load(None, &environment).unwrap().settings
}

fn render(config: &JobConfig, settings: &Settings) -> Value {
    let instance = Instance::of(settings);
    let decision = Decision { ready: 12, new: 3, claimed: 1, live: 3, max: 5, ..Decision::default() };
    let wish = Wish { slot: 2, decision, ..Wish::example(JobName("job-chief-aaaaaa-x-0".into())) };
    json!(Template::of(config, &instance).job(&wish))
}

fn one(entry: Value) -> JobConfig {
    jobs_file::load("jobs.json", &json!([entry]).to_string()).unwrap().jobs[0].queue().unwrap().as_ref().clone()
}

fn minimal() -> Value {
    json!({"queueName": "mail", "podConfig": {"image": "mail:1"}})
}

/// A file that is valid for the original, with every key that it requires.
const ORIGINAL: &str = r#"[{
    "queueName": "avi",
    "podConfig": {
        "parallelism": 2, "image": "imageName", "command": ["do", "action"], "args": ["-l"], "injectPgConfig": true,
        "env": [{"name": "NAME", "value": "value"}], "configmaps": ["a"], "secrets": ["b"], "annotations": {"x": "y"},
        "resources": {"limits": {"cpu": "500m", "memory": "128Mi"}, "requests": {"cpu": "500m", "memory": "128Mi"}},
        "liveness": {"enabled": true, "path": "/liveness", "port": 1337, "initialDelaySeconds": 30, "periodSeconds": 30, "timeoutSeconds": 60},
        "pullPolicy": "Never"
    },
    "waitTimeAfterSuccessfulRun": "5s", "queueCheckInterval": "55s", "jobStartTimeout": "1m",
    "waitTimeAfterTimeout": "5s", "waitTimeAfterError": "15s", "waitTimeAfterFailedRun": "10s"
}]"#;

/// The shape of the sample in the original's README: comments, and defects that make it no JSON.
const SAMPLE: &str = r#"[
  {
    "queueName": "avi",
    "podConfig": {
      "parallelism": 1, // number of pods the job will spawn
      "image": "imageName",
      "args" ["-l"], //optional
      "injectPgConfig": false,
      "resources": { "limits":{"cpu": "500m"}} // optional
      "liveness": {
        "enabled": false
        "path": "/liveness",
        "timeoutSeconds" 60,
      },
      "pullPolicy": "Never", // 'Always' | 'IfNotPresent' | 'Never'
    },
    "waitTimeAfterFailedRun": "10s" // wait time
  }
]"#;

#[test]
fn the_shipped_files_load() {
    let example = jobs_file::load("jobs.example.json", &read("jobs.example.json")).unwrap();
    assert!(example.warnings.is_empty() && example.jobs.len() >= 3);
    sources::load(Some(Path::new("config/default.toml")), &BTreeMap::new()).unwrap();
    let manifests = read("deploy/job-chief.yaml");
    let (_, jobs) = manifests.split_once("jobs.json: |\n").unwrap();
    let (jobs, _) = jobs.split_once("---").unwrap();
    jobs_file::load("jobs.json", jobs).unwrap();
}

#[test]
fn a_file_of_the_original_means_the_same() {
    let job = jobs_file::load("jobs.json", ORIGINAL).unwrap().jobs.remove(0);
    insta::assert_yaml_snapshot!("original", render(job.queue().unwrap(), &settings(&[])));
}

#[test]
fn the_sample_of_the_originals_readme_gives_an_error_per_defect() {
    insta::assert_snapshot!("original_sample", problems(SAMPLE));
}

#[test]
fn every_problem_is_told_at_once_with_its_place() {
    let text = r#"{
  "defaults": {"queueCheckInterval": 5, "podConfig": {"pullPolicy": "Sometimes"}},
  "jobs": [
    {"queueName": "a", "podConfig": {"image": "i", "paralelism": 2}},
    {"queueName": "b", "maxConcurrentJob": 2, "podConfig": {"parallelism": 0}},
    {"queueName": "c", "jobStartTimeout": "ten", "podConfig": {"image": "i", "pullPolicy": "Always",
      "resources": {"limits": {"memory": "128mi"}}, "env": [{"nam": "X", "value": 5}]}, "queueCheckInterval": "1s"}
  ]
}"#;
    insta::assert_snapshot!("problems", problems(text));
}

#[test]
fn what_is_wrong_with_services_is_told_at_once() {
    let text = r#"{
  "defaults": {"queueCheckInterval": "5s", "podConfig": {"parallelism": 2}, "checkInterval": "6s"},
  "jobs": [
    {"type": "service", "name": "a", "podConfig": {"image": "i", "parallelism": 2}, "queueName": "q", "replicas": 0},
    {"type": "service", "name": "b", "podConfig": {"image": "i"}, "ports": [80], "check": {"tcp": 81}, "checkInterval": "1s", "stopTimeout": "0s"},
    {"type": "service", "name": "c", "podConfig": {"image": "i"}, "check": {"tcp": 80, "http": {"port": 80}}, "backoff": {"after": 3}},
    {"type": "service", "podConfig": {"image": "i"}, "replica": 2, "readiness": {"httpget": {}}, "prepare": {"image": "p"}},
    {"type": "sevice", "queueName": "q", "podConfig": {"image": "i"}},
    {"queueName": "q", "podConfig": {"image": "i"}, "dependsOn": ["a", "z"]},
    {"type": "service", "name": "d", "podConfig": {"image": "i"}, "jobTemplate": {"spec": {"parallelism": 2, "template": {"spec": {"terminationGracePeriodSeconds": 9}}}}}
  ]
}"#;
    insta::assert_snapshot!("services", problems(text));
    let text = r#"{
  "defaults": {"updateStrategy": {"type": "RollingReplace", "maxUnavailable": 2}},
  "jobs": [
    {"type": "service", "name": "a", "podConfig": {"image": "i"}, "replicas": 2},
    {"type": "service", "name": "b", "podConfig": {"image": "i"}, "replicas": 3, "updateStrategy": {"type": "Recreate"}},
    {"type": "service", "name": "c", "podConfig": {"image": "i"}, "replicas": 3, "updateStrategy": {"type": "Rolling", "maxUnavailable": 0}},
    {"type": "service", "name": "d", "podConfig": {"image": "i"}, "restartOn": ["d.conf", "/etc/d.conf", "/etc/d.conf"]},
    {"queueName": "q", "podConfig": {"image": "i"}, "restartOn": ["/etc/q.conf"]}
  ]
}"#;
    insta::assert_snapshot!("rollouts", problems(text));
    for (strategy, text) in [
        (json!({"type": "RollingReplace"}), "a single replica is away while it is replaced"),
        (json!({"maxUnavailable": 1}), "it means nothing without the type"),
    ] {
        let entry = json!([{"type": "service", "name": "a", "podConfig": {"image": "i"}, "updateStrategy": strategy}]);
        let warnings = jobs_file::load("jobs.json", &entry.to_string()).unwrap().warnings;
        assert!(warnings.len() == 1 && warnings[0].to_string().contains(text), "{warnings:?}");
    }
    let text = r#"[
  {"type": "service", "name": "redis", "podConfig": {"image": "i"}, "dependsOn": ["api"]},
  {"type": "service", "name": "api", "podConfig": {"image": "i"}, "dependsOn": ["redis"]},
  {"queueName": "work", "podConfig": {"image": "i"}, "dependsOn": ["apy", "work"]}
]"#;
    insta::assert_snapshot!("dependencies", problems(text));
}

#[test]
fn what_runs_beside_a_service_is_told_where_it_is_wrong_and_what_to_do() {
    let text = r#"{
  "defaults": {"replicas": 2, "jobTemplate": {"spec": {"suspend": false}}, "podConfig": {"pullPolicy": "Never"}},
  "jobs": [
    {"type": "service", "name": "a", "ports": [80]},
    {"type": "service", "name": "b", "replicas": 2, "prepare": {"command": ["x"]}, "check": {"tcp": 80}, "updateStrategy": {"type": "RollingReplace"}, "restartOn": ["/x"]},
    {"type": "service", "name": "c", "check": {"tcp": {"host": "http://db", "port": 0}}},
    {"type": "service", "name": "d", "check": {"http": {"port": 80, "path": "/x"}}},
    {"type": "service", "name": "e", "check": {"http": {"url": "https://db"}}, "repair": {"podConfig": {"image": "r", "parallelism": 2}, "timeout": "2days"}},
    {"type": "service", "name": "f", "podConfig": {"image": "i"}, "repair": {"podConfig": {"image": "r"}}, "check": {"http": {"url": "http://x"}}},
    {"type": "service", "name": "g", "podConfig": {"image": "i"}, "check": {"job": {"podConfig": {}}}},
    {"type": "service", "name": "h", "podConfig": {"image": "i"}, "check": {"job": {"podConfig": {"image": "c"}, "jobTemplate": {"spec": {"activeDeadlineSeconds": 5, "completions": 2, "suspnd": true}}}}},
    {"type": "service", "name": "k", "podConfig": {"image": "i"}, "check": {"job": {"podConfig": {"image": "c"}, "jobTemplate": {"spec": {"activeDeadlineSeconds": 5, "completions": 2}}}}},
    {"type": "service", "name": "l", "podConfig": {"image": "i"}, "requirements": [{"tcp": {"host": "db"}}, {}, {"http": {"url": "db"}}]},
    {"type": "service", "name": "m", "podConfig": {"image": "i"}, "requirements": [{}, {"http": {"url": "db"}}, {"tcp": {"host": "a b", "port": 1}}]},
    {"type": "service", "name": "n", "podConfig": {"image": "i"}, "actions": {"Back up": {"podConfig": {"image": "b"}, "every": "1s", "timeout": "0s"}}},
    {"type": "service", "name": "o", "podConfig": {"image": "i"}, "check": {"tcp": {"host": "db", "port": 1}}},
    {"type": "service", "name": "p", "podConfig": {"image": "i"}, "check": {"http": {"path": "/x"}}},
    {"type": "service", "name": "well", "check": {"tcp": {"host": "db", "port": 1}}}
  ]
}"#;
    insta::assert_snapshot!("one_offs", problems(text));
}

#[test]
fn a_service_is_one_job_a_replica() {
    let entry = json!({
        "type": "service", "name": "redis", "podConfig": {"image": "redis:8"}, "ports": [6379], "stopTimeout": "45s",
        "readiness": {"tcpSocket": {"port": 6379}}, "prepare": {"command": ["sh", "-c", "true"]},
        "configure": {"command": ["c"], "image": "tools:1"},
    });
    let file = jobs_file::load("jobs.json", &json!([entry]).to_string()).unwrap();
    let wish = Wish {
        slot: 1,
        decision: Decision { why: DecisionReason::KeptUp, ..Decision::default() },
        starts: Some(0),
        ..Wish::example(JobName("job-chief-aaaaaa-redis-0".into()))
    };
    let job = Template::of(&file.jobs[0], &Instance::of(&settings(&[]))).job(&wish);
    insta::assert_yaml_snapshot!("service", json!(job));
}

#[test]
fn what_a_schema_cannot_say_is_told_too() {
    let text = r#"[
  {"queueName": "a", "podConfig": {"image": "i", "liveness": {"enabled": true, "port": 80}}, "queueCheckInterval": "1ms",
   "jobTemplate": {"metadata": {"name": "x", "labels": {"app": "y"}}, "spec": {"backoffLimit": 3, "completions": 2,
     "template": {"spec": {"restartPolicy": "OnFailure"}}}}},
  {"queueName": "a", "podConfig": {"image": "i"}},
  {"queueName": "a", "podConfig": {"image": "i"}},
  {"queueName": "b", "podConfig": {"image": "i"}, "jobTemplate": {"spec": {"template": {"spec": {"tolerationz": [], "containers": [{"name": "worker", "ports": [{"containerPort": "http"}]}]}}}}}
]"#;
    insta::assert_snapshot!("rules", problems(text));
}

#[test]
fn nothing_is_a_problem_too() {
    for text in
        ["", "[]", "{}", "5", "{\"jobs\": 5}", "{\"jobs\": [], \"job\": 1}", "[5]", "{\"defaults\": 1, \"jobs\": [{}]}"]
    {
        assert!(jobs_file::load("jobs.json", text).is_err(), "{text}");
    }
}

#[test]
fn two_entries_of_one_queue_are_allowed_with_a_warning() {
    let text = json!([minimal(), {"name": "again", "queueName": "mail", "podConfig": {"image": "i"}}]).to_string();
    let loaded = jobs_file::load("jobs.json", &text).unwrap();
    assert_eq!(loaded.warnings.len(), 1);
    assert!(loaded.warnings[0].text.contains("for every message"), "{}", loaded.warnings[0]);
}

#[test]
fn a_minimal_job() {
    insta::assert_yaml_snapshot!("minimal", render(&one(minimal()), &settings(&[])));
}

#[test]
fn a_job_with_certificates_a_password_secret_and_libpq_names() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("settings.json");
    let text = json!({"db": {"passwordSecret": {"name": "pg", "key": "password"}, "certSecretName": "certs", "enableSslAuth": true,
        "sslPaths": {"ca": "/certs/ca.crt", "cert": "/certs/tls.crt", "key": "/certs/tls.key"}},
        "kubernetes": {"pullSecret": "registry"}, "app": {"environment": "Prod & more"}});
    fs::write(&file, text.to_string()).unwrap();
    let settings =
        sources::load(Some(&file), &BTreeMap::from([("DB_PASSWORD".into(), "canary".into())])).unwrap().settings;
    let mut entry = minimal();
    entry["podConfig"]["injectPgConfig"] = json!("libpq");
    let job = render(&one(entry), &settings);
    assert!(!job.to_string().contains("canary"), "the password stands in the Job");
    insta::assert_yaml_snapshot!("certificates", job);
}

/// The door to everything else: each has an example.
#[test]
fn a_job_template_is_laid_over_by_the_merge_keys_of_kubernetes() {
    let mut entry = minimal();
    entry["podConfig"]["env"] = json!([{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]);
    entry["podConfig"]["configmaps"] = json!(["from-pod-config"]);
    entry["jobTemplate"] = json!({
        "metadata": {"annotations": {"cost-centre": "42"}},
        "spec": {
            "activeDeadlineSeconds": 60, "suspend": true,
            "podFailurePolicy": {"rules": [{"action": "FailJob", "onExitCodes": {"operator": "In", "values": [42]}}]},
            "template": {
                "metadata": {"annotations": {"sidecar.istio.io/inject": "false"}},
                "spec": {
                    "serviceAccountName": "mailer", "nodeSelector": {"disk": "ssd"},
                    "securityContext": {"runAsNonRoot": true, "fsGroup": 1000},
                    "tolerations": [{"key": "gpu", "operator": "Exists"}],
                    "volumes": [{"name": "scratch", "emptyDir": {}}],
                    "initContainers": [{"name": "proxy", "image": "proxy:1", "restartPolicy": "Always"}],
                    "containers": [
                        {"name": "worker", "volumeMounts": [{"name": "scratch", "mountPath": "/scratch"}],
                         "env": [{"name": "B", "value": "3"}, {"name": "C", "value": "4"}],
                         "envFrom": [{"secretRef": {"name": "replaced"}}]},
                        {"name": "sidecar", "image": "sidecar:1"},
                    ],
                },
            },
        },
    });
    insta::assert_yaml_snapshot!("template", render(&one(entry), &settings(&[])));
}

#[test]
fn settings_come_in_layers_and_every_problem_names_its_source() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("settings.json");
    fs::write(
        &file,
        r#"{"db": {"host": "from-file", "port": 1, "shema": "x", "deleteAfterHours": 5}, "server": {"port": "many"}}"#,
    )
    .unwrap();
    let environment = BTreeMap::from([("DB_PORT".to_owned(), "abc".to_owned()), ("LOG_LEVEL".into(), "loud".into())]);
    let told = sources::load(Some(&file), &environment).unwrap_err().to_string();
    insta::assert_snapshot!("settings", told.replace(&folder.path().display().to_string(), "FOLDER"));

    fs::write(&file, r#"{"db": {"host": "from-file", "port": 1, "deleteAfterHours": 5}}"#).unwrap();
    let url = ("DATABASE_URL".to_owned(), "postgres://me:p%40ss@from-url:7/mine".to_owned());
    let loaded = sources::load(Some(&file), &BTreeMap::from([url, ("DB_PORT".into(), "8".into())])).unwrap();
    let db = &loaded.settings.db;
    assert_eq!((db.host.as_str(), db.port, db.user.as_str(), db.database.as_str()), ("from-url", 8, "me", "mine"));
    assert_eq!(secrecy::ExposeSecret::expose_secret(&db.password), "p@ss");
    assert!(!format!("{db:?}").contains("p@ss"), "the password can be printed");
    assert_eq!(loaded.warnings.len(), 1, "{:?}", loaded.warnings);
}

#[test]
fn a_broken_database_url_is_told_without_its_password() {
    let environment = BTreeMap::from([("DATABASE_URL".to_owned(), "not a url with canary".to_owned())]);
    let told = sources::load(None, &environment).unwrap_err().to_string();
    assert!(told.contains("DATABASE_URL") && !told.contains("canary"), "{told}");
}

#[test]
fn the_schema_of_jobs_json_agrees_with_the_loader() {
    let validator = jsonschema::validator_for(&jobs_json_schema()).unwrap();
    let example: Value = json!({
        "limits": {"jobs": 40, "createsPerMinute": 120}, "pools": {"gpu": {"jobs": 4}, "a-7".repeat(13): {"jobs": 1}},
        "defaults": {"maxConcurrentJobs": 2, "pools": ["gpu"]}, "jobs": [minimal()],
    });
    assert!(validator.is_valid(&example) && validator.is_valid(&json!([minimal()])));
    jobs_file::load("jobs.json", &example.to_string()).unwrap();
    for wrong in [
        json!([]),
        json!([{"queueName": "x"}]),
        json!({"jobs": [minimal()], "job": 1}),
        json!([{"queueName": 1, "podConfig": {"image": "i"}}]),
        json!({"limits": {}, "jobs": [minimal()]}),
        json!({"pools": {"limits": {"jobs": 1}}, "jobs": [minimal()]}),
        json!({"pools": {"a b": {"jobs": 1}}, "jobs": [minimal()]}),
        json!({"pools": {"a".repeat(41): {"jobs": 1}}, "jobs": [minimal()]}),
        json!({"pools": {"gpu": {"jobs": 0}}, "jobs": [minimal()]}),
        json!({"pools": {"gpu": {"jobs": 1, "job": 1}}, "jobs": [minimal()]}),
    ] {
        assert!(!validator.is_valid(&wrong), "{wrong}");
        assert!(jobs_file::load("jobs.json", &wrong.to_string()).is_err(), "{wrong}");
    }
}

/// An editor finds the schema by `$schema`; the loader passes it over, and so does the schema itself.
#[test]
fn the_object_form_may_name_its_schema() {
    let named = json!({"$schema": "./jobs.schema.json", "jobs": [minimal()]});
    let loaded = jobs_file::load("jobs.json", &named.to_string()).unwrap();
    assert!(loaded.warnings.is_empty() && loaded.jobs.len() == 1);
    let shipped: Value = serde_json::from_str(&read("docs/jobs.schema.json")).unwrap();
    let validator = jsonschema::validator_for(&shipped).unwrap();
    assert!(validator.is_valid(&named));
    assert!(!validator.is_valid(&json!({"$schema": 5, "jobs": [minimal()]})));
}

/// A Job as it is with traces of this share of runs.
fn traced(config: &JobConfig, ratio: f64) -> Value {
    let instance = Instance::of(&settings(&[])).traced(Sampler::of_ratio(ratio));
    json!(Template::of(config, &instance).job(&Wish::example(JobName("job-0".into()))))
}

#[test]
fn a_job_and_its_worker_know_their_trace_only_where_traces_are_wanted() {
    let config =
        one(json!({"queueName": "q", "podConfig": {"image": "i"}, "jobTemplate": {"spec": {"template": {"spec": {
            "containers": [{"name": "sidecar", "image": "s"}]
        }}}}}));
    let plain =
        json!(Template::of(&config, &Instance::of(&settings(&[]))).job(&Wish::example(JobName("job-0".into()))));
    let trace = trace_id(&JobName("job-0".into())).to_string();
    let mut taken = traced(&config, 1.0);
    let annotations = taken["metadata"]["annotations"].as_object_mut().unwrap();
    assert_eq!(annotations.remove("job-chief/trace-id"), Some(json!(trace)));
    let containers = taken["spec"]["template"]["spec"]["containers"].as_array_mut().unwrap();
    let worker = containers.iter_mut().find(|container| container["name"] == "worker").unwrap();
    let variable = worker["env"].as_array_mut().unwrap().remove(0);
    let value = variable["value"].as_str().unwrap();
    assert!(variable["name"] == "TRACEPARENT" && value.starts_with(&format!("00-{trace}-")), "{variable}");
    assert!(value.ends_with("-01"), "{variable}");
    assert_eq!(taken, plain, "nothing else is another");
    let left_out = traced(&config, 0.0).to_string();
    assert!(!left_out.contains("trace-id") && left_out.contains("-00\""), "{left_out}");
}

#[test]
fn a_jobconfig_may_tell_its_worker_another_trace() {
    let own = json!({"name": "TRACEPARENT", "value": "mine"});
    let in_template = json!({"spec": {"template": {"spec": {"containers": [{"name": "worker", "env": [own]}]}}}});
    for keys in [
        json!({"podConfig": {"image": "i", "env": [own]}}),
        json!({"podConfig": {"image": "i"}, "jobTemplate": in_template}),
    ] {
        let mut entry = json!({"queueName": "q"});
        jobs_file::lay_over(&mut entry, keys);
        let job = traced(&one(entry), 1.0);
        let env = job["spec"]["template"]["spec"]["containers"][0]["env"].as_array().unwrap();
        let told: Vec<_> = env.iter().filter(|variable| variable["name"] == "TRACEPARENT").collect();
        assert_eq!(told, [&own]);
    }
}
