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
                    Ok(read) => assert!(are_same(&read, &bodies), "{}\n{read:?}\n{bodies:?}", file.text),
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

/// Whether what the other reader has found is what ours has. That one takes an octal number, as `0644`, for a text; ours takes it
/// for a number, as Kubernetes' own tools do.
fn is_same(theirs: &Value, ours: &Value) -> bool {
    match (theirs, ours) {
        (Value::Array(theirs), Value::Array(ours)) => are_same(theirs, ours),
        (Value::Object(theirs), Value::Object(ours)) => {
            let is_there = |(key, theirs)| ours.get(key).is_some_and(|ours| is_same(theirs, ours));
            theirs.len() == ours.len() && theirs.iter().all(is_there)
        }
        (Value::String(text), Value::Number(number)) => {
            let octal = Some(text).filter(|text| text.len() > 1 && text.starts_with('0'));
            octal.and_then(|text| u64::from_str_radix(text, 8).ok()).is_some_and(|octal| number.as_u64() == Some(octal))
        }
        (theirs, ours) => theirs == ours,
    }
}

fn are_same(theirs: &[Value], ours: &[Value]) -> bool {
    theirs.len() == ours.len() && theirs.iter().zip(ours).all(|(theirs, ours)| is_same(theirs, ours))
}

/// The documents of a text, as another reader has them.
fn documents(text: &str) -> Result<Vec<Value>, serde_yaml_ng::Error> {
    let all = serde_yaml_ng::Deserializer::from_str(text).map(serde::Deserialize::deserialize);
    let all: Vec<Value> = all.collect::<Result<_, _>>()?;
    Ok(all.into_iter().filter(|it| !it.is_null()).collect())
}
