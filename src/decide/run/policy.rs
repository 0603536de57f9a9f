//! The numbers by which the runs of any JobConfig are kept.

use std::time::Duration;

use crate::config::job_config::TTL_SECONDS_MIN;

/// What is so of the runs of any JobConfig.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RunPolicy {
    /// How long a Job may take to start.
    pub start_timeout: Duration,
    /// How long a problem may last that somebody may mend.
    pub start_error_grace: Duration,
    /// Succeeded Jobs that are kept.
    pub succeeded_kept: usize,
    /// Failed Jobs that are kept.
    pub failed_kept: usize,
}

/// How long a request to the API server may take.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);

/// A finished Job stays at least so long: no late create request finds its name free again.
pub const FINISHED_KEPT_MIN: Duration = Duration::from_secs(TTL_SECONDS_MIN as u64);

/// A Job that the API server has confirmed is looked for by name when no view shows it for so long.
pub const SEEN_WITHIN: Duration = Duration::from_secs(60);

/// A failed Job waits so long for its pod to show why: the two watches are not in step.
pub const EXPLAINED_WITHIN: Duration = Duration::from_secs(2);

/// The wait before the same Job is looked at live again.
pub const CHECK_AGAIN: Duration = Duration::from_secs(5);

/// A settled name that no view shows is remembered so long, in case an old view brings it back.
pub const SETTLED_KEPT: Duration = Duration::from_secs(600);

/// A Job that ended longer ago than this is on record as ended, or was: whoever leads records an end within seconds, and
/// one that nobody saw end is on record as unfinished. So the store forgets no end that is younger.
pub const RECORDED_WITHIN: Duration = Duration::from_secs(600);

/// Wishes that are written together: the Jobs of a burst are asked for as its wishes are written, not after all.
pub const WISHES_AT_ONCE: usize = 64;
