//! One Job from wish to end: its name, its outcome, and the reason for it.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The name of a Job; it serves one wish only and is never used again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct JobName(pub String);

impl fmt::Display for JobName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which of a JobConfig's `maxConcurrentJobs` places a run takes; counted from 0.
pub type Slot = u32;

/// Slots from here on are no places among `maxConcurrentJobs`: Jobs that were found beyond it.
pub const OVERFLOW_SLOT: Slot = 1_000_000;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The Job is Complete.
    Succeeded,
    /// The Job is Failed, and its worker had started.
    Failed,
    /// No pod had started within `jobStartTimeout`; the Job was deleted.
    StartTimedOut,
    /// The Job could not be created, or its pod could not start for a reason that waiting does not mend.
    StartError,
    /// Somebody else deleted the Job.
    Vanished,
    /// A replica of a service was ended by us.
    Stopped,
}

impl Outcome {
    /// The word in the database, the metrics and the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::StartTimedOut => "start_timed_out",
            Self::StartError => "start_error",
            Self::Vanished => "vanished",
            Self::Stopped => "stopped",
        }
    }

    /// What a word stands for; `None` for one of a newer version.
    pub fn of(word: &str) -> Option<Self> {
        let all = [Self::Succeeded, Self::Failed, Self::StartTimedOut, Self::StartError, Self::Vanished, Self::Stopped];
        all.into_iter().find(|outcome| outcome.as_str() == word)
    }
}

/// Why a run ended as it did, or why a Job does not start: a closed set, so that metrics stay bounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Every pod ended with exit code 0.
    Completed,
    /// A container ended with another exit code.
    ExitCode,
    /// A container was killed for its memory.
    OomKilled,
    /// `activeDeadlineSeconds` passed.
    Deadline,
    /// Evicted or preempted; not the worker's fault.
    Disrupted,
    /// The pod was deleted under the Job.
    PodDeleted,
    /// The Job failed, and no pod shows why.
    JobFailed,
    /// No node has room for the pod.
    Unschedulable,
    /// The image is not to be had.
    ImagePull,
    /// A ConfigMap, a Secret or the command is missing.
    ContainerConfig,
    /// A container ends again and again.
    CrashLoop,
    /// An init container failed.
    InitFailed,
    /// The node refused the pod.
    Rejected,
    /// Volumes or network are not ready.
    ContainerCreating,
    /// The Job has no pod: quota, admission or service account.
    NoPod,
    /// The Job is suspended.
    Suspended,
    /// The API server refused the Job.
    Refused,
    /// Deleted by somebody else.
    Deleted,
    /// A service is not wanted any more, or not so many replicas of it.
    Unwanted,
    /// Somebody asked for a restart.
    Restarted,
    /// The entry in jobs.json has changed.
    Replaced,
    /// Checks failed.
    Unhealthy,
    /// It ran, and was not ready or its check did not pass in time.
    NotReady,
}

impl Reason {
    /// The word in the database, the metrics and the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::ExitCode => "exit_code",
            Self::OomKilled => "oom_killed",
            Self::Deadline => "deadline",
            Self::Disrupted => "disrupted",
            Self::PodDeleted => "pod_deleted",
            Self::JobFailed => "job_failed",
            Self::Unschedulable => "unschedulable",
            Self::ImagePull => "image_pull",
            Self::ContainerConfig => "container_config",
            Self::CrashLoop => "crash_loop",
            Self::InitFailed => "init_failed",
            Self::Rejected => "rejected",
            Self::ContainerCreating => "container_creating",
            Self::NoPod => "no_pod",
            Self::Suspended => "suspended",
            Self::Refused => "refused",
            Self::Deleted => "deleted",
            Self::Unwanted => "unwanted",
            Self::Restarted => "restarted",
            Self::Replaced => "replaced",
            Self::Unhealthy => "unhealthy",
            Self::NotReady => "not_ready",
        }
    }

    /// The pod has failed for good, even if the Job controller has not come to it yet.
    pub fn is_final(self) -> bool {
        matches!(self, Self::InitFailed | Self::Rejected)
    }
}

/// The end of a run, as it is recorded.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct End {
    /// How it ended.
    pub outcome: Outcome,
    /// Why.
    pub reason: Reason,
    /// The worker's exit code, where one is known.
    pub exit_code: Option<i32>,
    /// The termination message, or the API server's message; at most [`MESSAGE_MAX`] characters.
    pub message: Option<String>,
}

impl End {
    /// An end without exit code and message.
    pub fn new(outcome: Outcome, reason: Reason) -> Self {
        Self { outcome, reason, exit_code: None, message: None }
    }
}

/// Characters of a message that are kept: as many as Kubernetes keeps of a termination message.
pub const MESSAGE_MAX: usize = 4096;

/// The first [`MESSAGE_MAX`] characters of a message, without the NUL that Postgres refuses.
pub fn shorten(message: &str) -> String {
    message.chars().filter(|c| *c != '\0').take(MESSAGE_MAX).collect()
}
