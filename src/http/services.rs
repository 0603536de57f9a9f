//! The services: how they stand, and what can be said of them.

use axum::{
    Json, Router,
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    actors::{
        orders::{Ordered, Orders},
        supervisor::{Handle, StatusChannel},
    },
    config::entry::Kind,
    decide::{
        run::live_job::{LiveJob, Phases},
        service::{
            start_order::{PeerStatus, Peers, with_needed, with_needing},
            state::ServiceState,
            status::ServiceStatus,
        },
        switches::Verb,
    },
    http::{
        refusal::{Refused, answered},
        state::AppState,
        writes::{Words, unwritten, words},
    },
    store::switches::ServiceVerb,
};

/// One service as `/services` shows it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ServiceView {
    name: String,
    state: ServiceState,
    /// Absent where this process does not lead.
    #[serde(skip_serializing_if = "Option::is_none")]
    since_seconds: Option<f64>,
    enabled: bool,
    /// `started` or `stopped`.
    desired: &'static str,
    /// It is to be up now: whoever is not RUNNING then is a reason to look.
    wanted: bool,
    replicas: u32,
    ready: u32,
    priority: i32,
    depends_on: Vec<String>,
    restarts: u64,
    generation: String,
    error: Option<String>,
    wait_seconds: f64,
    phase: Phases,
    live: Vec<LiveJob>,
    /// Who said what last.
    #[serde(skip_serializing_if = "Option::is_none")]
    said: Option<Verb>,
    /// It has left jobs.json.
    left: bool,
}

/// All routes.
pub(super) fn router() -> Router<AppState> {
    let tells =
        |verb| post(async move |state, whom, headers, body| answered(tell(state, whom, headers, body, verb).await));
    Router::new()
        .route("/services", get(services))
        .route("/services/{name}", get(service))
        .route("/start", tells(ServiceVerb::Start))
        .route("/services/{name}/start", tells(ServiceVerb::Start))
        .route("/stop", tells(ServiceVerb::Stop))
        .route("/services/{name}/stop", tells(ServiceVerb::Stop))
        .route("/restart", tells(ServiceVerb::Restart))
        .route("/services/{name}/restart", tells(ServiceVerb::Restart))
        .route("/halt", tells(ServiceVerb::Halt))
        .route("/services/{name}/halt", tells(ServiceVerb::Halt))
        .route("/enable", tells(ServiceVerb::Enable))
        .route("/services/{name}/enable", tells(ServiceVerb::Enable))
        .route("/disable", tells(ServiceVerb::Disable))
        .route("/services/{name}/disable", tells(ServiceVerb::Disable))
}

async fn services(State(state): State<AppState>) -> Response {
    let roster = state.roster.borrow().clone();
    let mut views: Vec<ServiceView> = roster.values().filter_map(|handle| view(handle, &state)).collect();
    views.sort_by(|a, b| (a.priority, &a.name).cmp(&(b.priority, &b.name)));
    Json(json!(views)).into_response()
}

async fn service(State(state): State<AppState>, Path(name): Path<String>) -> Response {
    let details = async {
        let mut page = json!(view(&state.handle(Kind::Service, &name)?, &state));
        state.add_runs(&mut page, &name).await;
        Ok((StatusCode::OK, page))
    };
    answered(details.await)
}

fn view(handle: &Handle, state: &AppState) -> Option<ServiceView> {
    let StatusChannel::Service(channel) = &handle.status else { return None };
    let Orders { entry, left, ordered: Ordered { orders, last }, .. } = handle.orders.borrow().clone();
    let config = entry.service()?;
    let leads = state.leads();
    let status = state.shown(handle, channel, |observed| ServiceStatus {
        wanted: orders.enabled && !orders.stopped,
        ..ServiceStatus::of_view(observed, config.replicas)
    });
    let now = state.shared.clock.now();
    Some(ServiceView {
        name: config.name.clone(),
        state: if leads || orders.enabled { status.state } else { ServiceState::Disabled },
        since_seconds: leads.then(|| now.saturating_sub(status.since).as_secs_f64()),
        enabled: orders.enabled,
        desired: if orders.stopped { "stopped" } else { "started" },
        wanted: status.wanted && !left,
        replicas: config.replicas,
        ready: status.ready,
        priority: config.priority,
        depends_on: config.depends_on.clone(),
        restarts: status.restarts,
        generation: status.generation.to_string(),
        error: status.error,
        wait_seconds: status.wait_until.map_or(0.0, |until| until.saturating_sub(now).as_secs_f64()),
        phase: status.phases,
        live: status.live,
        said: last,
        left,
    })
}

/// One service, or all of them, and those that go with them: all or none.
async fn tell(
    State(state): State<AppState>,
    whom: Option<Path<String>>,
    headers: HeaderMap,
    body: Body,
    verb: ServiceVerb,
) -> Result<(StatusCode, Value), Refused> {
    let Words { who, why, deps } = words(&state, &headers, body, true).await?;
    let configs = configs(&state);
    let named = match whom {
        Some(Path(name)) => {
            state.handle(Kind::Service, &name)?;
            vec![name]
        }
        None => configs.keys().cloned().collect(),
    };
    let peers: Peers = configs.iter().map(|(name, known)| (name.clone(), known.peer.clone())).collect();
    let deps = deps.unwrap_or(verb == ServiceVerb::Start);
    let names = match verb {
        _ if !deps => named,
        ServiceVerb::Start | ServiceVerb::Enable => with_needed(&named, &peers),
        _ => with_needing(&named, &peers),
    };
    if verb == ServiceVerb::Enable {
        let is_disabled = |name: &&String| !names.contains(name) && configs.get(*name).is_some_and(|it| !it.enabled);
        for name in &names {
            let needed = &peers.get(name).map(|peer| peer.depends_on.as_slice()).unwrap_or_default();
            if let Some(other) = needed.iter().find(is_disabled) {
                let text =
                    format!("\"{name}\" depends on \"{other}\", which is disabled: enable that first, or use --deps");
                return Err((StatusCode::CONFLICT, text));
            }
        }
    }
    let page: Vec<(String, bool)> =
        names.iter().filter_map(|name| Some((name.clone(), configs.get(name)?.file_enabled))).collect();
    let stored = &state.shared.stored.switches;
    stored.tell_services(&page, verb, (&who, &why)).await.map_err(|error| unwritten(&error))?;
    tracing::info!(services = ?names, who, why, "service {} requested", verb.as_str());
    state.shared.hints.own().notify_one();
    Ok((StatusCode::OK, json!({ "verb": verb.as_str(), "services": names })))
}

/// What is known of a service whose entry is in jobs.json.
struct Known {
    peer: PeerStatus,
    enabled: bool,
    file_enabled: bool,
}

fn configs(state: &AppState) -> std::collections::BTreeMap<String, Known> {
    let known = |(name, handle): (&String, &Handle)| {
        let orders = handle.orders.borrow();
        let config = orders.entry.service().filter(|_| !orders.left)?;
        let peer =
            PeerStatus { priority: config.priority, depends_on: config.depends_on.clone(), ..PeerStatus::default() };
        Some((name.clone(), Known { peer, enabled: orders.ordered.orders.enabled, file_enabled: config.enabled }))
    };
    state.roster.borrow().iter().filter_map(known).collect()
}
