//! Everything that is decided: pure code, no I/O, no clock, no randomness.
//!
//! Time is a [`std::time::Duration`] since 1970 by the clock at the start, going on monotonically, and comes in as an
//! argument; what is to be done to the world goes out as data. So every history can be replayed, and searched.

/// How a run ends, and why: names, slots, outcomes, reasons.
pub mod outcome;

/// Jobs that run once beside the replicas of a service.
pub mod one_off;

/// What a Job takes of what all JobConfigs share.
pub mod place;

/// A decision with its inputs, and the Job that it wishes for.
pub mod decision;

/// The ids of the trace of a run.
pub mod trace_context;

/// The growth of waits.
pub mod backoff;

/// Job and Pod objects: how they are read, and the Job that is written.
pub mod pod;

/// Objects of deployments, as they are in the cluster.
pub mod live;

/// The runs of one JobConfig, whatever they are for.
pub mod run;

/// The spans of a run.
pub mod trace;

/// One queue: when it is looked at, and how many Jobs it gets.
pub mod queue;

/// One service: how its replicas are kept up.
pub mod service;

/// What JobConfigs share, and who gets it.
pub mod share;

/// Which process leads.
pub mod lease;

/// What operators have switched.
pub mod switches;

/// Deployments of modules: what may be deployed, and what is to be done next about it.
pub mod deployment;

/// What would have been with another configuration.
pub mod forecast;
