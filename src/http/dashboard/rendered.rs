//! The Job of an entry as YAML, without the values of its variables: whoever may sign in need not know them.

use serde_json::Value;

use crate::{
    config::entry::Entry,
    decide::{
        decision::Wish,
        pod::{
            inputs::{Instance, Parts},
            manifest::Template,
            names::job_name,
        },
    },
};

/// What stands in the place of such a value.
const NOT_SHOWN: &str = "(not shown)";

/// The Job that would be created for an entry, as YAML.
pub(super) fn rendered(entry: &Entry, instance: &Instance) -> String {
    let wish = Wish::example(job_name(&instance.uid, entry.name(), 0, 0));
    let job = |_: String, parts: Parts<'_>| {
        let mut job = serde_json::to_value(Template::of(parts, instance).job(&wish)).ok()?;
        hide(&mut job);
        serde_yaml_ng::to_string(&job).ok()
    };
    // One that runs elsewhere has at most what runs once beside it.
    Parts::each(entry, job).into_iter().flatten().next().unwrap_or_default()
}

/// Takes whatever is said beside a name: variables and headers hold secrets under any name.
fn hide(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            let is_named = fields.contains_key("name");
            if let Some(Value::String(text)) = fields.get_mut("value").filter(|_| is_named) {
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
    fn what_is_said_beside_a_name_is_not_shown_and_references_are() {
        let from = json!({"secretKeyRef": {"name": "s", "key": "k"}});
        let mut job = json!({"spec": {"containers": [{"name": "main", "env": [
            {"name": "PGPASSWORD", "value": "canary"}, {"name": "REDIS_URL", "value": "redis://:canary@h"},
            {"name": "DB_PASSWORD", "valueFrom": from},
        ], "livenessProbe": {"httpGet": {"httpHeaders": [{"name": "Authorization", "value": "Bearer canary"}]}}}]}});
        hide(&mut job);
        let text = job.to_string();
        assert!(!text.contains("canary") && text.contains("secretKeyRef"), "{text}");
    }
}
