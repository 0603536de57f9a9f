//! The services: how they stand, and what can be said of them.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    actors::{
        orders::{Ordered, Orders},
        roster::{Handle, StatusChannel},
    },
    config::entry::Kind,
    decide::{
        run::live_job::{LiveJob, Phases},
        service::{
            account::RolloutView,
            start_order::{PeerStatus, Peers, with_needed, with_needing},
            state::ServiceState,
            status::ServiceStatus,
        },
        switches::Verb,
    },
    http::{
        actions::{ActionView, unknown},
        pools::{self, PlacesView},
        problem::{NAME_PROBLEMS, Problem, ProblemType},
        queues::WhyView,
        replicas::ReplicaView,
        route::{Call, Page, Route, Sent},
        state::AppState,
        token::Access,
        writes::{CHANGE_PROBLEMS, checked, unwritten},
    },
    store::{runs::RunRow, switches::ServiceVerb},
    tables::service_why,
};

/// One service.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Service")]
pub struct ServiceView {
    name: String,
    /// The deployment that it is of; absent where it stands in jobs.json.
    #[serde(skip_serializing_if = "Option::is_none")]
    deployment: Option<String>,
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
    /// Replicas that are up.
    ready: u32,
    priority: i32,
    depends_on: Vec<String>,
    /// Pools of which each replica takes a place.
    #[serde(skip_serializing_if = "<[Arc<str>]>::is_empty")]
    pools: Arc<[Arc<str>]>,
    restarts: u64,
    /// The hash of what its Jobs are rendered from.
    generation: String,
    /// What is wrong.
    error: Option<String>,
    /// A replica waits for so long before it is started again.
    wait_seconds: f64,
    /// It runs elsewhere: it is checked, and nothing of it is started.
    external: bool,
    /// Its actions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    actions: Vec<ActionView>,
    /// Live Jobs by phase.
    phase: Phases,
    live: Vec<LiveJob>,
    /// Each replica, and what holds it; empty where another process leads.
    per_replica: Vec<ReplicaView>,
    /// How far a replacement of its replicas one after another has come; absent where none is under way.
    #[serde(skip_serializing_if = "Option::is_none")]
    rollout: Option<RolloutView>,
    /// Why the files of `restartOn` can't be read; absent where they can.
    #[serde(skip_serializing_if = "Option::is_none")]
    unread: Option<String>,
    /// Who said what last.
    #[serde(skip_serializing_if = "Option::is_none")]
    said: Option<Verb>,
    /// It has left jobs.json.
    left: bool,
}

/// One service with what is on record of it.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ServiceDetails")]
pub(super) struct ServiceDetails {
    #[serde(flatten)]
    pub(super) service: ServiceView,
    /// The newest runs; absent while they can't be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    runs: Option<Vec<RunRow>>,
    /// Why they can't be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    runs_error: Option<String>,
    /// What keeps it from the places that it wants; absent where it shares nothing, and where another process leads.
    #[serde(skip_serializing_if = "Option::is_none")]
    places: Option<PlacesView>,
}

/// Who says it, and why; both are kept and shown.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "ServiceWords")]
pub(super) struct ServiceWords {
    #[schemars(length(max = 500))]
    pub(super) who: String,
    #[schemars(length(max = 500))]
    pub(super) why: String,
    /// Whether the services that this one depends on (start, enable) or that depend on it are meant, too; by default
    /// only for start.
    pub(super) deps: Option<bool>,
}

/// What was said, and of which services.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ServicesTold")]
pub(super) struct ServicesTold {
    verb: &'static str,
    services: Vec<String>,
}

impl Page for ServiceView {}
impl Page for ServiceDetails {}
impl Page for ServicesTold {}

impl Sent for ServiceWords {}

/// The routes that tell of services and change them.
pub(super) fn routes() -> Vec<Route> {
    let tells = |path, summary, verb| {
        Route::post(path, summary, move |call, words| tell(call, words, verb)).or(CHANGE_PROBLEMS)
    };
    vec![
        Route::get(Access::Read, "/services", "All services, in the order of their priority", services),
        Route::get(Access::Read, "/services/{name}", "One of them with its last runs", service).or(NAME_PROBLEMS),
        Route::get(Access::Read, "/services/{name}/why", "What holds it and each of its replicas, in words", why)
            .or(NAME_PROBLEMS),
        tells("/start", "All services are to be up", ServiceVerb::Start),
        tells("/services/{name}/start", "It is to be up; waits are over", ServiceVerb::Start),
        tells("/stop", "All services are to be down", ServiceVerb::Stop),
        tells("/services/{name}/stop", "It is to be down, until somebody says start", ServiceVerb::Stop),
        tells("/restart", "All replicas of all services are started anew", ServiceVerb::Restart),
        tells("/services/{name}/restart", "All its replicas are started anew", ServiceVerb::Restart),
        tells("/halt", "All services are to be down, without any grace", ServiceVerb::Halt),
        tells("/services/{name}/halt", "It is to be down, without any grace", ServiceVerb::Halt),
        tells("/enable", "All services are as with enabled: true", ServiceVerb::Enable),
        tells("/services/{name}/enable", "As with enabled: true", ServiceVerb::Enable),
        tells("/disable", "All services are as with enabled: false", ServiceVerb::Disable),
        tells("/services/{name}/disable", "As with enabled: false", ServiceVerb::Disable),
    ]
}

async fn services(Call { state, .. }: Call) -> Result<Vec<ServiceView>, Problem> {
    let _turn = state.turn().await;
    Ok(all(&state))
}

async fn service(call: Call) -> Result<ServiceDetails, Problem> {
    details(&call.state, call.name()).await
}

async fn why(call: Call) -> Result<WhyView, Problem> {
    let page = details(&call.state, call.name()).await?;
    WhyView::of(call.name(), &page, service_why::why)
}

/// Everything that is known of one service.
pub(super) async fn details(state: &AppState, name: &str) -> Result<ServiceDetails, Problem> {
    let gone = || Problem::new(ProblemType::UnknownName, format!("{name:?} is no service any more"));
    let service = view(&state.handle(Kind::Service, name)?, state).ok_or_else(gone)?;
    let ((runs, runs_error), places) = tokio::join!(state.runs(name), pools::places(state, name));
    Ok(ServiceDetails { service, runs, runs_error, places })
}

/// All services as they are shown.
pub(super) fn all(state: &AppState) -> Vec<ServiceView> {
    let roster = state.roster.borrow().clone();
    let mut views: Vec<ServiceView> = roster.values().filter_map(|handle| view(handle, state)).collect();
    views.sort_by(|a, b| (a.priority, &a.name).cmp(&(b.priority, &b.name)));
    views
}

/// A service as it is shown; nothing of a queue.
pub(super) fn view(handle: &Handle, state: &AppState) -> Option<ServiceView> {
    let StatusChannel::Service(channel) = &handle.status else { return None };
    let Orders { entry, left, pools, ordered, .. } = handle.orders.borrow().clone();
    let Ordered { orders, last, actions } = ordered.map(|ordered| *ordered).unwrap_or_default();
    let config = entry.service()?;
    let leads = state.leads();
    let status = state.shown(handle, channel, |observed| ServiceStatus {
        // Of one that runs elsewhere the watches show nothing.
        wanted: orders.enabled && !orders.stopped && !config.is_external(),
        actions: unknown(config),
        ..ServiceStatus::of_view(observed, config.replicas)
    });
    let now = state.shared.clock.now();
    Some(ServiceView {
        name: config.name.clone(),
        deployment: handle.deployment().map(|name| name.to_string()),
        state: if leads || orders.enabled { status.state } else { ServiceState::Disabled },
        since_seconds: leads.then(|| now.saturating_sub(status.since).as_secs_f64()),
        enabled: orders.enabled,
        desired: if orders.stopped { "stopped" } else { "started" },
        wanted: status.wanted && !left,
        replicas: config.replicas,
        ready: status.ready,
        priority: config.priority,
        depends_on: config.depends_on.clone(),
        pools,
        restarts: status.restarts,
        generation: status.generation.to_string(),
        error: status.error.or_else(|| status.unread.clone()),
        wait_seconds: status.wait_until.map_or(0.0, |until| until.saturating_sub(now).as_secs_f64()),
        external: config.is_external(),
        actions: status
            .actions
            .into_iter()
            .map(|status| (actions.get(&*status.name), status))
            .map(|(asked, status)| ActionView::of(status, asked, now))
            .collect(),
        phase: status.phases,
        live: status.live,
        per_replica: status.replicas.into_iter().map(|account| ReplicaView::of(account, now)).collect(),
        rollout: status.rollout,
        unread: status.unread,
        said: last.map(|verb| *verb),
        left,
    })
}

impl ServiceView {
    /// Its name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// It has Jobs.
    pub(super) fn is_busy(&self) -> bool {
        !self.live.is_empty()
    }

    /// It is not as it should be.
    pub(super) fn needs_attention(&self) -> bool {
        let is_well = matches!(self.state, ServiceState::Running | ServiceState::Disabled | ServiceState::NotStarted);
        !is_well || self.error.is_some() || self.live.iter().any(LiveJob::has_problem)
    }

    /// What is the same in two views that differ by the passing of time alone.
    pub(super) fn timeless(&self) -> Self {
        let mut view = self.clone();
        view.since_seconds = view.since_seconds.map(|_| 0.0);
        view.wait_seconds = view.wait_seconds.min(1.0).ceil();
        view.actions = view.actions.into_iter().map(ActionView::timeless).collect();
        view.live.iter_mut().for_each(|it| it.terminating_seconds = it.terminating_seconds.map(|_| 0));
        view.per_replica.iter_mut().for_each(ReplicaView::timeless);
        view
    }
}

/// One service, or all of them, and those that go with them: all or none.
pub(super) async fn tell(call: Call, words: ServiceWords, verb: ServiceVerb) -> Result<ServicesTold, Problem> {
    let ServiceWords { who, why, deps } = words;
    checked(&who, &why)?;
    let state = &call.state;
    let configs = configs(state);
    let named = match &call.name {
        Some(name) => {
            state.handle(Kind::Service, name)?;
            vec![name.clone()]
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
                return Err(Problem::new(ProblemType::Conflict, text));
            }
        }
    }
    let page: Vec<(String, bool)> =
        names.iter().filter_map(|name| Some((name.clone(), configs.get(name)?.file_enabled))).collect();
    let stored = &state.shared.stored.switches;
    stored.tell_services(&page, verb, (&who, &why)).await.map_err(|error| unwritten(&error))?;
    tracing::info!(services = ?names, who, why, "service {} requested", verb.as_str());
    state.shared.hints.own().notify_one();
    Ok(ServicesTold { verb: verb.as_str(), services: names })
}

/// What is known of a service whose entry is in jobs.json.
struct Known {
    peer: PeerStatus,
    enabled: bool,
    file_enabled: bool,
}

fn configs(state: &AppState) -> std::collections::BTreeMap<String, Known> {
    let known = |(name, handle): (&Arc<str>, &Handle)| {
        let orders = handle.orders.borrow();
        let config = orders.entry.service().filter(|_| !orders.left)?;
        let peer =
            PeerStatus { priority: config.priority, depends_on: config.depends_on.clone(), ..PeerStatus::default() };
        let enabled = orders.ordered.as_ref().is_some_and(|ordered| ordered.orders.enabled);
        Some((name.to_string(), Known { peer, enabled, file_enabled: config.enabled }))
    };
    state.roster.borrow().iter().filter_map(known).collect()
}
