//! Another jobs.json, made of the one that is in force and keys that are set: judged by the same loader.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::config::{
    entry::Entry,
    jobs_file::{self, JobsFile, lay_over, remove},
    judge::UNKNOWN_KEY,
    problems::{Place, Problem, Problems, nearest},
    rules::NOT_IN_A_SERVICE,
    service_rules::NOT_IN_AN_EXTERNAL,
    sharing::{LIMITS, Sharing},
};

/// What the text is called that is made here; problems stand at no place of a file.
const FILE: &str = "--set";

/// The key of jobs.json itself, beside `limits`, that may be set, with what stands below it.
const POOLS: &str = "pools";

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
        let mut made = Made { root, entries: self.entries.iter().map(as_written).collect() };
        // What is taken away without being there: well where it might be.
        let mut absent = vec![];
        let mut problems = vec![];
        for (key, value) in set {
            match self.belongs(key, name) {
                Ok(to) if value.is_null() => absent.extend((!made.take_away(&to)).then_some(to)),
                Ok(to) => made.put(&to, value),
                Err(text) => problems.push(Problem { place: place(), path: key.clone(), text }),
            }
        }
        problems.extend(self.unknown(&made, &absent));
        match self.load(made) {
            Ok(file) if problems.is_empty() => Ok(file),
            loaded => {
                problems.extend(loaded.err().into_iter().flatten());
                problems.dedup();
                Err(Problems(problems))
            }
        }
    }

    /// The problems of what is made, with the names of its entries.
    fn load(&self, made: Made) -> Result<JobsFile, Vec<Problem>> {
        let loaded = jobs_file::load(FILE, &made.text());
        loaded.map_err(|problems| problems.0.into_iter().map(|problem| self.named(problem)).collect())
    }

    /// Of keys that are not there those that can't be.
    fn unknown(&self, made: &Made, absent: &[Belongs<'_>]) -> Vec<Problem> {
        if absent.is_empty() {
            return vec![];
        }
        let mut with_all = made.clone();
        absent.iter().for_each(|to| with_all.put(to, &Value::Null));
        let mut problems = self.load(with_all).err().unwrap_or_default();
        problems.retain(|problem| problem.text.starts_with(UNKNOWN_KEY));
        for to in absent {
            let pool = match to {
                Belongs::Root(key) => key.strip_prefix("pools.").and_then(|below| below.split('.').next()),
                Belongs::Entry(..) => None,
            };
            if let Some(pool) = pool.filter(|pool| !self.sharing.pools.contains_key(*pool)) {
                let hint = nearest(pool, self.sharing.pools.keys().map(String::as_str));
                let text = format!("there is no pool \"{pool}\"{hint}");
                problems.push(Problem { place: place(), path: format!("pools.{pool}"), text });
            }
        }
        problems
    }

    /// What a key belongs to.
    fn belongs<'k>(&self, key: &'k str, name: Option<&str>) -> Result<Belongs<'k>, String> {
        // Without more behind it, `pools` is a key of entries, too; `limits` is none.
        let whole = key == LIMITS || key == POOLS && name.is_none();
        if whole || [LIMITS, POOLS].contains(&first(key)) && key.contains('.') {
            return Ok(Belongs::Root(key));
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

/// Where a key belongs.
#[derive(Clone, Copy, Debug)]
enum Belongs<'k> {
    /// jobs.json itself, and the key there.
    Root(&'k str),
    /// An entry, and the key below it.
    Entry(usize, &'k str),
}

/// A jobs.json that is being made.
#[derive(Clone, Debug)]
struct Made {
    /// All but its entries.
    root: Value,
    entries: Vec<Value>,
}

impl Made {
    fn holder<'k>(&mut self, to: &Belongs<'k>) -> (&mut Value, &'k str) {
        match to {
            Belongs::Root(key) => (&mut self.root, key),
            Belongs::Entry(at, key) => (&mut self.entries[*at], key),
        }
    }

    fn put(&mut self, to: &Belongs<'_>, value: &Value) {
        let (holder, key) = self.holder(to);
        lay_over(holder, key.rsplit('.').fold(value.clone(), |value, key| json!({ key: value })));
    }

    /// False where it was not there.
    fn take_away(&mut self, to: &Belongs<'_>) -> bool {
        let (holder, key) = self.holder(to);
        let path: Vec<&str> = key.split('.').collect();
        let was_there = path.iter().try_fold(&*holder, |value, key| value.get(*key)).is_some();
        remove(holder, &path);
        // Without any limit there are none.
        if self.root[LIMITS].as_object().is_some_and(Map::is_empty) {
            remove(&mut self.root, &[LIMITS]);
        }
        was_there
    }

    fn text(mut self) -> String {
        self.root["jobs"] = Value::Array(self.entries);
        self.root.to_string()
    }
}

fn place() -> Place {
    Place::Source { source: FILE.to_owned() }
}

fn first(key: &str) -> &str {
    key.split('.').next().unwrap_or_default()
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
    fn durations_of_months_are_written_as_they_may_be_read() {
        let text =
            r#"[{"queueName": "q", "podConfig": {"image": "i"}, "fetchGrace": "366days", "handover": "31days 1h"}]"#;
        let file = jobs_file::load("jobs.json", text).expect("it is well");
        let base = Base { entries: &file.jobs, sharing: &file.sharing };
        assert_eq!(base.with(&Set::new(), None).expect("it is well").jobs, file.jobs);
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
    fn what_is_taken_away_was_there_or_might_have_been() {
        let text = r#"{"limits": {"jobs": 4}, "pools": {"gpu": {"jobs": 2, "createsPerMinute": 6}}, "jobs": [
            {"queueName": "mail", "podConfig": {"image": "mail:1"}, "pools": ["gpu"]}]}"#;
        let file = jobs_file::load("jobs.json", text).expect("it is well");
        let base = Base { entries: &file.jobs, sharing: &file.sharing };
        let with = |set: Value, name| base.with(&serde_json::from_value(set).expect("a map"), name);
        for set in [json!({"limits": null}), json!({"limits.jobs": null})] {
            assert_eq!(with(set, Some("mail")).expect("it is well").sharing.limits, None, "without limits");
        }
        let none = with(json!({"pools": null, "mail.pools": null}), None).expect("it is well");
        assert!(none.sharing.pools.is_empty() && none.jobs[0].queue().expect("a queue").pools.is_empty());
        let left = with(json!({"pools.gpu.createsPerMinute": null, "limits.createsPerMinute": null}), None);
        assert_eq!(left.expect("it is well").sharing.pools["gpu"].creates_per_minute, None);
        let wrong = |set: Value, part: &str| {
            let told = with(set, Some("mail")).expect_err("it can't be there").to_string();
            assert!(told.contains(part), "{told}");
        };
        assert!(with(json!({"messagesPerJob": null, "podConfig.image": "mail:2"}), Some("mail")).is_ok());
        wrong(json!({"maxConcurentJobs": null}), "did you mean \"maxConcurrentJobs\"?");
        wrong(json!({"backoff.afer": null}), "mail.backoff.afer");
        wrong(json!({"limits.job": null}), "did you mean \"jobs\"?");
        wrong(json!({"pools.gpo": null}), "did you mean \"gpu\"?");
        wrong(json!({"pools.gpu.jobs": null}), "pools.gpu");
    }

    #[test]
    fn problems_are_the_loaders_with_the_name_of_the_entry() {
        let told = with(&[("messagesPerJob", json!("many")), ("maxConcurentJobs", json!(1))], Some("mail.slow"));
        let told = told.expect_err("two problems");
        assert!(told.contains("mail.slow.messagesPerJob") && told.contains("did you mean"), "{told}");
        let told = with(&[("mial.handover", json!("1s"))], None).expect_err("no such entry");
        assert!(told.contains("did you mean \"mail\"?"), "{told}");
        assert!(with(&[("handover", json!("1s"))], Some("nobody")).expect_err("none").contains("\"nobody\""));
    }
}
