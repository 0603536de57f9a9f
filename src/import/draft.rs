//! An entry of jobs.json before it is checked, and how entries are written down.

use serde_json::{Map, Value};

use crate::{
    config::{entry::Kind, judge::Finding, rules::template_findings},
    import::remark::Notes,
};

/// The keys that a reader looks for first, in this order, whatever object has them; the others follow.
const FIRST: [&str; 12] = [
    "name",
    "queueName",
    "paused",
    "maxConcurrentJobs",
    "messagesPerJob",
    "queueCheckInterval",
    "image",
    "command",
    "args",
    "env",
    "metadata",
    "spec",
];

/// What is long, and stands last.
const LAST: [&str; 2] = ["podConfig", "jobTemplate"];

/// A value that fits into so many characters stands on one line.
const LINE_MAX: usize = 80;

/// An entry, and where it comes from.
pub(super) struct Draft {
    origin: String,
    entry: Map<String, Value>,
}

impl Draft {
    /// An entry without the keys that nobody knows; `base` is where its Job stood, empty where the entry has its own
    /// paths.
    pub(super) fn new(entry: Map<String, Value>, base: &str, notes: &mut Notes) -> Self {
        let mut entry = Value::Object(entry);
        let mut findings = notes.judges.of(Kind::Queue).findings(&entry);
        findings.extend(template_findings(&notes.judges, &entry));
        for finding in findings.into_iter().filter(|finding| finding.at_key) {
            if remove(&mut entry, &finding.path) {
                notes.say(&shown_path(base, &finding), format!("left out: {}", finding.text));
            }
        }
        let entry = if let Value::Object(entry) = entry { entry } else { Map::new() };
        Self { origin: notes.origin.to_string(), entry }
    }

    fn lines(&self) -> String {
        let members: Vec<String> = ordered(&self.entry).map(|(key, value)| member(key, value)).collect();
        format!("  // {}\n  {{\n{}\n  }}", self.origin, members.join(",\n"))
    }
}

/// One member. A queue that nobody named is null, which `validate` refuses, and the comment says what to do.
fn member(key: &str, value: &Value) -> String {
    let nobody = key == "queueName" && value.is_null();
    let mark = if nobody { " /* SET THIS to the name of the pg-boss queue */" } else { "" };
    format!("    {}: {}{mark}", Value::from(key), written(value, 4))
}

/// All entries as a jobs.json.
pub(super) fn jobs_json(drafts: &[Draft]) -> String {
    let entries: Vec<String> = drafts.iter().map(Draft::lines).collect();
    format!("[\n{}\n]\n", entries.join(",\n"))
}

/// Members, those first that are looked for first.
fn ordered(members: &Map<String, Value>) -> impl Iterator<Item = (&String, &Value)> {
    let rank = |key: &str| match FIRST.iter().position(|first| *first == key) {
        Some(at) => at,
        None => FIRST.len() + LAST.iter().position(|last| *last == key).map_or(0, |at| at + 1),
    };
    let mut all: Vec<_> = members.iter().collect();
    all.sort_by_key(|(key, _)| rank(key));
    all.into_iter()
}

/// A value as people write it: short ones on one line.
fn written(value: &Value, indent: usize) -> String {
    let (parts, [open, close]) = match value {
        Value::Object(members) if !members.is_empty() => {
            let member = |(key, value): (&String, &Value)| {
                format!("{}: {}", Value::from(key.as_str()), written(value, indent + 2))
            };
            (ordered(members).map(member).collect::<Vec<_>>(), ["{", "}"])
        }
        Value::Array(items) if !items.is_empty() => {
            (items.iter().map(|item| written(item, indent + 2)).collect(), ["[", "]"])
        }
        other => return other.to_string(),
    };
    let space = if open == "{" { " " } else { "" };
    let line = format!("{open}{space}{}{space}{close}", parts.join(", "));
    if !line.contains('\n') && line.chars().count() <= LINE_MAX {
        return line;
    }
    let margin = " ".repeat(indent);
    format!("{open}\n{margin}  {}\n{margin}{close}", parts.join(&format!(",\n{margin}  ")))
}

fn remove(value: &mut Value, path: &[String]) -> bool {
    let Some((last, above)) = path.split_last() else { return false };
    let holder = above.iter().try_fold(value, |value, segment| match value {
        Value::Array(items) => items.get_mut(segment.parse::<usize>().ok()?),
        other => other.get_mut(segment),
    });
    holder.and_then(Value::as_object_mut).is_some_and(|object| object.remove(last).is_some())
}

/// The path where it stood: that of the Job for what lies in a template.
fn shown_path(base: &str, finding: &Finding) -> String {
    let own = finding.path.iter().fold(String::new(), |path, segment| match segment.parse::<usize>() {
        Ok(index) => format!("{path}[{index}]"),
        Err(_) if path.is_empty() => segment.clone(),
        Err(_) => format!("{path}.{segment}"),
    });
    let in_job = own.strip_prefix("jobTemplate.spec").filter(|_| !base.is_empty());
    in_job.map_or_else(|| own.clone(), |below| format!("{base}{below}"))
}

/// Lays a value into an object under a path, unless it says nothing.
pub(super) fn place(object: &mut Map<String, Value>, path: &[&str], value: Value) {
    let empty = match &value {
        Value::Null => true,
        Value::Object(members) => members.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    };
    match path {
        _ if empty => {}
        [] => {}
        [last] => drop(object.insert((*last).into(), value)),
        [first, below @ ..] => {
            let under = object.entry(*first).or_insert_with(|| Map::new().into());
            if let Value::Object(under) = under {
                place(under, below, value);
            }
        }
    }
}
