//! Which entry needs which: what may be wrong about it.

use std::collections::BTreeMap;

use crate::config::{entry::Entry, judge::Finding, problems::nearest};

/// What is wrong with the dependencies of these entries, each with the place of its entry among them. `wrong` are names
/// of services whose entries have problems of their own.
pub fn findings(entries: &[&Entry], wrong: &[String]) -> Vec<(usize, Finding)> {
    let services: BTreeMap<&str, &Entry> =
        entries.iter().filter(|entry| entry.service().is_some()).map(|entry| (entry.name(), *entry)).collect();
    let mut found = vec![];
    for (at, entry) in entries.iter().enumerate() {
        for (number, needed) in entry.depends_on().iter().enumerate() {
            if !services.contains_key(needed.as_str()) && !wrong.contains(needed) {
                let hint = nearest(needed, services.keys().copied());
                let text = format!("there is no service \"{needed}\"{hint}");
                found.push((at, Finding::new(&["dependsOn", &number.to_string()], text)));
            }
        }
        if let Some(circle) = circle(entry, &services) {
            let text = format!("the services wait for one another: {}", circle.join(" → "));
            found.push((at, Finding::new(&["dependsOn"], text)));
        }
    }
    found
}

/// The way from a service back to itself, reported once: at the member whose name comes first.
fn circle<'a>(entry: &'a Entry, services: &BTreeMap<&'a str, &'a Entry>) -> Option<Vec<&'a str>> {
    let start = services.get_key_value(entry.name()).map(|(name, _)| *name)?;
    let mut ways = vec![vec![start]];
    let mut seen = vec![start];
    while let Some(way) = ways.pop() {
        let last = services.get(way.last()?)?;
        for needed in last.depends_on() {
            if needed == start {
                let first = way.iter().min() == Some(&start);
                return first.then(|| way.iter().copied().chain([start]).collect());
            }
            let Some((name, _)) = services.get_key_value(needed.as_str()) else { continue };
            if !seen.contains(name) {
                seen.push(name);
                ways.push(way.iter().copied().chain([*name]).collect());
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;

    fn service(name: &str, needs: &[&str]) -> Entry {
        let entry = json!({"type": "service", "name": name, "podConfig": {"image": "i"}, "dependsOn": needs});
        Entry::Service(Arc::new(serde_json::from_value(entry).expect("a service")))
    }

    fn problems(entries: &[Entry]) -> Vec<String> {
        let all: Vec<&Entry> = entries.iter().collect();
        findings(&all, &["wrong".to_owned()])
            .into_iter()
            .map(|(at, finding)| format!("{at} {}", finding.text))
            .collect()
    }

    #[test]
    fn a_circle_is_told_once_with_its_members() {
        let all = [service("b", &["c"]), service("a", &["b"]), service("c", &["a"]), service("d", &["a"])];
        assert_eq!(problems(&all), ["1 the services wait for one another: a → b → c → a"]);
        assert_eq!(problems(&[service("a", &["a"])]), ["0 the services wait for one another: a → a"]);
        assert_eq!(problems(&[service("a", &[]), service("b", &["a"])]), [""; 0]);
    }

    #[test]
    fn what_is_no_service_is_told_with_the_nearest() {
        assert_eq!(
            problems(&[service("redis", &[]), service("api", &["rediss", "wrong"])]),
            ["1 there is no service \"rediss\" (did you mean \"redis\"?)"]
        );
    }
}
