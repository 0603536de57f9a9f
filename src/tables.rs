//! What the commands print for people: made to fit, coloured, and without anything that steers a terminal.
//!
//! Colours are always there; whoever prints takes them away where they can't be seen.

pub mod deployments;
pub mod forecast;
mod grid;
pub mod modules;
pub mod mood;
pub mod pools;
pub mod service_why;
pub mod wrap;

use std::{fmt::Write, time::Duration};

use anstyle::Style;
use serde_json::Value;
use unicode_width::UnicodeWidthStr;

use self::{
    grid::{Cell, Column, grid},
    mood::Mood,
    wrap::wrapped,
};
use crate::harmless::harmless;

const WAITS: Style = Mood::Waits.style();

/// All JobConfigs, one a line, and who leads.
pub fn overview(jobs: &Value, members: &Value, width: usize) -> String {
    let header = [
        ("JOBCONFIG", Column::Name),
        ("QUEUE", Column::Name),
        ("JOBS", Column::Detail),
        ("MAX", Column::Short),
        ("READY", Column::Short),
        ("STATE", Column::Text),
    ];
    let row = |job: &Value| {
        let (state, mood) = state(job);
        vec![
            text(&job["name"]).into(),
            text(&job["queue"]).into(),
            phases(&job["phase"]).into(),
            jobs_max(job).into(),
            ready(&job["decision"]).into(),
            Cell::styled(&state, mood.style()),
        ]
    };
    let rows: Vec<Vec<Cell>> = array(jobs).map(row).collect();
    let mut told = if rows.is_empty() { "jobs.json has no queue\n".to_owned() } else { grid(&header, &rows, width) };
    let known: Vec<&Value> = array(&members["members"]).collect();
    let leader = known.iter().find(|member| member["leads"] == true).map(|member| text(&member["member"]));
    match (&leader, known.len()) {
        _ if members["membersError"].is_string() => {
            line(&mut told, &format!("\nwho leads can't be read: {}", text(&members["membersError"])));
        }
        (_, 0) => {}
        (Some(leader), 1) => line(&mut told, &format!("\nled by {leader}, alone")),
        (Some(leader), count) => line(&mut told, &format!("\nled by {leader}, one of {count}")),
        (None, count) => line(&mut told, &format!("\n{WAITS}{count} running, none leads{WAITS:#}")),
    }
    if leader.is_some() && members["leads"] == false {
        let me = text(&members["me"]);
        line(
            &mut told,
            &format!("{WAITS}asked was {me}, which follows: only who leads knows READY and STATE{WAITS:#}"),
        );
    }
    told
}

/// One JobConfig with what it did last.
pub fn details(job: &Value, width: usize) -> String {
    let (state, mood) = state(job);
    let style = mood.style();
    let ([name, queue], max) = ([&job["name"], &job["queue"]].map(text), jobs_max(job));
    let head = format!("{name}  queue {queue}  {} of {max} live", phases(&job["phase"]));
    let fits = head.width() + 2 + state.width() <= width;
    let (before, state) = if fits { ("", state) } else { ("\n", wrapped(&state, 2, width)) };
    let mut told = format!("{head}{before}  {style}{state}{style:#}\n");
    live_jobs(&mut told, job, width);
    runs(&mut told, job, width);
    decisions(&mut told, job, width);
    if job["runsError"].is_string() {
        line(&mut told, &format!("\nwhat is on record can't be read: {}", text(&job["runsError"])));
    }
    told
}

/// What came of it stands before what it was made from, which is cut where it does not fit.
fn decisions(told: &mut String, job: &Value, width: usize) {
    let decisions =
        array(&job["decisions"]).map(|it| vec![moment(&it["at"]).into(), conclusion(it).into(), premises(it).into()]);
    let header = [("DECIDED", Column::Short), ("", Column::Text), ("", Column::Detail)];
    section(told, &header, &decisions.collect::<Vec<_>>(), width);
}

fn live_jobs(told: &mut String, job: &Value, width: usize) {
    let live = array(&job["live"]).map(|it| {
        let problem =
            it["purpose"].as_str().map(harmless).into_iter().chain(problem(it)).collect::<Vec<_>>().join(": ");
        vec![text(&it["job"]).into(), text(&it["phase"]).into(), Cell::styled(&problem, WAITS)]
    });
    let header = [("LIVE JOB", Column::Name), ("PHASE", Column::Short), ("", Column::Text)];
    section(told, &header, &live.collect::<Vec<_>>(), width);
}

/// What keeps a live Job from starting or from ending.
pub fn problem(live: &Value) -> Option<String> {
    match live["terminatingSeconds"].as_u64().filter(|age| *age >= HANGS_MIN_SECONDS) {
        Some(age) => Some(format!("on {} for {age} s, keeps its slot", text(&live["node"]))),
        None => live["problem"].as_str().map(harmless),
    }
}

fn runs(told: &mut String, job: &Value, width: usize) {
    let runs = array(&job["runs"]).map(|run| {
        let nothing = if run["tookNothing"] == true { "took nothing" } else { "" };
        let message = run["message"].as_str().and_then(|message| message.lines().next()).unwrap_or_default();
        let more = [&beside(run).unwrap_or_default(), nothing, message];
        vec![
            text(&run["job"]).into(),
            moment(&run["wishedAt"]).into(),
            lasted(run).into(),
            Cell::styled(&outcome(run), Mood::of_run(run).style()),
            more.into_iter().filter(|it| !it.is_empty()).collect::<Vec<_>>().join(" ").into(),
        ]
    });
    let header = [
        ("RUN", Column::Name),
        ("WISHED", Column::Short),
        ("LASTED", Column::Short),
        ("OUTCOME", Column::Text),
        ("", Column::Detail),
    ];
    section(told, &header, &runs.collect::<Vec<_>>(), width);
}

/// `action backup`, of a Job that ran once beside the replicas of a service.
fn beside(run: &Value) -> Option<String> {
    let purpose = run["purpose"].as_str()?;
    Some(run["action"].as_str().map_or(purpose.to_owned(), |action| format!("{purpose} {}", harmless(action))))
}

/// From the wish to the end.
fn lasted(run: &Value) -> String {
    let [wished, ended] = [&run["wishedAt"], &run["endedAt"]].map(|at| text(at).parse::<jiff::Timestamp>().ok());
    let lasted = wished.zip(ended).map(|(wished, ended)| ended.duration_since(wished).as_secs());
    lasted.map(|seconds| short(Duration::from_secs(seconds.try_into().unwrap_or_default()))).unwrap_or_default()
}

/// `failed: exit code 7`; of a success there is nothing more to say.
pub fn outcome(run: &Value) -> String {
    let [outcome, reason] = [&run["outcome"], &run["reason"]].map(|word| text(word).replace('_', " "));
    let code = run["exitCode"].as_i64().filter(|_| outcome == "failed").map(|code| format!(" {code}"));
    if reason.is_empty() || run["outcome"] == "succeeded" {
        return outcome;
    }
    format!("{outcome}: {reason}{}", code.unwrap_or_default())
}

/// All services, one a line.
pub fn services(services: &Value, width: usize) -> String {
    let header = [
        ("NAME", Column::Name),
        ("STATE", Column::Short),
        ("REPLICAS", Column::Short),
        ("PRIORITY", Column::Short),
        ("RESTARTS", Column::Short),
        ("SINCE", Column::Short),
        ("ERROR", Column::Text),
    ];
    let row = |it: &Value| {
        vec![
            text(&it["name"]).into(),
            Cell::styled(&text(&it["state"]), Mood::of_service(it).style()),
            format!("{}/{}", text(&it["ready"]), text(&it["replicas"])).into(),
            text(&it["priority"]).into(),
            text(&it["restarts"]).into(),
            since(it).into(),
            text(&it["error"]).into(),
        ]
    };
    let rows: Vec<Vec<Cell>> = array(services).map(row).collect();
    if rows.is_empty() { "jobs.json has no service\n".to_owned() } else { grid(&header, &rows, width) }
}

/// One service with what it did last.
pub fn service(service: &Value, width: usize) -> String {
    let mut told = services(&Value::Array(vec![service.clone()]), width);
    if service["said"]["verb"].is_string() {
        let (who, why) = words(&service["said"]);
        line(
            &mut told,
            &format!("\n{} by {who} at {}{why}", text(&service["said"]["verb"]), text(&service["said"]["at"])),
        );
    }
    array(&service["actions"]).for_each(|it| line(&mut told, &format!("\naction {}", action(it))));
    live_jobs(&mut told, service, width);
    runs(&mut told, service, width);
    told
}

/// `backup: every 1h, runs, began 5m ago, last succeeded`
fn action(action: &Value) -> String {
    let ago = action["begunSecondsAgo"].as_f64().map(|ago| format!("began {} ago", span(ago)));
    let waiting =
        action["waiting"].as_u64().filter(|waiting| *waiting > 0).map(|waiting| format!("{waiting} asked for"));
    let parts = [
        action["everySeconds"].as_f64().map(|every| format!("every {}", span(every))),
        (action["running"] == true).then(|| "runs".to_owned()),
        waiting,
        ago,
        action["last"].as_str().map(|last| format!("last {}", last.replace('_', " "))),
    ];
    let told = parts.into_iter().flatten().collect::<Vec<_>>().join(", ");
    format!("{}: {}", text(&action["name"]), if told.is_empty() { "never ran" } else { &told })
}

/// `5m 3s`
fn since(service: &Value) -> String {
    service["sinceSeconds"].as_f64().map(span).unwrap_or_default()
}

/// The largest two units of so many seconds: `5m 3s`.
pub fn span(seconds: f64) -> String {
    short(Duration::from_secs_f64(seconds.max(0.0).trunc()))
}

/// The largest two units of a time.
fn short(time: Duration) -> String {
    let whole = humantime::format_duration(time).to_string();
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
    let hanging =
        array(&job["live"]).filter(|it| it["terminatingSeconds"].as_u64() >= Some(HANGS_MIN_SECONDS)).map(|it| {
            let (name, node, age) = (text(&it["job"]), text(&it["node"]), text(&it["terminatingSeconds"]));
            format!("now      {name} has been Terminating on {node} for {age} s and keeps its slot")
        });
    lines.extend(hanging);
    let kept = array(&job["live"]).filter(|it| it["problem"].is_string());
    lines.extend(kept.map(|it| format!("now      {} does not start: {}", text(&it["job"]), text(&it["problem"]))));
    lines.extend(pools::place(job).map(|what| format!("now      {what}")));
    lines.push(format!("now      {}", now(job)));
    lines.extend(job["windows"]["told"].as_str().filter(|_| !is_closed(job)).map(|told| format!("now      {told}")));
    if job["runsError"].is_string() {
        lines.push(format!("what is on record can't be read: {}", text(&job["runsError"])));
    }
    lines
}

/// A pod has this long to end by default: until then a Job that is Terminating is nothing to be told of.
const HANGS_MIN_SECONDS: u64 = 30;

/// What lives, and why nothing else does. That the last look created is told by its own line.
fn now(job: &Value) -> String {
    let live = phases(&job["phase"]);
    let live = if live == "0" { "no Job lives".to_owned() } else { live };
    match state(job).0 {
        state if state.is_empty() || state == "created" => live,
        state => format!("{live}: {state}"),
    }
}

/// Columns of the time before each line of [`why`].
const WHEN_WIDTH: usize = 9;

/// A line of [`why`] in so many columns.
pub fn why_line(line: &str, width: usize) -> String {
    let (when, what) = line.split_at_checked(WHEN_WIDTH).unwrap_or(("", line));
    format!("{when}{}", wrapped(what, when.len(), width))
}

fn end(run: &Value) -> String {
    let took_nothing =
        if run["tookNothing"] == true { ", and took none of the messages it was started for" } else { "" };
    let message =
        run["message"].as_str().and_then(|message| message.lines().next()).map(|line| format!(" ({})", harmless(line)));
    let beside = beside(run).map(|what| format!(" ({what})")).unwrap_or_default();
    format!("{}{beside} {}{took_nothing}{}", text(&run["job"]), outcome(run), message.unwrap_or_default())
}

/// The day and the time of an RFC 3339 moment, without year and zone.
pub fn moment(at: &Value) -> String {
    let at = text(at);
    at.get(5..19).map_or(at.clone(), |shown| shown.replace('T', " "))
}

/// The time of an RFC 3339 moment, with its day where it is not that of the newest line.
fn clock(at: &str, newest: &str) -> String {
    let shown = if at.get(..10) == newest.get(..10) { at.get(11..19) } else { at.get(5..19) };
    shown.unwrap_or(at).replace('T', " ")
}

/// `ready 12 (3 new), claimed 1, live 3 (1 starting), max 5 → 2 Jobs, full`
pub fn sentence(decision: &Value) -> String {
    format!("{} → {}", premises(decision), conclusion(decision))
}

/// `ready 12 (3 new), claimed 1, live 3 (1 starting), max 5`
fn premises(decision: &Value) -> String {
    let number = |key: &str| decision[key].as_u64().unwrap_or_default();
    format!(
        "ready {} ({} new), claimed {}, live {} ({} starting), max {}",
        ready(decision),
        number("new"),
        number("claimed"),
        number("live"),
        number("starting"),
        number("max"),
    )
}

/// `2 Jobs, full`
fn conclusion(decision: &Value) -> String {
    let jobs = decision["jobs"].as_u64().unwrap_or_default();
    let plural = if jobs == 1 { "" } else { "s" };
    format!("{jobs} Job{plural}, {}", text(&decision["why"]).replace('_', " "))
}

/// How a JobConfig is, and how that looks.
pub fn state(job: &Value) -> (String, Mood) {
    let backoff = || backoff(job).map(|left| format!("backs off for {left:.0} s{}", failed_in_a_row(job)));
    match held(job).or_else(backoff) {
        Some(told) => (harmless(&told), Mood::Waits),
        None => (text(&job["decision"]["why"]).replace('_', " "), Mood::Quiet),
    }
}

/// What keeps a JobConfig from creating, whatever failed.
fn held(job: &Value) -> Option<String> {
    if job["left"] == true {
        Some("left jobs.json, drains".to_owned())
    } else if job["draining"] == true {
        Some("drains".to_owned())
    } else if job["paused"] == true {
        Some(format!("paused{}", said(&job["said"])))
    } else if let Some(service) = job["waitsFor"].as_str() {
        Some(format!("waits for {service}"))
    } else {
        job["windows"]["told"].as_str().filter(|_| is_closed(job)).map(str::to_owned)
    }
}

/// No window lets it create anything now.
fn is_closed(job: &Value) -> bool {
    job["windows"]["maxConcurrentJobs"] == 0
}

/// How many Jobs may live at once now.
pub fn jobs_max(job: &Value) -> String {
    let known = [&job["maxInForce"], &job["windows"]["maxConcurrentJobs"]].into_iter().find(|max| max.is_number());
    text(known.unwrap_or(&job["maxConcurrentJobs"]))
}

/// For how many seconds a JobConfig backs off, where nothing else keeps it from creating.
pub fn backoff(job: &Value) -> Option<f64> {
    job["backoffSeconds"].as_f64().filter(|left| *left > 0.0 && held(job).is_none())
}

/// `, 3 failed in a row`; nothing where none did, as after a Job that could not start.
pub fn failed_in_a_row(job: &Value) -> String {
    let failed = job["failedInARow"].as_u64().filter(|count| *count > 0);
    failed.map(|count| format!(", {count} failed in a row")).unwrap_or_default()
}

/// ` by ann since 01-02 03:04:05 (deploy)`; nothing where jobs.json says it.
fn said(said: &Value) -> String {
    if !said["at"].is_string() {
        return String::new();
    }
    let (who, why) = words(said);
    format!(" by {who} since {}{why}", moment(&said["at"]))
}

/// Who says something, and why in parentheses, where they told.
pub fn words(said: &Value) -> (String, String) {
    let [who, why] = [&said["who"], &said["why"]].map(text);
    let who = if who.is_empty() { "somebody".to_owned() } else { who };
    (who, if why.is_empty() { why } else { format!(" ({why})") })
}

/// `2 running, 1 starting`.
pub fn phases(phase: &Value) -> String {
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

/// A value without quotes and on one line; nothing where there is none.
pub fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => harmless(text),
        other => other.to_string(),
    }
}

fn section(told: &mut String, header: &[(&str, Column)], rows: &[Vec<Cell>], width: usize) {
    if !rows.is_empty() {
        told.push('\n');
        told.push_str(&grid(header, rows, width));
    }
}

fn line(told: &mut String, text: &str) {
    writeln!(told, "{text}").expect("a string takes everything");
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

    fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    #[test]
    fn states_have_colours_and_others_texts_have_no_say_in_them() {
        let services =
            services(&json!([{"name": "a\u{1b}[2J\nb", "state": "RUNNING"}, {"name": "c", "state": "FAILED"}]), 80);
        assert!(services.contains("a�[2J�b") && services.contains("\u{1b}[32mRUNNING\u{1b}[0m"), "{services:?}");
        assert!(services.contains("\u{1b}[31mFAILED\u{1b}[0m"), "{services:?}");
        let mut job = job();
        job["runs"][0]["message"] = json!("\u{1b}]0;title\u{7}");
        job["paused"] = json!(true);
        job["said"] = json!({"who": "ann\u{9b}1m", "at": "2026-01-02T03:04:05Z"});
        for told in [details(&job, 100), why(&job).join("\n"), overview(&json!([job]), &json!({}), 100)] {
            let rest = anstream::adapter::strip_str(&told).to_string();
            assert!(!rest.chars().any(|char| char.is_control() && char != '\n'), "{rest:?}");
            assert!(rest.contains("ann�1m"), "{rest}");
        }
        assert!(details(&job, 100).contains("\u{1b}[33mpaused by ann�1m"));
    }

    #[test]
    fn no_table_is_wider_than_the_terminal() {
        let mut job = job();
        job["name"] = json!("a-name-that-is-as-long-as-kubernetes-lets-the-name-of-something-be");
        for width in [60, 80, 100, 160] {
            let told = plain(&overview(&json!([job]), &json!({}), width));
            assert!(told.lines().all(|line| line.chars().count() <= width), "{width}:\n{told}");
        }
    }

    #[test]
    fn the_overview_has_a_line_for_each() {
        let backing_off = json!({"name": "b", "queue": "b", "maxConcurrentJobs": 1, "phase": {}, "backoffSeconds": 12.3, "failedInARow": 3, "decision": {"ready": 1}});
        let paused = json!({"name": "p", "queue": "p", "maxConcurrentJobs": 1, "phase": {}, "paused": true, "said": {"who": "ann@laptop", "at": "2026-01-02T03:04:05Z", "why": "deploy"}});
        let members = json!({"members": [{"member": "job-chief-7d9-x-1a2b", "leads": true}, {"member": "job-chief-7d9-y-3c4d", "leads": false}]});
        insta::assert_snapshot!(plain(&overview(&json!([job(), backing_off, paused]), &members, 100)));
    }

    #[test]
    fn why_is_a_line_for_each_decision_and_end_in_their_order() {
        insta::assert_snapshot!(why(&job()).join("\n"));
    }

    #[test]
    fn a_follower_says_that_it_is_one() {
        let members = |leads: bool| json!({"me": "b", "leads": leads, "members": [{"member": "a", "leads": true}, {"member": "b"}]});
        assert!(plain(&overview(&json!([job()]), &members(false), 80)).contains("asked was b, which follows"));
        assert!(!overview(&json!([job()]), &members(true), 80).contains("follows"));
    }

    #[test]
    fn an_ordinary_end_and_the_last_look_are_told_once() {
        let job = json!({"phase": {"terminating": 1}, "decision": {"why": "created"}, "live": [
            {"job": "a", "node": "n", "terminatingSeconds": 29}, {"job": "b", "node": "n", "terminatingSeconds": 30}]});
        let told = ["now      b has been Terminating on n for 30 s and keeps its slot", "now      1 terminating"];
        assert_eq!(why(&job), told);
        let job = |why: &str| json!({"phase": {}, "decision": {"why": why}});
        assert_eq!(super::why(&job("created")), ["now      no Job lives"]);
        assert_eq!(super::why(&job("empty")), ["now      no Job lives: empty"]);
    }

    #[test]
    fn windows_are_told_and_what_they_allow_is_the_maximum() {
        let closed = "closed since 06:00 Europe/Zurich, opens Mon 22:00";
        let mut job = json!({"name": "m", "queue": "q", "maxConcurrentJobs": 4, "phase": {}, "decision": {"why": "created", "ready": 3},
            "windows": {"maxConcurrentJobs": 0, "told": closed}, "backoffSeconds": 5.0});
        assert_eq!(state(&job), (closed.to_owned(), Mood::Waits));
        assert_eq!(why(&job), [format!("now      no Job lives: {closed}")]);
        assert!(plain(&details(&job, 100)).starts_with("m  queue q  0 of 0 live  closed since"));
        job["waitsFor"] = json!("redis");
        assert_eq!(state(&job).0, "waits for redis", "what has to be mended is told first");
        let open = "at most 20 at once since 22:00 Europe/Zurich, 4 from Tue 06:00";
        job = json!({"phase": {}, "windows": {"maxConcurrentJobs": 20, "told": open}, "decision": {"why": "full"}});
        assert_eq!(why(&job), ["now      no Job lives: full".to_owned(), format!("now      {open}")]);
        assert_eq!(jobs_max(&job), "20");
        assert_eq!(jobs_max(&json!({"maxConcurrentJobs": 0, "maxInForce": 8})), "8", "in lists of who follows");
        assert_eq!(jobs_max(&json!({"maxConcurrentJobs": 4})), "4");
    }

    #[test]
    fn on_80_columns_lines_break_between_words_and_what_was_decided_is_whole() {
        let mut job = job();
        job["runs"][1]["job"] = json!("job-chief-aaaaaa-thumbnails-sgd7gk3228");
        job["said"] = json!({"who": "ann", "why": "the store is full, and nobody is there to empty it", "at": "2026-01-02T03:04:05Z"});
        job["paused"] = json!(true);
        insta::assert_snapshot!(plain(&details(&job, 80)));
        let lines: Vec<String> = why(&job).iter().map(|line| why_line(line, 80)).collect();
        insta::assert_snapshot!(lines.join("\n"));
    }

    #[test]
    fn the_details_tell_what_lives_what_ended_and_why() {
        insta::assert_snapshot!(plain(&details(&job(), 100)));
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
        insta::assert_snapshot!(plain(&format!(
            "{}\n{}",
            services(&json!([redis, api.clone()]), 100),
            service(&api, 100)
        )));
    }
}
