//! The Job of an entry as YAML, without what is nobody's business.

use serde_json::Value;

use crate::{
    config::entry::Entry,
    decide::{
        decision::Wish,
        pod::{inputs::Instance, manifest::Template, names::job_name},
    },
};

/// Parts of the names of variables whose values are not shown.
const SECRET: [&str; 7] = ["PASS", "PWD", "SECRET", "TOKEN", "KEY", "CREDENTIAL", "DATABASE_URL"];

/// What stands in the place of such a value.
const NOT_SHOWN: &str = "(not shown)";

/// The Job that would be created for an entry, as YAML.
pub(super) fn rendered(entry: &Entry, instance: &Instance) -> String {
    let wish = Wish::example(job_name(&instance.uid, entry.name(), 0, 0));
    let job = serde_json::to_value(Template::of(entry, instance).job(&wish));
    let Ok(mut job) = job else { return String::new() };
    hide(&mut job);
    serde_yaml_ng::to_string(&job).unwrap_or_default()
}

/// Takes the values of variables that are secret by their names.
fn hide(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            let name = fields.get("name").and_then(Value::as_str).unwrap_or_default().to_uppercase();
            let is_secret = SECRET.iter().any(|part| name.contains(part));
            if let Some(Value::String(text)) = fields.get_mut("value").filter(|_| is_secret) {
                NOT_SHOWN.clone_into(text);
            }
            fields.values_mut().for_each(hide);
        }
        Value::Array(items) => items.iter_mut().for_each(hide),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_of_secret_variables_are_not_shown_and_references_are() {
        let from = json!({"secretKeyRef": {"name": "s", "key": "k"}});
        let mut job = json!({"spec": {"containers": [{"name": "main", "env": [
            {"name": "PGPASSWORD", "value": "canary"}, {"name": "Api_Key", "value": "canary"},
            {"name": "MODE", "value": "fast"}, {"name": "DB_PASSWORD", "valueFrom": from},
        ]}]}});
        hide(&mut job);
        let text = job.to_string();
        assert!(!text.contains("canary") && text.contains("fast") && text.contains("secretKeyRef"), "{text}");
    }
}
