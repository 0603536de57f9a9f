//! Templates of modules: a line of values, then a file. What is filled is what another reader of YAML sees in its text.

use job_chief::modules::{job_config, module::Module, object::ObjectKind};
use serde_json::{Map, Value};

pub(crate) fn try_out(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let (values, file) = text.split_once('\n').unwrap_or(("", text));
    let values: Map<String, Value> = serde_json::from_str(values).unwrap_or_default();
    let module = match Module::read("redis", "latest", vec![("a.yaml".into(), file.into())]) {
        Ok(module) => module,
        Err(problems) => {
            crate::places::are_within(file, &problems);
            return;
        }
    };
    match module.fill(&values, "media") {
        Err(problems) => crate::places::are_within(file, &problems),
        Ok(rendered) => {
            for file in &rendered.modules {
                let bodies: Vec<Value> = file.objects.iter().map(|it| Value::Object(it.body.clone())).collect();
                assert_eq!(documents(&file.text), bodies, "{}", file.text);
            }
            for object in rendered.objects().filter(|object| object.id.kind == ObjectKind::JobConfig) {
                job_config::entry(object).unwrap_or_else(|problems| panic!("it was filled: {problems}"));
            }
        }
    }
}

/// The documents of a text, as another reader has them.
fn documents(text: &str) -> Vec<Value> {
    let all = serde_yaml_ng::Deserializer::from_str(text);
    let all: Vec<Value> = all.map(|one| serde::Deserialize::deserialize(one).unwrap()).collect();
    all.into_iter().filter(|it| !it.is_null()).collect()
}
