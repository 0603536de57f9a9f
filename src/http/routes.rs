//! Every route with its answer.

use axum::{
    Json, Router,
    extract::{Path, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    actors::{
        orders::{Orders, Switched},
        supervisor::{Handle, StatusChannel},
    },
    cluster::index::STUCK_AFTER,
    config::entry::Kind,
    decide::{
        decision::Decision,
        queue::status::Status,
        run::live_job::{LiveJob, Phases},
        service::start_order::missing,
        switches::{Asked, Said},
    },
    http::{
        refusal::{Refused, answered},
        services,
        state::AppState,
        writes,
    },
    tables,
    telemetry::with_causes,
};

/// Decisions that `/jobs/{name}` shows.
const DECISIONS_SHOWN: i64 = 20;

/// One JobConfig as `/jobs` shows it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct JobView {
    name: String,
    queue: String,
    max_concurrent_jobs: u32,
    phase: Phases,
    paused: bool,
    /// Who said last whether it is paused; absent where nobody did since jobs.json did.
    #[serde(skip_serializing_if = "Option::is_none")]
    said: Option<Said>,
    /// Who asked last for Jobs by hand; absent where nobody ever did.
    #[serde(skip_serializing_if = "Option::is_none")]
    asked: Option<Asked>,
    draining: bool,
    /// It has left jobs.json.
    left: bool,
    backoff_seconds: f64,
    failed_in_a_row: u32,
    cooling_slots: usize,
    live: Vec<LiveJob>,
    #[serde(skip_serializing_if = "Option::is_none")]
    decision: Option<DecisionView>,
    /// Services that have to be RUNNING.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    depends_on: Vec<String>,
    /// The first of them that is not, as far as whoever leads knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    waits_for: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DecisionView {
    age_seconds: f64,
    #[serde(flatten)]
    decision: Decision,
}

/// All routes.
pub fn router(state: AppState) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/liveness", get(liveness))
        .route("/readiness", get(readiness))
        .route("/states", get(states))
        .route("/jobs", get(jobs))
        .route("/jobs/{name}", get(job))
        .route("/jobs/{name}/why", get(why))
        .route("/members", get(members))
        .merge(writes::router())
        .merge(services::router())
        .with_state(state)
}

async fn metrics(State(state): State<AppState>) -> Response {
    for (component, told) in state.shared.health.components() {
        state.shared.metrics.process.note_component(component.as_str(), told.is_ok());
    }
    match state.shared.metrics.page(state.shared.clock.now()) {
        Ok(page) => ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], page).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// Fails when a watch has been stuck for so long that only a restart helps.
async fn liveness(State(state): State<AppState>) -> Response {
    let age = state.shared.health.view_age();
    let code = if age > STUCK_AFTER { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    (code, Json(json!({"viewAgeSeconds": age.as_secs()}))).into_response()
}

/// 200 when every part works; else 503, and which does not.
async fn readiness(State(state): State<AppState>) -> Response {
    let components = state.shared.health.components();
    let code = if components.values().all(Result::is_ok) { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let page: serde_json::Map<String, serde_json::Value> = components
        .into_iter()
        .map(|(component, state)| {
            let name = json!(component).as_str().unwrap_or_default().to_owned();
            (name, state.map_or_else(|why| json!(why), |()| json!("ok")))
        })
        .collect();
    (code, Json(page)).into_response()
}

/// The original's shape: per queue the messages of each state.
async fn states(State(state): State<AppState>) -> Response {
    Json(state.totals.borrow().clone()).into_response()
}

async fn jobs(State(state): State<AppState>) -> Response {
    let roster = state.roster.borrow().clone();
    let views: Vec<_> = roster.values().filter_map(|handle| view(handle, &state)).collect();
    Json(json!(views)).into_response()
}

async fn job(State(state): State<AppState>, Path(name): Path<String>) -> Response {
    answered(details(&state, &name).await.map(|page| (StatusCode::OK, page)))
}

/// The last decisions and ends, a readable line each.
async fn why(State(state): State<AppState>, Path(name): Path<String>) -> Response {
    let lines = |page| (StatusCode::OK, json!({ "name": name, "lines": tables::why(&page) }));
    answered(details(&state, &name).await.map(lines))
}

/// Everything that is known of one JobConfig.
async fn details(state: &AppState, name: &str) -> Result<Value, Refused> {
    let mut page = json!(view(&state.handle(Kind::Queue, name)?, state));
    state.add_runs(&mut page, name).await;
    match state.shared.stored.decisions.recent(name, DECISIONS_SHOWN).await {
        Ok(decisions) => page["decisions"] = json!(decisions),
        Err(error) => page["runsError"] = json!(with_causes(&error)),
    }
    Ok(page)
}

/// The processes of this Instance, and which of them answers.
async fn members(State(state): State<AppState>) -> Response {
    let mut page = json!({ "me": &*state.me, "leads": state.leads() });
    match state.shared.stored.leadership.members().await {
        Ok(members) => page["members"] = json!(members),
        Err(error) => page["membersError"] = json!(with_causes(&error)),
    }
    Json(page).into_response()
}

/// A queue as it is shown; nothing of a service.
fn view(handle: &Handle, state: &AppState) -> Option<JobView> {
    let StatusChannel::Queue(channel) = &handle.status else { return None };
    let now = state.shared.clock.now();
    let status = state.shown(handle, channel, Status::of_view);
    let Orders { entry, left, switched: Switched { paused, asked }, .. } = handle.orders.borrow().clone();
    let config = entry.queue()?;
    Some(JobView {
        name: config.name.clone(),
        queue: config.queue_name.clone(),
        max_concurrent_jobs: config.max_concurrent_jobs,
        phase: status.phases,
        paused: paused.paused,
        said: paused.said,
        asked: Some(asked).filter(|asked| asked.count > 0),
        draining: status.draining,
        left,
        backoff_seconds: status.backoff_until.map_or(0.0, |until| until.saturating_sub(now).as_secs_f64()),
        failed_in_a_row: status.failed_in_a_row,
        cooling_slots: status.cooling,
        live: status.live,
        decision: status
            .decided
            .map(|(at, decision)| DecisionView { age_seconds: now.saturating_sub(at).as_secs_f64(), decision }),
        depends_on: config.depends_on.clone(),
        waits_for: missing(&config.depends_on, &state.shared.peers.borrow())
            .filter(|_| state.leads())
            .map(str::to_owned),
    })
}
