//! The benchmark: measured on the test cluster, printed as a table, written as JSON.

use anyhow::Context;
use clap::Args;

use crate::{
    build::cargo,
    cluster,
    folders::{folder, root},
    plane::kubectl,
    processes::{dies_with_us, show},
    simulation,
};

/// What is measured.
#[derive(Args)]
pub(crate) struct Options {
    /// Install what is missing.
    #[arg(long)]
    yes: bool,
    /// How often each figure is measured.
    #[arg(long, default_value_t = 3)]
    runs: u32,
    /// Only these parts; none named, all.
    parts: Vec<String>,
}

/// What needs no cluster, and so is measured first.
const SIMULATION: &str = "simulation";

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let on_cluster: Vec<&String> = options.parts.iter().filter(|part| *part != SIMULATION).collect();
    if options.parts.is_empty() || on_cluster.len() < options.parts.len() {
        simulation::measure(options.runs)?;
    }
    if on_cluster.is_empty() && !options.parts.is_empty() {
        return Ok(());
    }
    let state = cluster::up(options.yes)?;
    // What an earlier run left, also one that was killed half way.
    kubectl(&state, &["delete", "namespaces", "--selector=job-chief.test/case", "--wait=true"])?;
    let results = root().join("target/bench");
    std::fs::create_dir_all(&results).context("target/bench can't be made")?;
    let mut bench = dies_with_us(&cargo());
    bench.args([
        "bench",
        "--package",
        "job-chief",
        "--locked",
        "--features",
        "test-servers",
        "--bench",
        "cluster",
        "--",
    ]);
    bench.arg(format!("--runs={}", options.runs)).args(on_cluster);
    bench.env("JOB_CHIEF_TEST_STATE", folder().join("cluster.json"));
    bench.env("JOB_CHIEF_BENCH_RESULTS", results);
    bench.envs(environment_of_image()?);
    show(&mut bench)
}

/// What the Dockerfile sets for the program: it is measured as the image runs it.
fn environment_of_image() -> anyhow::Result<Vec<(String, String)>> {
    let dockerfile = std::fs::read_to_string(root().join("Dockerfile")).context("the Dockerfile can't be read")?;
    let (_, image) =
        dockerfile.rsplit_once("\nFROM ").context("the Dockerfile has a stage that builds and one that runs")?;
    let variables = image.lines().filter_map(|line| line.strip_prefix("ENV ")?.split_once('='));
    Ok(variables.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}
