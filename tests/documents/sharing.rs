//! What a jobs.json shares: every problem and warning has its place, and says what to do.

use std::{collections::BTreeMap, time::Duration};

use job_chief::config::jobs_file;
use serde_json::{Value, json};

use crate::{minimal, problems};

#[test]
fn what_is_wrong_with_what_is_shared_is_told_with_its_place_and_remedy() {
    let text = r#"{
  "limits": {},
  "pools": {
    "gpu": {"jobs": 0}, "Big One": {"jobs": 1}, "limits": {"jobs": 1}, "licence": {"jobs": 2, "createsPerMinut": 10},
    "7": {"jobs": 1, "createsPerMinute": "many"}
  },
  "pool": {"gpu": {"jobs": 4}},
  "defaults": {"weight": 0, "pools": ["gpo"]},
  "jobs": [
    {"queueName": "a", "podConfig": {"image": "i"}},
    {"queueName": "b", "podConfig": {"image": "i"}, "weight": 1, "pools": ["gpu", "licence", "gpu"], "targetAge": "0s"},
    {"queueName": "c", "podConfig": {"image": "i"}, "weight": 1001, "priority": -1001, "targetAge": 5},
    {"queueName": "d", "podConfig": {"image": "i"}, "weight": 1, "pools": ["licenses", "limits"]},
    {"queueName": "e", "podConfig": {"image": "i"}, "weight": 1, "pools": ["1", "2", "3", "4", "5", "6", "7", "8", "9"]},
    {"type": "service", "name": "f", "podConfig": {"image": "i"}, "weight": 2, "targetAge": "1m"},
    {"type": "service", "name": "g", "podConfig": {"image": "i"}, "replicas": 3, "pools": ["licence", "licence"]},
    {"type": "service", "name": "h", "podConfig": {"image": "i"}, "replicas": 2, "pools": ["gpu", "nothing"]},
    {"type": "service", "name": "k", "check": {"tcp": {"host": "db", "port": 1}}, "pools": ["gpu"]}
  ]
}"#;
    insta::assert_snapshot!("sharing", problems(text));
    let text = r#"{
  "limits": {"jobs": 2}, "pools": {"gpu": {"jobs": 4}, "licence": {"jobs": 2}, "7": {}},
  "jobs": [
    {"type": "service", "name": "a", "podConfig": {"image": "i"}, "replicas": 3, "pools": ["gpu"]},
    {"type": "service", "name": "b", "podConfig": {"image": "i"}, "replicas": 3, "pools": ["licence", "gpu"]},
    {"type": "service", "name": "c", "podConfig": {"image": "i"}, "replicas": 30},
    {"queueName": "d", "podConfig": {"image": "i"}, "pools": ["gpus"]}
  ]
}"#;
    insta::assert_snapshot!("places", problems(text));
    let text = r#"[{"queueName": "a", "podConfig": {"image": "i"}, "pools": ["gpu"]}]"#;
    let told = problems(text);
    assert!(told.contains("jobs.json:1:60: [0].pools[0]: jobs.json has no pool \"gpu\""), "{told}");
    for (keys, told) in [
        (r#""limits": 5"#, "limits: found 5, allowed is an object"),
        (r#""limits": {"jobs": 4.5}"#, "limits.jobs: found 4.5, allowed is a whole number"),
        (r#""limits": {"jobs": 100001}"#, "limits.jobs: found 100001, allowed is at most 100000"),
        (r#""limits": {"jbos": 4}"#, "limits.jbos: unknown key \"jbos\" (did you mean \"jobs\"?)"),
        (r#""pools": [{"jobs": 4}]"#, "pools: found an array, allowed is an object"),
        (r#""pools": {"gpu": 4}"#, "pools.gpu: found 4, allowed is an object"),
        (r#""pools": {"gpu": {}}"#, "pools.gpu: the key \"jobs\" is missing"),
        (r#""pools": {"gpu": {"jobs": 4, "createsPerMinute": 0}}"#, "createsPerMinute: found 0, allowed is at least 1"),
        (r#""limitz": {"jobs": 4}"#, "unknown key \"limitz\" (did you mean \"limits\"?)"),
    ] {
        let text =
            format!(r#"{{{keys}, "jobs": [{{"queueName": "a", "podConfig": {{"image": "i"}}, "pools": ["gpu"]}}]}}"#);
        let found = problems(&text);
        assert!(found.contains(told), "{found}");
        assert_eq!(found.contains("has no pool"), !keys.contains("pools"), "nothing follows from it: {found}");
    }
    let many: BTreeMap<String, Value> = (0..101).map(|at| (format!("p{at}"), json!({"jobs": 1}))).collect();
    let found = problems(&json!({"pools": many, "jobs": [minimal()]}).to_string());
    assert!(found.contains("pools: found an object, allowed is at most 100 keys"), "{found}");
}

/// Of each file these warnings are given, and no others.
fn assert_warned(cases: &[(Value, &[&str])]) {
    for (file, wanted) in cases {
        let loaded = jobs_file::load("jobs.json", &file.to_string()).unwrap_or_else(|problems| panic!("{problems}"));
        let told: Vec<String> = loaded.warnings.iter().map(|it| format!("{}: {}", it.path, it.text)).collect();
        let all_told = told.len() == wanted.len() && wanted.iter().all(|text| told.iter().any(|it| it.contains(text)));
        assert!(all_told, "{file}\n{told:?}");
    }
}

/// A queue with these keys.
fn queue(name: &str, keys: Value) -> Value {
    let mut entry = json!({"queueName": name, "podConfig": {"image": "i"}});
    jobs_file::lay_over(&mut entry, keys);
    entry
}

/// A service of so many replicas with these keys.
fn service(replicas: u32, keys: Value) -> Value {
    let mut entry =
        json!({"type": "service", "name": format!("s{replicas}"), "podConfig": {"image": "i"}, "replicas": replicas});
    jobs_file::lay_over(&mut entry, keys);
    entry
}

fn gpu() -> Value {
    json!({"gpu": {"jobs": 4}})
}

fn any() -> Value {
    json!({"pools": ["gpu"]})
}

fn first() -> Value {
    json!({"pools": ["gpu"], "priority": 10, "targetAge": "1m"})
}

#[test]
fn what_has_no_effect_or_two_of_them_is_told() {
    assert_warned(&[
        (json!({"pools": gpu(), "jobs": [queue("a", any()), queue("b", any())]}), &[]),
        (
            json!({"jobs": [queue("a", json!({"weight": 1, "priority": 0, "targetAge": "1m"}))]}),
            &[
                "jobs[0].weight: it has no effect: the entry names no pool, and there are no \"limits\"",
                "jobs[0].priority: it has no effect",
                "jobs[0].targetAge: it has no effect",
            ],
        ),
        (
            json!({"defaults": {"weight": 2, "priority": 3}, "jobs": [queue("a", json!({}))]}),
            &["defaults.weight: it has no effect: no queue names a pool", "defaults.priority: it has no effect"],
        ),
        (json!({"defaults": {"priority": 3}, "jobs": [queue("a", json!({})), service(1, json!({}))]}), &[]),
        (
            json!({"defaults": {"weight": 2, "targetAge": "1m"}, "pools": gpu(),
                   "jobs": [queue("a", any()), queue("b", json!({}))]}),
            &[],
        ),
        (json!({"limits": {"jobs": 9}, "jobs": [queue("a", json!({"weight": 2}))]}), &[]),
        (
            json!({"pools": {"gpu": {"jobs": 4}, "licence": {"jobs": 1}}, "jobs": [queue("a", any())]}),
            &["pools.licence: no entry names it: unless a deployment does"],
        ),
        (
            json!({"defaults": {"priority": 3}, "pools": gpu(), "jobs": [queue("a", any()), service(1, json!({}))]}),
            &["defaults.priority: it counts for services (the order of their start) and for queues"],
        ),
        (
            json!({"defaults": {"priority": 3}, "pools": gpu(),
                   "jobs": [queue("a", any()), service(1, json!({"priority": 1}))]}),
            &[],
        ),
    ]);
}

#[test]
fn who_may_wait_for_ever_or_longer_than_it_says_is_told() {
    assert_warned(&[
        (
            json!({"pools": gpu(), "jobs": [queue("a", first()), queue("b", any()), queue("c", first())]}),
            &[
                "jobs[1].priority: \"b\" may wait for ever: \"a\" has the priority 10, not 0, and goes first in the pool \"gpu\"; set a \"targetAge\"",
            ],
        ),
        (
            json!({"limits": {"jobs": 9}, "jobs": [queue("a", json!({"priority": 1})), queue("b", json!({})), queue("c", json!({"targetAge": "1h"}))]}),
            &["\"b\" may wait for ever: \"a\" has the priority 1, not 0, and goes first under \"limits\""],
        ),
        (
            json!({"pools": {"gpu": {"jobs": 4}, "b": {"jobs": 4}},
                   "jobs": [queue("a", first()), queue("b", json!({"pools": ["b"]}))]}),
            &[],
        ),
        (
            json!({"pools": gpu(), "jobs": [queue("a", json!({"pools": ["gpu"], "targetAge": "9s"}))]}),
            &["jobs[0].targetAge: it is shorter than \"queueCheckInterval\" (10s)"],
        ),
        (
            json!({"pools": gpu(), "jobs": [service(3, any()), service(2, any())]}),
            &["pools.gpu.jobs: the services there keep 5 places, and there are 4: some would never be up"],
        ),
        (
            json!({"pools": gpu(), "jobs": [service(3, any()), service(1, any()), queue("a", any())]}),
            &["pools.gpu.jobs: the services there keep all 4 places: no queue would ever get one"],
        ),
        (
            json!({"limits": {"jobs": 3}, "pools": gpu(), "jobs": [service(3, any()), service(9, json!({})), queue("a", json!({}))]}),
            &["limits.jobs: the services there keep all 3 places"],
        ),
    ]);
}

#[test]
fn the_defaults_share_for_queues_and_a_service_names_its_own_pools() {
    let file = json!({
        "pools": {"gpu": {"jobs": 4}, "licence": {"jobs": 2, "createsPerMinute": 10}},
        "limits": {"createsPerMinute": 120},
        "defaults": {"pools": ["gpu"], "weight": 3, "targetAge": "2m"},
        "jobs": [
            queue("a", json!({})), queue("b", json!({"pools": [], "weight": 1})),
            {"type": "service", "name": "s", "podConfig": {"image": "i"}},
            {"type": "service", "name": "t", "podConfig": {"image": "i"}, "pools": ["licence"]},
        ],
    });
    let loaded = jobs_file::load("jobs.json", &file.to_string()).unwrap_or_else(|problems| panic!("{problems}"));
    let told: Vec<_> = loaded.jobs.iter().map(|entry| (entry.share().pools.join(","), entry.share().weight)).collect();
    assert_eq!(told, [("gpu".into(), 3), (String::new(), 1), (String::new(), 1), ("licence".into(), 1)]);
    assert_eq!(loaded.jobs[1].share().target_age, Some(Duration::from_secs(120)));
    assert_eq!(
        serde_json::to_value(&loaded.sharing).unwrap(),
        json!({"limits": {"createsPerMinute": 120}, "pools": {"gpu": {"jobs": 4}, "licence": {"jobs": 2, "createsPerMinute": 10}}})
    );
}
