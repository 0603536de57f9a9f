//! What a Job is made from: what its installation has in common, and its entry in jobs.json.

use std::time::Duration;

use k8s_openapi::api::core::v1::Probe;

use crate::{
    config::{
        entry::{Entry, Kind},
        job_config::{JobConfig, JobTemplate},
        pod_config::PodConfig,
        service_config::{ServiceConfig, Step},
        settings::Settings,
    },
    decide::{
        pod::{
            env::PgAccess,
            names::{LABEL_MANAGED_BY, LABEL_OWNER, MANAGED_BY},
        },
        trace_context::Sampler,
    },
};

/// What every Job of this installation has in common.
#[derive(Clone, Debug)]
pub struct Instance {
    /// `app.instanceUid`.
    pub uid: String,
    /// Where Jobs are created.
    pub namespace: String,
    pub(super) environment: String,
    pub(super) pull_secret: String,
    pub(super) ttl_seconds: i32,
    pub(super) pg: PgAccess,
    /// Which runs are traced; `None` where traces are not wanted.
    pub(super) sampler: Option<Sampler>,
}

impl Instance {
    /// What the settings say.
    pub fn of(settings: &Settings) -> Self {
        let ttl = settings.kubernetes.job_max_age_for_deletion.as_secs();
        Self {
            uid: settings.app.instance_uid.clone(),
            namespace: settings.kubernetes.namespace.clone(),
            environment: settings.app.environment.clone(),
            pull_secret: settings.kubernetes.pull_secret.clone(),
            ttl_seconds: i32::try_from(ttl).unwrap_or(i32::MAX),
            pg: PgAccess::of(&settings.db),
            sampler: None,
        }
    }

    /// The same, with traces of those runs that are taken.
    #[must_use]
    pub fn traced(self, sampler: Sampler) -> Self {
        Self { sampler: Some(sampler), ..self }
    }

    /// What the watches of this Instance select by.
    pub fn selector(&self) -> String {
        format!("{LABEL_MANAGED_BY}={MANAGED_BY},{LABEL_OWNER}={}", self.uid)
    }
}

/// What of an entry of jobs.json its Jobs are made from.
#[derive(Clone, Debug)]
pub struct Parts<'a> {
    pub(super) kind: Kind,
    pub(super) name: &'a str,
    pub(super) queue: Option<&'a str>,
    pub(super) pod: &'a PodConfig,
    pub(super) job_template: Option<&'a JobTemplate>,
    pub(super) ttl_seconds: Option<u32>,
    pub(super) grace: Option<Duration>,
    pub(super) ports: &'a [u16],
    pub(super) readiness: Option<&'a Probe>,
    /// Init containers by name.
    pub(super) steps: Vec<(&'static str, &'a Step)>,
}

impl<'a> From<&'a JobConfig> for Parts<'a> {
    fn from(config: &'a JobConfig) -> Self {
        Self {
            kind: Kind::Queue,
            name: &config.name,
            queue: Some(&config.queue_name),
            pod: &config.pod_config,
            job_template: config.job_template.as_ref(),
            ttl_seconds: config.ttl_seconds_after_finished,
            grace: None,
            ports: &[],
            readiness: None,
            steps: vec![],
        }
    }
}

impl<'a> From<&'a ServiceConfig> for Parts<'a> {
    fn from(config: &'a ServiceConfig) -> Self {
        let step = |name, step: &'a Option<Step>| step.as_ref().map(|step| (name, step));
        let steps = [step("prepare", &config.prepare), step("configure", &config.configure)];
        Self {
            kind: Kind::Service,
            name: &config.name,
            queue: None,
            pod: &config.pod_config,
            job_template: config.job_template.as_ref(),
            ttl_seconds: config.ttl_seconds_after_finished,
            grace: Some(config.stop_timeout),
            ports: &config.ports,
            readiness: config.readiness.as_ref(),
            steps: steps.into_iter().flatten().collect(),
        }
    }
}

impl<'a> From<&'a Entry> for Parts<'a> {
    fn from(entry: &'a Entry) -> Self {
        match entry {
            Entry::Queue(queue) => Self::from(&**queue),
            Entry::Service(service) => Self::from(&**service),
        }
    }
}
