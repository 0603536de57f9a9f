//! What the watches show of one JobConfig, whole: digests in, `Observed` out.
//!
//! Level-triggered: an `Observed` is the whole set and never a change, so adoption, relists, missed
//! events and deletions by hand are all the ordinary path.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    config::entry::Kind,
    decide::{
        outcome::{End, JobName, Outcome, Reason, Slot, shorten},
        pod::digest::{JobDigest, Millis, PodDigest, StartProblem, Verdict},
    },
};

/// Every Job of one JobConfig that exists.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Observed {
    /// By name.
    pub jobs: BTreeMap<JobName, SeenJob>,
}

/// One Job as it was seen, with ages at that moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct SeenJob {
    /// `metadata.uid`.
    pub uid: Box<str>,
    /// `metadata.resourceVersion`.
    pub resource_version: Box<str>,
    /// The type of its JobConfig.
    pub kind: Kind,
    /// The hash of what it was rendered from.
    pub config_hash: Box<str>,
    /// The slot it was created for, where its labels name it.
    pub slot: Option<Slot>,
    /// Since `metadata.creationTimestamp`.
    pub age: Duration,
    /// Since its first container began to run, where one has.
    pub ran: Option<Duration>,
    /// Since its deletion timestamp, where it has one; it lives until it is gone.
    pub terminating: Option<Duration>,
    /// The node of one of its pods.
    pub node: Option<Box<str>>,
    /// The address of its pod, while that is Ready.
    pub address: Option<Box<str>>,
    /// How far it has come.
    pub phase: Phase,
}

/// How far a Job has come.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Phase {
    /// The controller has not looked at it yet: the start clock does not run.
    #[default]
    Queued,
    /// Suspended: the start clock does not run.
    Suspended,
    /// No pod has started yet.
    Starting {
        /// Since `status.startTime` or the first pod, whichever is later.
        age: Duration,
        /// What keeps the pods; `no_pod` where there is none.
        problem: Option<StartProblem>,
    },
    /// A pod has started.
    Running {
        /// Since then.
        age: Duration,
    },
    /// There is a verdict.
    Ended {
        /// The outcome with its reason.
        end: End,
        /// Complete or Failed, and no longer only on the way there: the slot is free.
        terminal: bool,
        /// A pod showed why; where none did, a later look may know more.
        explained: bool,
        /// Since the verdict.
        age: Duration,
    },
}

impl SeenJob {
    /// A Job counts as live until it is Complete, Failed or gone.
    pub fn is_live(&self) -> bool {
        !matches!(self.phase, Phase::Ended { terminal: true, .. })
    }
}

/// Puts a Job and its pods together, as of `now` (milliseconds since 1970 by our own clock).
pub fn observe(job: &JobDigest, pods: &[&PodDigest], now: Millis) -> SeenJob {
    SeenJob {
        uid: job.uid.clone(),
        resource_version: job.resource_version.clone(),
        kind: job.kind,
        config_hash: job.config_hash.clone(),
        slot: job.slot,
        age: age(job.created_at, now),
        ran: ran_at(pods).map(|at| age(at, now)),
        terminating: job.terminating_at.map(|at| age(at, now)),
        node: pods.iter().find_map(|pod| pod.node.clone()),
        address: pods.iter().find(|pod| pod.ready && !pod.terminating).map(|pod| pod.ip.clone().unwrap_or_default()),
        phase: phase(job, pods, now),
    }
}

fn ran_at(pods: &[&PodDigest]) -> Option<Millis> {
    pods.iter().filter_map(|pod| pod.ran_at).min()
}

fn phase(job: &JobDigest, pods: &[&PodDigest], now: Millis) -> Phase {
    if let Some(verdict) = &job.verdict {
        let (end, explained) = end(verdict, pods);
        return Phase::Ended { end, terminal: verdict.terminal, explained, age: age(verdict.at, now) };
    }
    if let Some(ran_at) = ran_at(pods) {
        return Phase::Running { age: age(ran_at, now) };
    }
    if job.suspended {
        return Phase::Suspended;
    }
    let Some(started_at) = job.started_at else { return Phase::Queued };
    let clock_from = pods.iter().map(|pod| pod.created_at).min().unwrap_or(started_at).max(started_at);
    Phase::Starting { age: age(clock_from, now), problem: starting_problem(pods) }
}

/// The worst problem of the pods, or `no_pod`; `None` where a pod is simply on its way.
fn starting_problem(pods: &[&PodDigest]) -> Option<StartProblem> {
    if pods.is_empty() {
        return Some(StartProblem { reason: Reason::NoPod, word: "".into(), message: NO_POD.into() });
    }
    pods.iter().filter_map(|pod| pod.problem.as_ref()).max_by_key(|problem| severity(problem.reason)).cloned()
}

const NO_POD: &str =
    "the Job has no pod: see the Job's events for the quota, admission or service account that is in the way";

/// Which of several pods' problems is shown.
fn severity(reason: Reason) -> u8 {
    match reason {
        Reason::ContainerCreating => 0,
        Reason::Unschedulable => 1,
        _ => 2,
    }
}

/// The outcome of a verdict, and whether the pods explain it.
fn end(verdict: &Verdict, pods: &[&PodDigest]) -> (End, bool) {
    if verdict.success {
        return (End::new(Outcome::Succeeded, Reason::Completed), true);
    }
    let failed = |reason| End { message: nonempty(&verdict.message), ..End::new(Outcome::Failed, reason) };
    if &*verdict.reason == "DeadlineExceeded" {
        return (failed(Reason::Deadline), true);
    }
    if pods.iter().any(|pod| pod.disrupted) {
        return (failed(Reason::Disrupted), true);
    }
    if pods.iter().any(|pod| pod.terminating) {
        return (failed(Reason::PodDeleted), true);
    }
    if let Some(end) = pods.iter().find_map(|pod| worker_end(pod)) {
        return (end, true);
    }
    let reason = if pods.is_empty() { Reason::PodDeleted } else { Reason::JobFailed };
    (failed(reason), false)
}

/// How the pod failed by its own status: its worker's exit, or why it never ran.
fn worker_end(pod: &PodDigest) -> Option<End> {
    if let (None, Some(problem)) = (pod.ran_at, &pod.problem) {
        return Some(End {
            exit_code: pod.exit.as_ref().map(|exit| exit.code),
            message: nonempty(&problem.message).or_else(|| nonempty(&problem.word)),
            ..End::new(Outcome::StartError, problem.reason)
        });
    }
    let exit = pod.exit.as_ref()?;
    let reason = if &*exit.word == "OOMKilled" { Reason::OomKilled } else { Reason::ExitCode };
    Some(End { exit_code: Some(exit.code), message: nonempty(&exit.message), ..End::new(Outcome::Failed, reason) })
}

fn nonempty(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| shorten(text))
}

/// Since `then`; zero where our clock is behind the API server's.
fn age(then: Millis, now: Millis) -> Duration {
    Duration::from_millis(u64::try_from(now.saturating_sub(then)).unwrap_or(0))
}
