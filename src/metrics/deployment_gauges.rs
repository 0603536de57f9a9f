//! How the deployments do, as whoever leads sees them.

use prometheus::{IntGauge, IntGaugeVec};

use crate::{
    decide::deployment::record::{DEPLOYMENT_STATES, DeploymentState, OBJECT_STATES, ObjectState},
    metrics::series::absent,
};

/// How the deployments do.
#[derive(Debug)]
pub struct DeploymentGauges {
    /// Deployments by state.
    pub(super) deployments: IntGaugeVec,
    /// The state of each deployment.
    pub(super) state: IntGaugeVec,
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

    /// How a deployment and its objects stand. States of objects without any have no series.
    pub fn note(&self, deployment: &str, state: DeploymentState, objects: &[ObjectState]) {
        for other in DEPLOYMENT_STATES {
            self.state.with_label_values(&[deployment, other.as_str()]).set((other == state).into());
        }
        for state in OBJECT_STATES {
            let labels = [deployment, state.as_str()];
            match objects.iter().filter(|other| **other == state).count() {
                0 => absent(self.objects.remove_label_values(&labels)),
                count => self.objects.with_label_values(&labels).set(number(count)),
            }
        }
    }

    /// A deployment is gone, or another process leads: its gauges go with it.
    pub fn forget(&self, deployment: &str) {
        for state in DEPLOYMENT_STATES {
            absent(self.state.remove_label_values(&[deployment, state.as_str()]));
        }
        for state in OBJECT_STATES {
            absent(self.objects.remove_label_values(&[deployment, state.as_str()]));
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::metrics::Metrics;

    use super::*;

    /// The lines on deployments of a page.
    fn lines(metrics: &Metrics) -> Vec<String> {
        let page = metrics.page(Duration::ZERO).expect("a page");
        let of_one = page.lines().filter(|line| line.contains("deployment=\"") && !line.ends_with(" 0"));
        of_one.map(|line| line.trim_start_matches("job_chief_deployment_").to_owned()).collect()
    }

    #[test]
    fn what_changed_is_told_and_what_is_gone_is_not() {
        let metrics = Metrics::new().expect("valid names");
        let gauges = &metrics.deployments;
        gauges.note("cache", DeploymentState::Failed, &[ObjectState::Error, ObjectState::Ready, ObjectState::Ready]);
        gauges.note("mails", DeploymentState::Settled, &[ObjectState::Ready]);
        gauges.note("cache", DeploymentState::Settled, &[ObjectState::Ready; 3]);
        assert_eq!(
            lines(&metrics),
            [
                "objects{deployment=\"cache\",state=\"ready\"} 3",
                "objects{deployment=\"mails\",state=\"ready\"} 1",
                "state{deployment=\"cache\",state=\"settled\"} 1",
                "state{deployment=\"mails\",state=\"settled\"} 1",
            ]
        );
        gauges.forget("cache");
        assert!(lines(&metrics).iter().all(|line| line.contains("mails")), "{:?}", lines(&metrics));
        let page = metrics.page(Duration::ZERO).expect("a page");
        assert!(!page.contains("cache"), "{page}");
    }
}
