//! The program of all targets, with job-chief counting which of its edges are taken.
//!
//! Everything else is what `cargo test` has built already: Cargo runs the compiler for the workspace's own crates through
//! a wrapper, which adds the counters to job-chief, and keeps what comes of that apart.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context, ensure};
use sha2::{Digest, Sha256};

use crate::{build::cargo_test, folders::root, steps::told};

/// LLVM's pass that counts, as libFuzzer wants it: a counter and a place for each edge, and what is compared there. Texts
/// are compared by calls, which libFuzzer sees, too, and not by loads in place of them.
const COUNTING: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Cllvm-args=-max-loads-per-memcmp=0";

/// Builds it.
pub(super) fn built() -> anyhow::Result<PathBuf> {
    let wrapper = wrapper()?;
    told("building the targets (minutes the first time)", || {
        let mut build = cargo_test();
        build.args(["--test", "fuzz", "--no-run", "--message-format", "json-render-diagnostics"]);
        build.env("RUSTC_WORKSPACE_WRAPPER", &wrapper).env("CARGO_INCREMENTAL", "0");
        let output = build.stdin(Stdio::null()).stderr(Stdio::inherit()).output().context("can't start cargo")?;
        ensure!(output.status.success(), "the targets can't be built");
        let messages = String::from_utf8_lossy(&output.stdout).into_owned();
        messages.lines().find_map(executable).context("cargo names no program")
    })
}

/// The program that a message of Cargo's tells of.
fn executable(message: &str) -> Option<PathBuf> {
    let message: serde_json::Value = serde_json::from_str(message).ok()?;
    let is_ours = message["target"]["name"] == "fuzz";
    message["executable"].as_str().filter(|_| is_ours).map(PathBuf::from)
}

/// A script that Cargo calls with the compiler and its arguments. Its name tells what it says: Cargo builds anew what was
/// built by another.
fn wrapper() -> anyhow::Result<PathBuf> {
    let text = format!(
        "#!/bin/sh\ncase \" $* \" in\n*' --crate-name job_chief '*) exec \"$@\" {COUNTING} ;;\n*) exec \"$@\" ;;\nesac\n"
    );
    let hash: String = Sha256::digest(&text).iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    let folder = root().join("target/fuzz");
    let path = folder.join(format!("rustc-{hash}"));
    if !path.exists() {
        fs::create_dir_all(&folder)?;
        fs::write(&path, text)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    }
    Ok(path)
}

/// The program, to be run for one target.
pub(super) fn command(program: &std::path::Path, target: &str) -> Command {
    let mut command = Command::new(program);
    command.env("JOB_CHIEF_FUZZ", target).env("RUST_BACKTRACE", "0").current_dir(root()).stdin(Stdio::null());
    command
}
