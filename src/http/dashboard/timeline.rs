//! Runs as bars on one line of time.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use crate::tables::{self, mood::Mood, text};

/// How long the line of time is drawn.
const WIDTH: f64 = 200.0;

/// What is drawn of a moment: nothing shorter can be seen.
const LEAST: f64 = 1.5;

/// A run.
pub(super) struct RunLine {
    pub(super) job: String,
    pub(super) wished: String,
    pub(super) label: String,
    pub(super) bar: Bar,
    pub(super) mood: &'static str,
    pub(super) outcome: String,
    pub(super) exit_code: String,
    pub(super) message: String,
}

/// Where on the line a run waited for its pod, and ran.
#[derive(Debug, PartialEq)]
pub(super) struct Bar {
    pub(super) from: String,
    pub(super) waited: String,
    pub(super) started: String,
    pub(super) ran: String,
}

/// Runs, as `/jobs/{name}` has them, the newest first.
pub(super) fn timeline(runs: &[Value], now: Duration) -> Vec<RunLine> {
    let now = now.as_secs_f64();
    let first = runs.iter().filter_map(|run| seconds(&run["wishedAt"])).fold(now, f64::min);
    runs.iter().map(|run| line(run, first, now)).collect()
}

fn line(run: &Value, first: f64, now: f64) -> RunLine {
    let wished = seconds(&run["wishedAt"]).unwrap_or(now);
    let ended = seconds(&run["endedAt"]);
    // A Job that never started, or lives: when it started is on record once it has ended.
    let started = seconds(&run["startedAt"]).or(ended).unwrap_or(now);
    let until = ended.unwrap_or(now);
    let took_nothing = if run["tookNothing"] == true { ", took nothing" } else { "" };
    let waited = tables::span(started - wished);
    let label = match ended {
        None => format!("wished {} ago, not ended", tables::span(now - wished)),
        Some(_) if run["startedAt"].is_null() => format!("waited {waited}, never ran"),
        Some(_) => format!("waited {waited}, ran {}", tables::span(until - started)),
    };
    RunLine {
        job: text(&run["job"]),
        wished: tables::moment(&run["wishedAt"]),
        label,
        bar: Bar::of([wished, started, until], first, now),
        mood: Mood::of_run(run).class(),
        outcome: if ended.is_some() { tables::outcome(run) + took_nothing } else { "not ended".into() },
        exit_code: text(&run["exitCode"]),
        message: run["message"].as_str().map(crate::harmless::harmless_lines).unwrap_or_default(),
    }
}

impl Bar {
    fn of([wished, started, until]: [f64; 3], first: f64, now: f64) -> Self {
        let scale = WIDTH / (now - first).max(1.0);
        let at = |moment: f64| ((moment - first) * scale).clamp(0.0, WIDTH - LEAST);
        let ran = ((until - started) * scale).max(if until > started { LEAST } else { 0.0 });
        Self {
            from: format!("{:.1}", at(wished)),
            waited: format!("{:.1}", ((started - wished) * scale).max(0.0)),
            started: format!("{:.1}", at(started)),
            ran: format!("{ran:.1}"),
        }
    }
}

fn seconds(moment: &Value) -> Option<f64> {
    let at: Timestamp = moment.as_str()?.parse().ok()?;
    Some(at.as_duration().as_secs_f64())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn runs_stand_where_they_waited_and_ran() {
        let runs = [
            json!({"job": "b", "wishedAt": "2026-01-02T03:05:40Z"}),
            json!({"job": "a", "wishedAt": "2026-01-02T03:04:20Z", "startedAt": "2026-01-02T03:04:30Z", "endedAt": "2026-01-02T03:05:10Z",
                "outcome": "failed", "reason": "exit_code", "exitCode": 3, "message": "<b>\u{1b}[1m\nno"}),
            json!({"job": "c", "wishedAt": "2026-01-02T03:04:20Z", "endedAt": "2026-01-02T03:05:20Z", "outcome": "start_timed_out", "reason": "unschedulable"}),
        ];
        let now = Duration::from_secs_f64(seconds(&json!("2026-01-02T03:06:00Z")).expect("a time"));
        let [lives, failed, never] = &timeline(&runs, now)[..] else { panic!("three") };
        let bar = |from: &str, waited: &str, started: &str, ran: &str| {
            let [from, waited, started, ran] = [from, waited, started, ran].map(str::to_owned);
            Bar { from, waited, started, ran }
        };
        assert_eq!(failed.bar, bar("0.0", "20.0", "20.0", "80.0"));
        assert_eq!((&*failed.outcome, &*failed.exit_code, failed.mood), ("failed: exit code 3", "3", "bad"));
        assert_eq!(failed.message, "<b>\u{fffd}[1m\nno");
        assert_eq!(failed.label, "waited 10s, ran 40s");
        assert_eq!(lives.bar, bar("160.0", "40.0", "198.5", "0.0"));
        assert_eq!((&*lives.label, lives.mood), ("wished 20s ago, not ended", "quiet"));
        assert_eq!((&*never.label, &*never.bar.ran), ("waited 1m, never ran", "0.0"));
    }
}
