//! The commands that need neither a cluster nor a database: what they print in each format.

use serde_json::Value;
use tempfile::TempDir;

use crate::{command, run};

const BAD: &str = r#"[{"queueName": "mail", "podConfig": {"image": 5}, "maxConcurentJobs": 2}]"#;

/// Nothing answers, wherever it is looked for.
const NOWHERE: [(&str, &str); 3] =
    [("DB_HOST", "192.0.2.1"), ("KUBECONFIG", "/nowhere"), ("JOB_CHIEF_URL", "http://192.0.2.1")];

fn told(jobs: &str, words: &[&str]) -> (i32, String, String) {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("jobs.json"), jobs).unwrap();
    std::fs::write(folder.path().join("other.json"), crate::GOOD.replace("mail:1", "mail:2")).unwrap();
    std::fs::write(
        folder.path().join("shared.json"),
        format!(r#"{{"limits": {{"jobs": 40}}, "jobs": {}}}"#, crate::GOOD),
    )
    .unwrap();
    let mut command = command(&folder, words);
    command.envs(NOWHERE);
    let told = run(command);
    (told.code, told.out, told.err)
}

/// The same value in both formats.
fn value(jobs: &str, words: &[&str], code: i32) -> Value {
    let (json_code, json, err) = told(jobs, &[words, &["-o", "json"]].concat());
    assert_eq!((json_code, err.as_str()), (code, ""), "{words:?}");
    let (yaml_code, yaml, _) = told(jobs, &[words, &["-o", "yaml"]].concat());
    assert_eq!(yaml_code, code);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json, serde_yaml_ng::from_str::<Value>(&yaml).unwrap(), "{words:?}");
    json
}

#[test]
fn neither_cluster_nor_database_is_needed() {
    let (code, out, _) = told(crate::GOOD, &["validate"]);
    assert_eq!((code, out.as_str()), (0, "./jobs.json: 1 JobConfig, no problems\n"));
    let report = value(crate::GOOD, &["validate"], 0);
    assert_eq!((&report["valid"], &report["entries"]), (&true.into(), &1.into()));
    let job = value(crate::GOOD, &["render", "mail", "-n", "media"], 0);
    assert_eq!((&job["kind"], &job["metadata"]["namespace"]), (&"Job".into(), &"media".into()));
    assert!(told(crate::GOOD, &["render", "mail"]).1.starts_with("apiVersion: batch/v1\n"), "YAML is the default");
    let plan = value(crate::GOOD, &["plan", "other.json"], 0);
    assert_eq!((&plan["changed"], &plan["changes"][0]["name"]), (&1.into(), &"mail".into()));
    assert_eq!(plan["changes"][0]["keys"][0], "podConfig.image: \"mail:1\" → \"mail:2\"");
    assert_eq!(plan["sharing"], serde_json::json!([]));
    let plan = value(crate::GOOD, &["plan", "shared.json"], 0);
    assert_eq!((&plan["sharing"], &plan["unchanged"]), (&serde_json::json!(["limits.jobs: unset → 40"]), &1.into()));
    assert!(value(crate::GOOD, &["schema"], 0)["$defs"].is_object());
    assert_eq!(value(crate::GOOD, &["grants", "chief"], 0)["statements"].as_array().unwrap().len(), 6);
}

#[test]
fn problems_are_data_too() {
    let report = value(BAD, &["validate"], 1);
    assert_eq!((&report["valid"], &report["file"]), (&false.into(), &"./jobs.json".into()));
    let problem = &report["problems"][0];
    assert_eq!(problem["place"]["line"], 1, "{report}");
    assert!(
        report["problems"]
            .as_array()
            .unwrap()
            .iter()
            .any(|it| it["text"].as_str().unwrap().contains("maxConcurrentJobs"))
    );
    let report = value("[]", &["validate", "--config", "nowhere.toml"], 1);
    assert_eq!(report["valid"], false);
}

#[test]
fn remarks_of_an_import_are_data_too() {
    let old = r#"[{"queueName": "mail", "image": "mail:1", "nonsense": 1}]"#;
    let report = value(old, &["import", "jobs.json"], 1);
    assert!(
        report["jobsJson"].is_string() && report["failures"].is_array() && report["remarks"].is_array(),
        "{report}"
    );
}

#[test]
fn the_role_is_the_one_that_is_shipped() {
    let shipped = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/role.yaml")).unwrap();
    assert_eq!(told(crate::GOOD, &["rbac"]).1, shipped);
    assert_eq!(value(crate::GOOD, &["rbac"], 0), serde_yaml_ng::from_str::<Value>(&shipped).unwrap());
}
