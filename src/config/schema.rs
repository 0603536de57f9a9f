//! JSON Schema of what people write.

use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Value, json};

use crate::config::{
    job_config::JobConfig,
    service_config::ServiceConfig,
    sharing::{LIMITS, POOL_NAME_MAX, Sharing},
};

/// Kubernetes' grammar of quantities, from `apimachinery/pkg/api/resource`.
pub(super) const QUANTITY_PATTERN: &str =
    "^[+-]?([0-9]+(\\.[0-9]*)?|\\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?$";

/// The message for a value that is not a quantity.
pub(super) const QUANTITY_ALLOWED: &str = "a Kubernetes quantity, such as \"500m\", \"2\" or \"128Mi\"";

/// The JSON Schema of jobs.json, for editors: the array, or the object with `defaults`.
pub fn jobs_json_schema() -> Value {
    let (mut queue, mut service) = (schema_of::<JobConfig>(), schema_of::<ServiceConfig>());
    let mut sharing = schema_of::<Sharing>();
    let mut defs = queue["$defs"].take();
    let mut defaults = queue.clone();
    for other in [&mut service, &mut sharing] {
        if let (Value::Object(all), Value::Object(more)) = (&mut defs, other["$defs"].take()) {
            all.extend(more);
        }
    }
    if let (Some(Value::Object(all)), Some(Value::Object(more))) =
        (defaults.get_mut("properties"), service.get("properties").cloned())
    {
        more.into_iter().for_each(|(key, schema)| {
            all.entry(key).or_insert(schema);
        });
    }
    for schema in [&mut queue, &mut service, &mut defaults] {
        let object = schema.as_object_mut().expect("a struct's schema is an object");
        object.remove("$defs");
        object.remove("$schema");
    }
    defaults["required"] = json!([]);
    (defs["JobConfig"], defs["ServiceConfig"], defs["Defaults"]) = (queue, service, defaults);
    let is_service = json!({"properties": {"type": {"const": "service"}}, "required": ["type"]});
    let entry =
        json!({"if": is_service, "then": {"$ref": "#/$defs/ServiceConfig"}, "else": {"$ref": "#/$defs/JobConfig"}});
    let jobs = json!({"type": "array", "minItems": 1, "items": entry});
    let listed = json!({
        "type": "object",
        "properties": {"module": {"type": "string"}, "version": {"type": "string"}, "config": {"type": "object"}},
        "additionalProperties": false
    });
    let by_name = json!({"type": "object", "additionalProperties": listed});
    let by_module = json!({"type": "object", "additionalProperties": by_name});
    let modules = json!({
        "description": "Modules to deploy, by namespace, module and name.",
        "type": "object",
        "additionalProperties": by_module
    });
    let (limits, mut pools) = (sharing["properties"]["limits"].take(), sharing["properties"]["pools"].take());
    let label =
        json!({"pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "maxLength": POOL_NAME_MAX, "not": {"const": LIMITS}});
    pools["propertyNames"] = label;
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "jobs.json of job-chief",
        "anyOf": [
            jobs,
            {
                "type": "object",
                "properties": {
                    "$schema": {"type": "string"}, "defaults": {"$ref": "#/$defs/Defaults"}, "jobs": jobs,
                    "limits": limits, "modules": modules, "pools": pools
                },
                "required": ["jobs"],
                "additionalProperties": false
            }
        ],
        "$defs": defs
    })
}

/// The schema of a type, with Kubernetes' types closed against unknown keys.
pub fn schema_of<T: JsonSchema>() -> Value {
    closed::<T>(SchemaSettings::draft2020_12())
}

/// The same for a [`Judge`](crate::config::judge::Judge), without most of the words and in a draft whose own schema is one
/// document: a validator keeps copies of both, of the latter for good. A `$ref` has nothing beside it there that judges.
pub(super) fn judged<T: JsonSchema>() -> Value {
    // The draft's transforms would put an `allOf` round each `$ref`.
    let mut schema = closed::<T>(SchemaSettings::draft07().with(|settings| settings.transforms.clear()));
    keep_what_judges(&mut schema);
    schema
}

fn closed<T: JsonSchema>(settings: SchemaSettings) -> Value {
    let quantity = format!("{}/io.k8s.apimachinery.pkg.api.resource.Quantity", settings.definitions_path);
    let mut schema = settings.into_generator().into_root_schema_for::<T>().to_value();
    close(&mut schema);
    if let Some(quantity) = schema.pointer_mut(&quantity) {
        *quantity = json!({"type": ["string", "number"], "pattern": QUANTITY_PATTERN, "description": QUANTITY_ALLOWED});
    }
    schema
}

/// Objects with listed properties take no others, and what may be left out is left out, not null.
fn close(schema: &mut Value) {
    drop_null(schema);
    match schema {
        Value::Object(object) => {
            if object.contains_key("properties") && object.get("type") == Some(&json!("object")) {
                object.entry("additionalProperties").or_insert(Value::Bool(false));
            }
            object.values_mut().for_each(close);
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}

/// `X or null`, which optional fields give, becomes `X`.
fn drop_null(schema: &mut Value) {
    let Some(object) = schema.as_object_mut() else { return };
    let null = json!({"type": "null"});
    if let Some(Value::Array(options)) = object.get("anyOf")
        && let [only, last] = options.as_slice()
        && *last == null
        && let Some(only) = only.as_object().cloned()
    {
        object.remove("anyOf");
        object.extend(only);
    }
    if let Some(Value::Array(kinds)) = object.get_mut("type") {
        kinds.retain(|kind| kind != "null");
        if let [only] = kinds.as_slice() {
            let only = only.clone();
            object.insert("type".into(), only);
        }
    }
}

/// Takes out what does not judge: the descriptions, but for one that a message shows, that of a pattern; and the defaults
/// beside references.
fn keep_what_judges(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            if !object.contains_key("pattern") && object.get("description").is_some_and(Value::is_string) {
                object.remove("description");
            }
            if object.contains_key("$ref") {
                object.remove("default");
            }
            object.values_mut().for_each(keep_what_judges);
        }
        Value::Array(items) => items.iter_mut().for_each(keep_what_judges),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::batch::v1::JobTemplateSpec;

    use super::*;
    use crate::config::settings::Settings;

    /// What came with a later draft than that of a judge, which would take it for a remark; and what is a remark in later
    /// drafts and judges in that one.
    const TAKEN_OTHERWISE: [&str; 9] = [
        "$defs",
        "$dynamicRef",
        "contentEncoding",
        "contentMediaType",
        "dependentRequired",
        "dependentSchemas",
        "prefixItems",
        "unevaluatedItems",
        "unevaluatedProperties",
    ];

    fn overlooked(schema: &Value) -> Vec<&Value> {
        let mut found: Vec<&Value> = match schema {
            Value::Object(object) => object.values().flat_map(overlooked).collect(),
            Value::Array(items) => items.iter().flat_map(overlooked).collect(),
            _ => vec![],
        };
        let object = schema.as_object();
        let beside = object.is_some_and(|object| object.contains_key("$ref") && object.len() > 1);
        if beside || object.is_some_and(|object| TAKEN_OTHERWISE.iter().any(|key| object.contains_key(*key))) {
            found.push(schema);
        }
        found
    }

    #[test]
    fn a_judge_overlooks_nothing_of_a_schema() {
        for schema in [
            judged::<JobConfig>(),
            judged::<ServiceConfig>(),
            judged::<Sharing>(),
            judged::<Settings>(),
            judged::<JobTemplateSpec>(),
        ] {
            assert_eq!(overlooked(&schema), Vec::<&Value>::new());
        }
    }
}
