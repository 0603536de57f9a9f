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
                match documents(&file.text) {
                    Ok(read) => assert_eq!(read, bodies, "{}", file.text),
                    Err(error) => assert!(is_refused_with_any(&module, &values), "{error}: {}", file.text),
                }
            }
            for object in rendered.objects().filter(|object| object.id.kind == ObjectKind::JobConfig) {
                job_config::entry(object).unwrap_or_else(|problems| panic!("it was filled: {problems}"));
            }
        }
    }
}

/// The other reader knows less of YAML than ours, such as no key that begins with a colon. Then it is the template that it
/// refuses, also where harmless values are filled in.
fn is_refused_with_any(module: &Module, values: &Map<String, Value>) -> bool {
    let harmless = values.keys().map(|name| (name.clone(), "x".into())).collect();
    let Ok(rendered) = module.fill(&harmless, "media") else { return true };
    rendered.modules.iter().any(|file| documents(&file.text).is_err())
}

/// The documents of a text, as another reader has them.
fn documents(text: &str) -> Result<Vec<Value>, serde_yaml_ng::Error> {
    let all = serde_yaml_ng::Deserializer::from_str(text).map(serde::Deserialize::deserialize);
    let all: Vec<Value> = all.collect::<Result<_, _>>()?;
    Ok(all.into_iter().filter(|it| !it.is_null()).collect())
}
