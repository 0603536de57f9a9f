//! What a Job is made from: what its installation has in common, and its entry in jobs.json.

use std::{sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::Probe;

use crate::{
    config::{
        entry::{Entry, Kind},
        job_config::{JobConfig, JobTemplate},
        one_off_config::OneOffParts,
        pod_config::PodConfig,
        service_config::{ServiceConfig, Step},
        settings::Settings,
    },
    decide::{
        one_off::OneOff,
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
    pub uid: Arc<str>,
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
            uid: settings.app.instance_uid.as_str().into(),
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
    /// What it runs once for beside the replicas of a service.
    pub(super) one_off: Option<&'a OneOff>,
    /// How long it may run.
    pub(super) timeout: Option<Duration>,
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
            one_off: None,
            timeout: None,
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
            one_off: None,
            timeout: None,
            steps: steps.into_iter().flatten().collect(),
        }
    }
}

impl<'a> Parts<'a> {
    /// Those of each Job that an entry may make, with whose it is; none of its own where it runs elsewhere.
    pub fn each<T>(entry: &Entry, of: impl Fn(String, Parts<'_>) -> T) -> Vec<T> {
        let name = entry.name();
        let is_external = entry.service().is_some_and(|service| service.is_external());
        let mut made: Vec<T> = (!is_external).then(|| of(name.to_owned(), entry.into())).into_iter().collect();
        if let Some(service) = entry.service() {
            let actions =
                service.actions.keys().map(|name| OneOff::Action { name: name.as_str().into(), number: None });
            for one_off in [OneOff::Check, OneOff::Repair].into_iter().chain(actions) {
                let parts = Parts::one_off(service, &one_off);
                made.extend(parts.map(|parts| of(format!("{name} ({one_off})"), parts)));
            }
        }
        made
    }

    /// Those of a Job that runs once beside the replicas of a service; `None` where jobs.json has it no more.
    pub fn one_off(config: &'a ServiceConfig, one_off: &'a OneOff) -> Option<Self> {
        let parts: OneOffParts<'_> = match one_off {
            OneOff::Check => config.check.as_ref()?.job.as_ref()?.into(),
            OneOff::Repair => config.repair.as_ref()?.into(),
            OneOff::Action { name, .. } => config.actions.get(&**name)?.into(),
        };
        Some(Self {
            kind: Kind::Service,
            name: &config.name,
            queue: None,
            pod: parts.pod,
            job_template: parts.job_template,
            ttl_seconds: config.ttl_seconds_after_finished,
            grace: None,
            ports: &[],
            readiness: None,
            one_off: Some(one_off),
            timeout: Some(parts.timeout),
            steps: vec![],
        })
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
