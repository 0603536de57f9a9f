//! Helm, run on the chart without a cluster.

use std::process::{Command, Output};

use serde_json::Value;

/// The files of values that the tests render.
pub(crate) const MINIMAL: &[&str] = &["--values", "ci/minimal.yaml"];
pub(crate) const EVERYTHING: &[&str] = &["--values", "ci/everything.yaml"];
pub(crate) const ORIGINAL: &[&str] = &["--values", "ci/original.yaml", "--set-file", "jobsJson=ci/jobs.json"];

/// Helm in the chart's folder; no kubeconfig is read.
fn helm(words: &[&str]) -> Output {
    let helm =
        std::env::var("JOB_CHIEF_TEST_HELM").expect("these tests need Helm: run `cargo xtask test --yes --fast`");
    Command::new(helm).args(words).current_dir(chart()).env("KUBECONFIG", "/dev/null").output().unwrap()
}

/// The chart's folder.
fn chart() -> String {
    format!("{}/deploy/helm/job-chief", env!("CARGO_MANIFEST_DIR"))
}

/// What a release called `job-chief` consists of, as Helm prints it.
pub(crate) fn rendered(values: &[&str]) -> String {
    let output = helm(&[&["template", "job-chief", ".", "--namespace", "media"], values].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Its objects.
pub(crate) fn objects(values: &[&str]) -> Vec<Value> {
    let text = rendered(values);
    let documents = text.split("---\n").filter(|document| document.lines().any(|line| line.starts_with("kind:")));
    documents.map(|document| serde_yaml_ng::from_str(document).unwrap()).collect()
}

/// The one object of a kind, or the one of that kind that is called so.
pub(crate) fn object(values: &[&str], kind: &str, name: &str) -> Value {
    let mut found = objects(values);
    found.retain(|object| object["kind"] == kind && object["metadata"]["name"] == name);
    assert_eq!(found.len(), 1, "{kind} {name}");
    found.remove(0)
}

/// What is printed after an installation, which Helm itself prints only where there is a cluster.
pub(crate) fn notes(values: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("job-chief");
    assert!(Command::new("cp").arg("-r").arg(chart()).arg(&copy).status().unwrap().success());
    let notes = std::fs::read_to_string(copy.join("templates/NOTES.txt")).unwrap();
    std::fs::write(copy.join("templates/_notes.tpl"), format!("{{{{ define \"notes\" }}}}{notes}{{{{ end }}}}"))
        .unwrap();
    std::fs::write(copy.join("templates/notes.yaml"), "notes: {{ include \"notes\" . | toJson }}\n").unwrap();
    let copy = copy.to_str().unwrap();
    let only = ["template", "job-chief", copy, "--namespace", "media", "--show-only", "templates/notes.yaml"];
    let output = helm(&[&only[..], values].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told: Value = serde_yaml_ng::from_slice(&output.stdout).unwrap();
    told["notes"].as_str().unwrap().to_owned()
}

/// Why these values are refused, below the minimal ones: what Helm says without saying where it was when it said so.
pub(crate) fn refusal(values: &str) -> String {
    let output = helm(&[&["template", "job-chief", "."], MINIMAL, &["--set-json", values]].concat());
    assert!(!output.status.success(), "{values} is accepted");
    let told = String::from_utf8(output.stderr).unwrap();
    match told.split_once("execution error at ").and_then(|(_, place)| place.split_once("): ")) {
        Some((_, sentence)) => sentence.lines().next().unwrap().to_owned(),
        None => told.lines().filter_map(|line| line.strip_prefix("- ")).collect::<Vec<_>>().join("; "),
    }
}
