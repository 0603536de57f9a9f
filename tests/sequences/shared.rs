//! Whatever a jobs.json shares: what loads takes places only where there are some, and what doesn't load is told why.

use job_chief::{
    config::{
        entry::Entry,
        jobs_file,
        sharing::{Limits, Sharing},
    },
    decide::{
        place::LIMITS,
        share::policy::{MemberPolicy, pools},
    },
};
use proptest::prelude::*;
use serde_json::{Value, json};

const NAMES: [&str; 3] = ["gpu", "licence", "memory"];

/// What an entry shares where there are `limits`.
pub(crate) fn member(entry: &Entry) -> MemberPolicy {
    MemberPolicy::of(entry, &Sharing { limits: Some(Limits::default()), ..Sharing::default() })
}

/// An entry of either type with some pools, perhaps one that is not there.
fn entries() -> impl Strategy<Value = Vec<Value>> {
    let one = (prop::bool::ANY, prop::sample::subsequence(NAMES.to_vec(), 0..3), 1..4_u32);
    prop::collection::vec(one, 1..4).prop_map(|all| {
        let entry = |(at, (is_service, pools, replicas)): (usize, (bool, Vec<&str>, u32))| match is_service {
            true => json!({"type": "service", "name": format!("s{at}"), "podConfig": {"image": "i"}, "pools": pools,
                "replicas": replicas}),
            false => json!({"queueName": format!("q{at}"), "podConfig": {"image": "i"}, "pools": pools}),
        };
        all.into_iter().enumerate().map(entry).collect()
    })
}

fn sharing() -> impl Strategy<Value = (Option<u32>, Vec<(&'static str, u32)>)> {
    let pools = prop::collection::vec(1..4_u32, 3)
        .prop_flat_map(|jobs| prop::sample::subsequence(NAMES.into_iter().zip(jobs).collect::<Vec<_>>(), 0..=3));
    (prop::option::of(1..4_u32), pools)
}

/// Whether an entry finds a place for each of its Jobs, by the plain words of the contract.
fn finds_its_places(entry: &Value, limit: Option<u32>, pools: &[(&str, u32)]) -> bool {
    let named: Vec<&str> = entry["pools"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    let places: Option<Vec<u32>> =
        named.iter().map(|name| pools.iter().find(|(pool, _)| pool == name).map(|(_, jobs)| *jobs)).collect();
    let Some(places) = places else { return false };
    let replicas = entry["replicas"].as_u64().filter(|_| !named.is_empty()).unwrap_or(1);
    places.into_iter().chain(limit).all(|jobs| u64::from(jobs) >= replicas)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn who_loads_finds_its_places_and_who_does_not_is_told(entries in entries(), (limit, given) in sharing()) {
        let mut file = json!({"jobs": entries, "pools": {}});
        for (name, jobs) in &given {
            file["pools"][*name] = json!({"jobs": jobs});
        }
        if let Some(jobs) = limit {
            file["limits"] = json!({"jobs": jobs});
        }
        let wrong: Vec<usize> =
            (0..entries.len()).filter(|at| !finds_its_places(&entries[*at], limit, &given)).collect();
        match jobs_file::load("jobs.json", &file.to_string()) {
            Ok(loaded) => {
                prop_assert_eq!(wrong, Vec::<usize>::new());
                let known = pools(&loaded.sharing);
                for entry in &loaded.jobs {
                    let policy = MemberPolicy::of(entry, &loaded.sharing);
                    prop_assert!(policy.pools.iter().all(|pool| known.contains_key(pool)), "{:?}", policy);
                    let counts = limit.is_some() && (entry.queue().is_some() || !entry.share().pools.is_empty());
                    prop_assert_eq!(policy.pools.contains(&LIMITS.into()), counts);
                }
            }
            Err(problems) => {
                for at in &wrong {
                    let path = format!("jobs[{at}].");
                    prop_assert!(problems.0.iter().any(|problem| problem.path.starts_with(&path)), "{}", problems);
                }
                let is_told = |path: &str| wrong.iter().any(|at| path.starts_with(&format!("jobs[{at}].")));
                prop_assert!(problems.0.iter().all(|problem| is_told(&problem.path)), "{}", problems);
            }
        }
    }
}

#[test]
fn who_shares_nothing_is_asked_about_nothing() {
    let file = json!({"jobs": [{"queueName": "q", "podConfig": {"image": "i"}}]}).to_string();
    let loaded = jobs_file::load("jobs.json", &file).unwrap();
    assert_eq!(loaded.sharing, Sharing::default());
    assert!(pools(&loaded.sharing).is_empty());
    assert!(MemberPolicy::of(&loaded.jobs[0], &loaded.sharing).pools.is_empty());
}
