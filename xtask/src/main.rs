//! The tasks of the repository: the test cluster, the demo, the tests, tidiness.

mod alerts;
mod bench;
mod bosses;
mod build;
mod chaos;
mod chart;
mod cluster;
mod counted;
mod coverage;
mod dashboard;
mod demo;
mod folders;
mod fuzz;
mod image;
mod mutants;
mod net;
mod node;
mod pair;
mod pki;
mod plane;
mod postgres;
mod processes;
mod programs;
mod pure_tree;
mod released;
mod simulation;
mod state;
mod steps;
mod sweep;
mod test;
mod tidy;
mod workflows;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The tasks of the repository.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// The test cluster: a real control plane and a real node on this machine, under target/.
    Cluster {
        #[command(subcommand)]
        action: cluster::Action,
    },
    /// Bring everything up, send messages, and show how they become Jobs.
    Demo(demo::Options),
    /// Format, lints, tidiness, documents, unit tests, simulation, mutants, Postgres, and the real cluster.
    Test(test::Options),
    /// What is made from the Helm chart.
    Chart {
        #[command(subcommand)]
        action: chart::Action,
    },
    /// Hold GitHub's workflows to actionlint.
    Workflows,
    /// Measure on the test cluster, and print a table.
    Bench(bench::Options),
    /// Break things on the test cluster under load, and see whether every guarantee holds.
    Chaos(chaos::Options),
    /// Mutate the pure core, and see whether a test notices.
    Mutants(mutants::Options),
    /// Count the branches of the pure core that the simulation reaches.
    Coverage(coverage::Options),
    /// Search for inputs that break the doors or the cores.
    Fuzz(fuzz::Options),
    /// Many more histories of the simulation than the test run has.
    Simulation(simulation::Options),
    /// Hold the rules of the house: arrows, purity, lengths, module docs.
    Tidy,
}

fn main() -> ExitCode {
    let done = match Cli::parse().task {
        Task::Cluster { action } => cluster::run(&action),
        Task::Demo(options) => demo::run(&options),
        Task::Test(options) => test::run(&options),
        Task::Chart { action } => chart::run(&action),
        Task::Workflows => workflows::test(),
        Task::Bench(options) => bench::run(&options),
        Task::Chaos(options) => chaos::run(&options),
        Task::Mutants(options) => mutants::run(&options),
        Task::Coverage(options) => coverage::run(&options),
        Task::Fuzz(options) => fuzz::run(&options),
        Task::Simulation(options) => simulation::run(&options),
        Task::Tidy => tidy::run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
