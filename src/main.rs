//! Parse, run, exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    job_chief::cli::Cli::read().main()
}
