//! The reference pages are made from the types: each key with its type, its default and its meaning.

use job_chief::config::{
    schema::{jobs_json_schema, schema_of},
    settings::Settings,
    sources,
};
use serde_json::Value;

use crate::page;

/// What a `$ref` leads to, laid under the keys beside it.
fn resolved(property: &Value, root: &Value) -> Value {
    let Some(path) = property["$ref"].as_str().and_then(|path| path.strip_prefix('#')) else { return property.clone() };
    let mut target = root.pointer(path).unwrap_or_else(|| panic!("{path} leads nowhere")).clone();
    for (key, value) in property.as_object().unwrap().iter().filter(|(key, _)| *key != "$ref") {
        target[key] = value.clone();
    }
    target
}

fn definition(property: &Value) -> Option<&str> {
    property["$ref"].as_str().and_then(|path| path.rsplit('/').next())
}

/// The type of a key in words.
fn type_of(property: &Value, root: &Value) -> String {
    match definition(property) {
        Some("Duration") => return "duration".to_owned(),
        Some(name) if name.starts_with("io.k8s") => {
            return format!("Kubernetes `{}`", name.rsplit('.').next().unwrap());
        }
        _ => {}
    }
    let it = resolved(property, root);
    if let Some(words) = it["enum"].as_array() {
        return words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
    }
    if let Some(options) = it["oneOf"].as_array() {
        return options.iter().map(|option| format!("`{}`", option["const"])).collect::<Vec<_>>().join(", ");
    }
    let bounds = match (&it["minimum"], &it["maximum"]) {
        (Value::Null, Value::Null) => String::new(),
        (least, Value::Null) => format!(" from {least}"),
        (Value::Null, most) => format!(" up to {most}"),
        (least, most) => format!(" {least} to {most}"),
    };
    if let Some(kinds) = it["type"].as_array() {
        let of = |kind: &Value| {
            type_of(&serde_json::json!({"type": kind, "minimum": it["minimum"], "maximum": it["maximum"]}), root)
        };
        return kinds.iter().map(of).collect::<Vec<_>>().join(" or ");
    }
    match it["type"].as_str().unwrap_or_default() {
        "integer" => format!("whole number{bounds}"),
        "number" => format!("number{bounds}"),
        "array" => format!("array of {}", type_of(&it["items"], root)),
        "object" if it["additionalProperties"]["type"] == "string" => "map of strings".to_owned(),
        other => other.to_owned(),
    }
}

fn meaning(property: &Value, root: &Value) -> String {
    resolved(property, root)["description"].as_str().unwrap_or_default().replace('\n', " ")
}

/// The table of an object's keys.
fn table(object: &Value, prefix: &str, root: &Value) -> String {
    let required: Vec<&str> = object["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let mut told = String::from("| key | type | meaning |\n|---|---|---|\n");
    for (key, property) in object["properties"].as_object().expect("an object has keys") {
        let needed = if required.contains(&key.as_str()) { ", required" } else { "" };
        let (kind, text) = (type_of(property, root), meaning(property, root));
        told.push_str(&format!("| `{prefix}{key}` | {kind}{needed} | {text} |\n"));
    }
    told
}

#[test]
fn the_page_on_jobs_json_is_made_from_the_types() {
    let root = jobs_json_schema();
    for (heading, name, prefix) in [
        ("## `limits`", "Limits", "limits."),
        ("## `pools`", "Pool", "pools.NAME."),
        ("## A queue", "JobConfig", ""),
        ("## A service", "ServiceConfig", ""),
        ("### `backoff` of a service", "ServiceBackoff", "backoff."),
        ("### `check`", "CheckConfig", "check."),
        ("### `check.http`", "HttpCheck", "check.http."),
        ("### `updateStrategy`", "UpdateStrategy", "updateStrategy."),
        ("### `check.job`, `repair`", "OneOffConfig", "repair."),
        ("### `actions`", "ActionConfig", "actions.NAME."),
        ("### `requirements`", "TargetConfig", "requirements[]."),
        ("### `requirements[].tcp`, `check.tcp`", "TcpTarget", "tcp."),
        ("### `requirements[].http`", "HttpTarget", "http."),
        ("### `prepare`, `configure`", "Step", "prepare."),
        ("## `podConfig`", "PodConfig", "podConfig."),
        ("## `podConfig.liveness`", "Liveness", "liveness."),
        ("## `backoff`", "BackoffConfig", "backoff."),
        ("## `windows`", "Window", "windows[]."),
    ] {
        page::hold_table("docs/jobs-json.md", heading, &table(&root["$defs"][name], prefix, &root));
    }
}

/// Every object of our own in the schema has its table.
#[test]
fn no_object_of_jobs_json_is_left_out() {
    let root = jobs_json_schema();
    let shown = [
        "Limits",
        "Pool",
        "JobConfig",
        "ServiceConfig",
        "ServiceBackoff",
        "CheckConfig",
        "HttpCheck",
        "UpdateStrategy",
        "OneOffConfig",
        "ActionConfig",
        "TargetConfig",
        "TcpCheck",
        "TcpTarget",
        "HttpTarget",
        "Step",
        "PodConfig",
        "Liveness",
        "BackoffConfig",
        "Window",
    ];
    for (name, it) in root["$defs"].as_object().unwrap() {
        let own = !name.starts_with("io.k8s") && it["properties"].is_object() && name != "Defaults";
        assert!(!own || shown.contains(&name.as_str()), "docs/jobs-json.md has no table of {name}");
    }
}

#[test]
fn the_schema_that_is_shipped_is_the_one_that_is_printed() {
    let made = serde_json::to_string_pretty(&jobs_json_schema()).unwrap() + "\n";
    page::hold("docs/jobs.schema.json", &made);
}

/// `path, environment, type, default, meaning` of each setting.
fn settings(object: &Value, prefix: &str, root: &Value, told: &mut String) {
    for (key, property) in object["properties"].as_object().expect("an object has keys") {
        let path = format!("{prefix}{key}");
        let it = resolved(property, root);
        if it["properties"].is_object() && path != "db.passwordSecret" {
            settings(&it, &format!("{path}."), root, told);
            continue;
        }
        let text = meaning(property, root);
        let (meaning, default) = text.split_once(" Default: ").unwrap_or((&text, ""));
        let default = default.trim_end_matches('.');
        assert!(!default.is_empty(), "what is the default of {path}? Its text is \"{text}\"");
        let is = it["default"].as_str().map_or_else(|| it["default"].to_string(), str::to_owned);
        assert!(is == "null" || default.contains(&is), "{path} is {is} by default, and its text says {default}");
        let variables: Vec<String> =
            sources::variables().filter(|(_, set)| *set == path).map(|(name, _)| format!("`{name}`")).collect();
        told.push_str(&format!("| `{path}` | {} | {default} | {meaning} |\n", variables.join(", ")));
    }
}

#[test]
fn the_page_on_settings_is_made_from_the_types() {
    let root = schema_of::<Settings>();
    let mut told = String::from("| key | environment | default | meaning |\n|---|---|---|---|\n");
    settings(&root, "", &root, &mut told);
    page::hold_table("docs/settings.md", "## Every setting", &told);
}

/// A variable of the environment stands in the table, or among those that no longer mean anything.
#[test]
fn every_variable_of_the_environment_is_on_the_page() {
    let page = page::read("docs/settings.md");
    for (name, _) in sources::variables().chain([("DATABASE_URL", "")]) {
        assert!(page.contains(&format!("`{name}`")), "docs/settings.md says nothing of {name}");
    }
}
