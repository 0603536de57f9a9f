//! The pods of a Job, in the original's words.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{EnvVar, ResourceRequirements};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::config::defaults;

/// The pods of a Job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PodConfig {
    /// The image of the container `worker`.
    #[schemars(length(min = 1))]
    pub image: String,
    /// Pods of one Job, 1 to 30. Default: 1.
    #[serde(default = "defaults::one")]
    #[schemars(range(min = 1, max = 30))]
    pub parallelism: u32,
    /// Replaces the image's entry point.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    /// Arguments of the command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub args: Option<Vec<String>>,
    /// Annotations of the Job and of its pods.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
    /// Whether the worker gets the connection to Postgres: `true` for `DB_…`, `"libpq"` for `PG…` as well.
    #[serde(default)]
    pub inject_pg_config: InjectPgConfig,
    /// Environment variables, as Kubernetes has them.
    #[serde(default)]
    pub env: Vec<EnvVar>,
    /// ConfigMaps whose keys become environment variables.
    #[serde(default)]
    pub configmaps: Vec<String>,
    /// Secrets whose keys become environment variables, after the ConfigMaps.
    #[serde(default)]
    pub secrets: Vec<String>,
    /// Requests and limits, as Kubernetes has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequirements>,
    /// An HTTP liveness probe.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub liveness: Option<Liveness>,
    /// When the node pulls the image. Default: Kubernetes' own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_policy: Option<PullPolicy>,
}

impl PodConfig {
    /// Stands for the pods of a service that runs elsewhere: it has none.
    pub fn none() -> Self {
        serde_json::from_value(serde_json::json!({"image": ""})).expect("every other key has a default")
    }

    /// It stands for no pods: an image has a name.
    pub fn is_none(&self) -> bool {
        self.image.is_empty()
    }
}

/// When the node pulls the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PullPolicy {
    /// At every start.
    Always,
    /// When the node has none.
    IfNotPresent,
    /// Not at all.
    Never,
}

impl PullPolicy {
    /// Kubernetes' word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Always => "Always",
            Self::IfNotPresent => "IfNotPresent",
            Self::Never => "Never",
        }
    }
}

/// An HTTP liveness probe of the worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Liveness {
    /// Without it there is no probe.
    pub enabled: bool,
    /// The path that is asked for; required when enabled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The port; required when enabled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<u16>,
    /// 0 to 300.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 300))]
    pub initial_delay_seconds: Option<i32>,
    /// 1 to 300.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 300))]
    pub period_seconds: Option<i32>,
    /// 1 to 300.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 300))]
    pub timeout_seconds: Option<i32>,
}

/// Whether the worker gets the connection to Postgres.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "InjectPgConfigWord", into = "InjectPgConfigWord")]
pub enum InjectPgConfig {
    /// No.
    #[default]
    No,
    /// `DB_HOST`, `DB_PORT`, …: the original's names.
    Db,
    /// Those, and `PGHOST`, `PGPORT`, …: libpq's names.
    Libpq,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(untagged)]
enum InjectPgConfigWord {
    Flag(bool),
    Word(Libpq),
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Libpq {
    Libpq,
}

impl From<InjectPgConfigWord> for InjectPgConfig {
    fn from(word: InjectPgConfigWord) -> Self {
        match word {
            InjectPgConfigWord::Flag(false) => Self::No,
            InjectPgConfigWord::Flag(true) => Self::Db,
            InjectPgConfigWord::Word(Libpq::Libpq) => Self::Libpq,
        }
    }
}

impl From<InjectPgConfig> for InjectPgConfigWord {
    fn from(inject: InjectPgConfig) -> Self {
        match inject {
            InjectPgConfig::No => Self::Flag(false),
            InjectPgConfig::Db => Self::Flag(true),
            InjectPgConfig::Libpq => Self::Word(Libpq::Libpq),
        }
    }
}

impl JsonSchema for InjectPgConfig {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "InjectPgConfig".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"enum": [false, true, "libpq"]})
    }
}
