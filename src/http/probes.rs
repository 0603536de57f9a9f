//! What other programs ask for: metrics, the probes of the Deployment, totals, and who is there.

use std::collections::BTreeMap;

use axum::{
    http::{StatusCode, header::CONTENT_TYPE},
    response::IntoResponse,
};
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    cluster::watcher::STUCK_AFTER,
    health::Component,
    http::{
        problem::{Problem, ProblemType},
        route::{Answer, Call, Page, Route},
        state::AppState,
        token::Access,
    },
    metrics::pool_gauges,
    pgboss::totals::States,
    store::leadership::Member,
    telemetry::with_causes,
};

/// Either it works, or it does not.
const PROBE_CODES: &[StatusCode] = &[StatusCode::OK, StatusCode::SERVICE_UNAVAILABLE];

/// How old the view of the cluster is.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Liveness {
    view_age_seconds: u64,
}

/// Each part of what readiness stands on: `ok`, or why it does not work.
#[derive(Debug, PartialEq, Serialize, JsonSchema)]
pub(super) struct Readiness {
    schema: String,
    queue: String,
    kubernetes: String,
    /// What of the list of modules could not be deployed, at the process that leads; it stops nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    modules: Vec<String>,
}

/// Messages by state, for each queue.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(transparent)]
struct StatesPage(BTreeMap<String, States>);

/// The processes of this Instance.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Members {
    /// The one that answers.
    me: String,
    /// It leads.
    leads: bool,
    /// All that were there in the last minute; absent while they can't be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    members: Option<Vec<Member>>,
    /// Why they can't be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    members_error: Option<String>,
}

impl Page for StatesPage {}
impl Page for Members {}

impl Page for Liveness {
    const CODES: &[StatusCode] = PROBE_CODES;

    fn code(&self) -> StatusCode {
        probe_code(self.view_age_seconds <= STUCK_AFTER.as_secs())
    }
}

impl Page for Readiness {
    const CODES: &[StatusCode] = PROBE_CODES;

    fn code(&self) -> StatusCode {
        probe_code([&self.schema, &self.queue, &self.kubernetes].into_iter().all(|state| state == WORKS))
    }
}

/// The word for what works.
const WORKS: &str = "ok";

fn probe_code(works: bool) -> StatusCode {
    if works { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

/// The routes that tell how this process does.
pub(super) fn routes() -> Vec<Route> {
    let text = Answer { codes: &[StatusCode::OK], media_type: prometheus::TEXT_FORMAT, schema: None };
    vec![
        Route::raw(Access::Metrics, "/metrics", "Metrics as Prometheus reads them", text, metrics)
            .or(&[ProblemType::Internal]),
        Route::get(Access::Open, "/liveness", "503 when only a restart helps", liveness),
        Route::get(Access::Open, "/readiness", "503 when a part does not work, and which", readiness),
        Route::get(Access::Read, "/states", "Messages by state, for each queue", states),
        Route::get(Access::Read, "/members", "The processes of this Instance, and which of them leads", members),
    ]
}

async fn metrics(Call { state, .. }: Call) -> Result<axum::response::Response, Problem> {
    let _turn = state.turn().await;
    for (component, health) in state.shared.health.components() {
        state.shared.metrics.process.note_component(component.as_str(), health.is_ok());
    }
    // Where the Broker does not know, nothing is told of pools.
    let shared = state.shared.broker.usage().await.ok().flatten().unwrap_or_default();
    let now = state.shared.clock.now();
    let pools = pool_gauges::families(&shared.pools, &shared.waits, now);
    let page = pools.and_then(|pools| state.shared.metrics.page_with(now, pools));
    let page = page.map_err(|error| Problem::new(ProblemType::Internal, error.to_string()))?;
    Ok(([(CONTENT_TYPE, prometheus::TEXT_FORMAT)], page).into_response())
}

/// Fails when a watch has been stuck for so long that only a restart helps.
async fn liveness(Call { state, .. }: Call) -> Result<Liveness, Problem> {
    Ok(Liveness { view_age_seconds: state.shared.health.view_age().as_secs() })
}

async fn readiness(Call { state, .. }: Call) -> Result<Readiness, Problem> {
    Ok(Readiness::of(&state))
}

impl Readiness {
    /// As it is now.
    pub(super) fn of(state: &AppState) -> Self {
        let components = state.shared.health.components();
        let told = |component| match components.get(&component) {
            Some(Err(why)) => why.clone(),
            _ => WORKS.to_owned(),
        };
        let [schema, queue, kubernetes] = [Component::Schema, Component::Queue, Component::Kubernetes].map(told);
        Self { schema, queue, kubernetes, modules: state.shared.health.list_problems() }
    }
}

/// The original's shape: per queue the messages of each state.
async fn states(Call { state, .. }: Call) -> Result<StatesPage, Problem> {
    let totals = state.totals.borrow();
    let page = totals.iter().map(|(queue, states)| (queue.clone(), states.as_deref().copied().unwrap_or_default()));
    Ok(StatesPage(page.collect()))
}

async fn members(Call { state, .. }: Call) -> Result<Members, Problem> {
    let (me, leads) = (state.me.to_string(), state.leads());
    Ok(match state.shared.stored.leadership.members().await {
        Ok(members) => Members { me, leads, members: Some(members), members_error: None },
        Err(error) => Members { me, leads, members: None, members_error: Some(with_causes(&error)) },
    })
}
