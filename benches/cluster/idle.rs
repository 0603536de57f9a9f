//! Many queues with nothing in them.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{
    figures::Figures,
    process::{cpu_seconds, cpu_seconds_of},
    stage::{Stage, eventually},
    witness::podless,
};

/// Numbers of queues, with the goals for CPU and memory.
const SIZES: [(u32, [Option<&str>; 2]); 3] =
    [(100, [None, None]), (1_000, [Some("≤ 2"), Some("≤ 24")]), (10_000, [Some("≤ 4"), Some("≤ 64")])];

/// Before it is measured, once there were as many looks as two at each queue: they are spread.
const SETTLES: Duration = Duration::from_secs(20);

/// How long it is measured.
const MEASURED: Duration = Duration::from_secs(30);

pub(crate) async fn measure(figures: &mut Figures, runs: u32) {
    for (size, goals) in SIZES {
        let mut stage = Stage::set(&format!("bench-idle-{size}")).await.with("LOG_LEVEL", "info");
        stage = stage.with("DB_MONITOR_STATE_INTERVAL_SECONDS", "30");
        stage.queues("'queue-' || n", size).await;
        let mut defaults = podless("unused", json!({"queueCheckInterval": "5s"}));
        defaults.as_object_mut().unwrap().remove("queueName");
        let jobs: Vec<Value> = (1..=size).map(|n| json!({"queueName": format!("queue-{n}")})).collect();
        stage.run(json!({"defaults": defaults, "jobs": jobs})).await;
        eventually("two looks at each queue", || async {
            let page = stage.get("/metrics").await?.1;
            let looks = page.lines().find_map(|line| line.strip_prefix("job_chief_queue_reads_total{result=\"ok\"} "));
            (looks?.parse::<u32>().unwrap() >= 2 * size).then_some(())
        })
        .await;
        tokio::time::sleep(SETTLES).await;
        for _ in 0..runs {
            sample(figures, &stage, size, goals).await;
        }
        stage.kill().await;
    }
}

async fn sample(figures: &mut Figures, stage: &Stage, size: u32, goals: [Option<&'static str>; 2]) {
    let postgres_cpu = || cpu_seconds_of(stage, "postgres");
    let before = (cpu_seconds(stage.pid()), postgres_cpu(), statements(stage).await, requests(stage).await);
    let begun = Instant::now();
    tokio::time::sleep(MEASURED).await;
    let took = begun.elapsed().as_secs_f64();
    let after = (cpu_seconds(stage.pid()), postgres_cpu(), statements(stage).await, requests(stage).await);
    let mut add = |what: &str, unit, goal, value| figures.add(&format!("{size} queues: {what}"), unit, goal, value);
    add("our CPU", "% of a core", goals[0], 100.0 * (after.0 - before.0) / took);
    add("Postgres' CPU", "% of a core", None, 100.0 * (after.1 - before.1) / took);
    // The counting itself is one statement each time.
    add("statements", "a minute", None, (after.2 - before.2 - 1.0) * 60.0 / took);
    add("writes to the API server", "a minute", Some("0"), (after.3 - before.3) * 60.0 / took);
    let resident = stage.resident_kb().await / 1024.0;
    add("resident memory after a scrape", "MiB", goals[1], resident);
    let connections = stage.count("select count(*) from pg_stat_activity where application_name = 'job-chief'").await;
    add("connections", "", Some("≤ 3"), connections as f64);
}

/// Transactions in this database so far: each statement of ours is one.
async fn statements(stage: &Stage) -> f64 {
    let count = "select xact_commit + xact_rollback from pg_stat_database where datname = current_database()";
    stage.count(count).await as f64
}

/// Requests of ours to the API server so far, but for the watches.
pub(crate) async fn requests(stage: &Stage) -> f64 {
    let page = stage.get("/metrics").await.unwrap().1;
    let lines = page.lines().filter(|line| line.starts_with("job_chief_kube_requests_total"));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}
