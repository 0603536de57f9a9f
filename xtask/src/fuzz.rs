//! Coverage-guided fuzzing of the doors and the cores: libFuzzer's search over the targets of `fuzz/`.
//!
//! `program.rs` builds them, `search.rs` runs one and reads what libFuzzer tells, `broken.rs` tells of an input that
//! breaks a promise, `corpus.rs` keeps what was found.

mod broken;
mod corpus;
mod program;
mod search;

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    sync::Mutex,
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use clap::Args;

use self::search::{Found, Search};
use crate::{
    folders::root,
    programs::{self, Purpose},
};

/// Inputs that break the doors or the cores, looked for by what they reach.
#[derive(Args)]
pub(crate) struct Options {
    /// Targets, by their folders in fuzz/corpus; all of them if none is named.
    targets: Vec<String>,
    /// How long to search, for all targets together.
    #[arg(long, default_value_t = 10)]
    minutes: u64,
    /// What the search draws from; the same one finds about the same. 0: another each time.
    #[arg(long, default_value_t = 0)]
    seed: u32,
    /// Only try this input of the one target that is named.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["minutes", "seed"])]
    input: Option<PathBuf>,
    /// Keep what was found and reaches something new in fuzz/corpus, as far as there is room.
    #[arg(long, conflicts_with = "input")]
    keep: bool,
    /// Install what is missing.
    #[arg(long)]
    yes: bool,
}

/// How long the search of the test run takes.
const TEST_RUN: Duration = Duration::from_secs(120);

/// What the search of the test run draws from: two runs of one commit do about the same.
const TEST_SEED: u32 = 1;

/// A target is searched no shorter than this.
const EACH_MIN: Duration = Duration::from_secs(2);

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    programs::ensure(&[Purpose::Build, Purpose::Compiler], options.yes)?;
    let targets = targets(&options.targets)?;
    let program = program::built()?;
    if let Some(input) = &options.input {
        let [target] = &options.targets[..] else { bail!("--input needs the one target that it is for") };
        return broken::try_once(&program, target, input);
    }
    let time = Duration::from_secs(60 * options.minutes);
    let folder = root().join("target/fuzz/corpus");
    search(&program, &targets, &Search { time, seed: options.seed, folder: folder.clone() })?;
    if options.keep { corpus::keep(&program, &targets, &folder) } else { Ok(()) }
}

/// What is kept, and two minutes of searching from there.
pub(crate) fn of_test_run() -> anyhow::Result<()> {
    let folder = root().join("target/fuzz/test-run");
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    let (program, targets) = (program::built()?, targets(&[])?);
    search(&program, &targets, &Search { time: TEST_RUN, seed: TEST_SEED, folder })
}

/// The targets that are named, else all.
fn targets(named: &[String]) -> anyhow::Result<Vec<String>> {
    let mut known = vec![];
    for folder in std::fs::read_dir(corpus::folder())? {
        known.push(folder?.file_name().to_string_lossy().into_owned());
    }
    known.sort();
    for name in named {
        ensure!(known.contains(name), "there is no target {name}; there are {}", known.join(", "));
    }
    Ok(if named.is_empty() { known } else { named.to_vec() })
}

/// Searches all targets, one on each processor; prints what came of it, and fails if anything is broken.
fn search(program: &Path, targets: &[String], search: &Search) -> anyhow::Result<()> {
    let processors = std::thread::available_parallelism().map_or(1, usize::from).min(targets.len());
    let rounds = u32::try_from(targets.len().div_ceil(processors))?;
    let each = (search.time / rounds).max(EACH_MIN);
    eprintln!("{} targets, {} s each, {processors} at once", targets.len(), each.as_secs());
    let (left, found) = (Mutex::new(VecDeque::from_iter(targets)), Mutex::new(vec![]));
    std::thread::scope(|scope| {
        let work = || {
            loop {
                let Some(target) = left.lock().expect("nobody panics").pop_front() else { return anyhow::Ok(()) };
                let one = search.run(program, target, each)?;
                eprintln!("  {target}: {}", if one.broken.is_some() { "broken" } else { "holds" });
                found.lock().expect("nobody panics").push(one);
            }
        };
        let workers: Vec<_> = (0..processors).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().expect("no worker panics"))
    })?;
    let mut found = found.into_inner().context("nobody panics")?;
    found.sort_by(|one, other| one.target.cmp(&other.target));
    eprint!("\n{}", search::table(&found));
    let broken: Vec<&Found> = found.iter().filter(|found| found.broken.is_some()).collect();
    for found in &broken {
        broken::tell(program, found)?;
    }
    ensure!(broken.is_empty(), "{} of {} targets are broken", broken.len(), targets.len());
    Ok(())
}
