//! What may be deployed: of which kind, under which name, where.

use serde_json::Value;

use crate::{
    config::{
        dns_label::is_label,
        job_config::TTL_SECONDS_MIN,
        json::{self, Node},
        problems::{Problem, nearest},
    },
    modules::{
        object::{KINDS, Object, ObjectId, ObjectKind},
        source::Source,
    },
};

/// Kinds that belong to the whole cluster, as they are met in what people deploy.
const OF_THE_CLUSTER: [&str; 15] = [
    "APIService",
    "CSIDriver",
    "ClusterRole",
    "ClusterRoleBinding",
    "CustomResourceDefinition",
    "IngressClass",
    "MutatingWebhookConfiguration",
    "Namespace",
    "Node",
    "PersistentVolume",
    "PriorityClass",
    "RuntimeClass",
    "StorageClass",
    "ValidatingAdmissionPolicy",
    "ValidatingWebhookConfiguration",
];

/// Kinds that give rights.
const RIGHTS: [&str; 2] = ["Role", "RoleBinding"];

/// What the API server writes, and a file that was made by `kubectl get` has.
const OF_THE_SERVER: [&str; 6] =
    ["uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "selfLink"];

/// Keys of a JobConfig.
const JOB_CONFIG_KEYS: [&str; 4] = ["apiVersion", "kind", "metadata", "spec"];

/// Keys of its metadata.
const JOB_CONFIG_METADATA: [&str; 2] = ["name", "namespace"];

/// The longest name of an object.
const NAME_MAX: usize = 253;

/// Names that become a label or a host name are no longer.
const LABEL_MAX: usize = 63;

/// A CronJob's Jobs have its name and eleven characters.
const CRON_JOB_MAX: usize = 52;

/// The longest name of an entry of jobs.json.
const JOB_CONFIG_MAX: usize = 500;

/// Judges a document of a module.
pub(super) struct Inspector<'a> {
    source: &'a Source,
    namespace: &'a str,
    problems: Vec<Problem>,
}

/// The object that a document is.
///
/// # Errors
/// Everything that is wrong with it.
pub(super) fn object(source: &Source, node: &Node, namespace: &str) -> Result<Object, Vec<Problem>> {
    let mut inspector = Inspector { source, namespace, problems: vec![] };
    let id = inspector.id(node);
    match (id, node.to_value()) {
        (Some(id), Value::Object(body)) if inspector.problems.is_empty() => {
            Ok(Object { id, body, file: source.file.clone(), line: source.line_column(node.start).0 })
        }
        _ => Err(inspector.problems),
    }
}

impl Inspector<'_> {
    fn tell(&mut self, at: usize, path: &str, what: impl Into<String>) {
        let problem = self.source.problem_of(at, path.to_owned(), what);
        self.problems.push(problem);
    }

    /// A text that has to be there.
    fn word(&mut self, node: &Node, key: &str, path: &str) -> Option<(usize, String)> {
        let Some(found) = node.get(key) else {
            self.tell(node.start, path, format!("the key \"{key}\" is missing"));
            return None;
        };
        match &found.kind {
            json::Kind::Scalar(Value::String(text)) if !text.is_empty() => Some((found.start, text.clone())),
            _ => {
                self.tell(found.start, path, "allowed is a text that is not empty");
                None
            }
        }
    }

    fn id(&mut self, node: &Node) -> Option<ObjectId> {
        let json::Kind::Object(_) = node.kind else {
            self.tell(node.start, "", "allowed is an object with apiVersion, kind and metadata");
            return None;
        };
        let version = self.word(node, "apiVersion", "apiVersion");
        let kind = self.word(node, "kind", "kind").and_then(|(at, word)| self.kind(at, &word));
        if let (Some((at, version)), Some(kind)) = (version, kind)
            && version != kind.api_version()
        {
            self.tell(
                at,
                "apiVersion",
                format!("found \"{version}\", allowed for {kind} is \"{}\"", kind.api_version()),
            );
        }
        if let Some(status) = node.key_start("status").filter(|_| kind != Some(ObjectKind::JobConfig)) {
            self.tell(status, "status", "the cluster writes it: remove it");
        }
        if kind == Some(ObjectKind::Job) {
            self.end_of_job(node);
        }
        let name = self.metadata(node, kind?)?;
        Some(ObjectId { kind: kind?, name })
    }

    /// A Job that goes by itself before its end was seen would be made anew.
    fn end_of_job(&mut self, node: &Node) {
        let Some(ttl) = node.get("spec").and_then(|spec| spec.get("ttlSecondsAfterFinished")) else { return };
        if ttl.to_value().as_i64().is_some_and(|seconds| seconds < i64::from(TTL_SECONDS_MIN)) {
            let what = format!("allowed is {TTL_SECONDS_MIN} or more: how it has ended must be seen before it goes");
            self.tell(ttl.start, "spec.ttlSecondsAfterFinished", what);
        }
    }

    fn kind(&mut self, at: usize, word: &str) -> Option<ObjectKind> {
        let known = KINDS.into_iter().find(|kind| kind.as_str() == word);
        if known.is_none() {
            let what = if OF_THE_CLUSTER.contains(&word) {
                format!(
                    "a {word} belongs to the whole cluster, and job-chief has one namespace: give it to the cluster's admin"
                )
            } else if RIGHTS.contains(&word) {
                format!("a {word} gives rights, and job-chief gives none: give it to the cluster's admin")
            } else {
                let all = KINDS.map(ObjectKind::as_str);
                format!("unknown kind \"{word}\"{}: allowed are {}", nearest(word, all), all.join(", "))
            };
            self.tell(at, "kind", what);
        }
        known
    }

    fn metadata(&mut self, node: &Node, kind: ObjectKind) -> Option<String> {
        let Some(metadata) = node.get("metadata").filter(|it| matches!(it.kind, json::Kind::Object(_))) else {
            self.tell(node.start, "metadata", "the key \"metadata\" is missing, with a \"name\"");
            return None;
        };
        for key in OF_THE_SERVER {
            if let Some(at) = metadata.key_start(key) {
                self.tell(at, &format!("metadata.{key}"), "the API server writes it: remove it");
            }
        }
        if let Some(at) = metadata.key_start("generateName") {
            self.tell(at, "metadata.generateName", "each deployment would make another object: write \"name\"");
            return None;
        }
        self.own_labels(metadata);
        self.namespace(metadata);
        if kind == ObjectKind::JobConfig {
            self.unknown_keys(node, "", &JOB_CONFIG_KEYS);
            self.unknown_keys(metadata, "metadata.", &JOB_CONFIG_METADATA);
        }
        let (at, name) = self.word(metadata, "name", "metadata.name")?;
        match name_problem(kind, &name) {
            Some(what) => {
                self.tell(at, "metadata.name", what);
                None
            }
            None => Some(name),
        }
    }

    fn unknown_keys(&mut self, node: &Node, path: &str, known: &[&str]) {
        let json::Kind::Object(members) = &node.kind else { return };
        for (at, key, _) in members.iter().filter(|(_, key, _)| !known.contains(&key.as_str())) {
            let hint = nearest(key, known.iter().copied());
            let what =
                format!("unknown key \"{key}\"{hint}: a JobConfig never reaches Kubernetes, and has no such key");
            self.tell(*at, &format!("{path}{key}"), what);
        }
    }

    fn own_labels(&mut self, metadata: &Node) {
        let Some(json::Kind::Object(labels)) = metadata.get("labels").map(|labels| &labels.kind) else { return };
        for (at, key, _) in labels.iter().filter(|(_, key, _)| key.starts_with("job-chief/")) {
            self.tell(*at, &format!("metadata.labels.{key}"), "labels of job-chief/ are job-chief's own: remove it");
        }
    }

    fn namespace(&mut self, metadata: &Node) {
        let Some(found) = metadata.get("namespace") else { return };
        if found.to_value().as_str() != Some(self.namespace) {
            let what = format!(
                "found {}, but job-chief works in \"{}\" only: remove it, or give its placeholder that value",
                found.to_value(),
                self.namespace
            );
            self.tell(found.start, "metadata.namespace", what);
        }
    }
}

/// What is wrong with a name.
fn name_problem(kind: ObjectKind, name: &str) -> Option<String> {
    let most = match kind {
        ObjectKind::JobConfig => JOB_CONFIG_MAX,
        ObjectKind::Job | ObjectKind::Service | ObjectKind::StatefulSet => LABEL_MAX,
        ObjectKind::CronJob => CRON_JOB_MAX,
        _ => NAME_MAX,
    };
    if name.len() > most {
        return Some(format!("it has {} characters, allowed for {kind} are {most}", name.len()));
    }
    // Queues have whatever name their application gave them.
    if kind == ObjectKind::JobConfig {
        return None;
    }
    let is_good = match kind {
        ObjectKind::Service => is_label(name) && name.starts_with(|c: char| c.is_ascii_lowercase()),
        _ => name.split('.').all(is_label),
    };
    let dots = if kind == ObjectKind::Service { ", with a letter first" } else { " and `.`" };
    (!is_good).then(|| {
        format!(
            "found \"{name}\", allowed are small letters, digits, `-`{dots}; a letter or digit at both ends (DNS-1123)"
        )
    })
}
