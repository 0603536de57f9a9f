//! Chaos: faults on the test cluster under load, and a witness that holds the guarantees meanwhile.

use anyhow::{Context, ensure};
use clap::Args;

use crate::{
    build::cluster_test,
    cluster::{self, Disk},
    folders::root,
    pair,
    plane::kubectl,
    processes::show,
    programs::find,
    state::State,
    steps::told,
};

/// What is done.
#[derive(Args)]
pub(crate) struct Options {
    /// Install what is missing.
    #[arg(long)]
    yes: bool,
    /// How long faults come.
    #[arg(long, default_value_t = 10)]
    minutes: u64,
    /// Which faults come when: the same seed, the same sequence.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let state = cluster::up(options.yes)?;
    on(&state, options.minutes, options.seed)
}

/// So many minutes of it on a cluster that is up.
pub(crate) fn on(state: &State, minutes: u64, seed: u64) -> anyhow::Result<()> {
    ensure!(state.real_node, "chaos needs a node that runs containers: root on Linux");
    // What an earlier run left, also one that was killed half way.
    kubectl(state, &["delete", "namespaces", "--selector=job-chief.test/case", "--wait=false"])?;
    cluster::set_disk(Disk::Free)?;
    let results = root().join("target/chaos");
    std::fs::create_dir_all(&results).context("target/chaos can't be made")?;
    let mut chaos = cluster_test("chaos")?;
    chaos.env("JOB_CHIEF_CHAOS_FOLDER", results);
    chaos.env("JOB_CHIEF_CHAOS_SECONDS", (60 * minutes).to_string());
    chaos.env("JOB_CHIEF_CHAOS_SEED", seed.to_string());
    chaos.envs(find("libfaketime.so.1").map(|library| ("JOB_CHIEF_CHAOS_CLOCK", library)));
    told("starting two servers of Postgres", pair::begin)?;
    let done = show(&mut chaos);
    done.and(pair::end())
}
