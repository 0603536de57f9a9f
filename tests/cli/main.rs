//! The command line: its help and the page made of it, what it prints for people and for programs, and what it asks.
#![expect(clippy::unwrap_used, reason = "test code")]

mod answers;
mod chief;
mod forecast;
mod formats;
mod modules;
mod reference;
mod watching;
mod wrong;

use std::{fs, process::Command};

use tempfile::TempDir;

struct Told {
    code: i32,
    out: String,
    err: String,
}

const GOOD: &str = r#"[{"queueName": "mail", "podConfig": {"image": "mail:1"}}]"#;

/// job-chief in a folder with a jobs.json, without anything of whoever runs the tests.
fn command(folder: &TempDir, words: &[&str]) -> Command {
    let path = folder.path().join("jobs.json");
    if !path.exists() {
        fs::write(path, GOOD).unwrap();
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_job-chief"));
    command.args(words).current_dir(folder.path()).env_clear();
    command
}

fn run(mut command: Command) -> Told {
    let output = command.output().unwrap();
    Told {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

fn job_chief(words: &[&str]) -> Told {
    run(command(&TempDir::new().unwrap(), words))
}
