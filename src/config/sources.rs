//! The layers of the settings: built-in defaults, `config/default.toml`, a file, the environment.
//!
//! Later layers win. All problems are reported at once, with the layer it came from.

use std::{collections::BTreeMap, path::Path};

use config::{Config, File, FileFormat, Map, Source, Value, ValueKind};
use serde_json::{Value as Json, json};

use crate::config::{
    judge::{Finding, Judge},
    problems::{Place, Problem, Problems},
    settings::Settings,
    traces,
};

/// The settings, and what was accepted although it no longer means anything.
#[derive(Debug)]
pub struct Loaded {
    /// The settings.
    pub settings: Settings,
    /// What has no effect.
    pub warnings: Vec<Problem>,
}

/// The environment names, what they set, and what kind of value they hold.
const ENVIRONMENT: [(&str, &str, Kind); 32] = [
    ("DB_HOST", "db.host", Kind::Text),
    ("DB_PORT", "db.port", Kind::Number),
    ("DB_USERNAME", "db.user", Kind::Text),
    ("DB_PASSWORD", "db.password", Kind::Text),
    ("DB_NAME", "db.database", Kind::Text),
    ("DB_SCHEMA", "db.schema", Kind::Text),
    ("DB_MANAGER_SCHEMA", "db.managerSchema", Kind::Text),
    ("DB_MONITOR_STATE_INTERVAL_SECONDS", "db.monitorStateIntervalSeconds", Kind::Number),
    ("DB_ENABLE_SSL_AUTH", "db.enableSslAuth", Kind::Flag),
    ("DB_CA_PATH", "db.sslPaths.ca", Kind::Text),
    ("DB_CERT_PATH", "db.sslPaths.cert", Kind::Text),
    ("DB_KEY_PATH", "db.sslPaths.key", Kind::Text),
    ("DB_CERT_SECRET_NAME", "db.certSecretName", Kind::Text),
    ("DB_DELETE_JOBS_AFTER_HOURS", "db.deleteAfterHours", Kind::Number),
    ("APP_INSTANCE_UID", "app.instanceUid", Kind::Text),
    ("NODE_ENV", "app.environment", Kind::Text),
    ("APP_JOBS_CONFIG_PATH", "app.jobsConfigPath", Kind::Text),
    // The name that the orchestrator has for it whose templates these are; the other wins.
    ("MANIFESTS_PATH", "app.modulesPath", Kind::Text),
    ("MODULES_PATH", "app.modulesPath", Kind::Text),
    ("K8S_NAMESPACE", "kubernetes.namespace", Kind::Text),
    ("K8S_PULL_SECRET", "kubernetes.pullSecret", Kind::Text),
    ("K8S_LOAD_CONFIG_FROM_CLUSTER", "kubernetes.loadConfigFromCluster", Kind::Flag),
    ("SERVER_PORT", "server.port", Kind::Number),
    ("SERVER_HOST", "server.host", Kind::Text),
    ("SERVER_TOKEN_FILE", "server.tokenFile", Kind::Text),
    ("SERVER_PROTECT_READS", "server.protectReads", Kind::Flag),
    ("SERVER_PROTECT_METRICS", "server.protectMetrics", Kind::Flag),
    ("LOG_LEVEL", "telemetry.logger.level", Kind::Text),
    ("LOG_PRETTY_PRINT_ENABLED", "telemetry.logger.prettyPrint", Kind::Flag),
    ("TELEMETRY_TRACING_ENABLED", "telemetry.tracing.enabled", Kind::Flag),
    ("TELEMETRY_METRICS_ENABLED", "telemetry.metrics.enabled", Kind::Flag),
    ("TELEMETRY_TRACING_URL", "telemetry.tracing.url", Kind::Text),
];

#[derive(Clone, Copy, Debug)]
enum Kind {
    Text,
    Number,
    Flag,
}

/// Whether job-chief reads a variable of its environment.
pub fn is_variable(name: &str) -> bool {
    name == "DATABASE_URL" || traces::is_variable(name) || ENVIRONMENT.iter().any(|(known, ..)| *known == name)
}

/// The variables of the environment, each with the setting that it sets; `DATABASE_URL` sets several and is not among
/// them.
pub fn variables() -> impl Iterator<Item = (&'static str, &'static str)> {
    ENVIRONMENT.into_iter().map(|(name, key, _)| (name, key))
}

/// Keys of the original that no longer mean anything, as JSON pointers, with what is so instead.
const MEANINGLESS: [(&str, &str); 9] = [
    ("/db/deleteAfterHours", "pg-boss itself deletes its messages"),
    ("/kubernetes/jobCleanupInterval", "finished Jobs are cleaned up as they finish"),
    ("/telemetry/tracing", "OTEL_EXPORTER_OTLP_ENDPOINT says where traces are sent"),
    ("/telemetry/metrics", "/metrics is always there"),
    ("/telemetry/shared", "OTEL_EXPORTER_OTLP_ENDPOINT says where traces are sent"),
    ("/telemetry/logger/opentelemetryOptions", "logs go to standard output"),
    ("/server/request", "bodies have a fixed limit"),
    ("/server/response", "answers are small and not compressed"),
    ("/openapiConfig", "there is one path for it, /openapi.json"),
];

/// Loads the settings from `config/default.toml` (where there is one), `file` and `environment`.
///
/// # Errors
/// Everything that is wrong, each with its source and key.
pub fn load(file: Option<&Path>, environment: &BTreeMap<String, String>) -> Result<Loaded, Problems> {
    let (given, broken_url) = Environment::of(environment);
    if broken_url {
        // Not shown: it may hold a password.
        let text = "is no URL: allowed is postgres://USER:PASSWORD@HOST:PORT/DATABASE".to_owned();
        let source = "environment DATABASE_URL".to_owned();
        return Err(Problems(vec![Problem { place: Place::Source { source }, path: String::new(), text }]));
    }
    let mut builder = Config::builder().add_source(File::new(DEFAULT_FILE, FileFormat::Toml).required(false));
    if let Some(file) = file {
        builder = builder.add_source(File::from(file));
    }
    let layers = builder.add_source(given).build().and_then(|config| config.collect());
    let table = layers.map_err(|error| {
        let source = file.map_or_else(|| DEFAULT_FILE.into(), |file| file.display().to_string());
        Problems(vec![Problem { place: Place::Source { source }, path: String::new(), text: error.to_string() }])
    })?;
    let tree = Value::new(None, ValueKind::Table(table));
    judge(&Tree { file: file.map(|file| file.display().to_string()), tree })
}

/// The file beside the binary or in the working directory that holds an installation's own defaults.
const DEFAULT_FILE: &str = "config/default.toml";

/// All layers, merged; each value knows the one it came from.
struct Tree {
    file: Option<String>,
    tree: Value,
}

fn judge(tree: &Tree) -> Result<Loaded, Problems> {
    let mut json = to_json(&tree.tree);
    let mut warnings = vec![];
    for (pointer, instead) in MEANINGLESS {
        if remove(&mut json, pointer) {
            warnings.push(locate(tree, Finding::new(&segments(pointer), format!("has no effect: {instead}"))));
        }
    }
    let findings = Judge::of::<Settings>().findings(&json);
    if !findings.is_empty() {
        return Err(Problems(findings.into_iter().map(|finding| locate(tree, finding)).collect()));
    }
    let settings: Settings = serde_json::from_value(json).map_err(|error| {
        Problems(vec![Problem {
            place: Place::Source { source: "settings".into() },
            path: String::new(),
            text: error.to_string(),
        }])
    })?;
    let broken = rules(&settings);
    if broken.is_empty() {
        return Ok(Loaded { settings, warnings });
    }
    Err(Problems(broken.into_iter().map(|finding| locate(tree, finding)).collect()))
}

/// What the schema can't say.
fn rules(settings: &Settings) -> Vec<Finding> {
    let mut found = vec![];
    let ssl = &settings.db;
    if ssl.enable_ssl_auth && ssl.ssl_paths.ca.is_empty() {
        found.push(Finding::new(
            &["db", "sslPaths", "ca"],
            "is empty, but db.enableSslAuth is on: name the authority's certificate",
        ));
    }
    if ssl.ssl_paths.cert.is_empty() != ssl.ssl_paths.key.is_empty() {
        found.push(Finding::new(&["db", "sslPaths"], "cert and key go together: set both or neither"));
    }
    let ttl = settings.kubernetes.job_max_age_for_deletion.as_secs();
    let least = u64::from(crate::config::job_config::TTL_SECONDS_MIN);
    if !(least..=31_536_000).contains(&ttl) {
        let text = format!("allowed is from {least}s to 365days");
        found.push(Finding::new(&["kubernetes", "jobMaxAgeForDeletion"], text));
    }
    found
}

fn segments(pointer: &str) -> Vec<&str> {
    pointer.split('/').skip(1).collect()
}

fn remove(json: &mut Json, pointer: &str) -> bool {
    let Some((parent, key)) = pointer.rsplit_once('/') else { return false };
    json.pointer_mut(parent).and_then(Json::as_object_mut).is_some_and(|object| object.remove(key).is_some())
}

/// Names the layer that a value came from: that of the value, else of the nearest thing below it that has one.
fn locate(tree: &Tree, finding: Finding) -> Problem {
    let mut value = Some(&tree.tree);
    for segment in &finding.path {
        value = value.and_then(|value| match &value.kind {
            ValueKind::Table(table) => table.get(segment),
            _ => None,
        });
    }
    let source = match (value.and_then(origin), &tree.file) {
        (Some(layer), _) if layer == DEFAULT_FILE || layer.starts_with("environment ") => layer.to_owned(),
        // The file as it was given, not as `config` relates it to the working directory.
        (Some(_), Some(file)) => file.clone(),
        (layer, _) => layer.unwrap_or("settings").to_owned(),
    };
    Problem { place: Place::Source { source }, path: finding.path.join("."), text: finding.text }
}

fn origin(value: &Value) -> Option<&str> {
    match &value.kind {
        ValueKind::Table(table) => value.origin().or_else(|| table.values().find_map(origin)),
        _ => value.origin(),
    }
}

fn to_json(value: &Value) -> Json {
    match &value.kind {
        ValueKind::Nil => Json::Null,
        ValueKind::Boolean(flag) => json!(flag),
        ValueKind::I64(number) => json!(number),
        ValueKind::U64(number) => json!(number),
        ValueKind::I128(number) => json!(number.to_string()),
        ValueKind::U128(number) => json!(number.to_string()),
        ValueKind::Float(number) => json!(number),
        ValueKind::String(text) => json!(text),
        ValueKind::Table(table) => table.iter().map(|(key, value)| (key.clone(), to_json(value))).collect(),
        ValueKind::Array(items) => items.iter().map(to_json).collect(),
    }
}

/// The environment as a source that remembers which name set what.
#[derive(Clone, Debug)]
struct Environment(Map<String, Value>);

impl Environment {
    /// What the environment sets, and whether its URL is none.
    fn of(environment: &BTreeMap<String, String>) -> (Self, bool) {
        let url = environment.get("DATABASE_URL").map(|url| url.parse::<url::Url>());
        let broken = matches!(url, Some(Err(_)));
        let mut set: Map<String, Value> = url.and_then(Result::ok).map(|url| database_url(&url)).unwrap_or_default();
        for (name, key, kind) in ENVIRONMENT {
            if let Some(text) = environment.get(name) {
                set.insert(key.into(), Value::new(Some(&format!("environment {name}")), typed(kind, text)));
            }
        }
        (Self(set), broken)
    }
}

/// A number or flag where the text is one; else the text, so that the schema reports what is wrong with it.
fn typed(kind: Kind, text: &str) -> ValueKind {
    match kind {
        Kind::Number => text.trim().parse::<i64>().map_or_else(|_| ValueKind::String(text.into()), ValueKind::I64),
        Kind::Flag => text.trim().parse::<bool>().map_or_else(|_| ValueKind::String(text.into()), ValueKind::Boolean),
        Kind::Text => ValueKind::String(text.into()),
    }
}

/// `DATABASE_URL` sets host, port, user, password and database; the names of their own win over it.
fn database_url(url: &url::Url) -> Map<String, Value> {
    let mut set = Map::new();
    let origin = "environment DATABASE_URL".to_owned();
    let mut insert = |key: &str, value: ValueKind| set.insert(key.to_owned(), Value::new(Some(&origin), value));
    let text = |part: &str| ValueKind::String(percent_decode(part));
    if let Some(host) = url.host_str() {
        insert("db.host", text(host));
    }
    if let Some(port) = url.port() {
        insert("db.port", ValueKind::I64(port.into()));
    }
    if !url.username().is_empty() {
        insert("db.user", text(url.username()));
    }
    if let Some(password) = url.password() {
        insert("db.password", text(password));
    }
    if url.path().len() > 1 {
        insert("db.database", text(&url.path()[1..]));
    }
    set
}

fn percent_decode(part: &str) -> String {
    percent_encoding::percent_decode_str(part).decode_utf8_lossy().into_owned()
}

impl Source for Environment {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, config::ConfigError> {
        Ok(self.0.clone())
    }
}
