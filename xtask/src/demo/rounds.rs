//! Rounds: messages are sent, the table shows how they are taken, a service is lost and comes back.

use std::{
    collections::BTreeMap,
    io::{IsTerminal, Write},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::ensure;
use serde_json::Value;

use super::{
    chief::{Chief, LOG},
    interrupt,
    site::{ROUND, Site},
};
use crate::{bosses, processes::until};

/// The service of `jobs.example.json`.
const SERVICE: &str = "greeter";

/// How long a service may take to be up again: its wait, a pod's start, and its readiness.
const SERVICE_MAX: Duration = Duration::from_secs(60);

/// How long a round may take: a pod starts and ends within 1 to 2 s on the real node.
const ROUND_MAX: Duration = Duration::from_secs(180);

/// How often the screen is drawn.
const DRAWN_EVERY: Duration = Duration::from_millis(500);

/// Between rounds, when it goes on until Ctrl-C.
const PAUSE: Duration = Duration::from_secs(20);

/// Plays rounds until it is enough. Returns how many.
pub(super) fn rounds(site: &Site, once: bool, chief: &mut Chief) -> anyhow::Result<u32> {
    let mut played = 0;
    loop {
        let before = completed(site)?;
        round(site, chief, &before)?;
        if !interrupt::is_asked() {
            lose_the_service(site, chief)?;
        }
        played += 1;
        if once {
            return summary(site, chief, &before).map(|()| played);
        }
        eprintln!("\nthe next round comes in {} s; Ctrl-C ends", PAUSE.as_secs());
        if until(PAUSE, interrupt::is_asked) {
            return Ok(played);
        }
    }
}

fn round(site: &Site, chief: &mut Chief, before: &BTreeMap<String, i64>) -> anyhow::Result<()> {
    eprintln!("\nsending messages through pg-boss {}", bosses::NEWEST);
    for (_, queue, count) in ROUND {
        site.boss(&["send", queue, &count.to_string()])?;
    }
    let begun = Instant::now();
    let mut drawn = vec![];
    loop {
        if !site.containers {
            play_workers(site)?;
        }
        let (lines, idle) = table(chief)?;
        draw(lines, &mut drawn)?;
        let now = completed(site)?;
        let done = ROUND.iter().all(|(_, queue, count)| {
            now.get(*queue).unwrap_or(&0) - before.get(*queue).unwrap_or(&0) >= i64::from(*count)
        });
        if (done && idle) || interrupt::is_asked() {
            return Ok(());
        }
        ensure!(!chief.has_ended(), "job-chief has ended; see {LOG}");
        ensure!(
            begun.elapsed() < ROUND_MAX,
            "the messages were not all taken within {} s; see target/cluster/logs/",
            ROUND_MAX.as_secs()
        );
        sleep(DRAWN_EVERY);
    }
}

/// The pod of the service is killed, and another takes its place.
fn lose_the_service(site: &Site, chief: &Chief) -> anyhow::Result<()> {
    let path = format!("/services/{SERVICE}");
    let restarts = |told: &Value| told["restarts"].as_u64().unwrap_or_default();
    let mut told = chief.get(&path)?;
    let before = restarts(&told);
    eprintln!("\nkilling the pod of the service {SERVICE}");
    let selector = format!("--selector=job-chief/name={SERVICE}");
    let namespace = site.namespace;
    site.way.kubectl(&[
        "delete",
        "pods",
        "--namespace",
        namespace,
        &selector,
        "--grace-period=0",
        "--force",
        "--wait=false",
    ])?;
    let begun = Instant::now();
    let mut shown = String::new();
    while (restarts(&told) == before || told["state"] != "RUNNING") && !interrupt::is_asked() {
        ensure!(begun.elapsed() < SERVICE_MAX, "{SERVICE} is not up again: {} {}", told["state"], told["error"]);
        sleep(DRAWN_EVERY / 5);
        told = chief.get(&path)?;
        let state = told["state"].as_str().unwrap_or_default();
        if state != shown {
            eprintln!("  {:>4.1} s  {state}", begun.elapsed().as_secs_f64());
            state.clone_into(&mut shown);
        }
    }
    Ok(())
}

/// Completed messages by queue.
fn completed(site: &Site) -> anyhow::Result<BTreeMap<String, i64>> {
    let rows = site.sql("select name || '=' || count(*) from pgboss.job where state = 'completed' group by name")?;
    Ok(rows
        .lines()
        .filter_map(|line| line.rsplit_once('='))
        .map(|(name, count)| (name.to_owned(), count.parse().unwrap_or(0)))
        .collect())
}

/// Where no container runs, a message is taken for each Job that plays to run.
fn play_workers(site: &Site) -> anyhow::Result<()> {
    site.sql("update pgboss.job set state = 'completed', completed_on = now() where id in (select id from pgboss.job where state < 'active' and start_after <= now() limit 2)").map(|_| ())
}

/// The queues and their Jobs, and whether nothing lives any more.
fn table(chief: &Chief) -> anyhow::Result<(Vec<String>, bool)> {
    let (states, jobs) = (chief.get("/states")?, chief.get("/jobs")?);
    let mut lines = vec![format!(
        "{:<18} {:>7} {:>7} {:>10}   {:>7} {:>9} {:>8}",
        "QUEUE", "WAITING", "ACTIVE", "COMPLETED", "QUEUED", "STARTING", "RUNNING"
    )];
    let mut idle = true;
    for job in jobs.as_array().into_iter().flatten() {
        let queue = job["queue"].as_str().unwrap_or_default();
        let (of, phase) = (&states[queue], &job["phase"]);
        let waiting = of["created"].as_i64().unwrap_or(0) + of["retry"].as_i64().unwrap_or(0);
        let number = |value: &Value| value.as_i64().unwrap_or(0);
        let (active, completed) = (number(&of["active"]), number(&of["completed"]));
        let (queued, starting, running) =
            (number(&phase["queued"]), number(&phase["starting"]), number(&phase["running"]));
        lines.push(format!(
            "{queue:<18} {waiting:>7} {active:>7} {completed:>10}   {queued:>7} {starting:>9} {running:>8}"
        ));
        idle &= job["live"].as_array().is_some_and(Vec::is_empty);
    }
    Ok((lines, idle))
}

/// Over the last table on a terminal; elsewhere below it, when something has changed.
fn draw(lines: Vec<String>, drawn: &mut Vec<String>) -> anyhow::Result<()> {
    if lines == *drawn {
        return Ok(());
    }
    let mut out = std::io::stderr().lock();
    let (up, clear) = match (out.is_terminal(), drawn.len()) {
        (true, 0) => (String::new(), "\x1b[K"),
        (true, height) => (format!("\x1b[{height}A"), "\x1b[K"),
        (false, _) => (String::new(), ""),
    };
    write!(out, "{up}")?;
    for line in &lines {
        writeln!(out, "{line}{clear}")?;
    }
    *drawn = lines;
    Ok(())
}

fn summary(site: &Site, chief: &Chief, before: &BTreeMap<String, i64>) -> anyhow::Result<()> {
    let now = completed(site)?;
    eprintln!("\nsummary");
    for (name, queue, sent) in ROUND {
        let taken = now.get(queue).unwrap_or(&0) - before.get(queue).unwrap_or(&0);
        let told = chief.get(&format!("/jobs/{name}"))?;
        let runs: Vec<&Value> = told["runs"].as_array().into_iter().flatten().collect();
        let unfinished = runs.iter().filter(|run| run["endedAt"].is_null()).count();
        let succeeded = runs.iter().filter(|run| run["outcome"] == "succeeded").count();
        eprintln!(
            "  {queue}: {taken} of {sent} messages taken {}, {succeeded} of the last {} runs succeeded, {unfinished} unfinished",
            if site.containers { "by workers in containers" } else { "(played)" },
            runs.len()
        );
        ensure!(
            taken >= i64::from(sent) && unfinished == 0,
            "{queue}: not every message was taken, or a Job is unfinished"
        );
    }
    Ok(())
}
