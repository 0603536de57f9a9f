//! The generation of a JobConfig's Jobs: a hash of what its user wrote, as far as that reaches the Job.
//!
//! It is not a hash of the rendered Job: a new job-chief may render the same entry differently, and that replaces no
//! service. Keys that only say when and how many Jobs there are do not count, nor does a key that says what is so
//! without it; so a version that knows more keys finds the same generation for an entry that has none of them.

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::{
    config::{
        pod_config::{InjectPgConfig, PodConfig},
        service_config::ServiceConfig,
    },
    decide::pod::{
        inputs::{Instance, Parts},
        names::short_hash,
    },
};

/// How the hash is made. Hashes that were made differently say nothing of whether anything has changed.
const SCHEME: &str = "v1";

/// Characters of the hash.
const HASH_LEN: usize = 12;

/// The generation, as it stands in a label.
pub fn generation(parts: &Parts<'_>, instance: &Instance) -> String {
    let written = serde_json::to_vec(&written(parts, instance)).expect("a tree of values is JSON");
    format!("{SCHEME}-{}", short_hash(&written, HASH_LEN))
}

/// Whether two generations were made by one scheme, so that they can be compared. An unknown one (empty) was not.
pub fn are_comparable(one: &str, other: &str) -> bool {
    let scheme = |generation: &str| generation.split_once('-').map_or("", |(scheme, _)| scheme).to_owned();
    !one.is_empty() && !other.is_empty() && scheme(one) == scheme(other)
}

/// The generation of Jobs that are to be started anew when files have changed; `files` is the hash of their contents, and
/// `None` while they can't be read.
pub fn with_files(generation: &str, files: Option<&str>) -> String {
    format!("{generation}.{}", files.unwrap_or(UNREAD))
}

/// Stands for the contents of files that can't be read. No hash is so short.
const UNREAD: &str = "unread";

/// Whether a Job of this generation is as is wanted: what is not known of files, or not asked, makes no difference.
pub fn is_same(own: &str, wanted: &str) -> bool {
    let parts = |generation: &str| match generation.split_once('.') {
        Some((entry, files)) => (entry.to_owned(), Some(files.to_owned())),
        None => (generation.to_owned(), None),
    };
    let ((own_entry, _), (entry, files)) = (parts(own), parts(wanted));
    own == wanted || (own_entry == entry && files.is_none_or(|files| files == UNREAD))
}

/// What was written, key by key; what is not there, or as without it, is left out.
fn written(parts: &Parts<'_>, instance: &Instance) -> Map<String, Value> {
    let steps: Map<String, Value> =
        parts.steps.iter().map(|(name, step)| ((*name).to_owned(), beyond(step, json!({})))).collect();
    let settings = match parts.pod.inject_pg_config {
        InjectPgConfig::No => Value::Null,
        InjectPgConfig::Db | InjectPgConfig::Libpq => instance.pg.written(),
    };
    let all = json!({
        "queue": parts.queue,
        "pod": pod(parts.pod),
        "jobTemplate": parts.job_template.map(|template| &*template.0),
        "stopTimeoutSeconds": parts.grace.map(|grace| grace.as_secs()),
        "ports": parts.ports,
        "readiness": parts.readiness,
        "steps": steps,
        "environment": instance.environment,
        "pullSecret": instance.pull_secret,
        "database": settings,
    });
    let mut all = beyond(&all, json!({"ports": [], "steps": {}, "environment": "", "pullSecret": ""}));
    all.as_object_mut().map(std::mem::take).unwrap_or_default()
}

fn pod(config: &PodConfig) -> Value {
    let is_off = config.liveness.as_ref().is_some_and(|liveness| !liveness.enabled);
    let mut unsaid = json!(ServiceConfig::left("").pod_config);
    if is_off {
        unsaid["liveness"] = json!(config.liveness);
    }
    beyond(config, unsaid)
}

/// What of a value differs from its default.
fn beyond(thing: &impl Serialize, unsaid: Value) -> Value {
    let mut value = json!(thing);
    if let Some(keys) = value.as_object_mut() {
        keys.retain(|key, value| !value.is_null() && unsaid.get(key) != Some(value));
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_says_what_is_so_without_it_does_not_count() {
        // `later` stands for a key that only a later version knows, with its default.
        let (entry, unsaid) = (json!({"image": "a", "later": [1]}), json!({"image": "", "later": [1]}));
        assert_eq!(beyond(&entry, unsaid), beyond(&json!({"image": "a"}), json!({"image": ""})));
    }

    #[test]
    fn files_that_are_not_known_make_no_difference_and_others_do() {
        let (one, other, unread) =
            (with_files("v1-a", Some("x")), with_files("v1-a", Some("y")), with_files("v1-a", None));
        for (own, wanted) in [(&one, &one), (&one, &unread), (&one, &"v1-a".to_owned()), (&unread, &unread)] {
            assert!(is_same(own, wanted), "{own} {wanted}");
        }
        let entry = with_files("v1-b", None);
        for (own, wanted) in [(&one, &other), (&unread, &one), (&"v1-a".to_owned(), &one), (&one, &entry)] {
            assert!(!is_same(own, wanted), "{own} {wanted}");
        }
    }

    #[test]
    fn only_generations_of_one_scheme_are_compared() {
        assert!(are_comparable("v1-a", "v1-b") && are_comparable("a", "b"));
        for (one, other) in [("", "v1-a"), ("v1-a", ""), ("a", "v1-b"), ("v2-a", "v1-a")] {
            assert!(!are_comparable(one, other), "{one} {other}");
        }
    }
}
