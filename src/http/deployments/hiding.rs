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
            let of_key = |key: &str| object.body.get(key).and_then(Value::as_object).into_iter().flatten();
            let plain = of_key("stringData").filter_map(|(_, value)| Some(value.as_str()?.to_owned()));
            let coded = of_key("data").flat_map(|(_, value)| {
                let decoded = serde_json::from_value::<ByteString>(value.clone()).ok();
                let decoded = decoded.and_then(|bytes| String::from_utf8(bytes.0).ok());
                decoded.into_iter().chain(value.as_str().map(str::to_owned))
            });
            plain.chain(coded).collect::<Vec<_>>()
        });
        Self { values: values.collect() }
    }

    /// A value, in which what a Secret contains is not shown.
    pub(super) fn shown(&self, value: &Value) -> Value {
        let is_secret = |text: &str| !text.is_empty() && self.values.iter().any(|secret| secret.contains(text));
        match value {
            Value::String(text) if is_secret(text) => HIDDEN.into(),
            Value::Number(number) if is_secret(&number.to_string()) => HIDDEN.into(),
            Value::Array(items) => items.iter().map(|item| self.shown(item)).collect(),
            Value::Object(map) => Value::Object(self.shown_map(map)),
            other => other.clone(),
        }
    }

    /// The same of a map.
    pub(super) fn shown_map(&self, map: &Map<String, Value>) -> Map<String, Value> {
        map.iter().map(|(key, value)| (key.clone(), self.shown(value))).collect()
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
}
