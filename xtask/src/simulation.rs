//! The simulation in the long run, and how fast it is: built with the pure floors alone, optimized as far as it goes.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, ensure};
use clap::Args;

use crate::{counted, folders::root, processes::dies_with_us, pure_tree, steps::told};

/// More histories than the test run has time for.
#[derive(Args)]
pub(crate) struct Options {
    /// How many of each kind.
    #[arg(long, default_value_t = 1_000_000)]
    histories: u64,
    /// The first of them: what one run has no time for goes on in the next.
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// `queues`, `services`, `rollouts`, `deployments`, `sharing`; all of them if none is named.
    kinds: Vec<String>,
}

/// A kind of histories: its name, its test, and how many take some seconds.
type Kind = (&'static str, &'static str, u64);

const KINDS: [Kind; 5] = [
    ("queues", "queues::every_history_holds", 10_000),
    ("services", "services::every_history_of_a_service_holds", 10_000),
    ("rollouts", "rollouts::every_history_of_rollouts_holds", 1_000),
    ("deployments", "deployments::every_history_of_deployments_holds", 500),
    ("sharing", "pools::every_history_of_sharing_holds", 500),
];

#[expect(clippy::print_stdout, reason = "the answer of a command")]
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    for name in &options.kinds {
        let names = KINDS.map(|(name, ..)| name);
        ensure!(names.contains(&name.as_str()), "there is no kind {name}; there are {}", names.join(", "));
    }
    let program = built()?;
    for kind in KINDS.iter().filter(|(name, ..)| options.kinds.is_empty() || options.kinds.iter().any(|it| it == name))
    {
        println!("{}:", kind.0);
        histories(&program, kind, options.first, options.histories, |line| println!("  {line}"))?;
    }
    Ok(())
}

/// The part of the benchmark: how many histories there are in a second.
#[expect(clippy::print_stdout, reason = "the answer of a command")]
pub(crate) fn measure(runs: u32) -> anyhow::Result<()> {
    let (program, mut samples) = (built()?, serde_json::Map::new());
    println!("| simulation | median | least | most | runs | goal |\n|---|---:|---:|---:|---:|---|");
    for kind in &KINDS {
        let mut rates = vec![];
        for _ in 0..runs {
            histories(&program, kind, 0, kind.2, |line| rates.extend(rate(line)))?;
        }
        rates.sort_by(f64::total_cmp);
        let [Some(least), Some(median), Some(most)] =
            [0, rates.len() / 2, rates.len().saturating_sub(1)].map(|at| rates.get(at))
        else {
            continue;
        };
        println!("| histories of {}, a second | {median:.0} | {least:.0} | {most:.0} | {} |  |", kind.0, rates.len());
        samples.insert(kind.0.to_owned(), rates.into());
    }
    let folder = root().join("target/bench");
    fs::create_dir_all(&folder).context("target/bench can't be made")?;
    fs::write(folder.join("simulation.json"), serde_json::to_string_pretty(&samples)?)?;
    Ok(())
}

/// Of a line such as `500 histories in 2.0 s, 250 a second; …`.
fn rate(line: &str) -> Option<f64> {
    let (rate, _) = line.split_once(" a second;")?;
    rate.rsplit(' ').next()?.parse().ok()
}

fn built() -> anyhow::Result<PathBuf> {
    let tree = root().join("target/simulation/tree");
    pure_tree::copy(&tree)?;
    told("building the simulation (minutes the first time)", || {
        let mut build = Command::new("cargo");
        build.args(["test", "--test", "simulation"]);
        build.current_dir(&tree).env("CARGO_PROFILE_TEST_OPT_LEVEL", "3").env("CARGO_INCREMENTAL", "0");
        Ok(counted::built(&mut build, &["simulation"])?.remove(0))
    })
}

/// So many of a kind from one on; each line of what they tell is shown as it comes.
fn histories(
    program: &Path,
    (name, test, _): &Kind,
    first: u64,
    histories: u64,
    mut show: impl FnMut(&str),
) -> anyhow::Result<()> {
    let mut command = Command::new(program);
    command.args([test, "--exact", "--nocapture"]).env("SIMULATION_FIRST", first.to_string());
    command.env("SIMULATION_SEEDS", histories.to_string());
    let mut running =
        dies_with_us(&command).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    for line in BufReader::new(running.stderr.take().context("it has one")?).lines() {
        show(&line?);
    }
    ensure!(running.wait()?.success(), "a history of {name} fails, of {histories} from {first} on");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_read_from_its_line_alone() {
        assert_eq!(rate("500 histories in 2.0 s, 250 a second; 12 kB in memory at most"), Some(250.0));
        assert_eq!(rate("500 histories: 3 Jobs created"), None);
    }
}
