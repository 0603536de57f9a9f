//! A lifecycle as people and metrics see it.

use std::{sync::Arc, time::Duration};

use serde::Serialize;

use crate::decide::{
    decision::Decision,
    pod::observation::Observed,
    queue::{lifecycle::Lifecycle, windows::InForce},
    run::live_job::{LiveJob, Phases, live_job, of_view},
};

/// The state of one queue JobConfig at one moment; times are in the lifecycle's time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Live Jobs by phase.
    pub phases: Phases,
    /// Each of them.
    pub live: Vec<LiveJob>,
    /// The last decision and when it was made.
    pub decided: Option<Arc<(Duration, Decision)>>,
    /// What counts by its windows; `None` where it has none.
    pub in_force: Option<Box<InForce>>,
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
    /// Jobs wait for places that others have: since when.
    pub waiting_for_place: Option<Duration>,
    /// Since when the Job hangs that has been Terminating the longest.
    pub terminating_since: Option<Duration>,
}

impl Status {
    /// What a follower shows: no more than what the watches show.
    pub fn of_view(view: &Observed) -> Self {
        let (live, phases) = of_view(view);
        Self { phases, live, ..Self::default() }
    }
}

impl Lifecycle {
    /// The state as of `now`.
    pub fn status(&self, now: Duration) -> Status {
        let live: Vec<LiveJob> =
            self.runs.by_name.values().filter(|run| !run.is_finished()).map(|run| live_job(run, now)).collect();
        Status {
            phases: Phases::of(&live),
            live,
            decided: self.decided.clone(),
            in_force: (!self.policy.windows.is_empty()).then(|| Box::new(self.in_force)),
            backoff_until: self.backoff.until().filter(|until| *until > now),
            failed_in_a_row: self.backoff.failed_in_a_row(),
            cooling: self.cooling.len(),
            paused: self.paused,
            draining: self.runs.draining || self.runs.stopping,
            waiting_for_place: self.share.since(),
            terminating_since: self.runs.by_name.values().filter_map(|run| run.hanging().map(|it| it.since)).min(),
        }
    }
}
