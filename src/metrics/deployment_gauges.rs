//! How the deployments do, as whoever leads sees them.

use prometheus::{IntGauge, IntGaugeVec};

use crate::{
    decide::deployment::record::{DeploymentState, ObjectState},
    metrics::Page,
};

/// How the deployments do.
#[derive(Debug)]
pub struct DeploymentGauges {
    deployments: IntGaugeVec,
    objects: IntGaugeVec,
    boot_errors: IntGauge,
}

impl DeploymentGauges {
    pub(super) fn new(page: &Page<'_>) -> prometheus::Result<Self> {
        Ok(Self {
            deployments: page.gauges("deployments", "Deployments by state.", &["state"])?,
            objects: page.gauges(
                "deployment_objects",
                "Objects of each deployment by state.",
                &["deployment", "state"],
            )?,
            boot_errors: page.int_gauge(
                "deployment_list_errors",
                "Entries of the list of modules to deploy that could not be deployed.",
            )?,
        })
    }

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
        self.boot_errors.set(number(count));
    }
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
