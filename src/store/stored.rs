//! All of our tables.

use crate::store::{
    decisions::Decisions, deployments::DeploymentTable, leadership::Leadership, place::Place,
    run_history::RunHistories, runs::Runs, switches::SwitchTable,
};

/// The tables of one Instance. Clones share their connections.
#[derive(Clone, Debug)]
pub struct Stored {
    /// Each Job from wish to end.
    pub runs: Runs,
    /// The runs of a span of time.
    pub run_histories: RunHistories,
    /// What was decided, and why.
    pub decisions: Decisions,
    /// Who leads, and who is there.
    pub leadership: Leadership,
    /// What operators have switched.
    pub switches: SwitchTable,
    /// What is deployed.
    pub deployments: DeploymentTable,
}

impl Stored {
    /// The tables at a place.
    pub fn new(place: Place) -> Self {
        Self {
            runs: Runs::new(place.clone()),
            run_histories: RunHistories::new(place.clone()),
            decisions: Decisions::new(place.clone()),
            leadership: Leadership::new(place.clone()),
            switches: SwitchTable::new(place.clone()),
            deployments: DeploymentTable::new(place),
        }
    }
}
