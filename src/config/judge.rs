//! Judges of what people write, made of JSON Schemas: the problems that one finds, as sentences.

use std::cell::OnceCell;

use jsonschema::{ValidationError, Validator, error::ValidationErrorKind};
use k8s_openapi::api::batch::v1::JobTemplateSpec;
use schemars::JsonSchema;
use serde_json::Value;

use crate::config::{
    entry::Kind,
    job_config::{DURATION_ALLOWED, JobConfig},
    problems::nearest,
    schema::{QUANTITY_ALLOWED, QUANTITY_PATTERN, judged},
    service_config::ServiceConfig,
    sharing::Sharing,
    windows::{DAYS_ALLOWED, DAYS_PATTERN, TIME_ALLOWED, TIME_PATTERN},
};

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
            Kind::Queue => self.queue.get_or_init(Judge::of::<JobConfig>),
            Kind::Service => self.service.get_or_init(Judge::of::<ServiceConfig>),
        }
    }

    /// Of `limits` and `pools`.
    pub fn sharing(&self) -> &Judge {
        self.sharing.get_or_init(Judge::of::<Sharing>)
    }

    /// Of a `jobTemplate`: Kubernetes' own schema, of which nothing is required.
    pub fn template(&self) -> &Judge {
        self.template.get_or_init(|| {
            let mut schema = judged::<JobTemplateSpec>();
            for (kind, key) in [("batch.v1.JobSpec", "template"), ("core.v1.PodSpec", "containers")] {
                let required = schema.pointer_mut(&format!("/definitions/io.k8s.api.{kind}/required"));
                let required = required.and_then(Value::as_array_mut);
                required.expect("Kubernetes requires it of whole objects").retain(|name| name != key);
            }
            Judge::new(schema)
        })
    }
}

impl Judge {
    /// A judge of values that are to become a `T`.
    pub fn of<T: JsonSchema>() -> Self {
        Self::new(judged::<T>())
    }

    fn new(schema: Value) -> Self {
        // A format judges in this draft, and did not in that of the types.
        let options = jsonschema::options().should_validate_formats(false);
        let validator = options.build(&schema).expect("schemas made from types are valid");
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
