//! How a trigger reaches Postgres, as variables of job-chief's own environment.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{
    harmless::harmless,
    import::{
        documents::{Content, Document},
        fields::{Fields, scalar},
        given::Given,
        remark::{Notes, Origin, shown},
    },
};

/// What KEDA calls a part of the connection, and our variable.
const PARAMETERS: [(&str, &str); 6] = [
    ("connection", "DATABASE_URL"),
    ("host", "DB_HOST"),
    ("port", "DB_PORT"),
    ("userName", "DB_USERNAME"),
    ("password", "DB_PASSWORD"),
    ("dbName", "DB_NAME"),
];

/// Objects of all files that others refer to.
pub(super) struct Surroundings {
    /// By kind and name, each with its namespace.
    objects: BTreeMap<(String, String), Vec<(String, Value)>>,
}

impl Surroundings {
    pub(super) fn of(documents: &[Document]) -> Self {
        let kinds = ["Secret", "TriggerAuthentication", "ClusterTriggerAuthentication"];
        let mut objects: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for Document { origin, content } in documents {
            if let Content::Object(object) = content
                && kinds.contains(&origin.kind.as_str())
            {
                let key = (origin.kind.clone(), origin.name.clone());
                objects.entry(key).or_default().push((origin.namespace.clone(), object.clone()));
            }
        }
        Self { objects }
    }

    /// The object that a document means. One without a namespace is applied to the one that is current.
    fn get(&self, kind: &str, name: &str, by: &Origin) -> Option<&Value> {
        let all = self.objects.get(&(kind.to_owned(), name.to_owned()))?;
        let same = |namespace: &str| namespace == by.namespace || namespace.is_empty() || by.namespace.is_empty();
        all.iter().find(|(namespace, _)| same(namespace)).map(|(_, object)| object)
    }

    /// Whether a Secret of the files lacks a key.
    fn lacks(&self, name: &str, key: &str, by: &Origin) -> bool {
        let has = |secret: &Value| ["data", "stringData"].iter().any(|part| secret[*part].get(key).is_some());
        self.get("Secret", name, by).is_some_and(|secret| !has(secret))
    }
}

/// Takes the connection from a trigger's metadata and from what it authenticates by.
pub(super) fn read(
    metadata: &mut Fields,
    path: &str,
    authentication: Option<Value>,
    variables: &[Value],
    around: &Surroundings,
    notes: &mut Notes,
) {
    let referred =
        authentication.map(|reference| references(path, &reference, variables, around, notes)).unwrap_or_default();
    for (parameter, variable) in PARAMETERS {
        let literal = metadata.text(parameter, notes).map(Given::Literal);
        let key = format!("{parameter}FromEnv");
        let from = metadata
            .text(&key, notes)
            .and_then(|name| variable_of(&metadata.path(&key), &name, variable, variables, notes));
        // KEDA reads an authentication first.
        let referred = referred.get(parameter).cloned().map(|given| (path.to_owned(), given));
        let literal = literal.map(|given| (metadata.path(parameter), given));
        let from = from.map(|given| (metadata.path(&key), given));
        if let Some((place, given)) = referred.or(literal).or(from) {
            settle(&place, variable, given, around, notes);
        }
    }
    let literal = metadata.text("sslmode", notes).map(Given::Literal);
    if let Some(mode) = referred.get("sslmode").cloned().or(literal) {
        tls(&metadata.path("sslmode"), &mode, notes);
    }
}

fn settle(path: &str, variable: &str, given: Given, around: &Surroundings, notes: &mut Notes) {
    if let Given::Secret { name, key } = &given
        && around.lacks(name, key, &notes.origin)
    {
        notes.say(
            path,
            format!(
                "the Secret {} has no key {}",
                shown(&Value::from(name.as_str())),
                shown(&Value::from(key.as_str()))
            ),
        );
    }
    if variable == "DATABASE_URL" && !matches!(&given, Given::Literal(text) if text.starts_with("postgres")) {
        notes.say(path, "the connection goes into DATABASE_URL, which is postgres://USER:PASSWORD@HOST:PORT/DATABASE and no list of host=… user=…");
    }
    notes.set(variable, given);
}

fn tls(path: &str, mode: &Given, notes: &mut Notes) {
    match mode {
        Given::Literal(mode) if ["disable", "allow", "prefer"].contains(&mode.as_str()) => {}
        _ => notes.say(path, "for TLS set DB_ENABLE_SSL_AUTH=true and DB_CA_PATH to the authority's certificate, which job-chief always checks (db.certSecretName for the workers)"),
    }
}

/// The value of a variable of the container.
fn variable_of(path: &str, name: &str, ours: &str, variables: &[Value], notes: &mut Notes) -> Option<Given> {
    let found = variables.iter().find(|variable| variable["name"] == name);
    let given = found.and_then(given);
    if given.is_none() {
        let name = harmless(name);
        notes.say(path, format!("the container has no variable {name} in its env, so it may come by envFrom: give job-chief the same value as {ours}"));
    }
    given
}

/// Where the value of an environment variable comes from.
pub(super) fn given(variable: &Value) -> Option<Given> {
    let part = |reference: &Value, key: &str| reference[key].as_str().map(str::to_owned);
    let source = &variable["valueFrom"];
    if let Some(value) = scalar(&variable["value"]) {
        return Some(Given::Literal(value));
    }
    if let reference @ Value::Object(_) = &source["secretKeyRef"] {
        return Some(Given::Secret { name: part(reference, "name")?, key: part(reference, "key")? });
    }
    let reference = &source["configMapKeyRef"];
    Some(Given::ConfigMap { name: part(reference, "name")?, key: part(reference, "key")? })
}

/// What an authentication says of each parameter.
fn references(
    path: &str,
    reference: &Value,
    variables: &[Value],
    around: &Surroundings,
    notes: &mut Notes,
) -> BTreeMap<String, Given> {
    let kind = reference["kind"].as_str().unwrap_or("TriggerAuthentication");
    let name = reference["name"].as_str().unwrap_or_default();
    if kind == "ClusterTriggerAuthentication" {
        notes.say(path, "its Secrets are in KEDA's namespace: copy them into the one of job-chief");
    }
    let Some(object) = around.get(kind, name, &notes.origin) else {
        let (kind, name) = (harmless(kind), harmless(name));
        notes.say(
            path,
            format!(
                "the {kind} {name} is not in these files: give its file as well, or set DB_… by hand (docs/settings.md)"
            ),
        );
        return BTreeMap::new();
    };
    let mut all = BTreeMap::new();
    let mut spec = Fields::of(&format!("{path} → {} spec", harmless(name)), object["spec"].clone(), notes);
    for source in ["secretTargetRef", "configMapTargetRef", "env"] {
        let at = spec.path(source);
        let items = if let Some(Value::Array(items)) = spec.take(source) { items } else { vec![] };
        all.extend(items.iter().filter_map(|item| referred(source, &at, item, variables, notes)));
    }
    for (key, value) in spec.rest() {
        let text = "left out: job-chief has its password from its environment, DB_PASSWORD or DATABASE_URL";
        notes.found(&format!("{path} → {} spec.{}", harmless(name), harmless(&key)), &value, text);
    }
    all
}

fn referred(source: &str, path: &str, item: &Value, variables: &[Value], notes: &mut Notes) -> Option<(String, Given)> {
    let part = |key: &str| item[key].as_str().map(str::to_owned);
    let (parameter, name) = (part("parameter")?, part("name")?);
    let ours = PARAMETERS.iter().find(|(known, _)| *known == parameter).map(|(_, ours)| *ours);
    let given = match source {
        "secretTargetRef" => Given::Secret { name, key: part("key")? },
        "configMapTargetRef" => Given::ConfigMap { name, key: part("key")? },
        _ => variable_of(path, &name, ours.unwrap_or_default(), variables, notes)?,
    };
    if ours.is_none() && parameter != "sslmode" {
        notes.say(path, format!("the parameter {} is left out, as it is not known here", harmless(&parameter)));
    }
    Some((parameter, given))
}
