//! The replicas of a service as they are shown.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use crate::decide::{
    outcome::{JobName, Slot},
    service::account::{ReplicaAccount, ReplicaState},
};

/// One replica of a service, and what holds it.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Replica")]
pub(super) struct ReplicaView {
    /// Its number, from 0.
    replica: Slot,
    state: ReplicaState,
    /// Its Job.
    #[serde(skip_serializing_if = "Option::is_none")]
    job: Option<JobName>,
    /// The generation of its Job, once that was seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    generation: Option<String>,
    /// That is not the one that is wanted.
    outdated: bool,
    /// It has been up for so long.
    #[serde(skip_serializing_if = "Option::is_none")]
    up_seconds: Option<f64>,
    /// It waits for so long before it is started again.
    #[serde(skip_serializing_if = "Option::is_none")]
    wait_seconds: Option<f64>,
    /// What keeps it from being up.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
    /// How it ended last, as far as the process that leads has seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_end: Option<String>,
    /// How often in a row it ended like that.
    ends_in_a_row: u32,
}

impl ReplicaView {
    /// As of now.
    pub(super) fn of(account: ReplicaAccount, now: Duration) -> Self {
        let ReplicaAccount { replica, state, job, generation, outdated, problem, last_end, ends_in_a_row, .. } =
            account;
        Self {
            replica,
            state,
            job,
            generation: generation.map(String::from),
            outdated,
            up_seconds: account.up_since.map(|since| now.saturating_sub(since).as_secs_f64()),
            wait_seconds: account.wait_until.map(|until| until.saturating_sub(now).as_secs_f64()),
            problem,
            last_end,
            ends_in_a_row,
        }
    }

    /// What is the same in two views that differ by the passing of time alone.
    pub(super) fn timeless(&mut self) {
        self.up_seconds = self.up_seconds.map(|_| 0.0);
        self.wait_seconds = self.wait_seconds.map(|left| left.min(1.0).ceil());
    }
}
