//! What a schema can't say of sharing: between an entry and the pools, and between the entries.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Map, Value};

use crate::config::{
    dns_label::is_label,
    entry::Entry,
    job_config::JobConfig,
    judge::{Finding, Judges},
    problems::nearest,
    rules::{CHECK_INTERVAL_MIN, twice, within},
    sharing::{LIMITS, PLACES_MAX, POOL_NAME_MAX, Pool, Share, Sharing},
};

/// A shorter target could not even be seen to be missed: a queue is looked at no more often.
pub const TARGET_AGE_MIN: Duration = CHECK_INTERVAL_MIN;

/// Whether an entry takes places anywhere.
pub fn takes_places(entry: &Entry, sharing: &Sharing) -> bool {
    !entry.share().pools.is_empty() || (sharing.limits.is_some() && entry.queue().is_some())
}

/// Reads `limits` and `pools`, as far as that is possible: what is wrong has all the places that there may be, so that
/// nothing else is wrong for it. Also everything that is wrong with them.
pub(super) fn read(keys: Map<String, Value>, judges: &Judges) -> (Sharing, Vec<Finding>) {
    let value = Value::Object(keys);
    let mut findings = judges.sharing().findings(&value);
    let pools = value.get("pools").and_then(Value::as_object);
    findings.extend(pools.into_iter().flat_map(Map::keys).filter_map(|name| pool_name(name)));
    match serde_json::from_value(value.clone()) {
        Ok(sharing) if findings.is_empty() => return (sharing, findings),
        Err(error) if findings.is_empty() => findings.push(Finding::new(&[], error.to_string())),
        _ => {}
    }
    let is_wrong = |path: &[&str]| findings.iter().any(|finding| path.iter().eq(finding.path.iter().take(path.len())));
    let limits = value.get(LIMITS).filter(|_| !is_wrong(&[LIMITS]));
    let limits = limits.and_then(|limits| serde_json::from_value(limits.clone()).ok());
    let pool = |(name, pool): (&String, &Value)| {
        let known = serde_json::from_value(pool.clone()).ok().filter(|_| !is_wrong(&["pools", name]));
        (name.clone(), known.unwrap_or(Pool { jobs: PLACES_MAX, creates_per_minute: None }))
    };
    let pools = pools.into_iter().flatten().map(pool).collect();
    (Sharing { limits, pools }, findings)
}

fn pool_name(name: &str) -> Option<Finding> {
    let text = match name {
        LIMITS => format!("\"{LIMITS}\" is the key beside \"pools\" for what counts for all: take another name"),
        _ if name.len() <= POOL_NAME_MAX && is_label(name) => return None,
        _ => format!(
            "found the name {name:?}, allowed are lower-case letters, digits and \"-\" inside, at most {POOL_NAME_MAX}"
        ),
    };
    Some(Finding { at_key: true, ..Finding::new(&["pools", name], text) })
}

/// What is wrong with how an entry shares, whatever there is to share.
pub(super) fn alone(entry: &Entry) -> Vec<Finding> {
    let share = entry.share();
    let target = share.target_age.map(|age| ("targetAge", age, TARGET_AGE_MIN));
    within(target.as_slice()).into_iter().chain(twice("pools", share.pools)).collect()
}

/// Why an entry could not do its work where this is shared.
pub fn findings(entry: &Entry, sharing: &Sharing) -> Vec<Finding> {
    let unknown = entry.share().pools.iter().enumerate().filter_map(|(at, name)| {
        let text = match name.as_str() {
            LIMITS => "\"limits\" count for every queue: they are no pool to be named; remove it".to_owned(),
            _ if sharing.pools.contains_key(name) => return None,
            _ => {
                let hint = nearest(name, sharing.pools.keys().map(String::as_str));
                format!("jobs.json has no pool \"{name}\"{hint}: add it to \"pools\" there, or remove it here")
            }
        };
        Some(Finding::new(&["pools", &at.to_string()], text))
    });
    unknown.chain(too_few_places(entry, sharing)).collect()
}

/// Each replica of a service keeps its places, so there have to be as many.
fn too_few_places(entry: &Entry, sharing: &Sharing) -> Option<Finding> {
    let service = entry.service().filter(|service| !service.pools.is_empty())?;
    let limits = sharing.limits.as_ref().and_then(|limits| limits.jobs).map(|jobs| ("limits.jobs".to_owned(), jobs));
    let pools =
        service.pools.iter().filter_map(|name| Some((format!("pools.{name}.jobs"), sharing.pools.get(name)?.jobs)));
    let (key, jobs) = pools.chain(limits).min_by_key(|(_, jobs)| *jobs)?;
    let replicas = service.replicas;
    let text = format!(
        "it has {replicas} replicas, and {key} is {jobs}: each keeps a place, so it would never be up; lower the first, or raise the second"
    );
    (replicas > jobs).then(|| Finding::new(&["replicas"], text))
}

/// What is probably not meant of one entry, each with its place among them.
pub(super) fn entry_warnings(entries: &[&Entry], sharing: &Sharing) -> Vec<(usize, Finding)> {
    let first = first_in_each(entries, sharing);
    let queues = entries.iter().enumerate().filter_map(|(at, entry)| Some((at, *entry, entry.queue()?)));
    let sharing_ones = queues.filter(|(_, entry, _)| takes_places(entry, sharing));
    sharing_ones
        .flat_map(|(at, entry, queue)| {
            let found = short_target(queue).into_iter().chain(may_starve(entry, sharing, &first));
            found.map(move |finding| (at, finding)).collect::<Vec<_>>()
        })
        .collect()
}

/// A message is found by a look, and may be older than its target by then.
fn short_target(queue: &JobConfig) -> Option<Finding> {
    let interval = queue.queue_check_interval;
    let text = format!(
        "it is shorter than \"queueCheckInterval\" ({}): a message may be older before it is found; lengthen it, or look more often",
        humantime::format_duration(interval)
    );
    queue.target_age.filter(|age| *age < interval).map(|_| Finding::new(&["targetAge"], text))
}

/// Every pool of which an entry takes a place, with `limits` last.
fn pools_of<'a>(entry: &'a Entry, sharing: &Sharing) -> impl Iterator<Item = &'a str> + use<'a> {
    let limits = sharing.limits.as_ref().filter(|_| takes_places(entry, sharing)).map(|_| LIMITS);
    entry.share().pools.iter().map(String::as_str).chain(limits)
}

/// The queue with the highest priority in each pool.
fn first_in_each<'a>(entries: &[&'a Entry], sharing: &Sharing) -> BTreeMap<&'a str, &'a JobConfig> {
    let mut first: BTreeMap<&str, &JobConfig> = BTreeMap::new();
    for (entry, queue) in entries.iter().filter_map(|entry| Some((*entry, entry.queue()?))) {
        for pool in pools_of(entry, sharing) {
            let known = first.entry(pool).or_insert(queue);
            if known.priority < queue.priority {
                *known = queue;
            }
        }
    }
    first
}

/// As long as a queue of higher priority wants places, those below get none, unless they have a `targetAge`.
fn may_starve(entry: &Entry, sharing: &Sharing, first: &BTreeMap<&str, &JobConfig>) -> Option<Finding> {
    let Share { priority, target_age: None, .. } = entry.share() else { return None };
    let mut pools = pools_of(entry, sharing).filter_map(|pool| Some((pool, *first.get(pool)?)));
    let (pool, before) = pools.find(|(_, before)| before.priority > priority)?;
    let place = if pool == LIMITS { "under \"limits\"".to_owned() } else { format!("in the pool \"{pool}\"") };
    let text = format!(
        "\"{}\" may wait for ever: \"{}\" has the priority {}, not {priority}, and goes first {place}; set a \"targetAge\"",
        entry.name(),
        before.name,
        before.priority
    );
    Some(Finding::new(&["priority"], text))
}

/// What is probably not meant of `limits` and `pools`.
pub(super) fn warnings(entries: &[&Entry], sharing: &Sharing) -> Vec<Finding> {
    let limits = sharing.limits.as_ref().and_then(|limits| limits.jobs).map(|jobs| (LIMITS, jobs));
    let pools = || sharing.pools.iter().map(|(name, pool)| (name.as_str(), pool.jobs));
    let is_named = |name: &str| entries.iter().any(|entry| entry.share().pools.iter().any(|pool| pool == name));
    let unnamed = pools().filter(|(name, _)| !is_named(name)).map(|(name, _)| {
        let text = "no entry names it: unless a deployment does, it has no effect; name it in the \"pools\" of one, or remove it";
        Finding { at_key: true, ..Finding::new(&["pools", name], text) }
    });
    unnamed.chain(pools().chain(limits).filter_map(|(name, jobs)| crowded(name, jobs, entries, sharing))).collect()
}

/// Services keep so many places of a pool that something is never done.
fn crowded(pool: &str, jobs: u32, entries: &[&Entry], sharing: &Sharing) -> Option<Finding> {
    let mut members = entries.iter().filter(|entry| pools_of(entry, sharing).any(|name| name == pool));
    let services = members.clone().filter_map(|entry| entry.service());
    let kept: u64 = services.map(|service| u64::from(service.replicas)).sum();
    let text = if kept > u64::from(jobs) {
        format!("the services there keep {kept} places, and there are {jobs}: some would never be up")
    } else if kept == u64::from(jobs) && members.any(|entry| entry.queue().is_some()) {
        format!("the services there keep all {jobs} places: no queue would ever get one")
    } else {
        return None;
    };
    let path = if pool == LIMITS { vec![LIMITS, "jobs"] } else { vec!["pools", pool, "jobs"] };
    Some(Finding::new(&path, text))
}
