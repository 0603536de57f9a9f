//! Every route with its answer.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use serde::Serialize;
use serde_json::json;
use tokio::sync::watch;

use crate::{
    actors::{monitor::Totals, supervisor::Roster},
    clock::Clock,
    cluster::index::STUCK_AFTER,
    config::problems::nearest,
    decide::{
        event::Decision,
        status::{LiveJob, Phases, Status},
    },
    health::Health,
    metrics::Metrics,
    store::{decisions::Decisions, runs::Runs},
};

/// Runs that `/jobs/{name}` shows.
const RUNS_SHOWN: i64 = 20;

/// Decisions that `/jobs/{name}` shows.
const DECISIONS_SHOWN: i64 = 20;

/// What the routes answer from.
#[derive(Clone)]
pub struct Desk {
    /// The actors.
    pub roster: watch::Receiver<Arc<Roster>>,
    /// The totals of the queues.
    pub totals: watch::Receiver<Totals>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// What works and what does not.
    pub health: Health,
    /// Our table of runs.
    pub runs: Runs,
    /// Our table of decisions.
    pub decisions: Decisions,
    /// The time.
    pub clock: Clock,
}

/// One JobConfig as `/jobs` shows it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct JobView<'a> {
    name: &'a str,
    queue: &'a str,
    max_concurrent_jobs: u32,
    phase: Phases,
    paused: bool,
    draining: bool,
    /// It has left jobs.json.
    left: bool,
    backoff_seconds: f64,
    failed_in_a_row: u32,
    cooling_slots: usize,
    live: Vec<LiveJob>,
    #[serde(skip_serializing_if = "Option::is_none")]
    decision: Option<DecisionView>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DecisionView {
    age_seconds: f64,
    #[serde(flatten)]
    decision: Decision,
}

/// All routes.
pub fn router(desk: Desk) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/liveness", get(liveness))
        .route("/readiness", get(readiness))
        .route("/states", get(states))
        .route("/jobs", get(jobs))
        .route("/jobs/{name}", get(job))
        .with_state(desk)
}

async fn metrics(State(desk): State<Desk>) -> Response {
    match desk.metrics.page() {
        Ok(page) => ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], page).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// Fails when a watch has been stuck for so long that only a restart helps.
async fn liveness(State(desk): State<Desk>) -> Response {
    let age = desk.health.view_age();
    let code = if age > STUCK_AFTER { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    (code, Json(json!({"viewAgeSeconds": age.as_secs()}))).into_response()
}

/// 200 when every part works; else 503, and which does not.
async fn readiness(State(desk): State<Desk>) -> Response {
    let parts = desk.health.parts();
    let code = if parts.values().all(Result::is_ok) { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let told: serde_json::Map<String, serde_json::Value> = parts
        .into_iter()
        .map(|(part, state)| {
            let name = json!(part).as_str().unwrap_or_default().to_owned();
            (name, state.map_or_else(|why| json!(why), |()| json!("ok")))
        })
        .collect();
    (code, Json(told)).into_response()
}

/// The original's shape: per queue the messages of each state.
async fn states(State(desk): State<Desk>) -> Response {
    Json(desk.totals.borrow().clone()).into_response()
}

async fn jobs(State(desk): State<Desk>) -> Response {
    let roster = desk.roster.borrow().clone();
    let views: Vec<_> = roster.values().map(|handle| view(&handle.config.name, handle, &desk)).collect();
    Json(json!(views)).into_response()
}

async fn job(State(desk): State<Desk>, Path(name): Path<String>) -> Response {
    let roster = desk.roster.borrow().clone();
    let Some(handle) = roster.get(&name) else {
        let hint = nearest(&name, roster.keys().map(String::as_str));
        return (StatusCode::NOT_FOUND, Json(json!({"error": format!("there is no JobConfig \"{name}\"{hint}")})))
            .into_response();
    };
    let mut told = json!(view(&name, handle, &desk));
    match (desk.runs.recent(&name, RUNS_SHOWN).await, desk.decisions.recent(&name, DECISIONS_SHOWN).await) {
        (Ok(runs), Ok(decisions)) => (told["runs"], told["decisions"]) = (json!(runs), json!(decisions)),
        (Err(error), _) | (_, Err(error)) => told["runsError"] = json!(crate::telemetry::with_causes(&error)),
    }
    Json(told).into_response()
}

fn view<'a>(name: &'a str, handle: &'a crate::actors::supervisor::Handle, desk: &Desk) -> JobView<'a> {
    let status: Status = handle.status.borrow().clone();
    let now = desk.clock.now();
    JobView {
        name,
        queue: &handle.config.queue_name,
        max_concurrent_jobs: handle.config.max_concurrent_jobs,
        phase: status.phases,
        paused: status.paused,
        draining: status.draining,
        left: handle.left,
        backoff_seconds: status.backoff_until.map_or(0.0, |until| until.saturating_sub(now).as_secs_f64()),
        failed_in_a_row: status.failed_in_a_row,
        cooling_slots: status.cooling,
        live: status.live,
        decision: status
            .decided
            .map(|(at, decision)| DecisionView { age_seconds: now.saturating_sub(at).as_secs_f64(), decision }),
    }
}
