//! The command `import` as people type it, on files of the shapes that they have.
#![expect(clippy::unwrap_used, reason = "test code")]

mod properties;

use std::{fs, path::Path, process::Command};

use job_chief::config::jobs_file;
use tempfile::TempDir;

struct Told {
    code: i32,
    out: String,
    err: String,
}

fn job_chief(folder: &Path, words: &[&str]) -> Told {
    let mut command = Command::new(env!("CARGO_BIN_EXE_job-chief"));
    let output = command.args(words).current_dir(folder).env_clear().output().unwrap();
    Told {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Imports files of the folder of examples.
fn import(files: &[&str]) -> Told {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/import/examples");
    job_chief(&folder, &[&["import"], files].concat())
}

/// Imports one file of this text.
fn import_text(name: &str, text: impl AsRef<[u8]>) -> Told {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join(name), text).unwrap();
    job_chief(folder.path(), &["import", name])
}

/// What `validate` says of what was printed.
fn validate(jobs: &str) -> Told {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("jobs.json"), jobs).unwrap();
    job_chief(folder.path(), &["validate"])
}

fn snapshot(name: &str, told: &Told) {
    let Told { code, out, err } = told;
    insta::assert_snapshot!(name, format!("exit code {code}\n--- standard output\n{out}--- standard error\n{err}"));
}

#[test]
fn every_example_is_imported_as_its_snapshot_shows_and_passes_validate() {
    for (name, files) in [
        ("connection_string", &["connection_string.yaml"][..]),
        ("everything", &["everything.yaml"]),
        ("exported", &["exported.yaml"]),
        ("jobs", &["jobs.yaml"]),
        ("original", &["original.json", "original.env"]),
        ("original_in_kubernetes", &["original.yaml"]),
    ] {
        let told = import(files);
        snapshot(name, &told);
        assert_eq!(told.code, 0, "{name}: {}", told.err);
        assert!(!told.err.contains("not-shown-anywhere"), "{name}: {}", told.err);
        let validated = validate(&told.out);
        assert_eq!((validated.code, validated.err.as_str()), (0, ""), "{name}: {}", told.out);
    }
}

#[test]
fn a_queue_that_nobody_names_is_a_place_that_validate_refuses() {
    let told = import(&["unnamed.yaml"]);
    snapshot("unnamed", &told);
    assert_eq!(told.code, 1, "{}", told.err);
    let validated = validate(&told.out);
    assert_eq!((validated.code, validated.err.matches("queueName").count()), (1, 2), "{}", validated.err);
    let finished = told.out.replace("null", "\"mine\"");
    assert_eq!(jobs_file::load("jobs.json", &finished).unwrap().jobs.len(), 2);
}

#[test]
fn several_files_are_read_together_and_one_bad_file_does_not_hide_the_others() {
    let told = import(&["connection_string.yaml", "jobs.yaml", "main.rs"]);
    assert_eq!((told.code, told.out.as_str()), (1, ""), "a file that is not there: {}", told.err);
    assert!(told.err.contains("can't read main.rs"), "{}", told.err);
    let told = import(&["connection_string.yaml", "jobs.yaml"]);
    assert_eq!(jobs_file::load("jobs.json", &told.out).unwrap().jobs.len(), 2);
    let told = import(&["jobs.yaml", "../main.rs"]);
    assert_eq!(told.code, 1, "{}", told.err);
    assert!(told.err.contains("../main.rs: ") && told.out.contains("\"imports\""), "{}", told.err);
    let told = import(&["jobs.yaml", "jobs.yaml"]);
    assert_eq!((told.code, told.err.contains("the name \"imports\" is taken")), (1, true), "{}", told.err);
}

#[test]
fn bad_input_is_told_by_a_sentence() {
    let tagged = "kind: ScaledJob\napiVersion: keda.sh/v1alpha1\nspec: {triggers: [{type: kafka}]}";
    for (text, wanted) in [
        (&b"\0\x01"[..], "f.yaml: is no text in UTF-8"),
        (b"a: [", "f.yaml: is no YAML: "),
        (b"kind: Namespace\napiVersion: v1", "error: there is nothing to import: known are KEDA's ScaledJob"),
        (b"kind: ScaledObject\napiVersion: keda.sh/v1alpha1", "a ScaledObject scales a Deployment"),
        (b"kind: CronJob\napiVersion: batch/v1", "a CronJob starts by the clock"),
        (b"kind: Job\napiVersion: batch/v1", "has no spec"),
        (b"kind: Job\napiVersion: batch/v1\nspec: {}", "spec.template.spec has no containers"),
        (tagged.as_bytes(), "has no spec.jobTargetRef"),
    ] {
        let told = import_text("f.yaml", text);
        assert_eq!((told.code, told.out.as_str()), (1, ""), "{}", told.err);
        assert!(told.err.contains(wanted), "{wanted}: {}", told.err);
    }
    let none = job_chief(Path::new("."), &["import"]);
    assert_eq!((none.code, none.err.contains("FILE")), (2, true), "{}", none.err);
}

#[test]
fn only_an_environment_is_something_to_import_and_is_judged() {
    let told = import_text("env", "DB_HOST=pg\nDB_PORT=many\nDATABASE_URL=postgres://me:hidden@pg/boss\n");
    assert_eq!((told.code, told.out.as_str()), (1, ""), "{}", told.err);
    assert!(told.err.contains("environment DB_PORT: db.port") && !told.err.contains("hidden"), "{}", told.err);
    let told = import_text("env", "DB_HOST=pg\n");
    let wanted = "the environment of job-chief:\n  DB_HOST=pg\n";
    assert_eq!((told.code, told.err.as_str()), (0, wanted));
}

#[test]
fn an_entry_that_is_not_valid_is_printed_with_what_is_wrong() {
    let told = import_text("jobs.json", r#"[{"queueName": "a", "podConfig": {"image": "i", "parallelism": 99}}]"#);
    assert_eq!((told.code, told.out.contains("\"parallelism\": 99")), (1, true), "{}", told.err);
    assert!(told.err.contains("[0].podConfig.parallelism: found 99, allowed is at most 30"), "{}", told.err);
}

#[test]
fn what_a_file_says_can_not_steer_a_terminal_or_end_a_comment() {
    let name = "bad\\u001b[31m\\nname";
    let text = format!(
        "{{\"apiVersion\": \"batch/v1\", \"kind\": \"Job\", \"metadata\": {{\"name\": \"{name}\"}}, \"spec\": {{\"template\": {{\"spec\": {{\"containers\": [{{\"image\": \"i\", \"env\": [{{\"name\": \"QUEUE_NAME\", \"value\": \"q\"}}]}}]}}}}}}}}"
    );
    let told = import_text("f.json", text);
    assert!(!told.err.contains('\u{1b}') && !told.out.contains('\u{1b}'), "{}", told.err);
    assert_eq!(jobs_file::load("jobs.json", &told.out).unwrap().jobs.len(), 1);
}
