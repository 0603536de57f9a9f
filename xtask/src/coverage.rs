//! Which branches of `src/decide` the simulation reaches, and what reaches the others.
//!
//! The pure floors and their tests are built in a copy of the tree (`pure_tree.rs`) with rustc's own counters, and each
//! program is run by itself. LLVM's tools read what was counted; `branches.rs` puts it together, and docs/proof.md says
//! what a branch is.

mod branches;
mod tools;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context;
use clap::Args;

use self::{branches::Branches, tools::Tools};
use crate::{
    counted::{self, wrapper},
    folders::root,
    processes::succeed,
    pure_tree,
    steps::told,
};

/// What is counted.
#[derive(Args)]
pub(crate) struct Options {
    /// Histories of each kind, in place of those of the test run.
    #[arg(long)]
    seeds: Option<u64>,
    /// Also tell each branch that the simulation does not reach, and what reaches it.
    #[arg(long)]
    lines: bool,
}

/// Counters that lose nothing when two threads count at once, for some branches are counted as the difference of two; and
/// a crate in one part, so that the linker leaves nothing out that nobody calls.
const COUNTING: &str = "-Cinstrument-coverage -Cllvm-args=-instrprof-atomic-counter-update-all -Ccodegen-units=1";

/// The programs: each by the name that is told, what Cargo is asked for, and what Cargo calls it. The first is what this
/// is about.
const PROGRAMS: [(&str, &[&str], &str); 4] = [
    ("simulation", &["--test", "simulation"], "simulation"),
    ("sequences", &["--test", "sequences"], "sequences"),
    ("forecast", &["--test", "forecast"], "forecast"),
    ("unit tests", &["--lib"], "job_chief"),
];

#[expect(clippy::print_stdout, reason = "the answer of a command")]
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let tools = Tools::find()?;
    let folder = root().join("target/coverage");
    let tree = folder.join("tree");
    told("copying the pure floors", || pure_tree::copy(&tree))?;
    let programs = told("building them with counters (minutes the first time)", || built(&folder, &tree))?;
    let mut branches = Branches::default();
    for (name, program) in PROGRAMS.iter().map(|(name, ..)| *name).zip(&programs) {
        let counts = told(name, || counted(&tools, &folder, &tree, program, options.seeds))?;
        branches.add(name, &counts)?;
    }
    let lines = branches.unreached();
    let file = folder.join("unreached.txt");
    fs::write(&file, &lines)?;
    if options.lines {
        println!("{lines}");
    }
    println!("{}", branches.table());
    println!("each branch that the simulation does not reach: {}", file.display());
    Ok(())
}

/// Builds all of them.
fn built(folder: &Path, tree: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut build = Command::new("cargo");
    build.arg("test").args(PROGRAMS.iter().flat_map(|(_, asked, _)| *asked));
    build
        .current_dir(tree)
        .env("RUSTC_WORKSPACE_WRAPPER", wrapper(folder, None, COUNTING)?)
        .env("CARGO_INCREMENTAL", "0");
    build.env("CARGO_PROFILE_TEST_OPT_LEVEL", "1");
    // What is built writes counts, too, where it is run to build.
    build.env("LLVM_PROFILE_FILE", "/dev/null");
    counted::built(&mut build, &PROGRAMS.map(|(.., name)| name))
}

/// Runs a program, and has LLVM tell how often each of its regions was reached.
fn counted(
    tools: &Tools,
    folder: &Path,
    tree: &Path,
    program: &Path,
    seeds: Option<u64>,
) -> anyhow::Result<serde_json::Value> {
    let (raw, merged) = (folder.join("counts.profraw"), folder.join("counts.profdata"));
    let mut tests = Command::new(program);
    tests.current_dir(tree).env("LLVM_PROFILE_FILE", &raw).env("INSTA_UPDATE", "no").env("CARGO_MANIFEST_DIR", tree);
    tests.envs(seeds.map(|seeds| ("SIMULATION_SEEDS", seeds.to_string())));
    succeed(&mut tests)?;
    succeed(Command::new(&tools.profdata).args(["merge", "--sparse", "--output"]).args([&merged, &raw]))?;
    let mut export = Command::new(&tools.cov);
    export.args(["export", "--format=text", "--skip-expansions"]).arg(program).arg("--instr-profile").arg(&merged);
    serde_json::from_str(&succeed(&mut export)?).context("llvm-cov tells no JSON")
}
