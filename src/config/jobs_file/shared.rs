//! `limits` and `pools` of a jobs.json, and how its entries share them.

use serde_json::{Map, Value};

use super::{Loader, Placed};
use crate::config::{
    entry::Entry,
    json::{self, Node},
    judge::Finding,
    problems::Problem,
    sharing::Sharing,
    sharing_rules::{self, takes_places},
};

/// Keys of a queue that say who goes first.
const ORDER_KEYS: [&str; 3] = ["weight", "priority", "targetAge"];

impl Loader<'_> {
    /// What the entries share, as far as it can be read, and everything that is wrong with it.
    pub(super) fn sharing(&self, entries: &[Placed<'_>]) -> (Sharing, Vec<Problem>) {
        let keys = ["limits", "pools"].into_iter();
        let keys: Map<String, Value> =
            keys.filter_map(|key| Some((key.to_owned(), self.root.get(key)?.to_value()))).collect();
        // Most files share nothing, and need no judge.
        let (sharing, found) = match keys.is_empty() {
            true => (Sharing::default(), vec![]),
            false => sharing_rules::read(keys, self.judges),
        };
        let mut problems = self.at_root(found);
        let are_known = self.root.get("pools").is_none_or(|pools| matches!(pools.kind, json::Kind::Object(_)));
        for (node, path, entry) in entries.iter().filter(|_| are_known) {
            let found = sharing_rules::findings(entry, &sharing);
            problems.extend(found.into_iter().map(|finding| self.locate(node, path, finding)));
        }
        (sharing, problems)
    }

    /// What is allowed between the entries, and probably not meant.
    pub(super) fn sharing_warnings(&self, entries: &[Placed<'_>], sharing: &Sharing) -> Vec<Problem> {
        let all: Vec<&Entry> = entries.iter().map(|(.., entry)| entry).collect();
        let mut warnings = self.at_root(sharing_rules::warnings(&all, sharing));
        warnings.extend(self.idle_keys(entries, sharing));
        warnings.extend(self.priority_of_both(entries, sharing));
        let of_entries = sharing_rules::entry_warnings(&all, sharing).into_iter();
        warnings.extend(of_entries.map(|(at, finding)| {
            let (node, path, _) = &entries[at];
            self.locate(node, path, finding)
        }));
        warnings
    }

    fn at_root(&self, findings: Vec<Finding>) -> Vec<Problem> {
        findings.into_iter().map(|finding| self.locate_below(self.root, "", finding)).collect()
    }

    /// Keys of queues that share nothing with anybody: those of an entry, and those of the defaults if it is so of all.
    fn idle_keys(&self, entries: &[Placed<'_>], sharing: &Sharing) -> Vec<Problem> {
        let queues = || entries.iter().filter(|(.., entry)| entry.queue().is_some());
        let mut idle: Vec<(&Node, &str, &str)> = queues()
            .filter(|(.., entry)| !takes_places(entry, sharing))
            .map(|(node, path, _)| (*node, path.as_str(), "the entry names no pool"))
            .collect();
        if idle.len() == queues().count() {
            idle.extend(self.defaults().map(|defaults| (defaults, "defaults", "no queue names a pool")));
        }
        // `priority` of the defaults is that of services, too.
        let has_services = entries.iter().any(|(.., entry)| entry.service().is_some());
        let counts = |path: &str, key: &str| path == "defaults" && key == "priority" && has_services;
        let of_one = |(node, path, why): (&Node, &str, &str)| {
            let keys = ORDER_KEYS.into_iter().filter(|key| node.get(key).is_some() && !counts(path, key));
            let told = |key| Finding {
                at_key: true,
                ..Finding::new(&[key], format!("it has no effect: {why}, and there are no \"limits\""))
            };
            keys.map(|key| self.locate_below(node, path, told(key))).collect::<Vec<_>>()
        };
        idle.into_iter().flat_map(of_one).collect()
    }

    /// The defaults say `priority`, and it is taken for the one of queues and for the one of services.
    fn priority_of_both(&self, entries: &[Placed<'_>], sharing: &Sharing) -> Option<Problem> {
        let defaults = self.defaults().filter(|defaults| defaults.get("priority").is_some())?;
        let mut takers = entries.iter().filter(|(node, ..)| node.get("priority").is_none()).map(|(.., entry)| entry);
        let is_both = takers.clone().any(|entry| entry.service().is_some())
            && takers.any(|entry| entry.queue().is_some() && takes_places(entry, sharing));
        let text = "it counts for services (the order of their start) and for queues (who gets a place first): set it in \
            the entries of one of the two";
        let finding = Finding { at_key: true, ..Finding::new(&["priority"], text) };
        is_both.then(|| self.locate_below(defaults, "defaults", finding))
    }
}
