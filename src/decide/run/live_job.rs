//! Live Jobs as people and metrics see them.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use crate::decide::{
    one_off::purpose_of,
    outcome::{JobName, OVERFLOW_SLOT, Slot},
    pod::{
        digest::StartProblem,
        observation::{Observed, Phase, SeenJob},
    },
    run::{progress::Progress, tracked_run::Run},
};

/// How many live Jobs are in each phase.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Phases {
    /// Not looked at by the controller yet, or suspended.
    pub queued: u64,
    /// The start clock runs.
    pub starting: u64,
    /// A pod has started.
    pub running: u64,
    /// Deleted, and not gone yet.
    pub terminating: u64,
}

/// One live Job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LiveJob {
    /// Its name.
    pub job: JobName,
    /// Its slot.
    pub slot: Slot,
    /// What it is for, where it runs once beside the replicas of a service: `check`, `repair` or `action NAME`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub purpose: Option<String>,
    /// `queued`, `starting`, `running` or `terminating`.
    pub phase: &'static str,
    /// What keeps it from starting.
    pub problem: Option<String>,
    /// The node on which it hangs in Terminating.
    pub node: Option<String>,
    /// For how long, in seconds.
    pub terminating_seconds: Option<u64>,
}

impl LiveJob {
    /// Something keeps it from starting or from ending.
    pub fn has_problem(&self) -> bool {
        self.problem.is_some() || self.terminating_seconds.is_some()
    }
}

/// The live Jobs that a view shows.
pub(in crate::decide) fn of_view(view: &Observed) -> (Vec<LiveJob>, Phases) {
    let live: Vec<LiveJob> = view.jobs.iter().filter_map(|(name, job)| seen_job(name, job)).collect();
    let phases = Phases::of(&live);
    (live, phases)
}

impl Phases {
    pub(in crate::decide) fn of(live: &[LiveJob]) -> Self {
        let mut phases = Self::default();
        for job in live {
            *match job.phase {
                "terminating" => &mut phases.terminating,
                "running" => &mut phases.running,
                "starting" => &mut phases.starting,
                _ => &mut phases.queued,
            } += 1;
        }
        phases
    }
}

fn seen_job(name: &JobName, job: &SeenJob) -> Option<LiveJob> {
    let (phase, problem) = match &job.phase {
        Phase::Ended { terminal: true, .. } => return None,
        _ if job.terminating.is_some() => ("terminating", None),
        Phase::Ended { .. } | Phase::Running { .. } => ("running", None),
        Phase::Starting { problem, .. } => ("starting", problem.as_ref()),
        Phase::Queued | Phase::Suspended => ("queued", None),
    };
    Some(LiveJob {
        job: name.clone(),
        slot: job.slot.unwrap_or(OVERFLOW_SLOT),
        purpose: job.slot.and_then(purpose_of).map(str::to_owned),
        phase,
        problem: problem.map(shown),
        node: job.node.as_deref().filter(|_| job.terminating.is_some()).map(String::from),
        terminating_seconds: job.terminating.map(|age| age.as_secs()),
    })
}

fn shown(problem: &StartProblem) -> String {
    format!("{}: {} {}", problem.reason.as_str(), problem.word, problem.message).trim().to_owned()
}

pub(in crate::decide) fn live_job(run: &Run, now: Duration) -> LiveJob {
    let hanging = run.hanging();
    let (phase, problem) = match (&hanging, &run.progress) {
        (Some(_), _) => ("terminating", None),
        (None, Progress::Running { .. }) => ("running", None),
        (None, Progress::Starting { problem, .. }) => ("starting", problem.as_ref()),
        (None, Progress::Queued | Progress::Suspended) => ("queued", None),
    };
    LiveJob {
        job: run.name.clone(),
        slot: run.slot,
        purpose: run.purpose.one_off().map(ToString::to_string),
        phase,
        problem: problem.map(shown),
        node: hanging.as_ref().and_then(|it| it.node.clone()).map(String::from),
        terminating_seconds: hanging.map(|it| now.saturating_sub(it.since).as_secs()),
    }
}
