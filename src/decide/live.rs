//! Objects of deployments as they are in the cluster: whose they are, what was written, what has changed, how they do.

/// Whose an object is.
pub mod owner;

/// An object as it is sent, and the hash of what was written.
pub mod written;

/// Which fields are whose, as Kubernetes keeps it.
pub mod fields;

/// Whether an object does what it is there for.
pub mod readiness;

/// An object as the API server shows it.
pub mod live_object;

/// What one has to be allowed to deploy.
pub mod rights;
