//! Jobs that run once beside the replicas of a service: its actions, its repair, and a check that is a Job.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::{
    defaults,
    job_config::{HumanDuration, JobTemplate},
    pod_config::PodConfig,
};

/// The most actions of one service: each has a row in Postgres and a place in the state of its service.
pub const ACTIONS_MAX: usize = 50;

/// The most characters of the name of an action: it is a label.
pub const ACTION_NAME_MAX: usize = 40;

/// A Job that runs once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OneOffConfig {
    /// Its pod.
    pub pod_config: PodConfig,
    /// A fragment of a Kubernetes `JobTemplateSpec`, laid over the Job that is built from the other keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<std::collections::BTreeMap<String, Value>>")]
    pub job_template: Option<JobTemplate>,
    /// How long it may run before Kubernetes ends it, from 1s to 1day. Default: 10m.
    #[serde(default = "defaults::ten_minutes", with = "HumanDuration")]
    pub timeout: Duration,
}

/// A Job that runs once when somebody asks for it, or every so often.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ActionConfig {
    /// Its pod.
    pub pod_config: PodConfig,
    /// A fragment of a Kubernetes `JobTemplateSpec`, laid over the Job that is built from the other keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<std::collections::BTreeMap<String, Value>>")]
    pub job_template: Option<JobTemplate>,
    /// How long it may run before Kubernetes ends it, from 1s to 1day. Default: 10m.
    #[serde(default = "defaults::ten_minutes", with = "HumanDuration")]
    pub timeout: Duration,
    /// Also so often while the service is RUNNING, counted from when it began last; at least 10s. Default: only when
    /// somebody asks.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "humantime_serde")]
    #[schemars(with = "Option<HumanDuration>")]
    pub every: Option<Duration>,
}

/// What the Job of any of them is made from.
#[derive(Clone, Copy, Debug)]
pub struct OneOffParts<'a> {
    /// Its pod.
    pub pod: &'a PodConfig,
    /// What is laid over it.
    pub job_template: Option<&'a JobTemplate>,
    /// How long it may run.
    pub timeout: Duration,
}

impl<'a> From<&'a OneOffConfig> for OneOffParts<'a> {
    fn from(config: &'a OneOffConfig) -> Self {
        let OneOffConfig { pod_config, job_template, timeout } = config;
        Self { pod: pod_config, job_template: job_template.as_ref(), timeout: *timeout }
    }
}

impl<'a> From<&'a ActionConfig> for OneOffParts<'a> {
    fn from(config: &'a ActionConfig) -> Self {
        let ActionConfig { pod_config, job_template, timeout, .. } = config;
        Self { pod: pod_config, job_template: job_template.as_ref(), timeout: *timeout }
    }
}
