//! A queue or a service as a row of the overview, in the same words as the commands print.

use std::fmt::Write;

use serde_json::Value;

use crate::{
    http::{dashboard::frame::in_path, queues::JobView, services::ServiceView, state::AppState},
    tables::{self, mood::Mood, text},
};

/// Problems of live Jobs that a row shows.
const PROBLEMS_SHOWN: usize = 2;

/// Points of a line, one a minute, and how high it is.
const LINE: (usize, f64) = (60, 16.0);

/// How many messages waited in the last hour.
pub(super) struct Line {
    /// The steps of an SVG path.
    pub(super) path: String,
    pub(super) label: String,
}

/// A queue.
pub(super) struct QueueRow {
    pub(super) id: String,
    pub(super) name: String,
    /// Its page, and where its forms are sent.
    pub(super) href: String,
    pub(super) queue: String,
    /// The deployment that it is of; empty where it stands in jobs.json.
    pub(super) deployment: String,
    pub(super) ready: String,
    pub(super) line: Option<Line>,
    /// Seconds.
    pub(super) oldest: Option<f64>,
    pub(super) oldest_words: String,
    pub(super) jobs: String,
    pub(super) max: String,
    pub(super) problems: Vec<String>,
    pub(super) state: String,
    pub(super) waits: bool,
    pub(super) paused: bool,
    /// Seconds.
    pub(super) backoff: Option<f64>,
    pub(super) backoff_words: String,
    /// `, 3 failed in a row`.
    pub(super) failed: String,
    /// Whoever reads it may change it.
    pub(super) verbs: bool,
}

/// A pool.
pub(super) struct PoolRow {
    pub(super) name: String,
    pub(super) held: String,
    pub(super) mood: &'static str,
    /// Jobs created a minute; empty where as many as are wanted.
    pub(super) rate: String,
    pub(super) holders: String,
    pub(super) waiting: String,
}

/// A service.
pub(super) struct ServiceRow {
    pub(super) id: String,
    pub(super) name: String,
    /// Its page, and where its forms are sent.
    pub(super) href: String,
    /// The deployment that it is of; empty where it stands in jobs.json.
    pub(super) deployment: String,
    pub(super) state: String,
    pub(super) mood: &'static str,
    pub(super) ready: String,
    pub(super) replicas: String,
    pub(super) restarts: String,
    /// Seconds.
    pub(super) since: Option<f64>,
    pub(super) since_words: String,
    pub(super) error: String,
    /// Seconds.
    pub(super) wait: Option<f64>,
    pub(super) wait_words: String,
    pub(super) problems: Vec<String>,
    pub(super) stopped: bool,
    pub(super) depends_on: String,
    pub(super) said: String,
    pub(super) verbs: bool,
}

impl QueueRow {
    /// A queue as it is now.
    pub(super) fn of(view: &JobView, state: &AppState, verbs: bool) -> Self {
        let job = &serde_json::to_value(view).unwrap_or_default();
        let name = text(&job["name"]);
        let (words, mood) = tables::state(job);
        let oldest = job["oldestReadyAgeSeconds"].as_f64().filter(|seconds| *seconds > 0.0);
        let backoff = tables::backoff(job);
        let points = state.shared.metrics.queues.gauges.last_hour(&name, state.shared.clock.now());
        Self {
            id: format!("job-{name}"),
            href: format!("/dashboard/jobs/{}", in_path(&name)),
            queue: text(&job["queue"]),
            deployment: text(&job["deployment"]),
            ready: job["ready"].as_u64().map(|ready| ready.to_string()).unwrap_or_default(),
            line: Line::of(&points),
            oldest,
            oldest_words: oldest.map(tables::span).unwrap_or_default(),
            jobs: tables::phases(&job["phase"]),
            max: tables::jobs_max(job),
            problems: problems(job),
            state: words,
            waits: mood == Mood::Waits,
            paused: job["paused"] == true,
            backoff,
            backoff_words: backoff.map(tables::span).unwrap_or_default(),
            failed: tables::failed_in_a_row(job),
            verbs: verbs && job["left"] == false,
            name,
        }
    }
}

impl PoolRow {
    /// A pool as it is now.
    pub(super) fn of(pool: &Value) -> Self {
        Self {
            name: text(&pool["pool"]),
            held: tables::pools::held(pool),
            mood: tables::pools::mood(pool).class(),
            rate: text(&pool["createsPerMinute"]),
            holders: tables::pools::holders(pool),
            waiting: tables::pools::waiting(pool),
        }
    }
}

impl ServiceRow {
    /// A service as it is now.
    pub(super) fn of(view: &ServiceView, verbs: bool) -> Self {
        let service = &serde_json::to_value(view).unwrap_or_default();
        let name = text(&service["name"]);
        let state = text(&service["state"]);
        let since = service["sinceSeconds"].as_f64();
        let wait = service["waitSeconds"].as_f64().filter(|seconds| *seconds > 0.0);
        let needed = service["dependsOn"].as_array().into_iter().flatten().map(text).collect::<Vec<_>>();
        Self {
            id: format!("service-{name}"),
            href: format!("/dashboard/services/{}", in_path(&name)),
            deployment: text(&service["deployment"]),
            mood: Mood::of_service(service).class(),
            ready: text(&service["ready"]),
            replicas: text(&service["replicas"]),
            restarts: text(&service["restarts"]),
            since,
            since_words: since.map(tables::span).unwrap_or_default(),
            error: text(&service["error"]),
            wait,
            wait_words: wait.map(tables::span).unwrap_or_default(),
            problems: problems(service),
            stopped: service["desired"] == "stopped" || service["enabled"] == false,
            depends_on: needed.join(", "),
            said: said(&service["said"]),
            verbs: verbs && service["left"] == false,
            state,
            name,
        }
    }
}

impl Line {
    /// Steps through these points, the newest at the right end, broken where nothing is known; nothing where nothing is.
    pub(super) fn of(points: &[Option<u32>]) -> Option<Self> {
        let most = points.iter().flatten().max()?;
        let (width, height) = LINE;
        let begin = width.saturating_sub(points.len());
        let (mut path, mut before) = (String::new(), None);
        for (x, point) in points.iter().enumerate().map(|(x, point)| (begin + x, *point)) {
            let y = point.map(|point| height - height * f64::from(point) / f64::from((*most).max(1)));
            match (before, y) {
                (None, Some(y)) => write!(path, "M{x} {y:.0}"),
                (Some(_), None) => write!(path, "H{x}"),
                (Some(was), Some(y)) if point != was => write!(path, "H{x}V{y:.0}"),
                _ => Ok(()),
            }
            .expect("a string takes everything");
            before = point.map(|_| point);
        }
        if before.is_some() {
            write!(path, "H{width}").expect("a string takes everything");
        }
        Some(Self { path, label: format!("at most {most} ready at once in the last hour") })
    }
}

/// What keeps live Jobs from starting or ending, but for what is said of the whole already.
fn problems(view: &Value) -> Vec<String> {
    let said = view["error"].as_str().unwrap_or_default();
    let new = |problem: &String| !said.contains(problem.as_str());
    let problem =
        |it: &Value| tables::problem(it).filter(new).map(|problem| format!("{}: {problem}", text(&it["phase"])));
    view["live"].as_array().into_iter().flatten().filter_map(problem).take(PROBLEMS_SHOWN).collect()
}

fn said(said: &Value) -> String {
    if !said["at"].is_string() {
        return String::new();
    }
    let (who, why) = tables::words(said);
    format!("{} by {who} at {}{why}", text(&said["verb"]), tables::moment(&said["at"]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_a_step_where_something_changes() {
        assert!(Line::of(&[]).is_none());
        assert_eq!(Line::of(&[Some(0); 60]).expect("known").path, "M0 16H60");
        let line = Line::of(&[0, 0, 4, 4, 1].map(Some)).expect("known");
        assert_eq!(line.path, "M55 16H57V0H59V12H60");
        let broken = Line::of(&[Some(4), Some(4), None, None, Some(2), None]).expect("known");
        assert_eq!(broken.path, "M54 0H56M58 8H59");
        assert_eq!(line.label, "at most 4 ready at once in the last hour");
    }
}
