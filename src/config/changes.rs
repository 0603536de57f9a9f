//! What another jobs.json changes: entry by entry, key by key.

use std::{collections::BTreeMap, fmt};

use serde_json::Value;

use crate::config::entry::{Entry, Kind};

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
    /// How many stay as they are.
    pub unchanged: usize,
}

impl Changes {
    /// What becomes of each.
    pub fn between<'a>(
        before: impl IntoIterator<Item = &'a Entry>,
        after: impl IntoIterator<Item = &'a Entry>,
    ) -> Self {
        let mut old: BTreeMap<&str, &Entry> = before.into_iter().map(|entry| (entry.name(), entry)).collect();
        let mut changes = Self::default();
        for entry in after {
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

    /// How many are added, changed and removed.
    pub fn counts(&self) -> (usize, usize, usize) {
        let count = |kind: fn(&Change) -> bool| self.by_name.values().filter(|(_, change)| kind(change)).count();
        let changed = count(|change| matches!(change, Change::Changed(_)));
        (count(|change| *change == Change::Added), changed, count(|change| *change == Change::Removed))
    }
}

impl fmt::Display for Changes {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
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
    use crate::config::job_config::JobConfig;

    fn job(keys: &Value) -> Entry {
        let mut entry = json!({"queueName": "q", "podConfig": {"image": "i:1"}});
        crate::config::jobs_file::lay_over(&mut entry, keys.clone());
        let mut job: JobConfig = serde_json::from_value(entry).expect("an entry");
        if job.name.is_empty() {
            job.name.clone_from(&job.queue_name);
        }
        Entry::Queue(Arc::new(job))
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
        let text = Changes::between(&before, &after).to_string();
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
