//! Values that stand in Secrets are not shown, wherever else they stand.

use k8s_openapi::ByteString;
use serde_json::{Map, Value};

use crate::modules::object::{Object, ObjectKind};

/// What stands in place of a value that is not shown.
const HIDDEN: &str = "(hidden)";

/// The values of the Secrets among these objects.
pub(super) struct Hidden {
    values: Vec<String>,
}

impl Hidden {
    /// What stands in their Secrets.
    pub(super) fn of<'a>(objects: impl Iterator<Item = &'a Object>) -> Self {
        let secrets = objects.filter(|object| object.id.kind == ObjectKind::Secret);
        let values = secrets.flat_map(|object| {
            let of_key = |key: &str| object.body.get(key).map(scalars).unwrap_or_default();
            let decoded = of_key("data").into_iter().filter_map(|text| {
                let decoded = serde_json::from_value::<ByteString>(text.into()).ok()?;
                String::from_utf8(decoded.0).ok()
            });
            decoded.chain(of_key("data")).chain(of_key("stringData")).collect::<Vec<_>>()
        });
        Self { values: values.collect() }
    }

    /// A value, in which what a Secret contains is not shown.
    pub(super) fn shown(&self, value: &Value) -> Value {
        let is_secret = |text: &str| {
            let (written, is_in) = (Value::from(text).to_string(), |part: &str| self.has(part));
            // Part of a list or an object, it stands there as JSON has it.
            !text.is_empty() && (is_in(text) || is_in(&written[1..written.len() - 1]))
        };
        match value {
            Value::String(text) if is_secret(text) => HIDDEN.into(),
            Value::Number(number) if is_secret(&number.to_string()) => HIDDEN.into(),
            Value::Array(items) => items.iter().map(|item| self.shown(item)).collect(),
            Value::Object(map) => Value::Object(self.shown_map(map)),
            other => other.clone(),
        }
    }

    fn has(&self, part: &str) -> bool {
        self.values.iter().any(|secret| secret.contains(part))
    }

    /// The same of a map.
    pub(super) fn shown_map(&self, map: &Map<String, Value>) -> Map<String, Value> {
        map.iter().map(|(key, value)| (key.clone(), self.shown(value))).collect()
    }
}

/// The texts of a value, also of what is not allowed there and has not been refused yet.
fn scalars(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(items) => items.iter().flat_map(scalars).collect(),
        Value::Object(members) => members.values().flat_map(scalars).collect(),
        other => vec![other.to_string()],
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::modules::object::ObjectId;

    fn object(kind: ObjectKind, body: Value) -> Object {
        let Value::Object(body) = body else { panic!("a mapping") };
        Object { id: ObjectId { kind, name: "x".into() }, body, file: "x.yaml".into(), line: 1 }
    }

    #[test]
    fn what_stands_in_a_secret_is_shown_nowhere() {
        let objects = [
            object(
                ObjectKind::Secret,
                json!({"stringData": {"url": "postgres://u:hunter2@db"}, "data": {"k": "c2VzYW1l"}}),
            ),
            object(ObjectKind::ConfigMap, json!({"data": {"size": "8Gi"}})),
        ];
        let config = json!({"password": "hunter2", "open": ["sesame", "8Gi"], "deep": {"pin": 2, "n": 77}, "empty": "", "on": true});
        let shown = Hidden::of(objects.iter()).shown(&config);
        assert_eq!(
            shown,
            json!({"password": "(hidden)", "open": ["(hidden)", "8Gi"], "deep": {"pin": "(hidden)", "n": 77}, "empty": "", "on": true})
        );
    }

    #[test]
    fn what_a_secret_has_as_json_or_in_a_wrong_place_is_hidden_too() {
        let body = json!({"stringData": {"file": r#"{"a":"say \"x\"","b":"c\\d"}"#, "pin": 4711, "list": ["deep"]}});
        let objects = [object(ObjectKind::Secret, body)];
        let config = json!({"file": {"a": "say \"x\"", "b": "c\\d"}, "pin": 4711, "list": "deep", "other": "say"});
        let hidden = json!({"a": "(hidden)", "b": "(hidden)"});
        assert_eq!(
            Hidden::of(objects.iter()).shown(&config),
            json!({"file": hidden, "pin": "(hidden)", "list": "(hidden)", "other": "(hidden)"})
        );
    }
}
