//! The workflows on GitHub: sound by actionlint, pinned, bounded, and of one mind with the versions of this tree.

use std::{fs, process::Command};

use anyhow::{Context, ensure};
use serde_yaml_ng::Value;

use crate::{build::go_tool, folders::root, processes::succeed};

/// actionlint as the Go module proxy has it, and its version.
const ACTIONLINT: (&str, &str) = ("github.com/rhysd/actionlint/cmd/actionlint", "v1.7.12");

/// Where the workflows are.
const FOLDER: &str = ".github/workflows";

/// The part of the tests.
pub(crate) fn test() -> anyhow::Result<()> {
    let mut problems = vec![];
    for entry in fs::read_dir(root().join(FOLDER))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let text = fs::read_to_string(&path)?;
        let found = problems_of(&text).with_context(|| name.clone())?;
        problems.extend(found.into_iter().map(|problem| format!("{name}: {problem}")));
    }
    problems.extend(disagreements(&read("Cargo.toml")?, &read("deploy/helm/job-chief/Chart.yaml")?)?);
    ensure!(problems.is_empty(), "{} problem(s):\n  {}", problems.len(), problems.join("\n  "));
    succeed(Command::new(go_tool("actionlint", "building actionlint", ACTIONLINT, "-s -w")?).current_dir(root()))
        .map(|_| ())
}

fn read(path: &str) -> anyhow::Result<String> {
    fs::read_to_string(root().join(path)).with_context(|| path.to_owned())
}

/// What actionlint lets pass.
fn problems_of(text: &str) -> anyhow::Result<Vec<String>> {
    let mut problems = vec![];
    for (number, line) in text.lines().enumerate() {
        if let Some((_, used)) = line.split_once("uses: ").filter(|(_, used)| !is_pinned(used)) {
            problems.push(format!("line {}: {used} is not pinned by a commit, with its version after it", number + 1));
        }
    }
    let workflow: Value = serde_yaml_ng::from_str(text)?;
    if workflow["on"].get("pull_request_target").is_some() {
        problems.push("pull_request_target gives secrets to whoever opens a pull request".into());
    }
    for key in ["permissions", "concurrency"] {
        if workflow.get(key).is_none() {
            problems.push(format!("it has no {key}"));
        }
    }
    for (name, job) in workflow["jobs"].as_mapping().into_iter().flatten() {
        // A job that calls a workflow is bounded there.
        if job.get("uses").is_none() && job.get("timeout-minutes").is_none() {
            problems.push(format!("the job {} has no timeout-minutes", name.as_str().unwrap_or_default()));
        }
    }
    Ok(problems)
}

/// `OWNER/NAME@COMMIT # vVERSION`, or a workflow of this tree.
fn is_pinned(used: &str) -> bool {
    let commit = |rest: &str| {
        rest.split_once(" # v")
            .is_some_and(|(commit, _)| commit.len() == 40 && commit.chars().all(|digit| digit.is_ascii_hexdigit()))
    };
    used.starts_with("./") || used.split_once('@').is_some_and(|(_, rest)| commit(rest))
}

/// Versions that a release expects to be one.
fn disagreements(cargo: &str, chart: &str) -> anyhow::Result<Vec<String>> {
    let package = cargo.split_once("[package]").context("Cargo.toml has no [package]")?.1;
    let version = package.lines().find_map(|line| line.strip_prefix("version = "));
    let version = version.context("Cargo.toml has no version")?.trim_matches('"');
    let chart: Value = serde_yaml_ng::from_str(chart)?;
    let differ = ["version", "appVersion"].into_iter().filter(|key| chart[*key].as_str() != Some(version));
    let told = |key| format!("Cargo.toml says version {version}, Chart.yaml another {key}: {:?}", chart[key].as_str());
    Ok(differ.map(told).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOUND: &str = "on: push\npermissions: {}\nconcurrency: one\njobs:\n  a:\n    timeout-minutes: 1\n    steps:\n      - uses: actions/checkout@de0fac2e4500dabe0009e67214ff5f5447ce83dd # v6.0.2\n  b:\n    uses: ./.github/workflows/ci.yml\n";

    fn found(text: &str) -> String {
        problems_of(text).expect("YAML").join("; ")
    }

    #[test]
    fn what_is_pinned_and_bounded_passes() {
        assert_eq!(found(SOUND), "");
    }

    #[test]
    fn each_fault_is_told() {
        let tag = SOUND.replace("de0fac2e4500dabe0009e67214ff5f5447ce83dd # v6.0.2", "v6");
        assert!(found(&tag).contains("line 8: actions/checkout@v6 is not pinned"), "{}", found(&tag));
        assert!(found(&SOUND.replace(" # v6.0.2", "")).contains("not pinned"));
        assert!(found(&SOUND.replace("timeout-minutes", "name")).contains("the job a has no timeout-minutes"));
        assert!(found(&SOUND.replace("permissions: {}\n", "")).contains("no permissions"));
        assert!(found(&SOUND.replace("on: push", "on:\n  pull_request_target:")).contains("pull_request_target"));
    }

    #[test]
    fn versions_that_differ_are_told() {
        let cargo = "[package]\nname = \"a\"\nversion = \"1.2.3\"\n";
        let chart = |version, app| format!("version: {version}\nappVersion: \"{app}\"\n");
        let told = |chart: String| disagreements(cargo, &chart).expect("both are read");
        assert_eq!(told(chart("1.2.3", "1.2.3")), Vec::<String>::new());
        assert_eq!(told(chart("1.2.4", "1.2.2")).len(), 2);
    }

    #[test]
    fn a_releases_notes_are_its_section_if_all_agree() {
        let folder = std::env::temp_dir().join(format!("job-chief-notes-{}", std::process::id()));
        let chart = folder.join("deploy/helm/job-chief");
        fs::create_dir_all(&chart).expect("a folder");
        let write = |path: std::path::PathBuf, text: &str| fs::write(path, text).expect("a file");
        write(folder.join("Cargo.toml"), "[workspace]\n[package]\nversion = \"1.2.3\"\n[dependencies]\n");
        write(chart.join("Chart.yaml"), "version: 1.2.3\nappVersion: \"1.2.3\"\n");
        write(
            folder.join("CHANGELOG.md"),
            "## [Unreleased]\n- new\n\n## [1.2.3] - 2026-01-02\n- this\n\n## [1.2.2]\n- old\n",
        );
        let script = root().join("deploy/release-notes.sh");
        let notes = |tag: &str| succeed(Command::new("sh").arg(&script).arg(tag).current_dir(&folder));
        assert_eq!(notes("v1.2.3").expect("all agree").trim(), "- this");
        let refused = notes("v1.2.4").expect_err("Cargo.toml has another").to_string();
        assert!(refused.contains("Cargo.toml says 1.2.3, the tag says 1.2.4"), "{refused}");
        write(folder.join("CHANGELOG.md"), "## [Unreleased]\n- new\n");
        let refused = notes("v1.2.3").expect_err("no section").to_string();
        assert!(refused.contains("no section [1.2.3]"), "{refused}");
        fs::remove_dir_all(folder).expect("it was made");
    }
}
