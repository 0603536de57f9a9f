//! What another jobs.json changes: entry by entry and in what they share, key by key.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde_json::Value;

use crate::config::{
    entry::{Entry, Kind},
    in_file::InFile,
    sharing::Sharing,
};

/// What becomes of one JobConfig.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is new.
    Added,
    /// It goes on with these keys changed; running Jobs finish as they are.
    Changed(Vec<String>),
    /// It creates nothing any more; its Jobs are seen to their end.
    Removed,
}

/// The changes by the name of the JobConfig; those that stay as they are have none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// What becomes of whom.
    pub by_name: BTreeMap<String, (Kind, Change)>,
    /// What changes in `limits` and `pools`, each as `key: before → after`.
    pub sharing: Vec<String>,
    /// How many stay as they are.
    pub unchanged: usize,
}

impl Changes {
    /// What becomes of each, and of what they share.
    pub fn between(before: &InFile, after: &InFile) -> Self {
        let mut old: BTreeMap<&str, &Entry> = before.entries.iter().map(|entry| (entry.name(), entry)).collect();
        let mut changes = Self { sharing: changed_limits(&before.sharing, &after.sharing), ..Self::default() };
        for entry in after.entries.iter() {
            let change = match old.remove(entry.name()) {
                None => Change::Added,
                Some(known) if known == entry => {
                    changes.unchanged += 1;
                    continue;
                }
                Some(known) => Change::Changed(changed_keys(known, entry)),
            };
            changes.by_name.insert(entry.name().to_owned(), (entry.kind(), change));
        }
        changes.by_name.extend(old.iter().map(|(name, entry)| ((*name).to_owned(), (entry.kind(), Change::Removed))));
        changes
    }

    /// Nothing is another.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty() && self.sharing.is_empty()
    }

    /// How many are added, changed and removed.
    pub fn counts(&self) -> (usize, usize, usize) {
        let count = |kind: fn(&Change) -> bool| self.by_name.values().filter(|(_, change)| kind(change)).count();
        let changed = count(|change| matches!(change, Change::Changed(_)));
        (count(|change| *change == Change::Added), changed, count(|change| *change == Change::Removed))
    }
}

impl fmt::Display for Changes {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.sharing.is_empty() {
            writeln!(to, "~ limits and pools: for new Jobs at once, running ones keep their places until they end")?;
            self.sharing.iter().try_for_each(|key| writeln!(to, "    {key}"))?;
        }
        for (name, (kind, change)) in &self.by_name {
            let (changed, removed) = match kind {
                Kind::Queue => (
                    "new Jobs by the new entry, running ones finish as they are",
                    "nothing is created any more, what lives of it is seen to its end",
                ),
                Kind::Service => ("each replica is replaced if its pod differs", "it is stopped"),
            };
            match change {
                Change::Added => writeln!(to, "+ {name}: new")?,
                Change::Changed(keys) => {
                    writeln!(to, "~ {name}: {changed}")?;
                    for key in keys {
                        writeln!(to, "    {key}")?;
                    }
                }
                Change::Removed => writeln!(to, "- {name}: {removed}")?,
            }
        }
        let (added, changed, removed) = self.counts();
        write!(to, "{added} added, {changed} changed, {removed} removed, {} unchanged", self.unchanged)
    }
}

/// Each limit by the path of its key.
fn limits_of(sharing: &Sharing) -> BTreeMap<String, u32> {
    let of = |path: String, jobs: Option<u32>, creates: Option<u32>| {
        let keys = [("jobs", jobs), ("createsPerMinute", creates)];
        keys.into_iter().filter_map(move |(key, limit)| Some((format!("{path}.{key}"), limit?)))
    };
    let limits = sharing.limits.iter().flat_map(|all| of("limits".to_owned(), all.jobs, all.creates_per_minute));
    let pools = sharing.pools.iter();
    let pools = pools.flat_map(|(name, pool)| of(format!("pools.{name}"), Some(pool.jobs), pool.creates_per_minute));
    limits.chain(pools).collect()
}

/// `key: before → after`, for each limit that differs.
fn changed_limits(before: &Sharing, after: &Sharing) -> Vec<String> {
    let (before, after) = (limits_of(before), limits_of(after));
    let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let told = |limit: Option<&u32>| limit.map_or_else(|| "unset".to_owned(), u32::to_string);
    let differing = keys.into_iter().filter(|key| before.get(*key) != after.get(*key));
    differing.map(|key| format!("{key}: {} → {}", told(before.get(key)), told(after.get(key)))).collect()
}

/// `key: before → after`, for each leaf that differs.
fn changed_keys(before: &Entry, after: &Entry) -> Vec<String> {
    let tree = |entry: &Entry| serde_json::to_value(entry).unwrap_or_default();
    let mut keys = vec![];
    compare("", &tree(before), &tree(after), &mut keys);
    keys
}

fn compare(path: &str, before: &Value, after: &Value, keys: &mut Vec<String>) {
    match (before, after) {
        (Value::Object(old), Value::Object(new)) => {
            let mut names: Vec<&String> = old.keys().chain(new.keys().filter(|key| !old.contains_key(*key))).collect();
            names.sort();
            for name in names {
                let below = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                compare(&below, old.get(name).unwrap_or(&Value::Null), new.get(name).unwrap_or(&Value::Null), keys);
            }
        }
        _ if before == after => {}
        // A list may hold an environment, and that a secret.
        (Value::Array(_), _) | (_, Value::Array(_) | Value::Object(_)) | (Value::Object(_), _) => {
            keys.push(format!("{path}: changed"));
        }
        _ => keys.push(format!("{path}: {} → {}", shown(before), shown(after))),
    }
}

/// A value in few words.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "unset".to_owned(),
        other => shortened(&other.to_string()),
    }
}

/// Characters of a value that are shown.
const SHOWN_MAX: usize = 60;

fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::config::{
        job_config::JobConfig,
        sharing::{Limits, Pool},
    };

    fn job(keys: &Value) -> Entry {
        let mut entry = json!({"queueName": "q", "podConfig": {"image": "i:1"}});
        crate::config::jobs_file::lay_over(&mut entry, keys.clone());
        let mut job: JobConfig = serde_json::from_value(entry).expect("an entry");
        if job.name.is_empty() {
            job.name.clone_from(&job.queue_name);
        }
        Entry::Queue(Arc::new(job))
    }

    fn in_file(entries: &[Entry]) -> InFile {
        InFile::new(entries.to_vec(), Sharing::default())
    }

    fn sharing(limits: Option<Limits>, pools: &[(&str, u32, Option<u32>)]) -> Sharing {
        let pool = |(name, jobs, creates): &(&str, u32, Option<u32>)| {
            ((*name).to_owned(), Pool { jobs: *jobs, creates_per_minute: *creates })
        };
        Sharing { limits, pools: pools.iter().map(pool).collect() }
    }

    #[test]
    fn what_is_shared_changes_limit_by_limit() {
        let limits = |jobs, creates_per_minute| Some(Limits { jobs, creates_per_minute });
        let entries = vec![job(&json!({}))];
        let before = InFile::new(
            entries.clone(),
            sharing(limits(Some(40), None), &[("gone", 1, None), ("gpu", 4, None), ("same", 7, None)]),
        );
        let after = InFile::new(
            entries,
            sharing(limits(None, Some(120)), &[("gpu", 6, None), ("new", 2, Some(10)), ("same", 7, None)]),
        );
        let changes = Changes::between(&before, &after);
        assert_eq!(
            changes.to_string(),
            "~ limits and pools: for new Jobs at once, running ones keep their places until they end\n    \
             limits.createsPerMinute: unset → 120\n    \
             limits.jobs: 40 → unset\n    \
             pools.gone.jobs: 1 → unset\n    \
             pools.gpu.jobs: 4 → 6\n    \
             pools.new.createsPerMinute: unset → 10\n    \
             pools.new.jobs: unset → 2\n\
             0 added, 0 changed, 0 removed, 1 unchanged"
        );
        assert!(changes.by_name.is_empty() && !changes.is_empty());
        assert!(Changes::between(&after, &after).is_empty());
    }

    #[test]
    fn each_entry_is_added_changed_removed_or_left_alone() {
        let before = [job(&json!({"queueName": "same"})), job(&json!({"queueName": "gone"})), job(&json!({}))];
        let after = [
            job(&json!({"queueName": "same"})),
            job(&json!({"queueName": "new"})),
            job(
                &json!({"maxConcurrentJobs": 4, "podConfig": {"image": "i:2", "env": [{"name": "TOKEN", "value": "canary"}]}}),
            ),
        ];
        let text = Changes::between(&in_file(&before), &in_file(&after)).to_string();
        assert_eq!(
            text,
            "- gone: nothing is created any more, what lives of it is seen to its end\n\
             + new: new\n\
             ~ q: new Jobs by the new entry, running ones finish as they are\n    \
             maxConcurrentJobs: 1 → 4\n    \
             podConfig.env: changed\n    \
             podConfig.image: \"i:1\" → \"i:2\"\n\
             1 added, 1 changed, 1 removed, 1 unchanged"
        );
    }
}
