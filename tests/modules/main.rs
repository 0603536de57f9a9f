//! Modules: what a template becomes with its values, what is refused, and what is shipped.
#![expect(clippy::unwrap_used, reason = "test code")]

mod filled;
mod library;
mod properties;
mod shipped;
mod wrong;

use job_chief::modules::{module::Module, rendered::Rendered};
use serde_json::{Map, Value};

/// The namespace of all of them.
const NAMESPACE: &str = "media";

fn map(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

fn read(files: &[(&str, &str)]) -> Result<Module, String> {
    let files = files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    Module::read("redis", "latest", files).map_err(|problems| problems.to_string())
}

/// One file, filled.
fn filled(text: &str, values: Value) -> Result<Rendered, String> {
    read(&[("a.yaml", text)])?.fill(&map(values), NAMESPACE).map_err(|problems| problems.to_string())
}

/// What one file becomes.
fn text(text: &str, values: Value) -> String {
    filled(text, values).unwrap().modules[0].text.clone()
}

/// The documents of a text, as another reader has them.
fn documents(text: &str) -> Vec<Value> {
    let all = serde_yaml_ng::Deserializer::from_str(text);
    let all: Vec<Value> = all.map(|one| serde::Deserialize::deserialize(one).unwrap()).collect();
    all.into_iter().filter(|it| !it.is_null()).collect()
}
