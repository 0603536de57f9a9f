//! The commands as people type them: what they print, and their exit codes.
#![expect(clippy::unwrap_used, reason = "test code")]

use std::{fs, process::Command};

use tempfile::TempDir;

struct Told {
    code: i32,
    out: String,
    err: String,
}

/// Runs job-chief in a folder with a `jobs.json` of this text.
fn job_chief(jobs: &str, words: &[&str], environment: &[(&str, &str)]) -> Told {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("jobs.json"), jobs).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_job-chief"));
    command.args(words).current_dir(folder.path()).env_clear().envs(environment.iter().copied());
    let output = command.output().unwrap();
    Told {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

const GOOD: &str = r#"[{"queueName": "mail", "podConfig": {"image": "mail:1"}}]"#;
const BAD: &str = r#"[{"queueName": "mail", "podConfig": {"image": 5}, "maxConcurentJobs": 2}]"#;

#[test]
fn help_names_every_command() {
    insta::assert_snapshot!("help", job_chief(GOOD, &["--help"], &[]).out);
}

#[test]
fn validate_tells_every_problem_and_ends_with_1() {
    let told = job_chief(GOOD, &["validate"], &[]);
    assert_eq!((told.code, told.out.as_str()), (0, "./jobs.json: 1 JobConfig, no problems\n"));
    let told = job_chief(BAD, &["validate"], &[]);
    assert_eq!(told.code, 1);
    insta::assert_snapshot!("validate", told.err);
}

#[test]
fn run_with_a_bad_configuration_starts_nothing_and_ends_with_2() {
    let told = job_chief(BAD, &["run", "--context", "x"], &[]);
    assert_eq!((told.code, told.err.contains("maxConcurrentJobs")), (2, true), "{}", told.err);
    let told = job_chief(GOOD, &["run", "--context", "x"], &[("DB_PORT", "none")]);
    assert_eq!((told.code, told.err.contains("environment DB_PORT: db.port")), (2, true), "{}", told.err);
    let told = job_chief(GOOD, &["run", "--context", "x"], &[("APP_JOBS_CONFIG_PATH", "nowhere.json")]);
    assert_eq!((told.code, told.err.contains("nowhere.json")), (2, true), "{}", told.err);
}

#[test]
fn outside_a_cluster_the_context_is_named_or_nothing_starts() {
    let told = job_chief(GOOD, &["run"], &[]);
    assert_eq!((told.code, told.err.contains("--context NAME")), (2, true), "{}", told.err);
    let told = job_chief(GOOD, &["run", "--context", "nowhere", "--kubeconfig", "missing"], &[]);
    assert!(told.code != 0 && told.err.contains("nowhere"), "{}", told.err);
    let told = job_chief(GOOD, &["run"], &[("K8S_LOAD_CONFIG_FROM_CLUSTER", "true")]);
    assert!(told.code != 0 && told.err.contains("service account"), "{}", told.err);
}

#[test]
fn render_prints_the_job_and_knows_the_nearest_name() {
    let told = job_chief(GOOD, &["render", "mail"], &[]);
    assert_eq!(told.code, 0, "{}", told.err);
    assert!(told.out.contains("kind: Job") && told.out.contains("image: mail:1"), "{}", told.out);
    let told = job_chief(GOOD, &["render", "mial"], &[]);
    assert_eq!((told.code, told.err.contains("did you mean \"mail\"?")), (1, true), "{}", told.err);
}

#[test]
fn schema_grants_and_rbac_print_what_can_be_used_as_it_is() {
    let schema: serde_json::Value = serde_json::from_str(&job_chief(GOOD, &["schema"], &[]).out).unwrap();
    assert!(schema["$defs"]["JobConfig"]["properties"]["maxConcurrentJobs"].is_object());
    let grants = job_chief(GOOD, &["grants", "chief \"x\""], &[("DB_SCHEMA", "boss")]).out;
    assert!(grants.contains("GRANT USAGE ON SCHEMA \"boss\" TO \"chief \"\"x\"\"\""), "{grants}");
    let role: serde_json::Value = serde_yaml_ng::from_str(&job_chief(GOOD, &["rbac"], &[]).out).unwrap();
    assert_eq!(role["kind"], "Role");
}
