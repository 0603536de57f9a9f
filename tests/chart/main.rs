//! The Helm chart: what it renders, what it refuses, and that both agree with the program that it installs.
//! `cargo xtask test` builds Helm and sets `JOB_CHIEF_TEST_HELM`.
#![expect(clippy::unwrap_used, reason = "test code")]

mod agreement;
mod alerts;
mod objects;
mod refusals;
mod release;
mod snapshots;
