//! Job and Pod objects: how they are read, and the Job that is written.

/// Names and labels.
pub mod names;

/// What is kept of Job and Pod objects.
pub mod digest;

/// What the watches show of one JobConfig.
pub mod observation;

/// The worker's way to Postgres.
pub mod env;

/// What a Job is made from.
pub mod inputs;

/// The Job that is written.
pub mod manifest;

/// Whether two Jobs are the same to their user.
pub mod generation;

/// Secrets and ConfigMaps that a Job names.
pub mod references;
