//! What is told of a document: where something stood, what it was, and what is done instead.

use std::{fmt, rc::Rc};

use serde_json::Value;

use crate::{
    config::{judge::Judges, problems::Problem},
    harmless::harmless,
    import::given::{Given, Setting},
};

/// Characters of a value that are shown.
const SHOWN_MAX: usize = 60;

/// Words in a path whose values may be secret.
const SECRET: [&str; 4] = ["connection", "password", "secret", "token"];

/// Where a document stood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The file, as it was named.
    pub file: String,
    /// Which document of the file, from 1; none where a file is one whole.
    pub document: Option<usize>,
    /// Kubernetes' kind; empty for what is no object.
    pub kind: String,
    /// Its namespace, where it says one.
    pub namespace: String,
    /// The name of the object.
    pub name: String,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&harmless(&self.file))?;
        if let Some(document) = self.document {
            write!(f, ", document {document}")?;
        }
        if !self.kind.is_empty() {
            write!(f, ", {}", harmless(&self.kind))?;
            f.write_str(if self.name.is_empty() { "" } else { " " })?;
        }
        f.write_str(&harmless(&self.name))
    }
}

/// One thing that has no counterpart, or means something else here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// The file, document and object; or the place in what is printed.
    pub place: String,
    /// The path in the object; empty for the whole.
    pub path: String,
    /// What was found and what is done instead.
    pub text: String,
}

impl Remark {
    /// What `validate` warns of in what is printed.
    pub(super) fn of_output(problem: &Problem) -> Self {
        Self { place: problem.place.to_string(), path: problem.path.clone(), text: problem.text.clone() }
    }
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.place)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", harmless(&self.path))?;
        }
        f.write_str(&harmless(&self.text))
    }
}

/// What is told of one document while it is read.
pub(super) struct Notes {
    /// Of all documents: they are slow to make.
    pub(super) judges: Rc<Judges>,
    pub(super) origin: Origin,
    pub(super) remarks: Vec<Remark>,
    pub(super) settings: Vec<Setting>,
}

impl Notes {
    pub(super) fn new(origin: Origin, judges: Rc<Judges>) -> Self {
        Self { judges, origin, remarks: vec![], settings: vec![] }
    }

    pub(super) fn say(&mut self, path: &str, text: impl Into<String>) {
        self.remarks.push(Remark { place: self.origin.to_string(), path: path.into(), text: text.into() });
    }

    /// What was found, and what is done instead.
    pub(super) fn found(&mut self, path: &str, value: &Value, instead: &str) {
        let lower = path.to_lowercase();
        let hidden = SECRET.iter().any(|word| lower.contains(word));
        let found = if hidden { "a value (not shown)".into() } else { shown(value) };
        self.say(path, format!("found {found}; {instead}"));
    }

    /// A variable of job-chief's own environment.
    pub(super) fn set(&mut self, name: &str, given: Given) {
        self.settings.push(Setting { name: name.into(), given, origin: self.origin.to_string() });
    }
}

/// A value as it was found; what is long only by its kind.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::Object(_) => "an object".into(),
        Value::Array(_) => "an array".into(),
        other => {
            let text = harmless(&other.to_string());
            match text.char_indices().nth(SHOWN_MAX) {
                Some((end, _)) => format!("{}…", &text[..end]),
                None => text,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_remark_steers_a_terminal() {
        let text = "left out: unknown key \"\u{1b}[31m\n\"".to_owned();
        let remark = Remark { place: "a".into(), path: "b\u{7}".into(), text };
        assert_eq!(remark.to_string(), "a: b\u{fffd}: left out: unknown key \"\u{fffd}[31m\u{fffd}\"");
    }
}
