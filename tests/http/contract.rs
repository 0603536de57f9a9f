//! Holds answers against the OpenAPI document of whoever gave them.

use serde_json::{Value, json};

/// What a service says of itself.
pub(crate) struct Contract {
    pub(crate) document: Value,
}

impl Contract {
    /// An answer to a request for a route, as the document writes it: its code, its media type and its body are there.
    pub(crate) fn check(&self, (method, route): (&str, &str), (code, media_type, body): (u16, &str, &str)) {
        let what = format!("{method} {route}: {code} {media_type} {body}");
        let responses = &self.document["paths"][route][method.to_ascii_lowercase()]["responses"];
        let content = responses[code.to_string()]["content"].as_object();
        let content = content.unwrap_or_else(|| panic!("a code that the document does not have: {what}"));
        let known = content.get(media_type).unwrap_or_else(|| panic!("a media type it does not have: {what}"));
        let value = match media_type.contains("json") {
            true => serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {what}")),
            false => Value::String(body.to_owned()),
        };
        let problems = self.problems(&known["schema"], &value);
        assert!(problems.is_empty(), "{what}\n{}", problems.join("\n"));
    }

    /// A value is what the document calls by this name.
    pub(crate) fn check_part(&self, name: &str, value: &Value) {
        let problems = self.problems(&json!({"$ref": format!("#/components/schemas/{name}")}), value);
        assert!(problems.is_empty(), "{value}\n{}", problems.join("\n"));
    }

    /// Also what the schema does not name is a problem.
    fn problems(&self, schema: &Value, value: &Value) -> Vec<String> {
        let mut whole = json!({ "components": self.document["components"], "allOf": [schema] });
        if value.is_object() && schema["type"] != "object" {
            whole["unevaluatedProperties"] = json!(false);
        }
        let validator = jsonschema::validator_for(&whole).unwrap();
        validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect()
    }
}
