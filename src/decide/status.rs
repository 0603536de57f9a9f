//! A lifecycle as people and metrics see it.

use std::time::Duration;

use serde::Serialize;

use crate::decide::{
    digest::StartProblem,
    event::Decision,
    lifecycle::Lifecycle,
    observation::{Observed, Phase, SeenJob},
    progress::Progress,
    run::{JobName, Slot},
    tracking::{OVERFLOW_SLOT, Run},
};

/// The state of one queue JobConfig at one moment; times are in the lifecycle's time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Live Jobs by phase.
    pub phases: Phases,
    /// Each of them.
    pub live: Vec<LiveJob>,
    /// The last decision and when it was made.
    pub decided: Option<(Duration, Decision)>,
    /// Nothing is created before this time.
    pub backoff_until: Option<Duration>,
    /// Failed runs since the last success.
    pub failed_in_a_row: u32,
    /// Slots that wait after a run.
    pub cooling: usize,
    /// Nothing is created until resumed.
    pub paused: bool,
    /// Nothing is created any more.
    pub draining: bool,
    /// Since when the Job hangs that has been Terminating the longest.
    pub terminating_since: Option<Duration>,
}

/// How many live Jobs are in each phase.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LiveJob {
    /// Its name.
    pub job: JobName,
    /// Its slot.
    pub slot: Slot,
    /// `queued`, `starting`, `running` or `terminating`.
    pub phase: &'static str,
    /// What keeps it from starting.
    pub problem: Option<String>,
    /// The node on which it hangs in Terminating.
    pub node: Option<String>,
    /// For how long, in seconds.
    pub terminating_seconds: Option<u64>,
}

impl Status {
    /// What a process tells that does not lead: no more than what the watches show.
    pub fn of_view(view: &Observed) -> Self {
        let (live, phases) = of_view(view);
        Self { phases, live, ..Self::default() }
    }
}

/// The live Jobs that a view shows.
pub(super) fn of_view(view: &Observed) -> (Vec<LiveJob>, Phases) {
    let live: Vec<LiveJob> = view.jobs.iter().filter_map(|(name, job)| seen_job(name, job)).collect();
    let phases = Phases::of(&live);
    (live, phases)
}

impl Phases {
    pub(super) fn of(live: &[LiveJob]) -> Self {
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
        phase,
        problem: problem.map(told),
        node: job.node.as_deref().filter(|_| job.terminating.is_some()).map(String::from),
        terminating_seconds: job.terminating.map(|age| age.as_secs()),
    })
}

fn told(problem: &StartProblem) -> String {
    format!("{}: {} {}", problem.reason.as_str(), problem.word, problem.message).trim().to_owned()
}

impl Lifecycle {
    /// The state as of `now`.
    pub fn status(&self, now: Duration) -> Status {
        let live: Vec<LiveJob> =
            self.fleet.runs.values().filter(|run| !run.is_finished()).map(|run| live_job(run, now)).collect();
        Status {
            phases: Phases::of(&live),
            live,
            decided: self.decided,
            backoff_until: self.backoff.until().filter(|until| *until > now),
            failed_in_a_row: self.backoff.failed_in_a_row(),
            cooling: self.cooling.len(),
            paused: self.paused,
            draining: self.fleet.draining || self.fleet.stopping,
            terminating_since: self.fleet.runs.values().filter_map(|run| run.hanging().map(|it| it.since)).min(),
        }
    }
}

pub(super) fn live_job(run: &Run, now: Duration) -> LiveJob {
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
        phase,
        problem: problem.map(told),
        node: hanging.as_ref().and_then(|it| it.node.clone()).map(String::from),
        terminating_seconds: hanging.map(|it| now.saturating_sub(it.since).as_secs()),
    }
}
