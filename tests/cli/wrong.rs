//! Whatever is mistyped: one sentence, what to type instead, and the exit code.

use tempfile::TempDir;

use crate::{command, job_chief, run};

const KUBECONFIG: &str = r#"{"apiVersion": "v1", "kind": "Config", "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}],
    "users": [{"name": "c", "user": {}}], "contexts": [{"name": "production", "context": {"cluster": "c", "user": "c"}}]}"#;

#[test]
fn each_mistake_is_told_with_what_to_type_instead() {
    for (words, code, wanted) in [
        (&["stauts"][..], 2, "'status'"),
        (&["status", "--ouput", "json"], 2, "'--output'"),
        (&["status", "-o", "jsno"], 2, "'json'"),
        (&["service", "restrat", "api"], 2, "'restart'"),
        (&["pause"], 2, "<NAME|--all>"),
        (&["pause", "mail"], 1, "--token-file FILE, or JOB_CHIEF_TOKEN"),
        (&["pause", "mail", "--token-file", "nowhere"], 1, "the token can't be read from nowhere"),
        (&["render", "mial"], 1, "did you mean \"mail\"?"),
        (&["plan", "nowhere.json"], 1, "can't read nowhere.json"),
        (&["plan"], 2, "<FILE>"),
        (&["import", "nowhere.yaml"], 1, "can't read nowhere.yaml"),
        (&["status", "--url", "localhost"], 1, "http://HOST:PORT"),
        (&["status", "--url", "http://127.0.0.1:1"], 1, "--context NAME --namespace NAMESPACE"),
        (&["status", "-n", "media"], 2, "name the cluster with --context"),
        (&["status", "--url", "http://x", "--context", "y"], 2, "give one of them"),
        (&["status", "--instance", "x"], 2, "name the cluster with --context"),
        (&["drain", "--all", "--timeout", "soon"], 2, "it is no duration; write it such as 5s or 1m"),
        (&["run", "--config", "nowhere.toml", "--context", "x"], 2, "nowhere.toml"),
        (&["--color", "blue", "status"], 2, "[possible values: auto, always, never]"),
    ] {
        let told = job_chief(words);
        assert_eq!((told.code, told.out.as_str()), (code, ""), "{words:?}: {}", told.err);
        assert!(told.err.starts_with("error: ") && told.err.contains(wanted), "{words:?}: {}", told.err);
    }
}

/// `script` gives a command a terminal.
#[cfg(target_os = "linux")]
#[test]
fn on_a_terminal_no_word_is_broken() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("jobs.json"), r#"[{"queueName": "a", "queueCheckInterval": "often"}]"#).unwrap();
    let program = env!("CARGO_BIN_EXE_job-chief");
    let mut script = std::process::Command::new("script");
    script.args(["-qc", &format!("stty cols 60 rows 20; {program} validate; {program} doctor"), "/dev/null"]);
    let output = script.current_dir(folder.path()).env("NO_COLOR", "1").output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap().replace('\r', "");
    let words = told.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("found \"often\", allowed is a duration with its unit"), "{told}");
    assert!(told.lines().all(|line| line.chars().count() <= 60), "{told}");
}

#[test]
fn a_context_is_named_and_known() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("kubeconfig"), KUBECONFIG).unwrap();
    let told = run(command(&folder, &["status", "--context", "prodution", "--kubeconfig", "kubeconfig"]));
    assert!(told.code == 1 && told.err.contains("did you mean \"production\"?"), "{}", told.err);
    let told = run(command(&folder, &["status", "--context", "x", "--kubeconfig", "nowhere"]));
    assert!(told.code == 1 && told.err.contains("nowhere"), "{}", told.err);
    let told = run(command(&folder, &["status", "--context", "production", "--kubeconfig", "kubeconfig"]));
    assert!(told.code == 1 && told.err.contains("the pods can't be listed in the namespace default"), "{}", told.err);
}

#[test]
fn whoever_reads_may_stop_reading() {
    let folder = TempDir::new().unwrap();
    let mut schema = command(&folder, &["schema"]);
    schema.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let mut child = schema.spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    assert!(output.status.success());
}
