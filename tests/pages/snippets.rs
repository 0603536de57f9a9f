//! Every snippet of every page is run or parsed: what people copy works.

use std::{collections::BTreeMap, fs, path::Path};

use clap::{CommandFactory, Parser};
use job_chief::{
    cli::Cli,
    config::{jobs_file, sources},
};
use serde_json::Value;

use crate::page::{self, Block};

/// The languages that a block may have, so that none is passed over.
const LANGUAGES: [&str; 9] = ["", "console", "js", "json", "jsonc", "sql", "text", "toml", "yaml"];

/// Programs of others that a page has people run.
const PROGRAMS: [&str; 15] = [
    "cosign",
    "createdb",
    "curl",
    "docker",
    "export",
    "gh",
    "git",
    "helm",
    "kill",
    "kubectl",
    "node",
    "pg_dump",
    "psql",
    "sha256sum",
    "source",
];

#[test]
fn no_block_is_passed_over() {
    for page in page::all() {
        for block in page::taken_apart(&page).0 {
            assert!(LANGUAGES.contains(&block.language.as_str()), "{}: nobody reads {}", block.place, block.language);
        }
    }
}

#[test]
fn every_json_is_json() {
    for block in page::blocks("json") {
        serde_json::from_str::<serde_json::Value>(&block.text)
            .unwrap_or_else(|error| panic!("{}: {error}", block.place));
    }
}

#[test]
fn every_jobs_json_loads_without_a_warning() {
    let blocks = page::blocks("jsonc");
    assert!(blocks.len() >= 10, "there are examples");
    for Block { place, text, .. } in blocks {
        let loaded = jobs_file::load(&place, &text).unwrap_or_else(|problems| panic!("{problems}"));
        assert!(loaded.warnings.is_empty(), "{place}: {:?}", loaded.warnings);
    }
}

/// A block of YAML says by its first line what it is: settings, values of the chart, or an object of Kubernetes.
#[test]
fn every_yaml_is_what_it_says() {
    let schema: Value = serde_json::from_str(&page::read("deploy/helm/job-chief/values.schema.json")).unwrap();
    let values = jsonschema::validator_for(&schema).unwrap();
    for Block { place, text, .. } in page::blocks("yaml") {
        let parsed: Value = serde_yaml_ng::from_str(&text).unwrap_or_else(|error| panic!("{place}: {error}"));
        match text.lines().next().unwrap_or_default() {
            "# settings.yaml" => {
                let folder = tempfile::tempdir().unwrap();
                let file = folder.path().join("settings.yaml");
                fs::write(&file, &text).unwrap();
                let loaded = sources::load(Some(&file), &BTreeMap::new());
                let loaded = loaded.unwrap_or_else(|problems| panic!("{place}: {problems}"));
                assert!(loaded.warnings.is_empty(), "{place}: {:?}", loaded.warnings);
            }
            "# values.yaml" => {
                let wrong: Vec<String> = values.iter_errors(&parsed).map(|error| error.to_string()).collect();
                assert!(wrong.is_empty(), "{place}: {wrong:?}");
            }
            // Prometheus itself reads it in the tests on the cluster.
            "# prometheus.yml" => assert!(parsed["scrape_configs"].is_array(), "{place}"),
            _ => assert!(
                parsed["apiVersion"].is_string() && parsed["kind"].is_string(),
                "{place} does not say what it is"
            ),
        }
    }
}

/// The commands of a block: what stands behind a `$`, with the lines that a backslash joins to it.
fn commands(block: &Block) -> Vec<String> {
    let joined = block.text.replace("\\\n", " ");
    joined.lines().filter_map(|line| line.strip_prefix("$ ")).map(str::to_owned).collect()
}

/// The words of a command as a shell splits them, as far as pages go.
fn words(command: &str) -> Vec<String> {
    let (mut words, mut quote) = (vec![String::new()], None);
    for letter in command.chars() {
        match (letter, quote) {
            ('"' | '\'', None) => quote = Some(letter),
            (_, Some(open)) if letter == open => quote = None,
            (' ', None) => words.push(String::new()),
            _ => words.last_mut().unwrap().push(letter),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

fn assert_parses(place: &str, words: &[String]) {
    if let Err(error) = Cli::try_parse_from(words)
        && !matches!(error.kind(), clap::error::ErrorKind::DisplayHelp | clap::error::ErrorKind::DisplayVersion)
    {
        panic!("{place}: {}\n{error}", words.join(" "));
    }
}

/// A task of xtask, and each flag, has to stand in its source.
fn assert_task(place: &str, words: &[String]) {
    let main = page::read("xtask/src/main.rs");
    let (_, tasks) = main.split_once("enum Task {").unwrap();
    let task = words.first().unwrap_or_else(|| panic!("{place}: which task?"));
    let variant = task[..1].to_uppercase() + &task[1..];
    let known = tasks.lines().map(str::trim).any(|line| line.starts_with(&variant) && !line.starts_with("///"));
    assert!(known, "{place}: there is no task {task}");
    let mut source = String::new();
    sources_of(&Path::new(env!("CARGO_MANIFEST_DIR")).join("xtask/src"), &mut source);
    for flag in words.iter().filter_map(|word| word.strip_prefix("--")) {
        let field = flag.split('=').next().unwrap().replace('-', "_");
        assert!(source.contains(&format!("{field}:")), "{place}: {task} has no --{flag}");
    }
}

fn sources_of(folder: &Path, told: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources_of(&path, told);
        } else {
            told.push_str(&fs::read_to_string(path).unwrap());
        }
    }
}

#[test]
fn every_command_is_one() {
    let mut ours = 0;
    for block in page::blocks("console") {
        let lines = commands(&block);
        assert!(!lines.is_empty(), "{}: a command begins with \"$ \"", block.place);
        for line in lines {
            for part in line.split(" | ").flat_map(|part| part.split(" && ")) {
                let part = part.split(" #").next().unwrap().split(" > ").next().unwrap();
                let words = words(part);
                match words[0].as_str() {
                    "job-chief" => assert_parses(&block.place, &words),
                    "cargo" if words[1] == "xtask" => assert_task(&block.place, &words[2..]),
                    "cargo" | "SIMULATION_SEEDS=1000000" => {}
                    program => assert!(PROGRAMS.contains(&program), "{}: {program}", block.place),
                }
                ours += usize::from(words[0] == "job-chief");
                assert_files(&block.place, &words);
            }
        }
    }
    assert!(ours >= 10, "pages show how job-chief is called");
}

/// What a command takes from `deploy/` is there.
fn assert_files(place: &str, words: &[String]) {
    // What `kubectl exec` calls `deploy/…` is a Deployment.
    let is_file = |word: &&String| words[0] != "kubectl" || word.ends_with(".yaml");
    for path in words.iter().filter(|word| word.starts_with("deploy/")).filter(is_file) {
        assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(path).exists(), "{place}: there is no {path}");
    }
}

/// A command that a sentence names is one.
#[test]
fn every_command_within_a_sentence_is_one() {
    let cli = Cli::command();
    for page in page::all() {
        let (_, prose) = page::taken_apart(&page);
        for quoted in prose.split('`').skip(1).step_by(2) {
            if let Some(said) = quoted.strip_prefix("job-chief ") {
                let command = said.split([' ', '|']).next().unwrap();
                let known = cli.get_subcommands().any(|it| it.get_name() == command);
                assert!(
                    known || ["help", "COMMAND"].contains(&command) || command.starts_with('-'),
                    "{page}: there is no `job-chief {command}`"
                );
            } else if let Some(said) = quoted.strip_prefix("cargo xtask ") {
                let tasks: Vec<String> = said.split_whitespace().take(1).map(str::to_owned).collect();
                assert_task(&page, &tasks);
            }
        }
    }
}

/// What pages show of `status` and `why` is what these print.
#[test]
fn what_commands_are_shown_to_print_they_print() {
    let mut shown = 0;
    for name in ["the_overview_has_a_line_for_each", "why_is_a_line_for_each_decision_and_end_in_their_order"] {
        let snapshot = page::read(&format!("src/snapshots/job_chief__tables__tests__{name}.snap"));
        let printed = snapshot.split("---\n").nth(2).unwrap();
        for block in page::blocks("text") {
            if block.text.lines().next() == printed.lines().next() {
                assert_eq!(block.text.trim_end(), printed.trim_end(), "{}", block.place);
                shown += 1;
            }
        }
    }
    assert!(shown >= 2, "pages show both");
}
