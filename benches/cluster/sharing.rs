//! Who gets a place: what one decision costs among a thousand JobConfigs that wait for the same pool. No server is asked.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use job_chief::decide::share::{
    arbiter::Arbiter,
    need::Need,
    policy::{MemberPolicy, PoolPolicy},
};

use crate::figures::{Figures, median};

/// JobConfigs that wait.
const MEMBERS: usize = 1_000;

/// Places of the pool.
const PLACES: u32 = 100;

/// Decisions that are measured in a run.
const DECISIONS: usize = 2_000;

pub(crate) fn measure(figures: &mut Figures, runs: u32) {
    for _ in 0..runs {
        for (what, target_age) in [("", None), (", all later than their targetAge", Some(Duration::from_secs(1)))] {
            let mut times = decisions(target_age);
            let figure = format!("a place among 1,000 JobConfigs{what}");
            figures.add(&figure, "ms", Some("≤ 0.2"), median(&times));
            times.sort_by(f64::total_cmp);
            figures.add(&format!("{figure}: 99 of 100"), "ms", None, times[times.len() * 99 / 100]);
        }
    }
}

/// Each time the Job that was created first ends, whoever is next gets its place, and answers.
fn decisions(target_age: Option<Duration>) -> Vec<f64> {
    let mut now = Duration::from_secs(1_000_000);
    let pool: Arc<str> = "pool".into();
    let policy = |n: usize| MemberPolicy {
        pools: [pool.clone()].into(),
        weight: 1 + n as u32 % 7,
        target_age,
        ..MemberPolicy::default()
    };
    let members: BTreeMap<Arc<str>, MemberPolicy> =
        (0..MEMBERS).map(|n| (format!("queue-{n}").into(), policy(n))).collect();
    let mut needs: BTreeMap<Arc<str>, Need> =
        members.keys().enumerate().map(|(n, name)| (name.clone(), wanting(n))).collect();
    let mut arbiter = Arbiter::new(BTreeMap::new(), now);
    let limit = PoolPolicy { jobs: Some(PLACES), creates_per_minute: None };
    arbiter.configure([(pool.clone(), limit)].into(), members, now);
    let mut running = VecDeque::new();
    for (name, need) in &needs {
        arbiter.note_need(name, need.clone(), now);
    }
    let mut granted = arbiter.grants(now);
    let mut times = vec![];
    while times.len() < DECISIONS {
        for (name, grant) in std::mem::take(&mut granted) {
            let need = needs.get_mut(&name).unwrap();
            need.seen = grant.number;
            for places in grant.places {
                need.held.push(places);
                running.push_back(name.clone());
            }
            arbiter.note_need(&name, need.clone(), now);
            assert!(arbiter.grants(now).is_empty());
        }
        now += Duration::from_millis(100);
        let name = running.pop_front().unwrap();
        let need = needs.get_mut(&name).unwrap();
        need.held.remove(0);
        let need = need.clone();
        let begun = Instant::now();
        arbiter.note_need(&name, need, now);
        granted = arbiter.grants(now);
        times.push(begun.elapsed().as_secs_f64() * 1000.0);
        assert_eq!(granted.len(), 1, "the place goes to somebody");
    }
    times
}

/// It always wants one Job more.
fn wanting(n: usize) -> Need {
    let oldest_at = Duration::from_secs(990_000 + n as u64);
    Need { wanted: 1, since: Some(oldest_at), oldest_at: Some(oldest_at), ..Need::default() }
}
