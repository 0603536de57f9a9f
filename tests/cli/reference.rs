//! The help of every command, and docs/cli.md, which is made of it.

use std::fmt::Write;

use job_chief::cli::Cli;
use tempfile::TempDir;
use unicode_width::UnicodeWidthStr;

use crate::{command, job_chief, run};

/// The words of every command, those with commands below them included.
fn commands() -> Vec<Vec<String>> {
    fn below(command: &clap::Command, words: &[String], all: &mut Vec<Vec<String>>) {
        for command in command.get_subcommands().filter(|it| !it.is_hide_set() && it.get_name() != "help") {
            let words = [words, &[command.get_name().to_owned()]].concat();
            all.push(words.clone());
            below(command, &words, all);
        }
    }
    let mut all = vec![vec![]];
    below(&Cli::parser(), &[], &mut all);
    all
}

fn help(words: &[String]) -> String {
    let words: Vec<&str> = words.iter().map(String::as_str).chain(["--help"]).collect();
    let told = job_chief(&words);
    assert_eq!((told.code, told.err.as_str()), (0, ""), "{words:?}");
    told.out.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

#[test]
fn every_help_has_examples_and_fits_80_columns() {
    for words in commands() {
        let help = help(&words);
        assert!(help.contains("\nExamples:\n"), "{words:?}");
        for line in help.lines() {
            assert!(line.width() <= 80, "{words:?}: {line}");
        }
    }
}

#[test]
fn every_command_has_its_group() {
    let help = help(&[]);
    let (_, more) = help.split_once("More:\n").unwrap();
    let (more, _) = more.split_once("\n\n").unwrap();
    assert_eq!(more.lines().count(), 1, "only `help` belongs to no group: add to GROUPS what is new: {more}");
}

#[test]
fn help_is_as_it_was() {
    insta::assert_snapshot!("help", help(&[]));
    insta::assert_snapshot!("help_status", help(&["status".into()]));
    insta::assert_snapshot!("help_service_start", help(&["service".into(), "start".into()]));
}

/// The part of docs/cli.md that is made.
const MADE: &str = "<!-- What follows is made of the help: INSTA_UPDATE=always cargo test --test cli -->\n";

/// The help of a command without the options that all have.
fn without_globals(help: &str) -> String {
    let Some((own, rest)) = help.split_once("Global options:\n") else { return help.to_owned() };
    let (_, examples) = rest.split_once("Examples:\n").unwrap();
    format!("{own}Examples:\n{examples}")
}

#[test]
fn the_page_of_the_command_line_is_made_of_its_help() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/cli.md");
    let page = std::fs::read_to_string(path).unwrap();
    let (written, _) = page.split_once(MADE).unwrap();
    let mut wanted = format!("{written}{MADE}");
    for words in commands() {
        let called = [vec!["job-chief".to_owned()], words.clone()].concat().join(" ");
        write!(wanted, "\n## {called}\n\n```text\n{}```\n", without_globals(&help(&words))).unwrap();
    }
    if std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always") {
        std::fs::write(path, &wanted).unwrap();
    }
    assert!(
        page == wanted || std::fs::read_to_string(path).unwrap() == wanted,
        "docs/cli.md is not what the commands say of themselves: make it with INSTA_UPDATE=always cargo test --test cli"
    );
}

#[test]
fn each_shell_gets_completions_of_every_command() {
    for shell in ["bash", "zsh", "fish"] {
        let told = job_chief(&["completions", shell]);
        assert_eq!(told.code, 0, "{}", told.err);
        for words in commands().iter().filter(|words| words.len() == 1) {
            assert!(told.out.contains(&words[0]), "{shell}: {words:?}");
        }
    }
    let told = job_chief(&["completions", "tcsh"]);
    assert!(told.code == 2 && told.err.contains("[possible values: bash, zsh, fish]"), "{}", told.err);
}

#[test]
fn what_bash_is_given_completes() {
    let folder = TempDir::new().unwrap();
    let script = run(command(&folder, &["completions", "bash"])).out;
    std::fs::write(folder.path().join("completions"), script).unwrap();
    let lines = "source ./completions\nCOMP_WORDS=(job-chief run) COMP_CWORD=1\n_job__chief job-chief run job-chief\nprintf '%s\\n' \"${COMPREPLY[@]}\" | sort";
    let mut bash = std::process::Command::new("bash");
    let told = run_in(bash.args(["--norc", "-c", lines]), &folder);
    assert_eq!(told, "run\nrun-now\n");
}

fn run_in(command: &mut std::process::Command, folder: &TempDir) -> String {
    let output = command.current_dir(folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// kubectl calls the executable of this name.
#[cfg(unix)]
#[test]
fn as_a_plugin_of_kubectl_it_is_called_so() {
    let folder = TempDir::new().unwrap();
    let plugin = folder.path().join("kubectl-job_chief");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_job-chief"), &plugin).unwrap();
    let plugin = |words: &[&str]| {
        let mut command = std::process::Command::new(&plugin);
        command.args(words).current_dir(folder.path()).env_clear();
        run(command)
    };
    let told = plugin(&["status", "--help"]);
    assert!(told.out.contains("Usage: kubectl job-chief status "), "{}", told.out);
    let told = plugin(&["stauts"]);
    assert!(told.err.contains("Usage: kubectl job-chief "), "{}", told.err);
    let told = plugin(&["status"]);
    assert!(told.code == 2 && told.err.contains("kubectl job-chief --context NAME"), "{}", told.err);
}
