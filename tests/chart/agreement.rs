//! The chart agrees with the program: rights, settings, jobs.json and the labels by which Services find pods.

use std::{collections::BTreeMap, process::Command};

use job_chief::{
    config::{jobs_file, settings::Settings, sources},
    decide::{
        decision::{Decision, DecisionReason, Wish},
        live::rights::needed,
        outcome::JobName,
        pod::{inputs::Instance, manifest::Template},
    },
    modules::object::KINDS,
};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::release::{EVERYTHING, MINIMAL, ORIGINAL, object, objects};

/// The rules that a chart under these values grants.
fn rules(values: &[&str]) -> Value {
    object(values, "Role", "job-chief")["rules"].clone()
}

#[test]
fn the_chart_installs_the_program_of_its_version() {
    let chart: Value = serde_yaml_ng::from_str(include_str!("../../deploy/helm/job-chief/Chart.yaml")).unwrap();
    assert_eq!(chart["appVersion"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn the_role_is_what_the_program_says_it_needs() {
    let told = Command::new(env!("CARGO_BIN_EXE_job-chief")).arg("rbac").output().unwrap().stdout;
    let role: Value = serde_yaml_ng::from_slice(&told).unwrap();
    assert_eq!(rules(MINIMAL), role["rules"]);
    assert_eq!(rules(ORIGINAL), role["rules"]);
}

#[test]
fn the_tiers_add_a_verb_each_and_nothing_else() {
    let mut expected = rules(MINIMAL);
    expected[1]["verbs"].as_array_mut().unwrap().push(json!("delete"));
    assert_eq!(rules(&[MINIMAL, &["--set", "rbac.halt=true"]].concat()), expected);
    let logs = json!({"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]});
    expected.as_array_mut().unwrap().push(logs);
    assert_eq!(rules(&[EVERYTHING, &["--set", "rbac.apply=false"]].concat()), expected);
}

/// The tier of modules is what deploying takes, no verb more and none less.
#[test]
fn the_tier_of_modules_is_what_the_program_asks_for() {
    let granted = rules(&[MINIMAL, &["--set", "rbac.apply=true"]].concat());
    let beyond = &granted.as_array().unwrap()[rules(MINIMAL).as_array().unwrap().len()..];
    let words = |rule: &Value, key: &str| -> Vec<String> {
        rule[key].as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_owned()).collect()
    };
    let mut told: Vec<String> = vec![];
    for rule in beyond {
        for (group, resource) in words(rule, "apiGroups").iter().zip(std::iter::repeat(words(rule, "resources"))) {
            let verbs = words(rule, "verbs");
            told.extend(
                resource.iter().flat_map(|name| verbs.iter().map(move |verb| format!("{verb} {group}/{name}"))),
            );
        }
    }
    let kinds = KINDS.into_iter().filter(|kind| kind.needs_apply_tier());
    let needed = needed(kinds)
        .into_iter()
        .map(|right| format!("{} {}/{}", right.verb.as_str(), right.kind.group(), right.kind.plural()));
    let mut needed: Vec<String> = needed.collect();
    told.sort();
    needed.sort();
    assert_eq!(told, needed);
}

/// Modules are files below one folder, which the program is told of.
#[test]
fn modules_are_mounted_where_the_program_looks() {
    let pod = |values: &[&str]| object(values, "Deployment", "job-chief")["spec"]["template"]["spec"].clone();
    let named = |list: &Value| list.as_array().unwrap().iter().find(|it| it["name"] == "modules").cloned();
    let mounted = |pod: &Value| named(&pod["containers"][0]["volumeMounts"]);
    let path = |pod: &Value| {
        let variables = pod["containers"][0]["env"].as_array().unwrap();
        variables.iter().find(|it| it["name"] == "MODULES_PATH").map(|it| it["value"].clone())
    };
    let without = pod(MINIMAL);
    assert_eq!((named(&without["volumes"]), mounted(&without), path(&without)), (None, None, None));

    let all = pod(EVERYTHING);
    let mount = mounted(&all).unwrap();
    assert_eq!((mount["readOnly"].clone(), Some(mount["mountPath"].clone())), (json!(true), path(&all)));
    let sources = named(&all["volumes"]).unwrap()["projected"]["sources"].clone();
    let files = |n: usize| -> Vec<String> {
        let items = sources[n]["configMap"]["items"].as_array().unwrap();
        items.iter().map(|item| item["path"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(files(0), ["redis/latest/redis.yaml", "redis/latest/dependencies/volume.yaml"]);
    assert_eq!(files(1), ["worker/2.1/worker.yaml"]);

    let claim = pod(&[MINIMAL, &["--set", "modules.volume.persistentVolumeClaim.claimName=modules"]].concat());
    let volume = json!({"name": "modules", "persistentVolumeClaim": {"claimName": "modules"}});
    assert_eq!((named(&claim["volumes"]), mounted(&claim)), (Some(volume), Some(mount)));
}

/// The settings of a container under these values, where each Secret's value is the Secret's name and key.
fn settings(values: &[&str]) -> Settings {
    let deployment = object(values, "Deployment", "job-chief");
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("settings.json");
    let mut environment: BTreeMap<String, String> = container["env"]
        .as_array()
        .unwrap()
        .iter()
        .map(|variable| (variable["name"].as_str().unwrap().to_owned(), value(variable)))
        .collect();
    let given = environment.remove("JOB_CHIEF_CONFIG").map(|_| {
        let map = object(values, "ConfigMap", "job-chief-settings");
        std::fs::write(&file, map["data"]["settings.json"].as_str().unwrap()).unwrap();
        file.as_path()
    });
    let loaded = sources::load(given, &environment).unwrap();
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    loaded.settings
}

fn value(variable: &Value) -> String {
    let secret = &variable["valueFrom"]["secretKeyRef"];
    match variable["value"].as_str() {
        Some(value) => value.to_owned(),
        None if variable["name"] == "DATABASE_URL" => "postgres://of/secret".to_owned(),
        None if secret.is_object() => {
            format!("{}/{}", secret["name"].as_str().unwrap(), secret["key"].as_str().unwrap())
        }
        None => "media".to_owned(),
    }
}

#[test]
fn the_program_accepts_its_settings_and_they_are_the_values() {
    let minimal = settings(MINIMAL);
    assert_eq!((minimal.db.host.as_str(), minimal.db.database.as_str()), ("of", "secret"));
    assert!(minimal.kubernetes.load_config_from_cluster);

    let original = settings(ORIGINAL);
    assert_eq!((original.db.host.as_str(), original.db.database.as_str()), ("localhost", "job-chief"));
    assert_eq!(original.db.password.expose_secret(), "job-chief/DB_PASSWORD");
    assert_eq!(original.app.environment, "development");
    assert_eq!(original.db.monitor_state_interval_seconds, 30);
    assert_eq!(object(ORIGINAL, "Secret", "job-chief")["stringData"], json!({"DB_PASSWORD": "postgres"}));

    let everything = settings(EVERYTHING);
    let (db, app) = (&everything.db, &everything.app);
    assert_eq!((db.host.as_str(), db.port, db.user.as_str()), ("postgres.example.com", 6432, "job-chief"));
    assert_eq!(db.password.expose_secret(), "postgres/pass");
    let for_workers = db.password_secret.as_ref().unwrap();
    assert_eq!((for_workers.name.as_str(), for_workers.key.as_str()), ("postgres", "pass"));
    assert!(db.enable_ssl_auth);
    assert_eq!((app.instance_uid.as_str(), app.environment.as_str()), ("staging", "staging"));
    assert_eq!(everything.kubernetes.job_max_age_for_deletion.as_secs(), 3600);
    assert_eq!(everything.kubernetes.pull_secret, "registry");
    assert_eq!(everything.server.port, 9090);
}

/// The entries of jobs.json as the program reads them.
fn jobs(values: &[&str]) -> Vec<job_chief::config::entry::Entry> {
    let map = object(values, "ConfigMap", "job-chief");
    jobs_file::load("jobs.json", map["data"]["jobs.json"].as_str().unwrap()).unwrap().jobs
}

#[test]
fn the_program_accepts_jobs_json() {
    assert_eq!([MINIMAL, EVERYTHING, ORIGINAL].map(|values| jobs(values).len()), [1, 3, 2]);
}

/// A Service of the chart finds the pods of its service, by labels that the program puts there.
#[test]
fn a_service_with_ports_has_a_service_that_selects_its_pods() {
    let wish = Wish {
        slot: 1,
        decision: Decision { why: DecisionReason::KeptUp, ..Decision::default() },
        starts: Some(0),
        ..Wish::example(JobName("job-chief-staging-redis-0".into()))
    };
    for values in [EVERYTHING, ORIGINAL] {
        let service = object(values, "Service", "redis");
        let entry = jobs(values).into_iter().find(|entry| entry.name() == "redis").unwrap();
        let job = json!(Template::of(&entry, &Instance::of(&settings(values))).job(&wish));
        let labels = &job["spec"]["template"]["metadata"]["labels"];
        for (label, value) in service["spec"]["selector"].as_object().unwrap() {
            assert_eq!(&labels[label], value, "{label} of {labels}");
        }
    }
    let ports = object(EVERYTHING, "Service", "redis")["spec"]["ports"].clone();
    assert_eq!(ports, json!([{"name": "tcp-6379", "port": 6379}, {"name": "tcp-16379", "port": 16379}]));
    let off = objects(&[EVERYTHING, &["--set", "services.enabled=false"]].concat());
    assert!(!off.iter().any(|object| object["metadata"]["name"] == "redis"));
}

/// A change of jobs.json reaches the process by its file: it restarts no pod, and one of the settings does.
#[test]
fn a_changed_jobs_json_leaves_the_pods_alone() {
    let template =
        |more: &[&str]| object(&[EVERYTHING, more].concat(), "Deployment", "job-chief")["spec"]["template"].clone();
    assert_eq!(template(&["--set", "jobs.defaults.queueCheckInterval=9s"]), template(&[]));
    assert_ne!(template(&["--set", "settings.kubernetes.jobMaxAgeForDeletion=2h"]), template(&[]));
}

/// What docs/install.md has people write is enough, also with what it has them add.
#[test]
fn the_values_of_the_page_on_installing_render() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/install.md")).unwrap();
    let blocks = page.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("values.yaml");
    std::fs::write(&path, blocks.collect::<String>()).unwrap();
    let found = objects(&["--values", path.to_str().unwrap()]);
    let kinds =
        ["Deployment", "Job", "Role", "Service"].map(|kind| found.iter().filter(|it| it["kind"] == kind).count());
    assert_eq!(kinds, [1, 1, 1, 2]);
}

/// Neither a password nor a URL stands anywhere but in a Secret.
#[test]
fn what_is_secret_stands_in_secrets_alone() {
    for secret in ["dbConfig.password=canary", "dbConfig.url=postgres://a:canary@b/c"] {
        let values: &[&str] = match secret.starts_with("dbConfig.url") {
            true => &["--values", "ci/minimal.yaml", "--set", "dbConfig.urlSecret.name="],
            false => ORIGINAL,
        };
        let holders = objects(&[values, &["--set", secret]].concat());
        let kinds: Vec<&Value> =
            holders.iter().filter(|it| it.to_string().contains("canary")).map(|it| &it["kind"]).collect();
        assert_eq!(kinds, ["Secret"]);
    }
}
