//! An object as it is sent: what a module wrote, with our labels and a hash of it.
//!
//! The hash stands in an annotation, so that any later process sees whether what it would write is what was written.

use std::fmt;

use k8s_openapi::ByteString;
use serde_json::{Map, Value, json};

use crate::{
    decide::{live::owner::Owner, pod::names::short_hash},
    modules::object::{Object, ObjectId, ObjectKind},
};

/// The hash of what was written.
pub const ANNOTATION_HASH: &str = "job-chief/hash";

/// How the hash is made. Hashes that were made differently say nothing of whether anything has changed.
const SCHEME: &str = "v1";

/// Characters of the hash: almost 80 bits.
const HASH_LEN: usize = 16;

/// What the API server says of an object, and nobody tells it.
const SERVERS_OWN: [&str; 6] =
    ["creationTimestamp", "generation", "managedFields", "resourceVersion", "selfLink", "uid"];

/// An object as it is sent.
#[derive(Clone, PartialEq)]
pub struct Written {
    id: ObjectId,
    hash: String,
    body: Value,
}

/// What may be a Secret is not printed.
impl fmt::Debug for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Written({} {})", self.id, self.hash)
    }
}

impl Written {
    /// An object for a deployment.
    pub fn of(object: &Object, owner: &Owner) -> Self {
        let mut body = plain(object);
        let hash = format!("{SCHEME}-{}", short_hash(canonical(&Value::Object(body.clone())).as_bytes(), HASH_LEN));
        let meta = child(&mut body, "metadata");
        meta.insert("name".into(), json!(object.id.name));
        child(meta, "labels").extend(owner.labels().map(|(name, value)| (name.to_owned(), json!(value))));
        child(meta, "annotations").insert(ANNOTATION_HASH.into(), json!(hash));
        Self { id: object.id.clone(), hash, body: Value::Object(body) }
    }

    /// Which object.
    pub fn id(&self) -> &ObjectId {
        &self.id
    }

    /// The hash of what was written.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// All of it.
    pub fn body(&self) -> &Value {
        &self.body
    }
}

/// Whether a hash that stands in an object is that of what is written now, as far as the two can be compared.
pub fn is_same(standing: &str, written: &Written) -> bool {
    let scheme = |hash: &str| hash.split_once('-').map(|(scheme, _)| scheme.to_owned());
    standing == written.hash || scheme(standing) != scheme(&written.hash)
}

/// The object without what is the API server's to say. `stringData` of a Secret becomes `data`, which is what is kept
/// of it: the owner of a field that nobody can read can't be told.
fn plain(object: &Object) -> Map<String, Value> {
    let mut body = object.body.clone();
    body.remove("status");
    if let Some(meta) = body.get_mut("metadata").and_then(Value::as_object_mut) {
        meta.retain(|key, _| !SERVERS_OWN.contains(&key.as_str()));
    }
    if object.id.kind == ObjectKind::Secret {
        encode_string_data(&mut body);
    }
    body
}

fn encode_string_data(body: &mut Map<String, Value>) {
    let Some(Value::Object(texts)) = body.get("stringData") else { return };
    let encoded: Option<Vec<(String, Value)>> = texts
        .iter()
        .map(|(key, text)| Some((key.clone(), json!(ByteString(text.as_str()?.as_bytes().to_vec())))))
        .collect();
    // What is no text is left as it is, for the API server to refuse.
    if let Some(encoded) = encoded {
        body.remove("stringData");
        child(body, "data").extend(encoded);
    }
}

/// The mapping under a key. Nothing else can stand there in an object that the API server takes.
fn child<'a>(parent: &'a mut Map<String, Value>, key: &str) -> &'a mut Map<String, Value> {
    let value = parent.entry(key).or_insert_with(|| json!({}));
    if !value.is_object() {
        *value = json!({});
    }
    value.as_object_mut().expect("it was made one")
}

/// JSON whose keys are in order, so that the same object has one text.
fn canonical(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            let entries = entries.into_iter().map(|(key, value)| format!("{}:{}", json!(key), canonical(value)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(","))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(",")),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(kind: ObjectKind, body: Value) -> Object {
        let Value::Object(body) = body else { panic!("a mapping") };
        let id = ObjectId { kind, name: "x".into() };
        Object { id, body, file: "x.yaml".into(), line: 1 }
    }

    fn written(kind: ObjectKind, body: Value) -> Written {
        Written::of(&object(kind, body), &Owner::new("a", "cache"))
    }

    #[test]
    fn what_is_sent_is_what_was_written_with_our_marks() {
        let body = json!({
            "kind": "ConfigMap", "apiVersion": "v1", "data": {"a": "1"}, "status": {},
            "metadata": {"name": "x", "uid": "u", "managedFields": [], "labels": {"tier": "db", "job-chief/deployment": "y"}},
        });
        let written = written(ObjectKind::ConfigMap, body);
        let expected = json!({
            "kind": "ConfigMap", "apiVersion": "v1", "data": {"a": "1"},
            "metadata": {
                "name": "x",
                "labels": {"tier": "db", "job-chief/deployment": "cache", "job-chief/instance": "a"},
                "annotations": {"job-chief/hash": written.hash()},
            },
        });
        assert_eq!(written.body(), &expected);
    }

    #[test]
    fn the_hash_is_of_what_was_written_in_whatever_order_and_for_whomever() {
        let hash =
            |text: &str| written(ObjectKind::ConfigMap, serde_json::from_str(text).expect("JSON")).hash().to_owned();
        let one = hash(r#"{"data": {"a": "1", "b": [1, 2]}, "metadata": {"name": "x"}}"#);
        assert_eq!(
            one,
            hash(r#"{"metadata": {"name": "x", "uid": "u"}, "data": {"b": [1, 2], "a": "1"}, "status": {}}"#)
        );
        assert_ne!(one, hash(r#"{"data": {"a": "1", "b": [2, 1]}, "metadata": {"name": "x"}}"#));
        assert_ne!(one, hash(r#"{"data": {"a": 1, "b": [1, 2]}, "metadata": {"name": "x"}}"#));
        let body = || object(ObjectKind::ConfigMap, json!({"data": {}}));
        let of = |owner: &str| Written::of(&body(), &Owner::new("a", owner)).hash().to_owned();
        assert_eq!(of("cache"), of("mail"));
    }

    #[test]
    fn a_hash_of_another_scheme_says_nothing() {
        let written = written(ObjectKind::Job, json!({}));
        assert!(is_same(written.hash(), &written) && is_same("v0-x", &written));
        assert!(!is_same("v1-x", &written));
    }

    #[test]
    fn the_texts_of_a_secret_are_sent_as_they_are_kept_and_printed_nowhere() {
        let texts = json!({"data": {"a": "b2xk", "c": "a2VwdA=="}, "stringData": {"a": "new"}});
        let secret = written(ObjectKind::Secret, texts);
        assert_eq!(secret.body()["data"], json!({"a": "bmV3", "c": "a2VwdA=="}));
        assert!(secret.body().get("stringData").is_none());
        assert!(!format!("{secret:?}").contains("bmV3"));
        let wrong = written(ObjectKind::Secret, json!({"stringData": {"a": 5}}));
        assert_eq!(wrong.body()["stringData"], json!({"a": 5}), "the API server refuses it");
        let map = written(ObjectKind::ConfigMap, json!({"stringData": {"a": "new"}}));
        assert!(map.body().get("data").is_none(), "no other kind has such a key");
    }
}
