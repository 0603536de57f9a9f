//! The numbers by which one queue JobConfig is kept going.

use std::{sync::Arc, time::Duration};

use crate::{
    config::job_config::JobConfig,
    decide::{
        backoff::BackoffPolicy,
        queue::windows::{InForce, Windows},
        run::policy::RunPolicy,
    },
};

/// What a [`crate::decide::queue::lifecycle::Lifecycle`] needs of its JobConfig. Every key is described there.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each field is the key of jobs.json that it is named after")]
pub struct QueuePolicy {
    pub runs: RunPolicy,
    /// `maxConcurrentJobs`, which counts where no window is open.
    pub jobs_max: u32,
    pub windows: Windows,
    pub messages_per_job: u64,
    pub check_interval: Duration,
    /// How old the gauges of its queue may be; no key of its own.
    pub gauges_every: Duration,
    pub fetch_grace: Duration,
    pub handover: Duration,
    pub wait_after_success: Duration,
    pub wait_after_failure: Duration,
    pub wait_after_timeout: Duration,
    pub wait_after_error: Duration,
    pub backoff: BackoffPolicy,
    pub paused: bool,
    /// [`crate::decide::share::policy::MemberPolicy::pools`]; `limits` is not a key of the JobConfig.
    pub pools: Arc<[Arc<str>]>,
}

impl QueuePolicy {
    /// The policy of a JobConfig, as far as it has it itself, without what is shared. Those with the same keys have the same.
    pub fn of(job: &JobConfig) -> Self {
        Self {
            runs: RunPolicy {
                start_timeout: job.job_start_timeout,
                start_error_grace: job.start_error_grace,
                succeeded_kept: job.successful_jobs_history_limit as usize,
                failed_kept: job.failed_jobs_history_limit as usize,
            },
            jobs_max: job.max_concurrent_jobs,
            windows: Windows::of(&job.windows),
            messages_per_job: job.messages_per_job().into(),
            check_interval: job.queue_check_interval,
            gauges_every: gauges_every(job.queue_check_interval),
            fetch_grace: job.fetch_grace,
            handover: job.handover,
            wait_after_success: job.wait_time_after_successful_run,
            wait_after_failure: job.wait_time_after_failed_run,
            wait_after_timeout: job.wait_time_after_timeout,
            wait_after_error: job.wait_time_after_error,
            backoff: BackoffPolicy::of(job.backoff.factor, job.backoff.max, job.backoff.after),
            paused: job.paused,
            pools: Arc::default(),
        }
    }

    /// Which `maxConcurrentJobs` counts at a time, and until when.
    pub fn in_force(&self, now: Duration) -> InForce {
        self.windows.in_force(self.jobs_max, now)
    }
}

/// Jobs that one look asks for at the most; a larger burst goes on with the next look, at once.
pub const BURST_MAX: u64 = 1000;

/// The gauges of a queue are read so often at the most, whatever its `queueCheckInterval`.
pub const GAUGES_EVERY_MIN: Duration = Duration::from_secs(10);

/// How old the gauges of a queue may be that is looked at in this interval.
pub fn gauges_every(check_interval: Duration) -> Duration {
    check_interval.max(GAUGES_EVERY_MIN)
}
