//! Mutation tests of the pure core: is every line of `decide/` held by a test?
//!
//! cargo-mutants changes one thing at a time in a copy of the tree that has the pure floors alone (`pure_tree.rs`): a
//! mutant is built and tried there in four seconds. What survives is held against docs/mutants.md (`explained.rs`).

mod explained;
mod tried;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use clap::Args;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use self::{explained::Explained, tried::Tried};
use crate::{
    folders::root,
    processes::{show, succeed},
    pure_tree,
    steps::told,
};

/// Mutation tests of `src/decide`: about an hour for all of it.
#[derive(Args)]
pub(crate) struct Options {
    /// Files or folders, such as `src/decide/service`; all of `src/decide` if none is named.
    paths: Vec<String>,
    /// Only what was changed since BASE, a commit; without one, what `JOB_CHIEF_BASE` names, else where the branch left
    /// `main`, else the commit before.
    #[arg(long, value_name = "BASE", num_args = 0..=1, require_equals = true, conflicts_with = "paths")]
    changed: Option<Option<String>>,
    /// Only mutants whose line in the list matches, such as `Run::close`: to see whether a new test fails.
    #[arg(long, value_name = "REGEX", conflicts_with = "changed")]
    matching: Option<String>,
    /// End after so many minutes, and say what was not tried.
    #[arg(long)]
    minutes: Option<u64>,
}

/// The version of cargo-mutants.
const VERSION: &str = "27.1.0";

/// How long a change is tried out in the test run.
const CHANGED_MINUTES: u64 = 3;

/// A mutant takes so long on two processors, so that a sample can be drawn that fits into a limit.
const SECONDS_EACH: u64 = 6;

/// What the simulation does for each mutant: a fraction of what it does in the test run.
const SIMULATION: [(&str, &str); 2] = [("SIMULATION_SEEDS", "300"), ("SEARCH_DEPTH", "8")];

/// How long the tests may take against a mutant, in seconds. Without one they take three, and on a busy machine ten: a
/// mutant that is only slow must not count as one that is noticed.
const TEST_SECONDS_MIN: &str = "40";

/// How often a run with a limit is looked at.
const STEP: Duration = Duration::from_millis(200);

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let limit = options.minutes.map(|minutes| Duration::from_secs(60 * minutes));
    match &options.changed {
        Some(base) => try_changed(base.as_deref(), limit),
        None => {
            let mut choice = globs(&options.paths)?;
            choice.extend(options.matching.iter().flat_map(|regex| ["--re".to_owned(), regex.clone()]));
            try_out(&choice, limit, options.paths.is_empty() && options.matching.is_none())
        }
    }
}

/// What was changed, within the time that the test run has for it.
pub(crate) fn of_test_run() -> anyhow::Result<()> {
    try_changed(None, Some(Duration::from_secs(60 * CHANGED_MINUTES)))
}

fn try_changed(base: Option<&str>, limit: Option<Duration>) -> anyhow::Result<()> {
    let Some(base) = base_commit(base)? else {
        eprintln!("not run, for there is no earlier commit to compare with; JOB_CHIEF_BASE names one");
        return Ok(());
    };
    let diff = git(&["diff", "--no-ext-diff", "--no-color", "--find-renames", &base, "--", "src/decide"])?;
    if diff.is_empty() {
        eprintln!("nothing in src/decide was changed since {base}");
        return Ok(());
    }
    eprintln!("what was changed in src/decide since {base}:");
    let file = root().join("target/mutants/changed.diff");
    fs::create_dir_all(root().join("target/mutants"))?;
    fs::write(&file, diff)?;
    try_out(&["--in-diff".into(), file.display().to_string()], limit, false)
}

/// The commit that a change is held against; `None` where there is none.
fn base_commit(asked: Option<&str>) -> anyhow::Result<Option<String>> {
    let named = asked.map(str::to_owned).or_else(|| std::env::var("JOB_CHIEF_BASE").ok().filter(|it| !it.is_empty()));
    if let Some(named) = named {
        return git(&["rev-parse", "--verify", &format!("{named}^{{commit}}")]).map(Some);
    }
    let head = git(&["rev-parse", "HEAD"]).unwrap_or_default();
    let left = ["origin/main", "main"].iter().filter_map(|main| git(&["merge-base", main, "HEAD"]).ok());
    let left = left.into_iter().find(|commit| *commit != head);
    Ok(left.or_else(|| git(&["rev-parse", "--verify", "HEAD~1"]).ok()))
}

fn git(arguments: &[&str]) -> anyhow::Result<String> {
    let told = succeed(Command::new("git").args(arguments).current_dir(root()))?;
    Ok(if arguments.first() == Some(&"diff") { told } else { told.trim().to_owned() })
}

/// What cargo-mutants is told of the files that are named.
fn globs(paths: &[String]) -> anyhow::Result<Vec<String>> {
    let all = ["src/decide".to_owned()];
    let mut globs = vec![];
    for path in if paths.is_empty() { &all[..] } else { paths } {
        let path = path.trim_end_matches('/');
        ensure!(Path::new(path).starts_with("src/decide"), "{path} is not in src/decide");
        let whole = root().join(path);
        ensure!(whole.exists(), "there is no {path}");
        globs.extend(["--file".into(), if whole.is_dir() { format!("{path}/**") } else { path.into() }]);
    }
    Ok(globs)
}

/// Tries the mutants of this choice, and fails for those that survive and are not explained. With `all` it also fails
/// for explanations of what does not survive.
fn try_out(choice: &[String], limit: Option<Duration>, all: bool) -> anyhow::Result<()> {
    let explained = Explained::read()?;
    let (tool, tree) = (install()?, root().join("target/mutants/tree"));
    told("copying the pure floors", || pure_tree::copy(&tree))?;
    let chosen = list(&tool, &tree, choice)?;
    if chosen.is_empty() {
        eprintln!("no line in it that could be another");
        return Ok(());
    }
    let mut mutants = command(&tool, &tree, choice);
    mutants.args(["--in-place", "--no-shuffle", "--minimum-test-timeout", TEST_SECONDS_MIN, "--output"]);
    // Most tests fail here, and nobody reads where.
    mutants.arg(root().join("target/mutants")).envs(SIMULATION).env("RUST_BACKTRACE", "0");
    if let Some(limit) = limit {
        // Every n-th of them, so that what there is no time for is spread over the whole change.
        let shards = (chosen.len() as u64 * SECONDS_EACH).div_ceil(limit.as_secs()).max(1);
        mutants.args(["--sharding", "round-robin", "--shard", &format!("0/{shards}")]);
    }
    mutants.arg("--").args(pure_tree::tests());
    told("building the pure floors", || {
        succeed(Command::new("cargo").args(["test", "--no-run"]).args(pure_tree::tests()).current_dir(&tree))
    })?;
    let ended = run_within(&mut mutants, limit)?;
    let tried = Tried::read(&root().join("target/mutants/mutants.out"))?;
    tried.tell(&chosen, ended);
    tried.judge(&explained, all && limit.is_none())
}

fn command(tool: &Path, tree: &Path, choice: &[String]) -> Command {
    let mut mutants = Command::new(tool);
    mutants.current_dir(tree).args(["mutants", "--no-config", "--colors", "never"]).args(choice);
    mutants
}

/// The names of the mutants of a choice.
fn list(tool: &Path, tree: &Path, choice: &[String]) -> anyhow::Result<Vec<String>> {
    let told = succeed(command(tool, tree, choice).arg("--list"))?;
    Ok(told.lines().filter(|line| line.starts_with("src/")).map(str::to_owned).collect())
}

/// Runs cargo-mutants to its end, or ends it when its time is over. True if it came to its end.
fn run_within(mutants: &mut Command, limit: Option<Duration>) -> anyhow::Result<bool> {
    let begun = Instant::now();
    let mut child = mutants.stdin(Stdio::null()).spawn().context("cargo-mutants does not start")?;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if limit.is_some_and(|limit| begun.elapsed() > limit) {
            return interrupt(child).map(|()| false);
        }
        std::thread::sleep(STEP);
    };
    // 2: some survived; 3: some did not come to an end. What that means is judged below.
    match status.code() {
        Some(0 | 2 | 3) => Ok(true),
        _ => bail!("cargo-mutants failed ({status})"),
    }
}

/// As Ctrl-C does it: cargo-mutants ends what it has begun.
fn interrupt(mut child: Child) -> anyhow::Result<()> {
    kill(Pid::from_raw(i32::try_from(child.id())?), Signal::SIGINT)?;
    child.wait().context("cargo-mutants does not end")?;
    Ok(())
}

fn install() -> anyhow::Result<PathBuf> {
    let tools = root().join("target/tools");
    let tool = tools.join("bin/cargo-mutants");
    if !tool.exists() {
        told("building cargo-mutants (minutes the first time)", || {
            // Unoptimized, for it only reads a few files.
            let mut install = Command::new("cargo");
            install.args(["install", "cargo-mutants", "--debug", "--locked", "--version", VERSION, "--root"]);
            show(install.arg(&tools).arg("--target-dir").arg(tools.join("build")))
        })?;
    }
    Ok(tool)
}
