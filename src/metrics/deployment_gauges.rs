//! How the deployments do, as whoever leads sees them.

use prometheus::{IntGauge, IntGaugeVec};

use crate::decide::deployment::record::{DeploymentState, ObjectState};

/// How the deployments do.
#[derive(Debug)]
pub struct DeploymentGauges {
    /// Deployments by state.
    pub(super) deployments: IntGaugeVec,
    /// Objects by deployment and state.
    pub(super) objects: IntGaugeVec,
    /// Entries of the list that could not be deployed.
    pub(super) list_errors: IntGauge,
}

impl DeploymentGauges {
    /// So many deployments are in a state.
    pub fn note_deployments(&self, state: DeploymentState, count: usize) {
        self.deployments.with_label_values(&[state.as_str()]).set(number(count));
    }

    /// What was told of objects is told anew.
    pub fn begin_objects(&self) {
        self.objects.reset();
    }

    /// So many objects of a deployment are in a state; states without any have no series.
    pub fn note_objects(&self, deployment: &str, state: ObjectState, count: usize) {
        if count > 0 {
            self.objects.with_label_values(&[deployment, state.as_str()]).set(number(count));
        }
    }

    /// So many entries of the list could not be deployed.
    pub fn note_list_errors(&self, count: usize) {
        self.list_errors.set(number(count));
    }
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
