//! Windows: what waits while a queue is closed begins as it opens, and what runs when it closes runs on.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::{Timestamp, Zoned};
use job_chief::{
    config::{job_config::JobConfig, windows::Window},
    decide::{
        decision::DecisionReason,
        outcome::{Outcome, Reason},
        queue::{
            event::{LogEntry, QueueEvent},
            policy::QueuePolicy,
            windows::Windows,
        },
    },
};
use serde_json::{Value, json};

use crate::script::{SECOND, Script, config, ended, running};

const MINUTE: Duration = Duration::from_secs(60);

/// Scripts begin on Tuesday, 2023-11-14, at 22:13:20, which in Zurich is 23:13:20: this opens 100 s later.
fn opens_soon(otherwise: u32, max: u32) -> Value {
    let window =
        json!({"days": "Tue", "from": "23:15", "to": "23:20", "timezone": "Europe/Zurich", "maxConcurrentJobs": max});
    json!({"maxConcurrentJobs": otherwise, "windows": [window], "queueCheckInterval": "1h"})
}

const OPENS: Duration = Duration::from_secs(1_700_000_100);
const CLOSES: Duration = Duration::from_secs(1_700_000_400);

fn in_force(script: &Script) -> u32 {
    script.life.status(script.now).in_force.unwrap().max
}

#[test]
fn a_message_waits_while_it_is_closed_and_has_its_job_as_it_opens() {
    let mut script = Script::begin(opens_soon(0, 3));
    assert!(!script.pending_look && in_force(&script) == 0);
    script.feed(QueueEvent::Notified);
    script.wait(99 * SECOND);
    assert!(!script.gauges_at.is_empty(), "its queue is looked at for its gauges all the same");
    assert!(script.looks_within(2 * SECOND));
    assert_eq!((script.now, in_force(&script)), (OPENS, 3), "at the opening, to the second, without a hint");
    assert_eq!(script.look(5, 0), 3);
    script.all(&running());
    assert_eq!(script.life.status(script.now).decided.unwrap().1.max, 3);
}

#[test]
fn closing_ends_nothing_and_nothing_new_begins() {
    let mut script = Script::begin(opens_soon(0, 3));
    script.looks_within(101 * SECOND);
    assert_eq!(script.look(2, 0), 2);
    script.all(&running());
    script.feed(QueueEvent::Notified);
    assert!(script.looks_within(SECOND), "there is room for a third");
    // It closes while the answer is under way.
    script.now = CLOSES;
    assert_eq!(script.look(2, 1), 0);
    let (_, decision) = *script.life.status(script.now).decided.unwrap();
    assert_eq!((decision.why, decision.max, decision.room, decision.jobs), (DecisionReason::Closed, 0, 0, 0));
    let told =
        |note: &LogEntry| matches!(note, LogEntry::Decided { decision, .. } if decision.why.as_str() == "closed");
    assert!(script.notes.iter().any(told), "it is on record");
    let running_on = script.jobs.len();
    script.wait(10 * MINUTE);
    assert_eq!((script.jobs.len(), script.ends.len()), (running_on, 0), "they run on");
    script.all(&ended(Outcome::Succeeded, Reason::Completed));
    assert_eq!(script.ends.len(), 2, "to their end");
    script.wait(60 * MINUTE);
    // The next one is on Tuesday in a week.
    let status = script.life.status(script.now).in_force.unwrap();
    assert_eq!((status.max, status.window, status.since), (0, None, Some(CLOSES)));
    assert_eq!((status.until, status.opens), (Some(OPENS + 7 * 24 * 60 * MINUTE), status.until));
}

#[test]
fn a_window_that_allows_more_or_less_is_followed_by_what_counts_outside() {
    let mut script = Script::begin(opens_soon(1, 3));
    assert_eq!(script.look(9, 0), 1);
    script.all(&running());
    assert!(script.looks_within(101 * SECOND));
    assert_eq!((script.now, script.look(8, 0)), (OPENS, 2), "two more at once");
    script.all(&running());
    script.wait(5 * MINUTE);
    assert_eq!((in_force(&script), script.jobs.len()), (1, 3), "three run, one is allowed");
    let names: Vec<_> = script.jobs.keys().cloned().collect();
    for name in &names[..2] {
        script.jobs.get_mut(name).unwrap().phase = ended(Outcome::Succeeded, Reason::Completed);
    }
    script.show();
    script.wait(10 * MINUTE);
    script.all(&ended(Outcome::Succeeded, Reason::Completed));
    assert_eq!(script.look(6, 0), 1, "the slots of those that were more are no hindrance");
    let mut less = Script::begin(opens_soon(4, 1));
    assert_eq!(less.look(9, 0), 4);
    less.all(&running());
    less.looks_within(101 * SECOND);
    assert_eq!((less.now >= OPENS, in_force(&less), less.jobs.len()), (true, 1, 4));
}

#[test]
fn who_asks_by_hand_waits_for_the_window_too() {
    let mut script = Script::begin(opens_soon(0, 1));
    script.feed(QueueEvent::Switched { paused: true, requested: 1 });
    script.wait(99 * SECOND);
    assert!(script.jobs.is_empty());
    script.looks_within(SECOND);
    assert_eq!((script.now, script.jobs.len()), (OPENS, 1), "paused or not");
}

#[test]
fn another_configuration_counts_at_once() {
    let mut script = Script::begin(opens_soon(0, 3));
    let open = config(json!({"maxConcurrentJobs": 2}));
    let policy = Arc::new(QueuePolicy::of(&open));
    script.feed(QueueEvent::Configured { policy, other_queue: false });
    assert_eq!(script.look(5, 0), 2);
    assert_eq!(script.life.status(script.now).in_force, None, "it has no windows to tell of");
    let policy = Arc::new(QueuePolicy::of(&config(opens_soon(0, 3))));
    script.feed(QueueEvent::Configured { policy, other_queue: false });
    assert_eq!(in_force(&script), 0);
    script.wait(SECOND);
}

#[test]
fn an_opening_falls_on_the_beat_so_that_many_queues_are_one_statement() {
    let mut script = Script::begin(opens_soon(0, 3));
    script.looks_within(101 * SECOND);
    let asked = script.transcript.iter().rfind(|line| line.contains("ReadDepth")).unwrap();
    assert!(asked.contains("purpose: Routine"), "{asked}");
}

/// `4`, and `Mon-Fri 22:00-06:00 Europe/Zurich: 20; daily 12:00-13:00 UTC: 0`.
fn written(otherwise: &str, windows: &str) -> JobConfig {
    let window = |text: &str| -> Window {
        let (hours, max) = text.split_once(": ").unwrap();
        let [days, times, zone] = hours.split(' ').collect::<Vec<_>>()[..] else { panic!("{text}") };
        let (from, to) = times.split_once('-').unwrap();
        let max: u32 = max.parse().unwrap();
        serde_json::from_value(
            json!({"days": days, "from": from, "to": to, "timezone": zone, "maxConcurrentJobs": max}),
        )
        .unwrap()
    };
    let windows: Vec<Window> = windows.split("; ").map(window).collect();
    config(json!({"maxConcurrentJobs": otherwise.parse::<u32>().unwrap(), "windows": windows}))
}

fn time(text: &str) -> Duration {
    let at: Zoned = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
    Duration::from_secs(at.timestamp().as_second().try_into().unwrap())
}

/// The table of worked examples of docs/sharing.md.
#[test]
fn the_worked_examples_of_the_page_are_so() {
    let page = include_str!("../../docs/sharing.md");
    let (_, below) = page.split_once("\n### Worked examples of windows\n").unwrap();
    let rows = below.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|')).skip(2);
    let mut played = 0;
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(|cell| cell.trim().trim_matches('`')).collect();
        let [otherwise, windows, clock, max, until, _] = cells[..] else { panic!("{row}") };
        let job = written(otherwise, windows);
        let found = Windows::of(&job.windows).in_force(job.max_concurrent_jobs, time(clock));
        assert_eq!(found.max.to_string(), max, "{row}");
        assert_eq!(found.until, (until != "never").then(|| time(until)), "{row}");
        played += 1;
    }
    assert!(played > 8, "the table has {played} rows");
}

#[test]
fn it_is_told_since_when_it_is_closed_and_when_it_opens() {
    let night = written("0", "Mon-Fri 22:00-06:00 Europe/Zurich: 20");
    let windows = Windows::of(&night.windows);
    let told = |clock: &str| windows.in_force(0, time(clock)).told(&windows, 0, time(clock));
    assert_eq!(told("2026-03-07T12:00[Europe/Zurich]"), "closed since 06:00 Europe/Zurich, opens Mon 22:00");
    assert_eq!(told("2026-03-08T12:00[Europe/Zurich]"), "closed since Sat 06:00 Europe/Zurich, opens Mon 22:00");
    assert_eq!(told("2026-03-09T12:00[Europe/Zurich]"), "closed since Sat 06:00 Europe/Zurich, opens 22:00");
    assert_eq!(
        told("2026-03-09T23:00[Europe/Zurich]"),
        "at most 20 at once since 22:00 Europe/Zurich, 0 from Tue 06:00"
    );
    let two = written("4", "daily 12:00-13:00 UTC: 0; daily 13:00-14:00 Asia/Kolkata: 0");
    let windows = Windows::of(&two.windows);
    let told = |clock: &str| windows.in_force(4, time(clock)).told(&windows, 4, time(clock));
    assert_eq!(told("2026-03-09T12:30[UTC]"), "closed since 12:00 UTC, opens 13:00");
    assert_eq!(told("2026-03-09T11:00[UTC]"), "at most 4 at once since 08:30 UTC, 0 from 12:00");
    let rarely = written("0", "Mon 08:00-09:00 UTC: 1");
    let windows = Windows::of(&rarely.windows);
    let clock = time("2026-03-09T09:30[UTC]");
    assert_eq!(windows.in_force(0, clock).told(&windows, 0, clock), "closed since 09:00 UTC, opens 2026-03-16 08:00");
    let always = written("4", "daily 00:00-24:00 UTC: 9");
    let windows = Windows::of(&always.windows);
    assert_eq!(windows.in_force(4, clock).told(&windows, 4, clock), "at most 9 at once");
}

#[test]
fn closed_windows_one_after_another_are_one_wait() {
    let job = written("4", "daily 00:00-06:00 UTC: 0; Mon 06:00-12:00 UTC: 0; Mon 12:00-13:00 UTC: 0");
    let found = Windows::of(&job.windows).in_force(4, time("2026-03-09T01:00[UTC]"));
    assert_eq!((found.until, found.opens), (Some(time("2026-03-09T06:00[UTC]")), Some(time("2026-03-09T13:00[UTC]"))));
}

#[test]
fn times_beyond_all_calendars_are_no_trouble() {
    let job = written("4", "daily 00:00-06:00 Europe/Zurich: 0");
    let windows = Windows::of(&job.windows);
    for now in [Duration::ZERO, Duration::from_secs(1), Duration::from_secs(u64::MAX), Duration::MAX] {
        let found = windows.in_force(4, now);
        assert!(found.since.is_none_or(|since| since <= now) && found.max <= 4);
    }
    let last = Duration::from_secs(Timestamp::MAX.as_second().unsigned_abs());
    assert_eq!(windows.max_at(4, last + SECOND), 4);
}

#[test]
fn without_windows_nothing_ever_changes() {
    let script = Script::of(&config(json!({"paused": true})), vec![], BTreeMap::new());
    assert_eq!(script.life.status(script.now).in_force, None);
    let policy = QueuePolicy::of(&config(json!({})));
    let found = policy.in_force(script.now);
    assert_eq!((found.max, found.window, found.since, found.until), (4, None, None, None));
}
