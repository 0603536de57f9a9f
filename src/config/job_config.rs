//! One entry of jobs.json.

use std::{sync::Arc, time::Duration};

use k8s_openapi::api::batch::v1::JobTemplateSpec;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use serde_json::Value;

use crate::config::{
    defaults,
    pod_config::PodConfig,
    sharing::POOLS_OF_ONE_MAX,
    windows::{CONCURRENT_JOBS_MAX, WINDOWS_MAX, Window},
};

/// One entry of jobs.json: a queue and the Jobs that are started for its messages.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct JobConfig {
    /// What is kept going: a queue's Jobs (default); `service` is the other type.
    #[serde(default, rename = "type")]
    pub kind: JobType,
    /// Unique name; stands in labels, metrics and the API. Default: `queueName`.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    #[schemars(length(min = 1, max = 500))]
    pub name: Arc<str>,
    /// The pg-boss queue.
    #[schemars(length(min = 1, max = 500))]
    pub queue_name: Arc<str>,
    /// The pods of a Job.
    pub pod_config: Arc<PodConfig>,
    /// A fragment of a Kubernetes `JobTemplateSpec`, laid over the Job that is built from the other keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<std::collections::BTreeMap<String, Value>>")]
    pub job_template: Option<JobTemplate>,
    /// Time between looks at an empty queue. Default: 10s.
    #[serde(default = "defaults::ten_seconds", with = "HumanDuration")]
    pub queue_check_interval: Duration,
    /// Until the first pod has started; the clock runs from the Job's start time or its first pod. Default: 1m.
    #[serde(default = "defaults::one_minute", with = "HumanDuration")]
    pub job_start_timeout: Duration,
    /// Before the slot of a succeeded Job is used again. Default: 5s.
    #[serde(default = "defaults::five_seconds", with = "HumanDuration")]
    pub wait_time_after_successful_run: Duration,
    /// Before the slot of a failed Job is used again. Default: 10s.
    #[serde(default = "defaults::ten_seconds", with = "HumanDuration")]
    pub wait_time_after_failed_run: Duration,
    /// Before the JobConfig creates again after a start timeout. Default: 5s.
    #[serde(default = "defaults::five_seconds", with = "HumanDuration")]
    pub wait_time_after_timeout: Duration,
    /// Before the JobConfig creates again after a start error. Default: 15s.
    #[serde(default = "defaults::fifteen_seconds", with = "HumanDuration")]
    pub wait_time_after_error: Duration,
    /// The growth of the waits.
    #[serde(default)]
    pub backoff: BackoffConfig,
    /// Live Jobs at once; 0 only where one of `windows` allows some. Default: 1.
    #[serde(default = "defaults::one")]
    #[schemars(range(min = 0, max = CONCURRENT_JOBS_MAX))]
    pub max_concurrent_jobs: u32,
    /// Times at which another `maxConcurrentJobs` counts: that of the first in the list that is open.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = WINDOWS_MAX))]
    pub windows: Vec<Window>,
    /// How many messages one Job is expected to hold at once. Default: `podConfig.parallelism`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000))]
    pub messages_per_job: Option<u32>,
    /// How long a running pod may need at most before it has taken its first message. Default: 60s.
    #[serde(default = "defaults::one_minute", with = "HumanDuration")]
    pub fetch_grace: Duration,
    /// A message younger than this is left to Jobs that already run. Default: 0s.
    #[serde(default, with = "HumanDuration")]
    pub handover: Duration,
    /// Succeeded Jobs that are kept, newest first by finish time. Default: 1.
    #[serde(default = "defaults::one")]
    #[schemars(range(max = 1000))]
    pub successful_jobs_history_limit: u32,
    /// Failed Jobs that are kept, newest first by finish time. Default: 3.
    #[serde(default = "defaults::three")]
    #[schemars(range(max = 1000))]
    pub failed_jobs_history_limit: u32,
    /// Kubernetes deletes a finished Job after this many seconds, even if we are gone.
    /// Default: `kubernetes.jobMaxAgeForDeletion`, 1800.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = TTL_SECONDS_MIN, max = 31_536_000))]
    pub ttl_seconds_after_finished: Option<u32>,
    /// How long a pull back-off or a missing ConfigMap may last before it counts as a start error. Default: 30s.
    #[serde(default = "defaults::thirty_seconds", with = "HumanDuration")]
    pub start_error_grace: Duration,
    /// Nothing is created while this is set; running Jobs go on. Default: false.
    #[serde(default)]
    pub paused: bool,
    /// Services that have to be RUNNING: nothing is created before they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<String>,
    /// Pools of jobs.json of which each of its Jobs takes a place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = POOLS_OF_ONE_MAX))]
    pub pools: Vec<String>,
    /// Its part of the places among JobConfigs of the same priority. Default: 1.
    #[serde(default = "defaults::one")]
    #[schemars(range(min = 1, max = 1000))]
    pub weight: u32,
    /// Who has more gets a free place first. Default: 0.
    #[serde(default)]
    #[schemars(range(min = -1000, max = 1000))]
    pub priority: i32,
    /// Its oldest message is to wait no longer than this: beyond it, it goes before all that are within theirs.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "humantime_serde")]
    #[schemars(with = "Option<HumanDuration>")]
    pub target_age: Option<Duration>,
}

/// The shortest `ttlSecondsAfterFinished`: the request timeout plus one minute, so that no late create
/// request finds the name of a finished Job free again.
pub const TTL_SECONDS_MIN: u32 = 75;

/// How long a Job may take to start whose JobConfig has left the file: its own value is not known any more.
const LEFT_START_TIMEOUT: &str = "10m";

impl JobConfig {
    /// Stands for an entry that has left jobs.json while Jobs of it still live: they are seen to their end, and no
    /// other is created.
    pub fn left(name: &str) -> Self {
        let left = serde_json::json!({
            "name": name, "queueName": name, "jobStartTimeout": LEFT_START_TIMEOUT, "podConfig": {"image": ""},
        });
        serde_json::from_value(left).expect("every other key has a default")
    }

    /// `messagesPerJob`, or what it defaults to.
    pub fn messages_per_job(&self) -> u32 {
        self.messages_per_job.unwrap_or(self.pod_config.parallelism)
    }
}

/// What a [`JobConfig`] keeps going.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum JobType {
    /// Jobs for the messages of a queue.
    #[default]
    Queue,
}

/// The growth of the waits after start failures and after failed runs in a row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BackoffConfig {
    /// Each wait is this many times the one before. 1 keeps it constant. Default: 2.
    #[serde(default = "defaults::factor")]
    #[schemars(range(min = 1.0, max = 100.0))]
    pub factor: f64,
    /// The longest wait. Default: 5m.
    #[serde(default = "defaults::five_minutes", with = "HumanDuration")]
    pub max: Duration,
    /// Failed runs in a row that begin a back-off. Default: 3.
    #[serde(default = "defaults::three")]
    #[schemars(range(min = 1, max = 1000))]
    pub after: u32,
}

impl Default for BackoffConfig {
    fn default() -> Self {
        Self { factor: defaults::factor(), max: defaults::five_minutes(), after: defaults::three() }
    }
}

/// A fragment of a Kubernetes `JobTemplateSpec`: what Kubernetes requires of a whole one may be left out. It takes
/// kilobytes, so entries that have the same one share it.
#[derive(Clone, Debug, PartialEq)]
pub struct JobTemplate(pub Arc<JobTemplateSpec>);

impl<'de> Deserialize<'de> for JobTemplate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut value = Value::deserialize(deserializer)?;
        if let Some(pod) = value.pointer_mut("/spec/template/spec").and_then(Value::as_object_mut) {
            pod.entry("containers").or_insert_with(|| Value::Array(vec![]));
        }
        if let Some(job) = value.get_mut("spec").and_then(Value::as_object_mut) {
            job.entry("template").or_insert_with(|| Value::Object(serde_json::Map::new()));
        }
        serde_json::from_value(value).map(|template| Self(Arc::new(template))).map_err(D::Error::custom)
    }
}

impl Serialize for JobTemplate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

/// How a duration is written, and stands in the schema: a string that `humantime` reads.
pub struct HumanDuration;

impl HumanDuration {
    /// Writes one.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&written(*duration))
    }

    /// Reads one.
    ///
    /// # Errors
    /// The text is none.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        humantime_serde::deserialize(deserializer)
    }
}

/// As `humantime` writes it, with days as its longest unit: its months and years are no whole days, and nobody may write
/// them.
fn written(duration: Duration) -> String {
    let days = duration.as_secs() / DAY_SECONDS;
    if days == 0 {
        return humantime::format_duration(duration).to_string();
    }
    let rest = duration - Duration::from_secs(days * DAY_SECONDS);
    let plural = if days == 1 { "" } else { "s" };
    let rest = if rest.is_zero() { String::new() } else { format!(" {}", humantime::format_duration(rest)) };
    format!("{days}day{plural}{rest}")
}

const DAY_SECONDS: u64 = 24 * 60 * 60;

/// Numbers with units, as `humantime` reads them.
const DURATION_PATTERN: &str = "^\\s*([0-9]+\\s*(nsec|ns|usec|us|msec|ms|seconds|second|sec|s|minutes|minute|min|m|hours|hour|hr|h|days|day|d|weeks|week|w)\\s*)+$";

/// The message for a value that is not a duration.
pub const DURATION_ALLOWED: &str = "a duration with its unit, such as \"55s\", \"1m 30s\" or \"2h\"";

impl JsonSchema for HumanDuration {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": DURATION_PATTERN, "description": DURATION_ALLOWED})
    }
}
