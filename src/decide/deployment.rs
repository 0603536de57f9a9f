//! Deployments of modules: what may be deployed, and what is to be done next about it.

/// A deployment and its objects, as they are on record.
pub mod record;

/// Whether a deployment may be written, or may go.
pub mod admission;

/// The JobConfigs that are in force: those of jobs.json and those of deployments.
pub mod fleet;

/// What is done about a deployment, one step after another, and what comes of each.
pub mod step;

/// One object of a deployment.
pub mod tracked_object;

/// What is done next about one deployment.
pub mod application;
