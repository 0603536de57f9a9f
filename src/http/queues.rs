//! The JobConfigs of queues: how they stand, and why.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::{
    actors::{
        orders::{Orders, Switched},
        roster::{Handle, StatusChannel},
    },
    config::{entry::Kind, job_config::JobConfig, windows::Window},
    decide::{
        decision::{Decision, DecisionReason},
        queue::{
            status::Status,
            windows::{InForce, Windows},
        },
        run::live_job::{LiveJob, Phases},
        service::start_order::missing,
        switches::{Asked, Said},
    },
    http::{
        pools::{self, PlacesView},
        problem::{NAME_PROBLEMS, Problem, ProblemType},
        route::{Call, Page, Route},
        state::AppState,
        token::Access,
    },
    store::{decisions::DecisionRow, runs::RunRow},
    tables,
    telemetry::with_causes,
};

/// Decisions that `/jobs/{name}` shows.
const DECISIONS_SHOWN: i64 = 20;

/// One JobConfig of a queue.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Job")]
pub struct JobView {
    name: String,
    /// The deployment that it is of; absent where it stands in jobs.json.
    #[serde(skip_serializing_if = "Option::is_none")]
    deployment: Option<String>,
    queue: String,
    max_concurrent_jobs: u32,
    /// How many Jobs may live at once now, by its windows; absent where it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    max_in_force: Option<u32>,
    /// What counts by its windows; absent where it has none, and in lists where another process leads.
    #[serde(skip_serializing_if = "Option::is_none")]
    windows: Option<WindowsView>,
    /// Messages that can be fetched; absent where that is not known, as where another process leads.
    #[serde(skip_serializing_if = "Option::is_none")]
    ready: Option<u64>,
    /// For how long the oldest of them has waited; absent where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest_ready_age_seconds: Option<f64>,
    /// Live Jobs by phase.
    phase: Phases,
    paused: bool,
    /// Who said last whether it is paused; absent where nobody did since jobs.json did.
    #[serde(skip_serializing_if = "Option::is_none")]
    said: Option<Said>,
    /// Who asked last for Jobs by hand; absent where nobody ever did.
    #[serde(skip_serializing_if = "Option::is_none")]
    asked: Option<Asked>,
    /// Nothing is created any more; its Jobs are seen to their end.
    draining: bool,
    /// It has left jobs.json.
    left: bool,
    /// Nothing is created for so long; 0 where nothing failed.
    backoff_seconds: f64,
    failed_in_a_row: u32,
    /// Slots that wait after a run.
    cooling_slots: usize,
    live: Vec<LiveJob>,
    /// The last decision; absent where none was made, and where another process leads.
    #[serde(skip_serializing_if = "Option::is_none")]
    decision: Option<DecisionView>,
    /// Pools of which each of its Jobs takes a place.
    #[serde(skip_serializing_if = "<[Arc<str>]>::is_empty")]
    pools: Arc<[Arc<str>]>,
    /// For how long it has wanted places that it has not; absent where it wants none.
    #[serde(skip_serializing_if = "Option::is_none")]
    waits_for_place_seconds: Option<f64>,
    /// Its oldest message is to wait no longer.
    #[serde(skip_serializing_if = "Option::is_none")]
    target_age_seconds: Option<f64>,
    /// Services that have to be RUNNING.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    depends_on: Vec<String>,
    /// The first of them that is not, as far as whoever leads knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    waits_for: Option<String>,
}

/// Which `maxConcurrentJobs` is in force.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "WindowsInForce")]
struct WindowsView {
    /// Jobs that may live at once now; 0 while it is closed.
    max_concurrent_jobs: u32,
    /// The window that is open; absent where none is.
    #[serde(skip_serializing_if = "Option::is_none")]
    open: Option<Window>,
    /// Since when; absent where that was more than two weeks ago.
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<String>,
    /// Until when; absent where nothing else ever counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
    /// While it is closed: when the next Job may live.
    #[serde(skip_serializing_if = "Option::is_none")]
    opens: Option<String>,
    /// The same in words.
    told: String,
}

impl WindowsView {
    fn of(config: &JobConfig, in_force: &InForce, now: Duration) -> Self {
        let time = |time: Option<Duration>| {
            let second = time.and_then(|time| i64::try_from(time.as_secs()).ok());
            second.and_then(|second| Timestamp::from_second(second).ok()).map(|time| time.to_string())
        };
        Self {
            max_concurrent_jobs: in_force.max,
            open: in_force.window.and_then(|window| config.windows.get(window)).cloned(),
            since: time(in_force.since),
            until: time(in_force.until),
            opens: time(in_force.opens),
            told: in_force.told(&Windows::of(&config.windows), config.max_concurrent_jobs, now),
        }
    }
}

/// A decision with its inputs, and how long ago it was made; that a queue is empty, how long ago it was found so.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "LastDecision")]
struct DecisionView {
    age_seconds: f64,
    #[serde(flatten)]
    decision: Decision,
}

/// One JobConfig of a queue with what is on record of it.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "JobDetails")]
pub(super) struct JobDetails {
    #[serde(flatten)]
    pub(super) job: JobView,
    /// The newest runs; absent while they can't be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    runs: Option<Vec<RunRow>>,
    /// The newest decisions; absent while they can't be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    decisions: Option<Vec<DecisionRow>>,
    /// Why they can't be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    runs_error: Option<String>,
    /// What keeps it from the places that it wants; absent where it shares nothing, and where another process leads.
    #[serde(skip_serializing_if = "Option::is_none")]
    places: Option<PlacesView>,
}

/// The last decisions and ends.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Why")]
pub(super) struct WhyView {
    name: String,
    /// A readable line each, in the order in which it happened; those of what is so now stand last.
    lines: Vec<String>,
}

impl Page for JobView {}
impl Page for JobDetails {}
impl Page for WhyView {}

/// The routes that tell of queues.
pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get(Access::Read, "/jobs", "All JobConfigs of queues", jobs),
        Route::get(Access::Read, "/jobs/{name}", "One of them with its last runs and decisions", job).or(NAME_PROBLEMS),
        Route::get(Access::Read, "/jobs/{name}/why", "Its last decisions and ends in words", why).or(NAME_PROBLEMS),
    ]
}

async fn jobs(Call { state, .. }: Call) -> Result<Vec<JobView>, Problem> {
    let _turn = state.turn().await;
    Ok(all(&state))
}

async fn job(call: Call) -> Result<JobDetails, Problem> {
    details(&call.state, call.name()).await
}

async fn why(call: Call) -> Result<WhyView, Problem> {
    let page = details(&call.state, call.name()).await?;
    WhyView::of(call.name(), &page, tables::why)
}

impl WhyView {
    /// A page of details in words.
    pub(super) fn of(name: &str, page: &impl Serialize, tell: fn(&Value) -> Vec<String>) -> Result<Self, Problem> {
        let page =
            serde_json::to_value(page).map_err(|error| Problem::new(ProblemType::Internal, error.to_string()))?;
        let mut lines = tell(&page);
        if let Some(deployment) = page["deployment"].as_str() {
            lines.push(format!("of the deployment {deployment}: `deployments {deployment}` tells of it"));
        }
        Ok(Self { name: name.to_owned(), lines })
    }
}

/// Everything that is known of one JobConfig.
pub(super) async fn details(state: &AppState, name: &str) -> Result<JobDetails, Problem> {
    let handle = state.handle(Kind::Queue, name)?;
    let gone = || Problem::new(ProblemType::UnknownName, format!("{name:?} is no JobConfig of a queue any more"));
    let mut job = view(&handle, state).ok_or_else(gone)?;
    let entry = handle.orders.borrow().entry.clone();
    if let Some(config) = entry.queue().filter(|config| job.windows.is_none() && !config.windows.is_empty()) {
        // It is a matter of the clock alone, so who follows tells it as well; not of all at once, for it has its cost.
        let (windows, now) = (Windows::of(&config.windows), state.shared.clock.now());
        job.windows = Some(WindowsView::of(config, &windows.in_force(config.max_concurrent_jobs, now), now));
    }
    // At once, so that a page takes one wait and not two while Postgres is away.
    let decisions = state.shared.stored.decisions.recent(name, DECISIONS_SHOWN);
    let ((runs, runs_error), decisions, places) = tokio::join!(state.runs(name), decisions, pools::places(state, name));
    match decisions {
        Ok(decisions) => Ok(JobDetails { job, runs, decisions: Some(decisions), runs_error, places }),
        Err(error) => Ok(JobDetails { job, runs, decisions: None, runs_error: Some(with_causes(&error)), places }),
    }
}

/// All queues as they are shown.
pub(super) fn all(state: &AppState) -> Vec<JobView> {
    let roster = state.roster.borrow().clone();
    roster.values().filter_map(|handle| view(handle, state)).collect()
}

/// The last decision for each queue that has messages: its name, when, and what.
pub(super) fn decided(state: &AppState) -> Vec<(String, Duration, Decision)> {
    let roster = state.roster.borrow().clone();
    let of = |(name, handle): (&Arc<str>, &Handle)| {
        let StatusChannel::Queue(channel) = &handle.status else { return None };
        let (at, decision) = *channel.borrow().decided.as_deref()?;
        (decision.why != DecisionReason::Empty).then(|| (name.to_string(), at, decision))
    };
    roster.iter().filter_map(of).collect()
}

/// A queue as it is shown; nothing of a service.
pub(super) fn view(handle: &Handle, state: &AppState) -> Option<JobView> {
    let StatusChannel::Queue(channel) = &handle.status else { return None };
    let now = state.shared.clock.now();
    let status = state.shown(handle, channel, Status::of_view);
    let Orders { entry, left, pools, switched, .. } = handle.orders.borrow().clone();
    let Switched { paused, asked } = switched.map(|switched| *switched).unwrap_or_default();
    let config = entry.queue()?;
    let depth = state.shared.metrics.queues.gauges.depth(&config.name, now);
    Some(JobView {
        name: config.name.to_string(),
        deployment: handle.deployment().map(|name| name.to_string()),
        queue: config.queue_name.to_string(),
        max_concurrent_jobs: config.max_concurrent_jobs,
        max_in_force: max_in_force(config, status.in_force.as_deref(), now),
        windows: status.in_force.as_deref().map(|in_force| WindowsView::of(config, in_force, now)),
        ready: depth.ready,
        oldest_ready_age_seconds: depth.oldest_since.map(|since| now.saturating_sub(since).as_secs_f64()),
        phase: status.phases,
        paused: paused.paused,
        said: paused.said.map(|said| *said),
        asked: Some(asked).filter(|asked| asked.count > 0),
        draining: status.draining,
        left,
        backoff_seconds: status.backoff_until.map_or(0.0, |until| until.saturating_sub(now).as_secs_f64()),
        failed_in_a_row: status.failed_in_a_row,
        cooling_slots: status.cooling,
        live: status.live,
        decision: status.decided.map(|decided| {
            let (at, decision) = *decided;
            let again = depth.empty_at.filter(|_| decision.why == DecisionReason::Empty);
            let age = now.saturating_sub(at.max(again.unwrap_or_default()));
            DecisionView { age_seconds: age.as_secs_f64(), decision }
        }),
        pools,
        waits_for_place_seconds: status.waiting_for_place.map(|since| now.saturating_sub(since).as_secs_f64()),
        target_age_seconds: config.target_age.map(|age| age.as_secs_f64()),
        depends_on: config.depends_on.clone(),
        waits_for: missing(&config.depends_on, &state.shared.peers.borrow())
            .filter(|_| state.leads())
            .map(str::to_owned),
    })
}

/// Which window is open is a matter of the clock alone, and cheap to tell; who follows does so as well.
fn max_in_force(config: &JobConfig, known: Option<&InForce>, now: Duration) -> Option<u32> {
    let told = || Windows::of(&config.windows).max_at(config.max_concurrent_jobs, now);
    (!config.windows.is_empty()).then(|| known.map_or_else(told, |in_force| in_force.max))
}

impl JobView {
    /// Its name, and its queue's.
    pub(super) fn names(&self) -> [&str; 2] {
        [&self.name, &self.queue]
    }

    /// There are messages that can be fetched.
    pub(super) fn has_messages(&self) -> bool {
        self.ready.is_some_and(|ready| ready > 0)
    }

    /// It has Jobs.
    pub(super) fn is_busy(&self) -> bool {
        !self.live.is_empty()
    }

    /// Something keeps it from what it is there for.
    pub(super) fn needs_attention(&self) -> bool {
        let kept = self.paused || self.draining || self.left || self.waits_for.is_some() || self.backoff_seconds > 0.0;
        kept || self.live.iter().any(LiveJob::has_problem)
    }

    /// What is the same in two views that differ by the passing of time alone.
    pub(super) fn timeless(&self) -> Self {
        let mut view = self.clone();
        view.oldest_ready_age_seconds = None;
        view.waits_for_place_seconds = view.waits_for_place_seconds.map(|_| 0.0);
        view.backoff_seconds = view.backoff_seconds.min(1.0).ceil();
        view.windows.iter_mut().for_each(|it| it.told.clear());
        view.decision.iter_mut().for_each(|it| it.age_seconds = 0.0);
        view.live.iter_mut().for_each(|it| it.terminating_seconds = it.terminating_seconds.map(|_| 0));
        view
    }
}
