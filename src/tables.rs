//! What the commands print for people.

use std::fmt::Write;

use serde_json::Value;

/// All JobConfigs, one a line, and who leads.
pub fn overview(jobs: &Value, members: &Value) -> String {
    let header = ["JOBCONFIG", "QUEUE", "JOBS", "MAX", "READY", "STATE"].map(str::to_owned).to_vec();
    let rows = array(jobs).map(|job| {
        vec![
            text(&job["name"]),
            text(&job["queue"]),
            phases(&job["phase"]),
            text(&job["maxConcurrentJobs"]),
            ready(&job["decision"]),
            state(job),
        ]
    });
    let mut told = table(std::iter::once(header).chain(rows).collect());
    let known: Vec<&Value> = array(&members["members"]).collect();
    let leader = known.iter().find(|member| member["leads"] == true).map(|member| text(&member["member"]));
    match (leader, known.len()) {
        (_, 0) => {}
        (Some(leader), 1) => writeln!(told, "\nled by {leader}, alone").expect("a string takes everything"),
        (Some(leader), count) => {
            writeln!(told, "\nled by {leader}, one of {count}").expect("a string takes everything")
        }
        (None, count) => writeln!(told, "\n{count} running, none leads").expect("a string takes everything"),
    }
    told
}

/// One JobConfig with what it did last.
pub fn details(job: &Value) -> String {
    let mut told = format!(
        "{}  queue {}  {} of {} live  {}\n",
        text(&job["name"]),
        text(&job["queue"]),
        phases(&job["phase"]),
        text(&job["maxConcurrentJobs"]),
        state(job)
    );
    live_jobs(&mut told, job);
    runs(&mut told, job);
    let decisions = array(&job["decisions"]).map(|it| vec![text(&it["at"]), sentence(it)]);
    section(&mut told, &["DECIDED", ""], decisions.collect());
    if let Some(error) = job["runsError"].as_str() {
        told.push_str("\nwhat is on record can't be read: ");
        told.push_str(error);
        told.push('\n');
    }
    told
}

fn live_jobs(told: &mut String, job: &Value) {
    let live = array(&job["live"]).map(|it| {
        let hangs = it["terminatingSeconds"].as_u64().map(|age| format!("on {} for {age} s", text(&it["node"])));
        vec![text(&it["job"]), text(&it["phase"]), hangs.unwrap_or_else(|| text(&it["problem"]))]
    });
    section(told, &["LIVE JOB", "PHASE", ""], live.collect());
}

fn runs(told: &mut String, job: &Value) {
    let runs = array(&job["runs"]).map(|run| {
        let how = [&run["outcome"], &run["reason"], &run["exitCode"]].map(text);
        let nothing = if run["tookNothing"] == true { "took nothing" } else { "" };
        vec![
            text(&run["job"]),
            text(&run["wishedAt"]),
            text(&run["endedAt"]),
            how.join(" ").trim().to_owned(),
            [nothing, &text(&run["message"])].join(" ").trim().lines().next().unwrap_or_default().to_owned(),
        ]
    });
    section(told, &["RUN", "WISHED", "ENDED", "OUTCOME", ""], runs.collect());
}

/// All services, one a line.
pub fn services(services: &Value) -> String {
    let header = ["NAME", "STATE", "REPLICAS", "PRIORITY", "RESTARTS", "SINCE", "ERROR"].map(str::to_owned).to_vec();
    let rows = array(services).map(|it| {
        vec![
            text(&it["name"]),
            text(&it["state"]),
            format!("{}/{}", text(&it["ready"]), text(&it["replicas"])),
            text(&it["priority"]),
            text(&it["restarts"]),
            since(it),
            text(&it["error"]),
        ]
    });
    table(std::iter::once(header).chain(rows).collect())
}

/// One service with what it did last.
pub fn service(service: &Value) -> String {
    let mut told = services(&Value::Array(vec![service.clone()]));
    if let Some(verb) = service["said"]["verb"].as_str() {
        let (who, why) = words(&service["said"]);
        writeln!(told, "\n{verb} by {who} at {}{why}", text(&service["said"]["at"]))
            .expect("a string takes everything");
    }
    live_jobs(&mut told, service);
    runs(&mut told, service);
    told
}

/// `5m 3s`, of which the largest two units are told.
fn since(service: &Value) -> String {
    let Some(seconds) = service["sinceSeconds"].as_f64() else { return String::new() };
    let whole = humantime::format_duration(std::time::Duration::from_secs_f64(seconds.max(0.0).trunc())).to_string();
    whole.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

/// What was decided and what ended, in the order in which it happened, and what is so now: a line each.
pub fn why(job: &Value) -> Vec<String> {
    let decided = array(&job["decisions"]).map(|it| (text(&it["at"]), sentence(it)));
    let ended =
        array(&job["runs"]).filter(|run| run["endedAt"].is_string()).map(|run| (text(&run["endedAt"]), end(run)));
    let by_hand = Some(&job["asked"]).filter(|asked| asked["at"].is_string());
    let by_hand = by_hand.map(|asked| {
        (text(&asked["at"]), {
            let (who, why) = words(asked);
            format!("{who} asked for a Job by hand{why}")
        })
    });
    let mut past: Vec<(String, String)> = decided.chain(ended).chain(by_hand).collect();
    past.sort();
    let newest = past.last().map(|(at, _)| at.clone()).unwrap_or_default();
    let mut lines: Vec<String> = past.iter().map(|(at, what)| format!("{} {what}", clock(at, &newest))).collect();
    let hanging = array(&job["live"]).filter(|it| it["terminatingSeconds"].is_u64()).map(|it| {
        let (name, node, age) = (text(&it["job"]), text(&it["node"]), text(&it["terminatingSeconds"]));
        format!("now      {name} has been Terminating on {node} for {age} s and keeps its slot")
    });
    lines.extend(hanging);
    let kept = array(&job["live"]).filter(|it| it["problem"].is_string());
    lines.extend(kept.map(|it| format!("now      {} does not start: {}", text(&it["job"]), text(&it["problem"]))));
    lines.push(format!("now      {}: {}", phases(&job["phase"]), state(job)));
    if let Some(error) = job["runsError"].as_str() {
        lines.push(format!("what is on record can't be read: {error}"));
    }
    lines
}

fn end(run: &Value) -> String {
    let took_nothing =
        if run["tookNothing"] == true { ", and took none of the messages it was started for" } else { "" };
    let code = run["exitCode"].as_i64().filter(|_| run["outcome"] == "failed").map(|code| format!(" {code}"));
    let message = run["message"].as_str().and_then(|message| message.lines().next()).map(|line| format!(" ({line})"));
    format!(
        "{} {}: {}{}{took_nothing}{}",
        text(&run["job"]),
        text(&run["outcome"]).replace('_', " "),
        text(&run["reason"]).replace('_', " "),
        code.unwrap_or_default(),
        message.unwrap_or_default()
    )
}

/// The time of an RFC 3339 moment, with its day where it is not that of the newest line.
fn clock(at: &str, newest: &str) -> String {
    let shown = if at.get(..10) == newest.get(..10) { at.get(11..19) } else { at.get(5..19) };
    shown.unwrap_or(at).replace('T', " ")
}

/// `ready 12 (3 new), claimed 1, live 3 (1 starting), max 5 → 2 Jobs, full`
pub fn sentence(decision: &Value) -> String {
    let number = |key: &str| decision[key].as_u64().unwrap_or_default();
    let jobs = number("jobs");
    format!(
        "ready {} ({} new), claimed {}, live {} ({} starting), max {} → {jobs} Job{}, {}",
        ready(decision),
        number("new"),
        number("claimed"),
        number("live"),
        number("starting"),
        number("max"),
        if jobs == 1 { "" } else { "s" },
        text(&decision["why"]).replace('_', " ")
    )
}

fn state(job: &Value) -> String {
    let backoff = job["backoffSeconds"].as_f64().unwrap_or_default();
    if job["left"] == true {
        "left jobs.json, drains".to_owned()
    } else if job["draining"] == true {
        "drains".to_owned()
    } else if job["paused"] == true {
        format!("paused{}", said(&job["said"]))
    } else if let Some(service) = job["waitsFor"].as_str() {
        format!("waits for {service}")
    } else if backoff > 0.0 {
        format!("backs off for {backoff:.0} s, {} failed in a row", text(&job["failedInARow"]))
    } else {
        text(&job["decision"]["why"]).replace('_', " ")
    }
}

/// ` by ann since 2026-01-02T03:04:05Z (deploy)`; nothing where jobs.json says it.
fn said(said: &Value) -> String {
    let Some(at) = said["at"].as_str() else { return String::new() };
    let (who, why) = words(said);
    format!(" by {who} since {at}{why}")
}

/// Who says something, and why in parentheses, where they told.
fn words(said: &Value) -> (&str, String) {
    let who = said["who"].as_str().filter(|who| !who.is_empty()).unwrap_or("somebody");
    let why = said["why"].as_str().filter(|why| !why.is_empty()).map(|why| format!(" ({why})"));
    (who, why.unwrap_or_default())
}

fn phases(phase: &Value) -> String {
    let told = ["queued", "starting", "running", "terminating"].into_iter().filter_map(|name| {
        let count = phase[name].as_u64().filter(|count| *count > 0)?;
        Some(format!("{count} {name}"))
    });
    let told = told.collect::<Vec<_>>().join(", ");
    if told.is_empty() { "0".to_owned() } else { told }
}

/// How many messages can be fetched; `12+` where the count stopped there.
fn ready(decision: &Value) -> String {
    let bounded = if decision["bounded"] == true { "+" } else { "" };
    text(&decision["ready"]) + bounded
}

fn array(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().map(Vec::as_slice).unwrap_or_default().iter()
}

/// A value without quotes; nothing where there is none.
fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn section(told: &mut String, header: &[&str], rows: Vec<Vec<String>>) {
    if rows.is_empty() {
        return;
    }
    let header = header.iter().map(|&word| word.to_owned()).collect();
    told.push('\n');
    told.push_str(&table(std::iter::once(header).chain(rows).collect()));
}

/// Columns as wide as their widest cell.
fn table(rows: Vec<Vec<String>>) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut told = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            write!(line, "{cell:<width$}  ").expect("a string takes everything");
        }
        told.push_str(line.trim_end());
        told.push('\n');
    }
    told
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn job() -> Value {
        json!({
            "name": "mail", "queue": "Mail/1", "maxConcurrentJobs": 4, "phase": {"queued": 0, "starting": 1, "running": 2, "terminating": 1},
            "paused": false, "draining": false, "left": false, "backoffSeconds": 0.0, "failedInARow": 0,
            "decision": {"why": "full", "ready": 12, "bounded": true, "new": 3, "claimed": 1, "live": 3, "starting": 1, "max": 4, "jobs": 1},
            "live": [
                {"job": "job-chief-a-mail-1", "phase": "terminating", "node": "worker-7", "terminatingSeconds": 312, "problem": null},
                {"job": "job-chief-a-mail-2", "phase": "starting", "node": null, "terminatingSeconds": null, "problem": "image_pull: ErrImagePull no such tag"},
            ],
            "runs": [
                {"job": "job-chief-a-mail-0", "wishedAt": "2026-01-02T03:04:05.678Z", "endedAt": "2026-01-02T03:05:05.678Z", "outcome": "failed", "reason": "exit_code", "exitCode": 7, "message": "no\nspace", "tookNothing": false},
                {"job": "job-chief-a-mail-9", "wishedAt": "2026-01-02T03:04:05.678Z", "endedAt": "2026-01-02T03:05:05.678Z", "outcome": "succeeded", "reason": "completed", "exitCode": null, "message": null, "tookNothing": true},
            ],
            "decisions": [{"at": "2026-01-02T03:04:05.678Z", "why": "created", "ready": 2, "bounded": false, "new": 1, "claimed": 0, "live": 0, "starting": 0, "max": 4, "jobs": 2}],
        })
    }

    #[test]
    fn the_overview_has_a_line_for_each() {
        let backing_off = json!({"name": "b", "queue": "b", "maxConcurrentJobs": 1, "phase": {}, "backoffSeconds": 12.3, "failedInARow": 3, "decision": {"ready": 1}});
        let paused = json!({"name": "p", "queue": "p", "maxConcurrentJobs": 1, "phase": {}, "paused": true, "said": {"who": "ann@laptop", "at": "2026-01-02T03:04:05Z", "why": "deploy"}});
        let members = json!({"members": [{"member": "job-chief-7d9-x-1a2b", "leads": true}, {"member": "job-chief-7d9-y-3c4d", "leads": false}]});
        insta::assert_snapshot!(overview(&json!([job(), backing_off, paused]), &members));
    }

    #[test]
    fn why_is_a_line_for_each_decision_and_end_in_their_order() {
        insta::assert_snapshot!(why(&job()).join("\n"));
    }

    #[test]
    fn the_details_tell_what_lives_what_ended_and_why() {
        insta::assert_snapshot!(details(&job()));
    }

    #[test]
    fn services_have_a_line_each_and_details_with_who_said_what() {
        let redis = json!({"name": "redis", "state": "RUNNING", "ready": 1, "replicas": 1, "priority": 10, "restarts": 0, "sinceSeconds": 7512.3, "error": null});
        let api = json!({
            "name": "api", "state": "FAILED", "ready": 0, "replicas": 2, "priority": 10, "restarts": 7, "sinceSeconds": 12.9,
            "error": "start error: image pull (ErrImagePull)", "said": {"verb": "start", "who": "ann@laptop", "why": "", "at": "2026-01-02T03:04:05Z"},
            "live": [{"job": "job-chief-a-api-1", "phase": "starting", "node": null, "terminatingSeconds": null, "problem": "image_pull: ErrImagePull"}],
            "runs": [{"job": "job-chief-a-api-0", "wishedAt": "2026-01-02T03:04:05.678Z", "endedAt": "2026-01-02T03:05:05.678Z", "outcome": "stopped", "reason": "unhealthy", "exitCode": null, "message": "port 8080: refused", "tookNothing": false}],
        });
        insta::assert_snapshot!(format!("{}\n{}", services(&json!([redis, api.clone()])), service(&api)));
    }
}
