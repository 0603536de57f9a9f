//! Our own tables: what must be known after a restart.

/// Why a statement gives no result.
pub mod error;

/// The schema, brought up to date.
pub mod migrate;

/// Where the tables are, and whose rows in them are ours.
pub mod place;

/// What is written.
pub mod rows;

/// Each Job from wish to end.
pub mod runs;

/// The runs of a span of time, for forecasts.
pub mod run_history;

/// How wishes become runs.
mod wishes;

/// The places that runs hold.
mod places;

/// What was decided, and why.
pub mod decisions;

/// Who leads, and who is there.
pub mod leadership;

/// What operators have switched.
pub mod switches;

/// What is deployed.
pub mod deployments;

/// All of the tables.
pub mod stored;

/// The one task that writes runs and decisions.
pub mod writer;

/// What the schema and the role's rights on it are like, for who asks whether all is well.
pub mod survey;
