//! The entry of jobs.json that a JobConfig of a module is.

use serde_json::Value;

use crate::{
    config::{
        entry::Entry,
        jobs_file,
        json::{self, Node},
        judge::Judges,
        problems::{Place, Problem, Problems},
    },
    modules::{object::Object, source::Source},
};

/// The entry of a JobConfig that was filled once, or stored: its problems stand at its first line.
///
/// # Errors
/// Everything that is wrong with it.
pub fn entry(object: &Object) -> Result<Entry, Problems> {
    let source = Source::new(object.file.clone(), "");
    let node = without_places(&Value::Object(object.body.clone()));
    judged(&source, &node, &object.id.name, &Judges::default()).map_err(|problems| {
        let place = Place::Text { file: object.file.clone(), line: object.line, column: 1 };
        Problems(problems.into_iter().map(|problem| Problem { place: place.clone(), ..problem }).collect())
    })
}

/// Judges the `spec` of a JobConfig as an entry of jobs.json is judged.
pub(super) fn judged(source: &Source, node: &Node, name: &str, judges: &Judges) -> Result<Entry, Vec<Problem>> {
    let Some(spec) = node.get("spec") else {
        return Err(vec![source.problem_of(
            node.start,
            "spec".into(),
            "the key \"spec\" is missing: an entry as in jobs.json",
        )]);
    };
    let json::Kind::Object(members) = &spec.kind else {
        return Err(vec![source.problem_of(
            spec.start,
            "spec".into(),
            "allowed is an object: an entry as in jobs.json",
        )]);
    };
    let mut members = members.clone();
    match spec.get("name") {
        None => {
            let own = Node { start: spec.start, kind: json::Kind::Scalar(name.into()) };
            members.push((spec.start, "name".into(), own));
        }
        Some(given) if given.to_value() != name => {
            let what = format!("found {}, but metadata.name is \"{name}\": remove it", given.to_value());
            return Err(vec![source.problem_of(given.start, "spec.name".into(), what)]);
        }
        Some(_) => {}
    }
    let spec = Node { start: spec.start, kind: json::Kind::Object(members) };
    jobs_file::entry(&source.file, source.written(), &spec, "spec", judges)
}

fn without_places(value: &Value) -> Node {
    let kind = match value {
        Value::Array(items) => json::Kind::Array(items.iter().map(without_places).collect()),
        Value::Object(members) => {
            json::Kind::Object(members.iter().map(|(key, value)| (0, key.clone(), without_places(value))).collect())
        }
        scalar => json::Kind::Scalar(scalar.clone()),
    };
    Node { start: 0, kind }
}
