//! Another jobs.json, made of the one that is in force and keys that are set: judged by the same loader.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::config::{
    entry::Entry,
    jobs_file::{self, JobsFile, lay_over, remove},
    problems::{Place, Problem, Problems, nearest},
    rules::NOT_IN_A_SERVICE,
    service_rules::NOT_IN_AN_EXTERNAL,
    sharing::Sharing,
};

/// What the text is called that is made here; problems stand at no place of a file.
const FILE: &str = "--set";

/// Keys of jobs.json itself that may be set, each with what stands below it.
const ROOT_KEYS: [&str; 2] = ["limits", "pools"];

/// What another jobs.json is made of.
#[derive(Clone, Copy, Debug)]
pub struct Base<'a> {
    /// The entries that are in force.
    pub entries: &'a [Entry],
    /// `limits` and `pools`, as they are in force.
    pub sharing: &'a Sharing,
}

/// Keys and their values: `KEY` of the entry that is asked about, `NAME.KEY`, `limits.…` or `pools.…`. A `null` takes a
/// key away.
pub type Set = BTreeMap<String, Value>;

impl Base<'_> {
    /// The same with these keys set; those without a name are keys of the entry of this name.
    ///
    /// # Errors
    /// Keys that belong nowhere, and everything that the loader has against what comes of them.
    pub fn with(&self, set: &Set, name: Option<&str>) -> Result<JobsFile, Problems> {
        let root = serde_json::to_value(self.sharing).unwrap_or_default();
        let mut root = root.as_object().cloned().unwrap_or_default();
        let mut entries: Vec<Value> = self.entries.iter().map(as_written).collect();
        let mut problems = vec![];
        for (key, value) in set {
            match self.belongs(key, name) {
                Ok(Belongs::Root) => put(root.entry(first(key)).or_insert_with(|| json!({})), rest(key), value),
                Ok(Belongs::Entry(at, below)) => put(&mut entries[at], below, value),
                Err(text) => problems.push(Problem { place: place(), path: key.clone(), text }),
            }
        }
        if !problems.is_empty() {
            return Err(Problems(problems));
        }
        root.insert("jobs".to_owned(), Value::Array(entries));
        let loaded = jobs_file::load(FILE, &Value::Object(root).to_string());
        loaded.map_err(|problems| Problems(problems.0.into_iter().map(|problem| self.named(problem)).collect()))
    }

    /// What a key belongs to.
    fn belongs<'k>(&self, key: &'k str, name: Option<&str>) -> Result<Belongs<'k>, String> {
        if ROOT_KEYS.contains(&first(key)) && !rest(key).is_empty() {
            return Ok(Belongs::Root);
        }
        if let Some(name) = name {
            let at = self.entries.iter().position(|entry| entry.name() == name);
            return at.map(|at| Belongs::Entry(at, key)).ok_or_else(|| format!("there is no entry {name:?}"));
        }
        // Names may hold dots: the longest that fits is meant.
        let below = |entry: &Entry| key.strip_prefix(entry.name())?.strip_prefix('.');
        let fitting = self.entries.iter().enumerate().filter_map(|(at, entry)| Some((at, entry.name(), below(entry)?)));
        let longest = fitting.max_by_key(|(_, name, _)| name.len());
        longest.map(|(at, _, below)| Belongs::Entry(at, below)).ok_or_else(|| {
            let hint = nearest(first(key), self.entries.iter().map(Entry::name));
            format!("allowed are NAME.KEY with the name of an entry, limits.… and pools.…{hint}")
        })
    }

    /// A problem of the text that was made, with the name of its entry and without a place in that text.
    fn named(&self, problem: Problem) -> Problem {
        let number = problem.path.strip_prefix("jobs[").and_then(|path| path.split_once(']'));
        let entry = number.and_then(|(at, below)| Some((self.entries.get(at.parse::<usize>().ok()?)?, below)));
        let path = entry.map(|(entry, below)| format!("{}{below}", entry.name()));
        Problem { place: place(), path: path.unwrap_or(problem.path), text: problem.text }
    }
}

/// An entry as somebody would write it: without the keys that every service has and none may name.
fn as_written(entry: &Entry) -> Value {
    let mut written = serde_json::to_value(entry).unwrap_or_default();
    let Some(service) = entry.service() else { return written };
    NOT_IN_A_SERVICE.iter().for_each(|(path, _)| remove(&mut written, path));
    if service.is_external() {
        let absent = NOT_IN_AN_EXTERNAL.iter().map(|(key, _)| *key).chain(["podConfig"]);
        absent.for_each(|key| remove(&mut written, &[key]));
    }
    written
}

enum Belongs<'k> {
    Root,
    /// An entry, and the key below it.
    Entry(usize, &'k str),
}

fn place() -> Place {
    Place::Source { source: FILE.to_owned() }
}

fn first(key: &str) -> &str {
    key.split('.').next().unwrap_or_default()
}

fn rest(key: &str) -> &str {
    key.split_once('.').map_or("", |(_, rest)| rest)
}

/// Puts a value below something, by its path.
fn put(below: &mut Value, path: &str, value: &Value) {
    if value.is_null() {
        remove(below, &path.split('.').collect::<Vec<_>>());
    } else {
        let whole = path.rsplit('.').fold(value.clone(), |value, key| json!({ key: value }));
        lay_over(below, whole);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JOBS: &str = r#"[
        {"queueName": "mail", "podConfig": {"image": "mail:1"}, "messagesPerJob": 4},
        {"name": "mail.slow", "queueName": "slow", "podConfig": {"image": "mail:1"}},
        {"type": "service", "name": "redis", "podConfig": {"image": "redis:8"}},
        {"type": "service", "name": "elsewhere", "check": {"tcp": {"host": "db", "port": 5432}}}
    ]"#;

    fn with(set: &[(&str, Value)], name: Option<&str>) -> Result<Vec<Entry>, String> {
        let entries = jobs_file::load("jobs.json", JOBS).expect("it is well").jobs;
        let set = set.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
        let base = Base { entries: &entries, sharing: &Sharing::default() };
        base.with(&set, name).map(|file| file.jobs).map_err(|problems| problems.to_string())
    }

    #[test]
    fn nothing_set_is_the_same() {
        let example = include_str!("../../jobs.example.json");
        for text in [JOBS, example] {
            let file = jobs_file::load("jobs.json", text).expect("it is well");
            let base = Base { entries: &file.jobs, sharing: &file.sharing };
            let same = base.with(&Set::new(), None).expect("it is well");
            assert_eq!((same.jobs, same.sharing), (file.jobs, file.sharing));
        }
    }

    #[test]
    fn a_key_is_the_entrys_that_is_asked_about_or_has_its_name_before_it() {
        let changed = with(&[("maxConcurrentJobs", json!(8)), ("messagesPerJob", Value::Null)], Some("mail"));
        let changed = changed.expect("it is well");
        let mail = changed[0].queue().expect("a queue");
        assert_eq!((mail.max_concurrent_jobs, mail.messages_per_job), (8, None));
        let changed = with(&[("mail.slow.backoff.after", json!(7)), ("mail.handover", json!("3s"))], None);
        let changed = changed.expect("it is well");
        assert_eq!(changed[1].queue().expect("a queue").backoff.after, 7);
        assert_eq!(changed[0].queue().expect("a queue").handover.as_secs(), 3);
    }

    #[test]
    fn limits_and_pools_are_those_of_the_file() {
        let text = r#"{"pools": {"gpu": {"jobs": 2}}, "jobs": [
            {"queueName": "mail", "podConfig": {"image": "mail:1"}, "pools": ["gpu"]}]}"#;
        let file = jobs_file::load("jobs.json", text).expect("it is well");
        let base = Base { entries: &file.jobs, sharing: &file.sharing };
        let with = |set: Value| base.with(&serde_json::from_value(set).expect("a map"), Some("mail"));
        let changed = with(json!({"pools.gpu.jobs": 6, "limits.jobs": 9, "pools": []})).expect("it is well");
        assert_eq!((changed.sharing.pools["gpu"].jobs, changed.sharing.limits.and_then(|it| it.jobs)), (6, Some(9)));
        assert!(changed.jobs[0].queue().expect("a queue").pools.is_empty(), "without a dot it is the entry's own");
        assert!(with(json!({"pools.gpu.jobs": 0})).expect_err("too few").to_string().contains("pools.gpu.jobs"));
        assert!(with(json!({"pools.gpu": null})).expect_err("it is named").to_string().contains("mail.pools"));
    }

    #[test]
    fn problems_are_the_loaders_with_the_name_of_the_entry() {
        let told = with(&[("maxConcurrentJobs", json!(0)), ("maxConcurentJobs", json!(1))], Some("mail.slow"));
        let told = told.expect_err("two problems");
        assert!(told.contains("mail.slow.maxConcurrentJobs") && told.contains("did you mean"), "{told}");
        let told = with(&[("mial.handover", json!("1s"))], None).expect_err("no such entry");
        assert!(told.contains("did you mean \"mail\"?"), "{told}");
        assert!(with(&[("handover", json!("1s"))], Some("nobody")).expect_err("none").contains("\"nobody\""));
    }
}
