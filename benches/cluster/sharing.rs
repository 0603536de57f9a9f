//! Who gets a place: what one decision costs among a thousand JobConfigs that wait for the same pool; how soon a place
//! that has become free is used; and what pools cost those that share nothing.

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
use k8s_openapi::api::batch::v1::Job;
use kube::api::PostParams;
use serde_json::{Value, json};
use sqlx::PgConnection;

use crate::{
    burst::named,
    figures::{Figures, median, within},
    stage::{Stage, script, with},
    witness::{Witness, pause, podless, send, take_all},
};

/// JobConfigs that wait.
const MEMBERS: usize = 1_000;

/// Places of the pool.
const PLACES: u32 = 100;

/// Decisions that are measured in a run.
const DECISIONS: usize = 2_000;

/// Jobs of a run that wait for the one place of a pool.
const TURNS: u32 = 40;

/// Messages of a run to each of those that are compared.
const MESSAGES: u64 = 100;

/// Jobs live on, for nobody runs them: room for all runs.
const ROOM: u32 = 5_000;

pub(crate) async fn measure(figures: &mut Figures, runs: u32) {
    for _ in 0..runs {
        for (what, target_age) in [("", None), (", all later than their targetAge", Some(Duration::from_secs(1)))] {
            let times = decisions(target_age);
            let figure = format!("a place among 1,000 JobConfigs{what}");
            figures.add(&figure, "ms", Some("≤ 0.2"), median(&times));
            figures.add(&format!("{figure}: 99 of 100"), "ms", None, within(&times, 99));
        }
    }
    for run in 0..runs {
        freed(figures, run).await;
    }
    compared(figures, runs).await;
}

/// Four JobConfigs wait for one place: from the moment at which the watch tells that a Job is over to that at which it
/// tells of the next one, beside what the same watch sees of a bare request.
async fn freed(figures: &mut Figures, run: u32) {
    let mut stage = Stage::set(&format!("bench-sharing-freed-{run}")).await.with("LOG_LEVEL", "info");
    let names = ["one", "two", "three", "four"];
    let keys = json!({"pools": ["narrow"], "maxConcurrentJobs": TURNS, "fetchGrace": "1h", "queueCheckInterval": "1h"});
    let jobs: Vec<Value> = names.iter().map(|name| with(script(name, "true"), keys.clone())).collect();
    for name in names {
        stage.queues(&format!("'{name}'"), 1).await;
    }
    stage.run(json!({"pools": {"narrow": {"jobs": 1}}, "jobs": jobs})).await;
    stage.leads().await;
    let mut connection = stage.connection().await;
    let mut created = Witness::begin(&stage).await;
    let mut over = Witness::of(&stage, is_over).await;
    for name in names {
        send(&mut connection, name, TURNS as usize / names.len(), true).await;
    }
    created.next().await;
    let pattern = json!(stage.jobs().await.remove(0));
    let (mut used, mut raw) = (vec![], vec![]);
    for _ in 1..TURNS {
        let free = over.next().await.at;
        used.push(created.next().await.at.saturating_duration_since(free).as_secs_f64() * 1000.0);
    }
    // Nobody takes the messages, so Jobs would go on to come.
    stage.kill().await;
    let mut created = Witness::begin(&stage).await;
    for number in 0..TURNS {
        let job = named(&pattern, &format!("raw-{number}"));
        let begun = Instant::now();
        stage.api::<Job>().create(&PostParams::default(), &job).await.unwrap();
        raw.push(created.next().await.at.duration_since(begun).as_secs_f64() * 1000.0);
    }
    figures.add("a bare request, p50", "ms", None, median(&raw));
    figures.add("a place that is free is used, p50", "ms", Some("≤ 50"), median(&used));
    figures.add("a place that is free is used, longest", "ms", None, within(&used, 100));
}

fn is_over(job: &Job) -> bool {
    let conditions = job.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    conditions.iter().any(|it| it.type_ == "Complete" || it.type_ == "Failed")
}

/// From a message to its Job: in a process in which nothing is shared, and in one with a pool for those that are in it
/// and those that are not. A message to each in turn.
async fn compared(figures: &mut Figures, runs: u32) {
    let keys = |pools: &[&str]| json!({"maxConcurrentJobs": ROOM, "queueCheckInterval": "1h", "fetchGrace": "1h", "pools": pools});
    let mut without = Stage::set("bench-sharing-without").await.with("LOG_LEVEL", "info");
    without.queues("'one'", 1).await;
    without.run(json!([podless("one", keys(&[]))])).await;
    let mut shared = Stage::set("bench-sharing-with").await.with("LOG_LEVEL", "info");
    shared.queues("'alone'", 1).await;
    shared.queues("'pooled'", 1).await;
    let jobs = [podless("alone", keys(&[])), podless("pooled", keys(&["wide"]))];
    shared.run(json!({"pools": {"wide": {"jobs": ROOM}}, "jobs": jobs})).await;
    let mut lines =
        [Line::begin(&without, "one").await, Line::begin(&shared, "alone").await, Line::begin(&shared, "pooled").await];
    for line in &mut lines {
        // The first one waits for the tables that a first start makes.
        line.takes(0).await;
    }
    for run in 0..runs {
        let mut samples = [const { vec![] }; 3];
        for number in 0..MESSAGES {
            for (line, samples) in lines.iter_mut().zip(&mut samples) {
                samples.push(line.takes(number + u64::from(run)).await);
            }
        }
        let names = ["nothing is shared", "beside a pool", "in a pool"];
        for (name, samples) in names.into_iter().zip(samples) {
            for share in [50, 99] {
                let figure = format!("from a message to its Job, {name}, p{share}");
                figures.add(&figure, "ms", None, within(&samples, share));
            }
        }
    }
    without.kill().await;
    shared.kill().await;
    without.clear().await;
    shared.clear().await;
}

/// A queue, and who sees its Jobs.
struct Line {
    queue: &'static str,
    connection: PgConnection,
    witness: Witness,
}

impl Line {
    async fn begin(stage: &Stage, queue: &'static str) -> Self {
        Self { queue, connection: stage.connection().await, witness: Witness::begin(stage).await }
    }

    /// Sends a message; how long it takes to its Job, in milliseconds.
    async fn takes(&mut self, number: u64) -> f64 {
        pause(number).await;
        let sent = send(&mut self.connection, self.queue, 1, true).await;
        let seen = loop {
            let seen = self.witness.next().await;
            if seen.config == self.queue {
                break seen;
            }
        };
        take_all(&mut self.connection).await;
        seen.at.duration_since(sent).as_secs_f64() * 1000.0
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
