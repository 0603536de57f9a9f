//! Command two: everything that is tested, in the order in which it is likely to fail fast.

use std::{path::Path, process::Command, time::Instant};

use anyhow::{Context, ensure};
use clap::Args;

use crate::{
    build::{cargo, cargo_test, cluster_test},
    chaos, chart, cluster,
    folders::root,
    fuzz, image, mutants, node,
    plane::kubectl,
    processes::show,
    programs::{self, Purpose, need},
    released,
    state::State,
    steps::told,
    tidy, workflows,
};

/// What the tests are asked for.
#[derive(Args)]
pub(crate) struct Options {
    /// Install what is missing.
    #[arg(long)]
    yes: bool,
    /// Leave the cluster out; what was not run is said.
    #[arg(long)]
    fast: bool,
    /// Go on without a node that runs containers; what was not run is said.
    #[arg(long)]
    no_real_node: bool,
}

/// One part of the run, for the summary.
struct Part {
    name: &'static str,
    seconds: f64,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let mut parts = vec![];
    let mut part = |name: &'static str, act: &mut dyn FnMut() -> anyhow::Result<()>| {
        eprintln!("\n== {name}");
        let begun = Instant::now();
        act().with_context(|| format!("{name}: failed"))?;
        parts.push(Part { name, seconds: begun.elapsed().as_secs_f64() });
        anyhow::Ok(())
    };
    // What only the node needs is looked for when the cluster is brought up.
    programs::ensure(
        &[Purpose::Build, Purpose::Compiler, Purpose::Client, Purpose::Postgres, Purpose::Tests],
        options.yes,
    )?;
    part("format", &mut || show(cargo().args(["fmt", "--all", "--check"])))?;
    part("tidy", &mut tidy::run)?;
    part("lints", &mut || {
        let lints = ["clippy", "--workspace", "--all-targets", "--all-features", "--locked", "--", "-D", "warnings"];
        show(cargo().args(lints))
    })?;
    part("go", &mut go_vet)?;
    part("documents", &mut || {
        let doc = ["doc", "--no-deps", "--locked", "--package", "job-chief"];
        show(cargo().args(doc).env("RUSTDOCFLAGS", "-D warnings"))
    })?;
    part("unit tests and simulation", &mut units)?;
    part("fuzz", &mut fuzz::of_test_run)?;
    part("chart", &mut || chart::test())?;
    part("workflows", &mut workflows::test)?;
    let mut state = None;
    if options.fast {
        part("Postgres", &mut || {
            state = Some(cluster::postgres_up(options.yes)?);
            tests(state.as_ref(), "postgres", &SIDE_BY_SIDE, None)
        })?;
        eprintln!("\nnot run, as asked with --fast: the tests on the cluster (tests/e2e), chaos, and mutants");
    } else {
        part("mutants of what was changed", &mut mutants::of_test_run)?;
        part("cluster", &mut || {
            state = Some(bring_up(options)?);
            Ok(())
        })?;
        part("Postgres", &mut || tests(state.as_ref(), "postgres", &SIDE_BY_SIDE, None))?;
        part("end to end", &mut || end_to_end(options, state.as_ref()))?;
        part("chaos", &mut || in_chaos(options, state.as_ref()))?;
    }
    eprintln!("\nall passed");
    for Part { name, seconds } in &parts {
        eprintln!("  {seconds:>7.1} s  {name}");
    }
    if std::env::var("CI").is_ok_and(|ci| ci == "true") {
        cluster::down()?;
    }
    Ok(())
}

/// Test binaries that need no server.
const SERVERLESS: [&str; 13] = [
    "simulation",
    "forecast",
    "sequences",
    "documents",
    "pages",
    "commands",
    "cli",
    "http",
    "settings",
    "import",
    "traces",
    "modules",
    "chaos-rules",
];

fn units() -> anyhow::Result<()> {
    let mut tests = cargo_test();
    tests.args(["--lib", "--bins"]);
    show(tests.args(SERVERLESS.iter().flat_map(|test| ["--test", test])))
}

fn go_vet() -> anyhow::Result<()> {
    for module in ["testenv", "examples/worker"] {
        let folder = root().join(module);
        let unformatted = crate::processes::succeed(Command::new("gofmt").args(["-l", "."]).current_dir(&folder))?;
        ensure!(unformatted.is_empty(), "gofmt -w {module}: {unformatted}");
    }
    show(Command::new(need("go")?).args(["vet", "./..."]).current_dir(root().join("examples/worker")))
}

fn bring_up(options: &Options) -> anyhow::Result<State> {
    let real = node::can_run_containers();
    ensure!(
        real || options.no_real_node,
        "the tests need root on Linux to run containers. --no-real-node goes on without, and says what was not run"
    );
    let state = cluster::up(options.yes)?;
    if state.real_node {
        let archive = image::job_chief()?;
        told("loading job-chief's image", || node::load(&state, &archive))?;
    }
    Ok(state)
}

fn end_to_end(options: &Options, state: Option<&State>) -> anyhow::Result<()> {
    if state.is_some_and(|state| !state.real_node) && options.no_real_node {
        eprintln!("not run, as there is no real node: the tests on the cluster (tests/e2e)");
        return Ok(());
    }
    if let Some(state) = state {
        // What an earlier run left, also one that was killed half way.
        kubectl(state, &["delete", "namespaces", "--selector=job-chief.test/case", "--wait=false"])?;
    }
    let released = released::program()?;
    let unreleased = if released.is_none() { &["--skip", VERSIONS][..] } else { &[] };
    tests(state, "e2e", &[&SIDE_BY_SIDE[..], &["--skip", ALONE], unreleased].concat(), released.as_deref())?;
    tests(state, "e2e", &["--test-threads", "1", ALONE], None)
}

/// How long faults come in a test run, and with which seed. `cargo xtask chaos` goes on for longer.
const CHAOS: (u64, u64) = (2, 1);

fn in_chaos(options: &Options, state: Option<&State>) -> anyhow::Result<()> {
    let state = state.context("the servers are not up")?;
    if !state.real_node && options.no_real_node {
        eprintln!("not run, as there is no real node: chaos (tests/chaos)");
        return Ok(());
    }
    chaos::on(state, CHAOS.0, CHAOS.1)
}

/// Cases mostly wait for the cluster: more of them than processors run side by side.
const SIDE_BY_SIDE: [&str; 2] = ["--test-threads", "6"];

/// Cases that stop what all the others need run by themselves, one after another.
const ALONE: &str = "alone::";

/// Cases that need the released job-chief, too.
const VERSIONS: &str = "versions::";

fn tests(state: Option<&State>, test: &str, how: &[&str], released: Option<&Path>) -> anyhow::Result<()> {
    let state = state.context("the servers are not up")?;
    let mut command = cluster_test(test)?;
    command.env("JOB_CHIEF_TEST_DATABASE", state.database_url("postgres"));
    command.env("JOB_CHIEF_TEST_HELM", chart::helm()?);
    command.envs(released.map(|program| ("JOB_CHIEF_TEST_RELEASED", program)));
    show(command.arg("--").args(how))
}
