//! `job-chief doctor`: what works, what does not, and what to do about it.
//!
//! The adapters say how things are, pure functions judge it, and `examine.rs` asks in order. Nothing is changed anywhere:
//! Postgres is only read, and the API server is asked in dry runs.

/// What was found: a line for each check.
pub mod report;

/// Postgres itself, and the way there.
pub mod postgres;

/// pg-boss's tables and queues.
pub mod queues;

/// Our own tables, and who leads.
pub mod own;

/// The API server, and what we may do there.
pub mod cluster;

/// What the API server says to each Job.
pub mod trials;

/// Secrets and ConfigMaps that Jobs name.
pub mod references;

/// How things are with Postgres, asked and judged.
mod ask_postgres;

/// How things are with Kubernetes, asked and judged.
mod ask_cluster;

/// All checks, in their order.
pub mod examine;
