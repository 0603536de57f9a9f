//! One entry of jobs.json that keeps a service up.

use std::{collections::BTreeMap, time::Duration};

use k8s_openapi::api::core::v1::Probe;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::{
    defaults,
    job_config::{HumanDuration, JobTemplate, TTL_SECONDS_MIN},
    one_off_config::{ActionConfig, OneOffConfig},
    pod_config::PodConfig,
    sharing::POOLS_OF_ONE_MAX,
    target_config::{TargetConfig, TcpCheck},
    update_strategy::{RESTART_ON_MAX, UpdateStrategy},
};

/// The most replicas of one service: each is a Job, and beyond it a Deployment is the better tool.
pub const REPLICAS_MAX: u32 = 1000;

/// One entry of jobs.json: a service, kept up by one Job for each of its replicas.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServiceConfig {
    /// What is kept going: a service.
    #[serde(rename = "type")]
    pub kind: ServiceType,
    /// Unique name; stands in labels, metrics and the API.
    #[schemars(length(min = 1, max = 500))]
    pub name: String,
    /// Pools of jobs.json of which each replica takes a place, and keeps it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = POOLS_OF_ONE_MAX))]
    pub pools: Vec<String>,
    /// The pod of each replica. Without it the service runs elsewhere: it is checked, and perhaps repaired.
    #[serde(default = "PodConfig::none", skip_serializing_if = "PodConfig::is_none")]
    pub pod_config: PodConfig,
    /// A fragment of a Kubernetes `JobTemplateSpec`, laid over the Job that is built from the other keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<std::collections::BTreeMap<String, Value>>")]
    pub job_template: Option<JobTemplate>,
    /// False: nothing is started. Default: true.
    #[serde(default = "defaults::yes")]
    pub enabled: bool,
    /// False: started once, and not again when it ends. Default: true.
    #[serde(default = "defaults::yes")]
    pub keep_alive: bool,
    /// Starts that fail are logged at the level debug. Default: false.
    #[serde(default)]
    pub quiet: bool,
    /// Pods that are kept up, one Job each. Default: 1.
    #[serde(default = "defaults::one")]
    #[schemars(range(min = 1, max = REPLICAS_MAX))]
    pub replicas: u32,
    /// How replicas are replaced whose entry has changed. Default: all at once.
    #[serde(default)]
    pub update_strategy: UpdateStrategy,
    /// Files as job-chief's own container has them, by absolute paths: when their contents change, that is a change of this
    /// entry. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = RESTART_ON_MAX))]
    pub restart_on: Vec<String>,
    /// Services start in ascending order, and are stopped in descending order. Default: 10.
    #[serde(default = "priority")]
    pub priority: i32,
    /// Services that have to be RUNNING before this one starts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<String>,
    /// Between two checks of a replica that is up; at least 5s. Default: 10s.
    #[serde(default = "defaults::ten_seconds", with = "HumanDuration")]
    pub check_interval: Duration,
    /// Until a replica is up: first until its pod runs, then until it is ready and its check passes. Default: 4m.
    #[serde(default = "defaults::four_minutes", with = "HumanDuration")]
    pub start_timeout: Duration,
    /// The grace that a pod has to end before it is killed. Default: 30s.
    #[serde(default = "defaults::thirty_seconds", with = "HumanDuration")]
    pub stop_timeout: Duration,
    /// How long a pull back-off or a missing ConfigMap may last before it counts as a start error. Default: 30s.
    #[serde(default = "defaults::thirty_seconds", with = "HumanDuration")]
    pub start_error_grace: Duration,
    /// A readiness probe of the pod, as Kubernetes has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub readiness: Option<Probe>,
    /// An init container that runs first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prepare: Option<Step>,
    /// An init container that runs after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configure: Option<Step>,
    /// How a ready pod is checked. Default: TCP to each of `ports`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<CheckConfig>,
    /// Of a service without `podConfig`: a Job that runs once after each `unhealthyThreshold` checks in a row that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repair: Option<OneOffConfig>,
    /// What has to answer before a replica is started.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requirements: Vec<TargetConfig>,
    /// Jobs that run once when somebody asks for them, or every so often, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub actions: BTreeMap<String, ActionConfig>,
    /// Checks in a row that fail before a replica is restarted. Default: 3.
    #[serde(default = "defaults::three")]
    #[schemars(range(min = 1, max = 1000))]
    pub unhealthy_threshold: u32,
    /// Ports that the container listens on.
    #[serde(default)]
    #[schemars(inner(range(min = 1)))]
    pub ports: Vec<u16>,
    /// Before a replica that ended with exit code 0 is started again. Default: 5s.
    #[serde(default = "defaults::five_seconds", with = "HumanDuration")]
    pub wait_time_after_successful_run: Duration,
    /// Before a replica that failed is started again. Default: 10s.
    #[serde(default = "defaults::ten_seconds", with = "HumanDuration")]
    pub wait_time_after_failed_run: Duration,
    /// Before a replica is started again that was not up in time. Default: 5s.
    #[serde(default = "defaults::five_seconds", with = "HumanDuration")]
    pub wait_time_after_timeout: Duration,
    /// Before a replica is started again that could not start. Default: 15s.
    #[serde(default = "defaults::fifteen_seconds", with = "HumanDuration")]
    pub wait_time_after_error: Duration,
    /// The growth of the waits.
    #[serde(default)]
    pub backoff: ServiceBackoff,
    /// Kubernetes deletes a finished Job after this many seconds, even if we are gone.
    /// Default: `kubernetes.jobMaxAgeForDeletion`, 1800.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = TTL_SECONDS_MIN, max = 31_536_000))]
    pub ttl_seconds_after_finished: Option<u32>,
}

impl ServiceConfig {
    /// Stands for an entry that has left jobs.json while Jobs of it still live: they are stopped.
    pub fn left(name: &str) -> Self {
        let left = serde_json::json!({"type": "service", "name": name, "podConfig": {"image": ""}});
        serde_json::from_value(left).expect("every other key has a default")
    }

    /// The pods of the Jobs that run once beside its replicas.
    pub fn one_off_pods(&self) -> impl Iterator<Item = &PodConfig> {
        let check = self.check.as_ref().and_then(|check| check.job.as_ref());
        let of_actions = self.actions.values().map(|action| &action.pod_config);
        check.into_iter().chain(&self.repair).map(|once| &once.pod_config).chain(of_actions)
    }

    /// It runs elsewhere: nothing of it is started.
    pub fn is_external(&self) -> bool {
        self.pod_config.is_none()
    }
}

/// What a [`ServiceConfig`] keeps going.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ServiceType {
    /// A service.
    Service,
}

/// An init container.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Step {
    /// What it runs.
    #[schemars(length(min = 1))]
    pub command: Vec<String>,
    /// Default: the image of the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
}

/// How a ready pod is checked, from where job-chief runs, or by a Job; one of the three.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CheckConfig {
    /// A port that takes connections: its number, or with `host` and `port` for a service without `podConfig`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcp: Option<TcpCheck>,
    /// A page that answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpCheck>,
    /// A Job whose exit code is the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<OneOffConfig>,
}

/// A page that answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpCheck {
    /// Its port; required with `podConfig`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub port: Option<u16>,
    /// `http://HOST[:PORT][/PATH]`, instead of port and path; required without `podConfig`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2000))]
    pub url: Option<String>,
    /// Its path. Default: `/`.
    #[serde(default = "root")]
    #[schemars(regex(pattern = "^/[!-~]*$"))]
    pub path: String,
    /// The status code that is expected. Default: any from 200 to 399.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 100, max = 599))]
    pub expect: Option<u16>,
}

/// The growth of the waits between two starts of a replica; ten minutes of being up end it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServiceBackoff {
    /// Each wait is this many times the one before. 1 keeps it constant. Default: 2.
    #[serde(default = "defaults::factor")]
    #[schemars(range(min = 1.0, max = 100.0))]
    pub factor: f64,
    /// The longest wait. Default: 5m.
    #[serde(default = "defaults::five_minutes", with = "HumanDuration")]
    pub max: Duration,
}

impl Default for ServiceBackoff {
    fn default() -> Self {
        Self { factor: defaults::factor(), max: defaults::five_minutes() }
    }
}

fn priority() -> i32 {
    10
}

fn root() -> String {
    "/".into()
}
