//! One target searched: libFuzzer's own program run for a time, and its log read.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context;

use super::{corpus, program};
use crate::{folders::root, processes::dies_with_us};

/// Bytes of an input: whatever breaks can be said in so many.
const INPUT_MAX: usize = 4096;

/// Seconds that one input may take: far beyond what any takes.
const INPUT_SECONDS_MAX: usize = 20;

/// Megabytes that a target may take: far beyond what any takes.
const MEMORY_MAX: usize = 2048;

/// How to search.
pub(super) struct Search {
    /// For all targets together.
    pub(super) time: Duration,
    /// What libFuzzer draws from.
    pub(super) seed: u32,
    /// Where what is found stands, in a folder for each target.
    pub(super) folder: PathBuf,
}

/// What came of it.
pub(super) struct Found {
    pub(super) target: String,
    /// Inputs that were tried.
    executions: u64,
    per_second: u64,
    /// Edges that were taken.
    edges: u64,
    /// Inputs that reach something that no smaller one does, and their bytes.
    inputs: String,
    /// The input that breaks something, and the log.
    pub(super) broken: Option<(PathBuf, PathBuf)>,
}

impl Search {
    pub(super) fn run(&self, program: &Path, target: &str, time: Duration) -> anyhow::Result<Found> {
        let (own, broken) = (self.folder.join(target), root().join("target/fuzz/broken"));
        fs::create_dir_all(&own)?;
        fs::create_dir_all(&broken)?;
        let log = root().join("target/fuzz").join(format!("{target}.log"));
        let mut command = program::command(program, target);
        command.arg(own).arg(corpus::folder().join(target));
        command.arg(format!("-max_total_time={}", time.as_secs())).arg(format!("-seed={}", self.seed));
        command.arg(format!("-artifact_prefix={}/{target}-", broken.display()));
        command.args([format!("-max_len={INPUT_MAX}"), format!("-timeout={INPUT_SECONDS_MAX}")]);
        command.arg(format!("-rss_limit_mb={MEMORY_MAX}")).args(["-print_final_stats=1", "-reload=0"]);
        if let Some(words) = corpus::words(target)? {
            command.arg(format!("-dict={}", words.display()));
        }
        let mut command = dies_with_us(&command);
        let status = command.stdout(File::create(&log)?).stderr(File::options().append(true).open(&log)?).status();
        let told = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
        let found = read(target, &told);
        if status.context("can't start the targets")?.success() {
            return Ok(found);
        }
        let input = told.lines().find_map(|line| line.split_once("Test unit written to ").map(|(_, path)| path.into()));
        let input = input.with_context(|| format!("{target} can't be searched:\n{told}"))?;
        Ok(Found { broken: Some((input, log)), ..found })
    }
}

/// Reads libFuzzer's log: `#16 NEW cov: 82 ft: 83 corp: 2/2b …`, with tabs, and the statistics in its end.
fn read(target: &str, log: &str) -> Found {
    let last = log.lines().rfind(|line| line.starts_with('#') && line.contains(" cov: ")).unwrap_or_default();
    let word = |name: &str| last.split_once(name).and_then(|(_, rest)| rest.split_whitespace().next()).unwrap_or("0");
    let number = |name: &str| {
        let line = log.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|value| value.trim().parse().ok()).unwrap_or(0)
    };
    Found {
        target: target.to_owned(),
        executions: number("stat::number_of_executed_units:"),
        per_second: number("stat::average_exec_per_sec:"),
        edges: word(" cov: ").parse().unwrap_or(0),
        inputs: word(" corp: ").to_owned(),
        broken: None,
    }
}

/// As people read it.
pub(super) fn table(all: &[Found]) -> String {
    let mut table =
        format!("{:<14}{:>12}{:>10}{:>9}{:>16}\n", "target", "executions", "a second", "edges", "inputs/bytes");
    for Found { target, executions, per_second, edges, inputs, broken } in all {
        let broken = if broken.is_some() { "  broken" } else { "" };
        table += &format!("{target:<14}{executions:>12}{per_second:>10}{edges:>9}{inputs:>16}{broken}\n");
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_of_libfuzzer_is_read() {
        let log = "INFO: seed corpus: files: 3\n#2\tINITED cov: 80 ft: 81 corp: 1/1b exec/s: 0 rss: 33Mb\n\
            #400\tDONE   cov: 82 ft: 83 corp: 2/34b lim: 4096 exec/s: 20 rss: 35Mb\nDone 400 runs in 20 second(s)\n\
            stat::number_of_executed_units: 400\nstat::average_exec_per_sec:     20\n";
        let found = read("live", log);
        assert_eq!((found.executions, found.per_second, found.edges, &*found.inputs), (400, 20, 82, "2/34b"));
        assert!(table(&[found]).contains("live                   400        20       82           2/34b\n"));
    }
}
