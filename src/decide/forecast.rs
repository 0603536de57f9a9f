//! What would have been: the messages that pg-boss remembers go once more through the very same lifecycles, in simulated
//! time, with start times and durations as they were measured. Nothing is asked and nothing is drawn by chance, so a
//! forecast can be repeated.

/// What pg-boss and our own tables remember.
pub mod history;

/// Measured values, used again in a fixed order.
pub mod samples;

/// How the workers of a JobConfig behave, as far as its runs and messages tell.
pub mod worker;

/// The messages of a queue in simulated time.
pub mod backlog;

/// One Job in simulated time.
pub mod simulated_job;

/// One JobConfig in simulated time.
pub mod member;

/// What JobConfigs share.
pub mod shared_places;

/// All of them together.
pub mod replay;

/// What came of it, and of what really happened.
pub mod figures;

/// Whether a forecast of yesterday's configuration tells yesterday's truth.
pub mod verdict;

/// What is known, and the configurations that are compared.
pub mod scenario;

/// What a forecast says.
pub mod report;
