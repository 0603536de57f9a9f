//! jobs.json: loaded whole, with every problem at once, or not at all.

mod alike;
mod shared;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde_json::{Map, Value};
use thiserror::Error;

use crate::config::{
    dependencies,
    entry::{Entry, Kind},
    job_config::JobConfig,
    jobs_file::alike::Alike,
    json::{self, Node, line_column},
    judge::{Finding, Judges},
    problems::{Place, Problem, Problems, nearest},
    rules::{self, NOT_IN_A_SERVICE},
    service_rules::{self, NOT_IN_AN_EXTERNAL},
    sharing::Sharing,
    sharing_rules,
};

/// The largest jobs.json: a ConfigMap holds no more.
pub const BYTES_MAX: u64 = 1 << 20;

/// A jobs.json in which nothing is wrong.
#[derive(Clone, Debug, PartialEq)]
pub struct JobsFile {
    /// The entries in the order of the file; names are unique.
    pub jobs: Vec<Entry>,
    /// What they share.
    pub sharing: Sharing,
    /// The modules to deploy, as they stand there: see [`crate::config::module_list`].
    pub modules: Value,
    /// What is allowed but probably not meant.
    pub warnings: Vec<Problem>,
}

/// Why there is no [`JobsFile`].
#[derive(Debug, Error)]
pub enum ReadError {
    /// The file can't be read.
    #[error("jobs.json can't be read from {0} (app.jobsConfigPath, APP_JOBS_CONFIG_PATH)")]
    Unreadable(PathBuf, #[source] std::io::Error),
    /// It is larger than a ConfigMap can be.
    #[error("{0} has {1} bytes, allowed are {BYTES_MAX}")]
    TooLarge(PathBuf, u64),
    /// Everything that is wrong with it.
    #[error("{0} is wrong")]
    Wrong(PathBuf, #[source] Problems),
}

/// Reads a file.
///
/// # Errors
/// See [`ReadError`].
pub fn read(path: &Path) -> Result<JobsFile, ReadError> {
    read_with_text(path).map(|(file, _)| file)
}

/// Reads a file, and says what stands in it: one that is a pipe can be read once only.
///
/// # Errors
/// See [`ReadError`].
pub fn read_with_text(path: &Path) -> Result<(JobsFile, String), ReadError> {
    let unreadable = |error| ReadError::Unreadable(path.to_owned(), error);
    let size = std::fs::metadata(path).map_err(unreadable)?.len();
    if size > BYTES_MAX {
        return Err(ReadError::TooLarge(path.to_owned(), size));
    }
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    let file = load(&path.display().to_string(), &text);
    file.map(|file| (file, text)).map_err(|problems| ReadError::Wrong(path.to_owned(), problems))
}

/// Loads a text; `file` is its name in messages.
///
/// # Errors
/// Everything that is wrong with it, each with its line and column.
pub fn load(file: &str, text: &str) -> Result<JobsFile, Problems> {
    let root = json::parse(text).map_err(|errors| {
        Problems(
            errors.into_iter().map(|error| text_problem(file, text, error.at, String::new(), error.text)).collect(),
        )
    })?;
    let loader = Loader { file, text, root: &root, judges: &Judges::default() };
    loader.load()
}

/// An entry that stands alone at a place of a text, without defaults; `path` is its own in messages.
///
/// # Errors
/// Everything that is wrong with it.
pub fn entry(file: &str, text: &str, node: &Node, path: &str, judges: &Judges) -> Result<Entry, Vec<Problem>> {
    let root = Node { start: node.start, kind: json::Kind::Array(vec![]) };
    Loader { file, text, root: &root, judges }.entry(node, path)
}

fn text_problem(file: &str, text: &str, offset: usize, path: String, what: String) -> Problem {
    let (line, column) = line_column(text, offset);
    Problem { place: Place::Text { file: file.into(), line, column }, path, text: what }
}

/// The keys of the object form.
const ROOT_KEYS: [&str; 6] = ["$schema", "defaults", "jobs", "limits", "modules", "pools"];

struct Loader<'a> {
    file: &'a str,
    text: &'a str,
    root: &'a Node,
    judges: &'a Judges,
}

impl Loader<'_> {
    fn load(&self) -> Result<JobsFile, Problems> {
        let mut problems = self.root_problems();
        let (entries, prefix) = self.entries();
        if entries.is_empty() && problems.is_empty() {
            problems.push(self.problem(self.root.start, prefix.clone(), "at least one entry is needed".into()));
        }
        let (mut jobs, mut alike, mut wrong) = (vec![], Alike::default(), vec![]);
        for (at, entry) in entries.iter().enumerate() {
            match self.entry(entry, &format!("{prefix}[{at}]")) {
                Ok(mut job) => {
                    alike.share(&mut job);
                    jobs.push((entry, format!("{prefix}[{at}]"), job));
                }
                Err(found) => {
                    problems.extend(found);
                    wrong.extend(entry.get("name").and_then(|name| name.to_value().as_str().map(str::to_owned)));
                }
            }
        }
        problems.extend(self.duplicates(&jobs));
        problems.extend(self.dependencies(&jobs, &wrong));
        let (sharing, found) = self.sharing(&jobs);
        problems.extend(found);
        problems.sort_by_key(|problem| match &problem.place {
            Place::Text { line, column, .. } => (*line, *column),
            Place::Source { .. } => (0, 0),
        });
        problems.dedup();
        if problems.is_empty() {
            let mut warnings = self.shared_queues(&jobs);
            warnings.extend(self.single_warnings(&jobs));
            warnings.extend(self.sharing_warnings(&jobs, &sharing));
            let modules = self.root.get("modules").map_or(Value::Null, Node::to_value);
            let jobs = jobs.into_iter().map(|(.., job)| job).collect();
            return Ok(JobsFile { jobs, sharing, modules, warnings });
        }
        Err(Problems(problems))
    }

    fn problem(&self, offset: usize, path: String, what: String) -> Problem {
        text_problem(self.file, self.text, offset, path, what)
    }

    fn root_problems(&self) -> Vec<Problem> {
        let json::Kind::Object(members) = &self.root.kind else {
            return match self.root.kind {
                json::Kind::Array(_) => vec![],
                _ => vec![self.problem(
                    self.root.start,
                    String::new(),
                    "allowed is an array of entries, or an object with \"jobs\"".into(),
                )],
            };
        };
        let unknown = members.iter().filter(|(_, key, _)| !ROOT_KEYS.contains(&key.as_str())).map(|(start, key, _)| {
            self.problem(*start, key.clone(), format!("unknown key \"{key}\"{}", nearest(key, ROOT_KEYS)))
        });
        let mut problems: Vec<Problem> = unknown.collect();
        match self.root.get("jobs").map(|jobs| &jobs.kind) {
            Some(json::Kind::Array(_)) => {}
            Some(_) => {
                problems.push(self.problem(self.root.start, "jobs".into(), "allowed is an array of entries".into()))
            }
            None => problems.push(self.problem(self.root.start, String::new(), "the key \"jobs\" is missing".into())),
        }
        for key in ["defaults", "modules"] {
            if self.root.get(key).is_some_and(|node| !matches!(node.kind, json::Kind::Object(_))) {
                problems.push(self.problem(self.root.start, key.into(), "allowed is an object".into()));
            }
        }
        problems
    }

    fn entries(&self) -> (&[Node], String) {
        match (&self.root.kind, self.root.get("jobs").map(|jobs| &jobs.kind)) {
            (json::Kind::Array(entries), _) => (entries, String::new()),
            (_, Some(json::Kind::Array(entries))) => (entries, "jobs".into()),
            _ => (&[], "jobs".into()),
        }
    }

    fn defaults(&self) -> Option<&Node> {
        self.root.get("defaults")
    }

    fn entry(&self, node: &Node, path: &str) -> Result<Entry, Vec<Problem>> {
        let own = node.to_value();
        let mut value = self.defaults().map_or_else(|| Value::Object(Map::new()), Node::to_value);
        let kind = own.get("type").or_else(|| value.get("type")).and_then(Value::as_str).unwrap_or_default();
        let kind = Kind::of(kind);
        keep_what_concerns(self.judges, kind, &mut value);
        if is_external(kind, &own, &value) {
            // Its defaults are for services with pods.
            remove(&mut value, &["podConfig"]);
            NOT_IN_AN_EXTERNAL.iter().for_each(|(key, _)| remove(&mut value, &[key]));
        }
        lay_over(&mut value, own.clone());
        let mut findings = shape(self.judges, kind, &own, &mut value);
        if findings.is_empty() {
            let entry = read_entry(kind, value)
                .map_err(|error| vec![self.problem(node.start, path.into(), error.to_string())])?;
            findings = match &entry {
                Entry::Queue(queue) => rules::findings(queue),
                Entry::Service(service) => service_rules::findings(service),
            };
            findings.extend(sharing_rules::alone(&entry));
            if findings.is_empty() {
                return Ok(entry);
            }
        }
        Err(findings.into_iter().map(|finding| self.locate(node, path, finding)).collect())
    }

    /// Finds the place of a problem: in the entry, else in the defaults, else at the nearest thing above it.
    fn locate(&self, entry: &Node, prefix: &str, finding: Finding) -> Problem {
        let depth = |top: &Node| top.nearest(finding.path.iter().map(String::as_str)).1;
        match self.defaults() {
            Some(defaults) if depth(defaults) > depth(entry) => self.locate_below(defaults, "defaults", finding),
            _ => self.locate_below(entry, prefix, finding),
        }
    }

    fn locate_below(&self, top: &Node, prefix: &str, finding: Finding) -> Problem {
        let segments: Vec<&str> = finding.path.iter().map(String::as_str).collect();
        let (node, taken) = top.nearest(segments.iter().copied());
        let key = segments.split_last().filter(|_| finding.at_key && taken == segments.len());
        let key_start = key.and_then(|(last, above)| top.nearest(above.iter().copied()).0.key_start(last));
        let mut path = prefix.to_owned();
        for (at, segment) in segments.iter().enumerate() {
            let (above, taken) = top.nearest(segments[..at].iter().copied());
            let dot = if path.is_empty() { "" } else { "." };
            // A key may be made of digits, too.
            let is_index = taken == at && matches!(above.kind, json::Kind::Array(_));
            path += &if is_index { format!("[{segment}]") } else { format!("{dot}{segment}") };
        }
        self.problem(key_start.unwrap_or(node.start), path, finding.text)
    }

    fn duplicates(&self, entries: &[Placed<'_>]) -> Vec<Problem> {
        let mut first: BTreeMap<&str, &str> = BTreeMap::new();
        let mut problems = vec![];
        for (node, path, entry) in entries {
            if let Some(earlier) = first.insert(entry.name(), path) {
                let place = node.get("name").or_else(|| node.get("queueName")).unwrap_or(node);
                let what = format!(
                    "the name \"{}\" is taken by {earlier}: give each entry a \"name\" of its own",
                    entry.name()
                );
                problems.push(self.problem(place.start, format!("{path}.name"), what));
            }
        }
        problems
    }

    /// What is wrong between entries: dependencies that are no services, and those that go in a circle.
    fn dependencies(&self, entries: &[Placed<'_>], wrong: &[String]) -> Vec<Problem> {
        let all: Vec<&Entry> = entries.iter().map(|(.., entry)| entry).collect();
        let located = |(at, finding)| {
            let (node, path, _): &Placed<'_> = &entries[at];
            self.locate(node, path, finding)
        };
        dependencies::findings(&all, wrong).into_iter().map(located).collect()
    }

    fn single_warnings(&self, entries: &[Placed<'_>]) -> Vec<Problem> {
        let located = |(node, path, entry): &Placed<'_>| {
            let warning = entry.service().and_then(|service| service_rules::warning(service));
            warning.map(|finding| self.locate(node, path, finding))
        };
        entries.iter().flat_map(located).collect()
    }

    fn shared_queues(&self, entries: &[Placed<'_>]) -> Vec<Problem> {
        let mut first: BTreeMap<&str, &str> = BTreeMap::new();
        let mut warnings = vec![];
        for (node, path, entry) in entries {
            let Some(queue) = entry.queue() else { continue };
            if let Some(earlier) = first.insert(&queue.queue_name, path) {
                let what = format!(
                    "the queue \"{}\" is also {earlier}'s: each of the two starts Jobs for every message",
                    queue.queue_name
                );
                warnings.push(self.problem(
                    node.get("queueName").unwrap_or(node).start,
                    format!("{path}.queueName"),
                    what,
                ));
            }
        }
        warnings
    }
}

/// An entry with its node and its path.
type Placed<'a> = (&'a Node, String, Entry);

/// Defaults are for whom they concern: those of the other type are left out.
fn keep_what_concerns(judges: &Judges, kind: Kind, defaults: &mut Value) {
    let Value::Object(keys) = defaults else { return };
    let other = match kind {
        Kind::Queue => Kind::Service,
        Kind::Service => Kind::Queue,
    };
    // Without defaults no judge of the other type is needed.
    if keys.is_empty() {
        return;
    }
    let (own, other) = (judges.of(kind), judges.of(other));
    keys.retain(|key, _| own.keys().any(|known| known == key) || !other.keys().any(|known| known == key));
    if kind == Kind::Service {
        // A service keeps its places: it takes them only where its own entry says so.
        remove(defaults, &["pools"]);
        NOT_IN_A_SERVICE.iter().for_each(|(path, _)| remove(defaults, path));
    }
}

/// A service whose pods nobody has named runs elsewhere.
fn is_external(kind: Kind, own: &Value, under: &Value) -> bool {
    let has_image = under.get("podConfig").is_some_and(|pod| pod.get("image").is_some());
    kind == Kind::Service && own.get("podConfig").is_none() && !has_image
}

/// Takes away what stands at a path, if anything does.
pub(super) fn remove(value: &mut Value, path: &[&str]) {
    let Some((last, above)) = path.split_last() else { return };
    let holder = above.iter().try_fold(value, |value, key| value.get_mut(*key));
    holder.and_then(Value::as_object_mut).map(|object| object.remove(*last));
}

/// What a schema finds in an entry that has its defaults, and the keys of its own that its type does not have.
fn shape(judges: &Judges, kind: Kind, own: &Value, value: &mut Value) -> Vec<Finding> {
    let mut findings = vec![];
    if kind == Kind::Service {
        for (path, why) in NOT_IN_A_SERVICE {
            if path.iter().try_fold(own, |value, key| value.get(*key)).is_some() {
                findings.push(Finding { at_key: true, ..Finding::new(path, why) });
                remove(value, path);
            }
        }
        let external = is_external(kind, own, value);
        for (key, why) in NOT_IN_AN_EXTERNAL {
            if external && own.get(key).is_some() {
                findings.push(Finding { at_key: true, ..Finding::new(&[key], why) });
                remove(value, &[key]);
            }
        }
    }
    findings.extend(judges.of(kind).findings(value));
    for finding in findings.iter_mut().filter(|finding| finding.path == ["type"]) {
        finding.text = format!("found {}, allowed is \"queue\" or \"service\"", value["type"]);
    }
    findings.extend(rules::template_findings(judges, value));
    findings
}

fn read_entry(kind: Kind, value: Value) -> serde_json::Result<Entry> {
    if kind == Kind::Service {
        return serde_json::from_value(value).map(|service| Entry::Service(Arc::new(service)));
    }
    let mut queue: JobConfig = serde_json::from_value(value)?;
    if queue.name.is_empty() {
        queue.name.clone_from(&queue.queue_name);
    }
    Ok(Entry::Queue(Arc::new(queue)))
}

/// Objects are merged key by key, everything else is replaced.
pub fn lay_over(under: &mut Value, over: Value) {
    match (under, over) {
        (Value::Object(under), Value::Object(over)) => {
            for (key, value) in over {
                lay_over(under.entry(key).or_insert(Value::Null), value);
            }
        }
        (under, over) => *under = over,
    }
}
