//! The runs of one JobConfig, whatever they are for: what a queue and a service have in common.

/// The numbers by which runs are kept.
pub mod policy;

/// What goes in and out.
pub mod event;

/// How far a Job's pods have come.
pub mod progress;

/// When a Job that does not start is given up.
pub mod start_deadline;

/// What a run was begun for.
pub mod purpose;

/// Whether a Job exists, is shown, and what it was when it was last seen.
pub mod job_state;

/// How a run comes to its end.
pub mod ending;

/// One run.
pub mod tracked_run;

/// Runs that are over.
pub mod settled;

/// All runs of a JobConfig.
pub mod run_set;

/// What is counted.
pub mod milestone;

/// Live Jobs as people see them.
pub mod live_job;
