//! The numbers by which one queue JobConfig is kept going.

use std::time::Duration;

use crate::{
    config::job_config::{JobConfig, TTL_SECONDS_MIN},
    decide::backoff::BackoffPolicy,
};

/// What a [`crate::decide::lifecycle::Lifecycle`] needs of its JobConfig. Every key is described there.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each field is the key of jobs.json that it is named after")]
pub struct Policy {
    pub runs: RunPolicy,
    pub jobs_max: u32,
    pub messages_per_job: u64,
    pub check_interval: Duration,
    pub fetch_grace: Duration,
    pub handover: Duration,
    pub wait_after_success: Duration,
    pub wait_after_failure: Duration,
    pub wait_after_timeout: Duration,
    pub wait_after_error: Duration,
    pub backoff: BackoffPolicy,
    pub paused: bool,
}

/// What is so of the runs of any JobConfig.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RunPolicy {
    /// This installation.
    pub instance: String,
    /// The JobConfig.
    pub name: String,
    /// How long a Job may take to start.
    pub start_timeout: Duration,
    /// How long a problem may last that somebody may mend.
    pub start_error_grace: Duration,
    /// Succeeded Jobs that are kept.
    pub succeeded_kept: usize,
    /// Failed Jobs that are kept.
    pub failed_kept: usize,
}

impl Policy {
    /// The policy of a JobConfig in an Instance.
    pub fn of(job: &JobConfig, instance: &str) -> Self {
        Self {
            runs: RunPolicy {
                instance: instance.to_owned(),
                name: job.name.clone(),
                start_timeout: job.job_start_timeout,
                start_error_grace: job.start_error_grace,
                succeeded_kept: job.successful_jobs_history_limit as usize,
                failed_kept: job.failed_jobs_history_limit as usize,
            },
            jobs_max: job.max_concurrent_jobs,
            messages_per_job: job.messages_per_job().into(),
            check_interval: job.queue_check_interval,
            fetch_grace: job.fetch_grace,
            handover: job.handover,
            wait_after_success: job.wait_time_after_successful_run,
            wait_after_failure: job.wait_time_after_failed_run,
            wait_after_timeout: job.wait_time_after_timeout,
            wait_after_error: job.wait_time_after_error,
            backoff: BackoffPolicy {
                factor_milli: factor_milli(job.backoff.factor),
                wait_max: job.backoff.max,
                after: job.backoff.after,
            },
            paused: job.paused,
        }
    }
}

/// The schema bounds the factor to 1..100, so thousandths fit.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "1.0 to 100.0 by the schema")]
pub(super) fn factor_milli(factor: f64) -> u32 {
    (factor * 1000.0).round() as u32
}

/// How long a request to the API server may take.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);

/// A finished Job stays at least so long: no late create request finds its name free again.
pub const FINISHED_KEPT_MIN: Duration = Duration::from_secs(TTL_SECONDS_MIN as u64);

/// A Job that the API server has confirmed is looked for by name when no view shows it for so long.
pub const SEEN_WITHIN: Duration = Duration::from_secs(60);

/// A failed Job waits so long for its pod to tell why: the two watches are not in step.
pub const EXPLAINED_WITHIN: Duration = Duration::from_secs(2);

/// The first wait before a request that was not answered is repeated; doubled up to [`RETRY_MAX`].
pub const RETRY_MIN: Duration = Duration::from_millis(500);

/// The longest wait before a request is repeated.
pub const RETRY_MAX: Duration = Duration::from_secs(30);

/// The wait before a request is repeated that was tried `tries` times before.
pub fn retry_wait(tries: u32) -> Duration {
    doubled(RETRY_MIN, RETRY_MAX, tries)
}

/// `first`, doubled with each try that has failed, and never beyond `longest`.
pub fn doubled(first: Duration, longest: Duration, tries: u32) -> Duration {
    first.saturating_mul(1 << tries.min(16)).min(longest)
}

/// The wait before the same Job is looked at live again.
pub const CHECK_AGAIN: Duration = Duration::from_secs(5);

/// A settled name that no view shows is remembered so long, in case an old view brings it back.
pub const SETTLED_KEPT: Duration = Duration::from_secs(600);

/// Wishes that are written together: the Jobs of a burst are asked for as its wishes are written, not after all.
pub const WISHES_AT_ONCE: usize = 64;

/// Jobs that one look asks for at the most; a larger burst goes on with the next look, at once.
pub const BURST_MAX: u64 = 1000;
