//! The program of all targets, with job-chief counting which of its edges are taken.
//!
//! Everything else is what `cargo test` has built already: Cargo runs the compiler for the workspace's own crates through
//! a wrapper, which adds the counters to job-chief, and keeps what comes of that apart.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

use crate::{
    build::cargo_test,
    counted::{self, wrapper},
    folders::root,
    steps::told,
};

/// LLVM's pass that counts, as libFuzzer wants it: a counter and a place for each edge, and what is compared there. Texts
/// are compared by calls, which libFuzzer sees, too, and not by loads in place of them.
const COUNTING: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Cllvm-args=-max-loads-per-memcmp=0";

/// Builds it.
pub(super) fn built() -> anyhow::Result<PathBuf> {
    let wrapper = wrapper(&root().join("target/fuzz"), Some("job_chief"), COUNTING)?;
    told("building the targets (minutes the first time)", || {
        let mut build = cargo_test();
        build.args(["--test", "fuzz"]);
        build.env("RUSTC_WORKSPACE_WRAPPER", &wrapper).env("CARGO_INCREMENTAL", "0");
        Ok(counted::built(&mut build, &["fuzz"])?.remove(0))
    })
}

/// The program, to be run for one target.
pub(super) fn command(program: &std::path::Path, target: &str) -> Command {
    let mut command = Command::new(program);
    command.env("JOB_CHIEF_FUZZ", target).env("RUST_BACKTRACE", "0").current_dir(root()).stdin(Stdio::null());
    command
}
