//! The commands as people type them: what they print, and their exit codes.
#![expect(clippy::unwrap_used, reason = "test code")]

use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    time::Duration,
};

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
fn plan_tells_what_another_file_would_change_or_what_is_wrong_with_it() {
    let folder = TempDir::new().unwrap();
    let other = folder.path().join("other.json");
    let path = other.to_str().unwrap();
    fs::write(
        &other,
        GOOD.replace("mail:1", "mail:2").replace('[', "[{\"queueName\": \"new\", \"podConfig\": {\"image\": \"i\"}}, "),
    )
    .unwrap();
    let told = job_chief(GOOD, &["plan", path], &[]);
    let changes = "~ mail: new Jobs by the new entry, running ones finish as they are\n    podConfig.image: \"mail:1\" → \"mail:2\"\n+ new: new\n1 added, 1 changed, 0 removed, 0 unchanged\n";
    assert_eq!((told.code, told.out.as_str()), (0, changes), "{}", told.err);
    fs::write(&other, BAD).unwrap();
    let told = job_chief(GOOD, &["plan", path], &[]);
    assert_eq!((told.code, told.err.contains("maxConcurrentJobs")), (1, true), "{}", told.err);
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

const NOBODY: &str = r#"{"apiVersion": "v1", "kind": "Config", "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}],
    "users": [{"name": "c", "user": {}}], "contexts": [{"name": "c", "context": {"cluster": "c", "user": "c"}}]}"#;

/// The log of a job-chief that reaches nobody, until all that is wanted was said.
fn log(environment: &[(&str, &str)], wanted: &'static [&str]) -> Vec<String> {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("jobs.json"), GOOD).unwrap();
    fs::write(folder.path().join("kubeconfig"), NOBODY).unwrap();
    fs::write(folder.path().join("settings.toml"), "[server]\nhost = \"127.0.0.1\"\nport = 0\n").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_job-chief"));
    command.args(["run", "--context", "c", "--kubeconfig", "kubeconfig", "--config", "settings.toml"]);
    command.current_dir(folder.path()).env_clear().envs([("DB_HOST", "127.0.0.1"), ("DB_PORT", "1")]);
    let mut child = command.envs(environment.iter().copied()).stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let (sender, told) = std::sync::mpsc::channel();
    let reading = std::thread::spawn(move || {
        let mut seen = vec![];
        for line in lines {
            seen.push(line);
            if wanted.iter().all(|wanted| seen.iter().any(|line: &String| line.contains(wanted))) {
                break;
            }
        }
        sender.send(seen)
    });
    let seen = told.recv_timeout(Duration::from_secs(60));
    child.kill().unwrap();
    child.wait().unwrap();
    reading.join().unwrap().unwrap();
    seen.expect("it says within a minute what is wanted")
}

#[test]
fn logs_and_the_server_are_as_the_settings_say() {
    let told = log(&[], &["serving", "does not work"]);
    let serving = told.iter().find(|line| line.contains("serving")).unwrap();
    assert!(serving.starts_with('{') && serving.contains("127.0.0.1:"), "{told:?}");
    let port = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port().to_string();
    let told = log(&[("SERVER_PORT", &port), ("LOG_PRETTY_PRINT_ENABLED", "true")], &["serving"]);
    let serving = told.iter().find(|line| line.contains("serving")).unwrap();
    assert!(!serving.starts_with('{') && serving.contains(&format!("127.0.0.1:{port}")), "{told:?}");
    let told = log(&[("LOG_LEVEL", "warn")], &["does not work"]);
    assert!(!told.iter().any(|line| line.contains("serving")), "{told:?}");
}

#[test]
fn commands_ask_where_the_settings_have_the_service_listen() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("settings.toml");
    fs::write(&file, "[server]\nport = 2\nhost = \"127.0.0.2\"\n").unwrap();
    let file = file.to_str().unwrap();
    for (words, environment, address) in [
        (&["status"][..], &[("SERVER_PORT", "1")][..], "127.0.0.1:1/jobs"),
        (&["status", "--config", file], &[], "127.0.0.2:2/jobs"),
        (&["service", "status", "--config", file], &[("SERVER_HOST", "::")], "[::1]:2/services"),
        (&["why", "mail"], &[("JOB_CHIEF_URL", "http://127.0.0.1:3"), ("SERVER_PORT", "1")], "127.0.0.1:3/jobs/mail"),
    ] {
        let told = job_chief(GOOD, words, environment);
        assert_eq!((told.code, told.err.contains(address)), (1, true), "{words:?}: {}", told.err);
    }
    let told = job_chief(GOOD, &["status"], &[("SERVER_PORT", "0")]);
    assert_eq!((told.code, told.err.contains("--url")), (1, true), "{}", told.err);
}

#[test]
fn what_is_a_matter_of_the_database_needs_no_jobs_json() {
    let nowhere = ("APP_JOBS_CONFIG_PATH", "nowhere.json");
    assert_eq!(job_chief(GOOD, &["grants", "chief"], &[nowhere]).code, 0);
    let told = job_chief(GOOD, &["migrate"], &[nowhere, ("DB_HOST", "127.0.0.1"), ("DB_PORT", "1")]);
    assert_eq!((told.code, told.err.contains("can't reach Postgres")), (1, true), "{}", told.err);
    let told = job_chief(GOOD, &["migrate"], &[nowhere, ("DB_PORT", "none")]);
    assert_eq!((told.code, told.err.contains("environment DB_PORT: db.port")), (2, true), "{}", told.err);
}

#[test]
fn the_originals_environment_sets_the_label() {
    let told = job_chief(GOOD, &["render", "mail"], &[("NODE_ENV", "staging")]);
    assert_eq!(told.out.matches("environment: staging").count(), 2, "on the Job and on its pods: {}", told.out);
}

#[test]
fn status_says_where_it_asked_in_vain() {
    let told = job_chief(GOOD, &["status", "--url", "http://127.0.0.1:1"], &[]);
    assert_eq!((told.code, told.err.contains("127.0.0.1:1/jobs does not answer")), (1, true), "{}", told.err);
    let told = job_chief(GOOD, &["status", "--url", "ftp://x"], &[]);
    assert_eq!((told.code, told.err.contains("http://HOST:PORT")), (1, true), "{}", told.err);
}
