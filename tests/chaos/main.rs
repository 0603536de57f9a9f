//! Faults on the real cluster, one after the other and two at once, under load, for as long as wanted: a witness that never
//! asks job-chief holds the guarantees meanwhile. `cargo xtask chaos` runs it.
#![expect(clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods, reason = "test code")]
#![expect(dead_code, reason = "the stage is the tests' stage, of which this needs a part")]

mod acts;
mod course;
#[path = "../simulation/dice.rs"]
mod dice;
mod disk;
mod file;
mod gateway;
mod journal;
mod judge;
mod load;
mod messages;
mod pair;
#[path = "../e2e/proxy.rs"]
mod proxy;
#[path = "../e2e/recording.rs"]
mod recording;
mod replica;
mod schedule;
mod schema;
mod seen;
#[path = "../e2e/stage.rs"]
mod stage;
mod table;
mod witness;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use course::Course;

/// Before the next try where a server is away.
const RETRY: Duration = Duration::from_millis(200);

#[tokio::main]
async fn main() -> ExitCode {
    let Some(folder) = std::env::var_os("JOB_CHIEF_CHAOS_FOLDER").map(PathBuf::from) else {
        println!("not run: `cargo xtask chaos --yes` brings the cluster up and runs it");
        return ExitCode::SUCCESS;
    };
    let number = |name: &str| std::env::var(name).expect("cargo xtask chaos sets it").parse::<u64>().unwrap();
    let (seed, seconds) = (number("JOB_CHIEF_CHAOS_SEED"), number("JOB_CHIEF_CHAOS_SECONDS"));
    println!("chaos for {seconds} s with the seed {seed}");
    let course = Course::begin(seed, &folder).await;
    course.run(Duration::from_secs(seconds)).await;
    course.calms().await;
    let is_well = course.tells(seed).await;
    if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
