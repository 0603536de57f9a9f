//! The adapters to Postgres, against a real server and the schemas that real pg-boss clients make.
//! `cargo xtask test` starts the server and sets `JOB_CHIEF_TEST_DATABASE` and `JOB_CHIEF_TEST_STATE`.
#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "test code")]

mod bouncer;
mod deployments;
mod doctor;
mod history;
mod leadership;
mod line;
mod one_offs;
mod places;
mod policies;
mod pooler;
mod queue;
mod server;
mod store;
mod wide;
