//! JSON Schema of what people write, and the problems that a schema finds, as sentences.

use std::cell::OnceCell;

use jsonschema::{ValidationError, Validator, error::ValidationErrorKind};
use k8s_openapi::api::batch::v1::JobTemplateSpec;
use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Value, json};

use crate::config::{
    entry::Kind,
    job_config::{DURATION_ALLOWED, JobConfig},
    problems::nearest,
    service_config::ServiceConfig,
    sharing::{LIMITS, POOL_NAME_MAX, Sharing},
    windows::{DAYS_ALLOWED, DAYS_PATTERN, TIME_ALLOWED, TIME_PATTERN},
};

/// Kubernetes' grammar of quantities, from `apimachinery/pkg/api/resource`.
const QUANTITY_PATTERN: &str = "^[+-]?([0-9]+(\\.[0-9]*)?|\\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?$";

/// The message for a value that is not a quantity.
const QUANTITY_ALLOWED: &str = "a Kubernetes quantity, such as \"500m\", \"2\" or \"128Mi\"";

/// How the message for a key begins that nothing has.
pub(super) const UNKNOWN_KEY: &str = "unknown key";

/// A schema that judges values.
pub struct Judge {
    schema: Value,
    validator: Validator,
}

/// A problem at a path of the judged value; segments as in a JSON pointer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Where, below the judged value.
    pub path: Vec<String>,
    /// Points at the key instead of the value.
    pub at_key: bool,
    /// What was found and what is allowed.
    pub text: String,
}

impl Finding {
    /// A finding at a value.
    pub fn new(path: &[&str], text: impl Into<String>) -> Self {
        Self { path: path.iter().map(|s| (*s).to_owned()).collect(), at_key: false, text: text.into() }
    }
}

/// The judges of jobs.json. Each is made when it is first needed, from some hundred kilobytes of Kubernetes' schemas, and
/// all go with what was read: a file is read seldom.
#[derive(Default)]
pub struct Judges {
    queue: OnceCell<Judge>,
    service: OnceCell<Judge>,
    template: OnceCell<Judge>,
    sharing: OnceCell<Judge>,
}

impl Judges {
    /// Of one entry of this type.
    pub fn of(&self, kind: Kind) -> &Judge {
        match kind {
            Kind::Queue => self.queue.get_or_init(|| Judge::of(schema_of::<JobConfig>())),
            Kind::Service => self.service.get_or_init(|| Judge::of(schema_of::<ServiceConfig>())),
        }
    }

    /// Of `limits` and `pools`.
    pub fn sharing(&self) -> &Judge {
        self.sharing.get_or_init(|| Judge::of(schema_of::<Sharing>()))
    }

    /// Of a `jobTemplate`: Kubernetes' own schema, of which nothing is required.
    pub fn template(&self) -> &Judge {
        self.template.get_or_init(|| {
            let mut schema = schema_of::<JobTemplateSpec>();
            for (kind, key) in [("batch.v1.JobSpec", "template"), ("core.v1.PodSpec", "containers")] {
                let required = schema.pointer_mut(&format!("/$defs/io.k8s.api.{kind}/required"));
                let required = required.and_then(Value::as_array_mut);
                required.expect("Kubernetes requires it of whole objects").retain(|name| name != key);
            }
            Judge::of(schema)
        })
    }
}

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
    let mut schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>().to_value();
    close(&mut schema);
    if let Some(defs) = schema.get_mut("$defs").and_then(Value::as_object_mut)
        && let Some(quantity) = defs.get_mut("io.k8s.apimachinery.pkg.api.resource.Quantity")
    {
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

impl Judge {
    /// A judge for a schema made by [`schema_of`].
    pub fn of(schema: Value) -> Self {
        let validator = jsonschema::validator_for(&schema).expect("schemas made from types are valid");
        Self { schema, validator }
    }

    /// The keys that a value may have.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.schema["properties"].as_object().into_iter().flat_map(|known| known.keys()).map(String::as_str)
    }

    /// Everything that is wrong with a value.
    pub fn findings(&self, value: &Value) -> Vec<Finding> {
        self.validator.iter_errors(value).flat_map(|error| self.sentences(&error)).collect()
    }

    fn sentences(&self, error: &ValidationError<'_>) -> Vec<Finding> {
        let path: Vec<String> = error.instance_path().as_str().split('/').skip(1).map(unescape).collect();
        let below = |key: &str| path.iter().cloned().chain([key.to_owned()]).collect();
        match error.kind() {
            ValidationErrorKind::AdditionalProperties { unexpected } => unexpected
                .iter()
                .map(|key| Finding { path: below(key), at_key: true, text: self.unknown_key(error, key) })
                .collect(),
            ValidationErrorKind::Required { property } => {
                let text = format!("the key \"{}\" is missing", property.as_str().unwrap_or_default());
                vec![Finding { path, at_key: false, text }]
            }
            kind => {
                let found = shown(&path, error.instance());
                vec![Finding {
                    text: format!("found {found}, allowed is {}", self.allowed(error, kind)),
                    path,
                    at_key: false,
                }]
            }
        }
    }

    fn unknown_key(&self, error: &ValidationError<'_>, key: &str) -> String {
        let known = self.parent_schema(error).and_then(|schema| schema.get("properties")).and_then(Value::as_object);
        let hint = known.map_or_else(String::new, |known| nearest(key, known.keys().map(String::as_str)));
        format!("{UNKNOWN_KEY} \"{key}\"{hint}")
    }

    /// The schema object whose keyword failed.
    fn parent_schema(&self, error: &ValidationError<'_>) -> Option<&Value> {
        let (parent, _) = error.schema_path().as_str().rsplit_once('/')?;
        self.schema.pointer(parent)
    }

    fn allowed(&self, error: &ValidationError<'_>, kind: &ValidationErrorKind) -> String {
        match kind {
            ValidationErrorKind::Minimum { limit } => format!("at least {limit}"),
            ValidationErrorKind::Maximum { limit } => format!("at most {limit}"),
            ValidationErrorKind::MinLength { .. } => "a text that is not empty".into(),
            ValidationErrorKind::MaxLength { limit } => format!("at most {limit} characters"),
            ValidationErrorKind::MinItems { limit } => format!("at least {limit} entry"),
            ValidationErrorKind::MaxItems { limit } => format!("at most {limit} entries"),
            ValidationErrorKind::MinProperties { limit } => format!("at least {limit} key"),
            ValidationErrorKind::MaxProperties { limit } => format!("at most {limit} keys"),
            ValidationErrorKind::Enum { options } => words(options),
            ValidationErrorKind::Constant { expected_value } => expected_value.to_string(),
            ValidationErrorKind::Pattern { pattern } if pattern == QUANTITY_PATTERN => QUANTITY_ALLOWED.into(),
            ValidationErrorKind::Pattern { pattern } if pattern == DAYS_PATTERN => DAYS_ALLOWED.into(),
            ValidationErrorKind::Pattern { pattern } if pattern == TIME_PATTERN => TIME_ALLOWED.into(),
            ValidationErrorKind::Pattern { .. } => DURATION_ALLOWED.into(),
            ValidationErrorKind::Type { .. } => self.type_words(error),
            _ => self.constants(error).unwrap_or_else(|| error.to_string()),
        }
    }

    /// The words of an enum whose variants have docs of their own.
    fn constants(&self, error: &ValidationError<'_>) -> Option<String> {
        let variants = self.parent_schema(error)?.get("oneOf")?.as_array()?;
        let constants = variants.iter().map(|variant| variant.get("const").cloned()).collect::<Option<Vec<_>>>()?;
        Some(words(&Value::Array(constants)))
    }

    fn type_words(&self, error: &ValidationError<'_>) -> String {
        let schema = self.parent_schema(error);
        let described = schema.and_then(|s| s.get("pattern")).and(schema.and_then(|s| s.get("description")));
        match (described.and_then(Value::as_str), schema.and_then(|s| s.get("type"))) {
            (Some(description), _) => description.to_owned(),
            (None, Some(kind)) => words(kind),
            (None, None) => error.to_string(),
        }
    }
}

/// The options of a keyword as a list: `queue or service`.
fn words(options: &Value) -> String {
    match options {
        Value::Array(all) => all.iter().map(Value::to_string).collect::<Vec<_>>().join(" or "),
        Value::String(word) => match word.as_str() {
            "integer" => "a whole number".into(),
            "array" | "object" => format!("an {word}"),
            other => format!("a {other}"),
        },
        other => other.to_string(),
    }
}

/// Characters of a found value that are shown.
const SHOWN_MAX: usize = 80;

/// The value as it was found, or only its kind where it may be a secret.
fn shown(path: &[String], value: &Value) -> String {
    let secret = path.iter().any(|segment| segment == "env" || segment.to_lowercase().contains("password"));
    match value {
        Value::Object(_) => "an object".into(),
        Value::Array(_) => "an array".into(),
        Value::Null => "null".into(),
        _ if secret => "a value (not shown)".into(),
        other => other.to_string().chars().take(SHOWN_MAX).collect(),
    }
}

fn unescape(segment: &str) -> String {
    segment.replace("~1", "/").replace("~0", "~")
}
