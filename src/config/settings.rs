//! The settings of one installation: what stands in `config/default.toml`, a file and the environment.

use std::path::PathBuf;

use schemars::JsonSchema;
use secrecy::SecretString;
use serde::Deserialize;

/// Everything but jobs.json.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Settings {
    /// This installation.
    #[serde(default)]
    pub app: AppSettings,
    /// Postgres.
    #[serde(default)]
    pub db: DbSettings,
    /// Kubernetes.
    #[serde(default)]
    pub kubernetes: KubernetesSettings,
    /// The HTTP server.
    #[serde(default)]
    pub server: ServerSettings,
    /// Logs.
    #[serde(default)]
    pub telemetry: TelemetrySettings,
}

/// This installation.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct AppSettings {
    /// Tells this Instance's Jobs from those of others in the namespace; small letters, digits and `-`. Default: `aaaaaa`.
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"))]
    pub instance_uid: String,
    /// The path of jobs.json. Default: `./jobs.json`.
    pub jobs_config_path: PathBuf,
    /// The folder of modules: `<module>/<version>/*.yaml`. Default: none.
    pub modules_path: Option<PathBuf>,
    /// The value of the label `environment` of Jobs and pods; empty leaves the label out. Default: empty.
    pub environment: String,
}

impl Default for AppSettings {
    fn default() -> Self {
        Self {
            instance_uid: "aaaaaa".into(),
            jobs_config_path: "./jobs.json".into(),
            modules_path: None,
            environment: String::new(),
        }
    }
}

/// Postgres: where pg-boss's tables and ours are.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct DbSettings {
    /// Where Postgres is. Default: `localhost`.
    #[schemars(length(min = 1))]
    pub host: String,
    /// The port of Postgres. Default: 5432.
    #[schemars(range(min = 1))]
    pub port: u16,
    /// The role that logs in to Postgres. Default: `postgres`.
    pub user: String,
    /// The password of `db.user`. Default: `postgres`.
    #[schemars(with = "String")]
    pub password: SecretString,
    /// `{name, key}` of a Secret: workers read the password from it, and it stands in no Job. Default: none.
    pub password_secret: Option<PasswordSecret>,
    /// The database with both schemas. Default: `postgres`.
    pub database: String,
    /// pg-boss's schema. Default: `pgboss`.
    #[schemars(length(min = 1, max = 63))]
    pub schema: String,
    /// Our own schema. Default: `chief`.
    #[schemars(length(min = 1, max = 63))]
    pub manager_schema: String,
    /// Seconds between refreshes of the totals of `/states` and the queue gauges. Default: 30.
    #[schemars(range(min = 1, max = 86_400))]
    pub monitor_state_interval_seconds: u64,
    /// Whether Postgres is spoken to through TLS with the certificates of `db.sslPaths`, its name verified.
    /// Default: false.
    pub enable_ssl_auth: bool,
    /// The certificates.
    pub ssl_paths: SslPaths,
    /// The Secret with the certificates, mounted for workers where the paths say. Default: empty.
    pub cert_secret_name: String,
}

impl Default for DbSettings {
    fn default() -> Self {
        Self {
            host: "localhost".into(),
            port: 5432,
            user: "postgres".into(),
            password: SecretString::from("postgres"),
            password_secret: None,
            database: "postgres".into(),
            schema: "pgboss".into(),
            manager_schema: "chief".into(),
            monitor_state_interval_seconds: 30,
            enable_ssl_auth: false,
            ssl_paths: SslPaths::default(),
            cert_secret_name: String::new(),
        }
    }
}

/// A key of a Secret in the namespace.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PasswordSecret {
    /// The Secret.
    #[schemars(length(min = 1))]
    pub name: String,
    /// Its key.
    #[schemars(length(min = 1))]
    pub key: String,
}

/// Paths of certificates; empty where there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct SslPaths {
    /// The file of the authority that signed the server's certificate. Default: empty.
    pub ca: String,
    /// The file of our certificate. Default: empty.
    pub cert: String,
    /// The file of the key of our certificate. Default: empty.
    pub key: String,
}

/// Kubernetes: where the Jobs are.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct KubernetesSettings {
    /// Where Jobs are created. Default: `default`.
    #[schemars(length(min = 1, max = 63))]
    pub namespace: String,
    /// Whether the service account of our pod is used, as in a cluster. Default: false.
    pub load_config_from_cluster: bool,
    /// The pull secret of every Job; empty for none. Default: empty.
    pub pull_secret: String,
    /// The default of `ttlSecondsAfterFinished`. Default: 30m.
    #[serde(with = "crate::config::job_config::HumanDuration")]
    pub job_max_age_for_deletion: std::time::Duration,
}

impl Default for KubernetesSettings {
    fn default() -> Self {
        Self {
            namespace: "default".into(),
            load_config_from_cluster: false,
            pull_secret: String::new(),
            job_max_age_for_deletion: std::time::Duration::from_secs(1800),
        }
    }
}

/// The HTTP server.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ServerSettings {
    /// The port that is listened on; 0 takes a free one and logs it. Default: 8080.
    pub port: u16,
    /// The address that is listened on; by default every one, so that the probes of the Deployment reach it.
    /// Default: `0.0.0.0`.
    pub host: std::net::IpAddr,
    /// A file of bearer tokens, one a line, read anew for each request that needs one; without it nothing can be changed
    /// over HTTP. Default: none.
    pub token_file: Option<PathBuf>,
    /// Pages about JobConfigs need a token, too; the probes, `/metrics` and `/openapi.json` do not. Default: false.
    pub protect_reads: bool,
    /// `/metrics` needs a token, too: Prometheus brings it by `authorization.credentials_file`. Default: false.
    pub protect_metrics: bool,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            port: 8080,
            host: std::net::Ipv4Addr::UNSPECIFIED.into(),
            token_file: None,
            protect_reads: false,
            protect_metrics: false,
        }
    }
}

/// Logs.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct TelemetrySettings {
    /// Logs.
    pub logger: LoggerSettings,
}

/// Logs.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct LoggerSettings {
    /// How much is logged: `error`, `warn`, `info`, `debug` or `trace`. Default: `info`.
    pub level: LogLevel,
    /// Text for people instead of JSON, one object a line. Default: false.
    pub pretty_print: bool,
}

impl Default for LoggerSettings {
    fn default() -> Self {
        Self { level: LogLevel::Info, pretty_print: false }
    }
}

/// How much is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the levels are the field's own words")]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl LogLevel {
    /// The word that a filter understands.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}
