//! The runs of one JobConfig, whatever they are for: what a queue and a service have in common.

pub mod policy;

pub mod event;

pub mod progress;

pub mod start_deadline;

pub mod tracked_run;

pub mod settled;

pub mod run_set;

pub mod milestone;

pub mod live_job;
