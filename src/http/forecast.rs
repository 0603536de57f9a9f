//! What another configuration would have done with the messages that pg-boss remembers. Any process answers; nothing is
//! changed.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::{sync::OwnedSemaphorePermit, task::spawn_blocking};
use tokio_util::sync::CancellationToken;

use crate::{
    actors::roster::Handle,
    config::{
        entry::Entry,
        job_config::JobConfig,
        jobs_file,
        problems::{Problems, nearest},
        what_if::{Base, Set},
    },
    decide::forecast::{
        history::Known,
        report::{Configs, Report},
        scenario::Forecast,
    },
    http::{
        problem::{Problem, ProblemType},
        route::{Call, Page, Route, Sent},
        state::AppState,
    },
    telemetry::with_causes,
};

/// For how long is looked back where nobody says.
const LAST_DEFAULT: Duration = Duration::from_secs(24 * 3_600);

/// For how long may be looked back: pg-boss keeps little that is older.
const LAST_MAX: Duration = Duration::from_secs(7 * 24 * 3_600);

/// Moments of a replay between two questions whether anybody still waits for it: some milliseconds.
const MOMENTS: usize = 1_000;

/// How long a forecast may take, reading included.
const FORECAST_WAIT: Duration = Duration::from_secs(60);

/// Bytes of what is asked: a jobs.json, written as a string.
const BYTES_MAX: usize = 3 << 20;

/// Refusals of forecasts.
const FORECAST_PROBLEMS: &[ProblemType] = &[
    ProblemType::InvalidBody,
    ProblemType::UnknownName,
    ProblemType::BodyTooSlow,
    ProblemType::BodyTooLarge,
    ProblemType::UnsupportedContent,
    ProblemType::ForecastUnderWay,
    ProblemType::Internal,
    ProblemType::Unavailable,
];

/// What is asked: of which JobConfig, over which time, and with what changed.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct ForecastWords {
    /// The JobConfig of a queue; without it all of them.
    name: Option<String>,
    /// How far to look back, such as `24h`; at the most `7d`.
    last: Option<String>,
    /// Keys of the JobConfig; `NAME.KEY` where no name is said; `limits.…` and `pools.…`. `null` takes a key away.
    set: BTreeMap<String, Value>,
    /// Another jobs.json, whole, in place of `set`.
    file: Option<String>,
}

impl Sent for ForecastWords {
    const BYTES_MAX: usize = BYTES_MAX;
    const ANSWER_WAIT: Duration = FORECAST_WAIT;
    const ALLOWED: &'static str = "{\"name\": \"…\", \"last\": \"24h\", \"set\": {\"maxConcurrentJobs\": 8}}";
}

impl Page for Report {}

/// The route.
pub(super) fn routes() -> Vec<Route> {
    let summary = "What the configuration in force, and another one, would have done with the messages of late";
    vec![Route::ask("/forecast", summary, forecast).or(FORECAST_PROBLEMS)]
}

async fn forecast(call: Call, words: ForecastWords) -> Result<Report, Problem> {
    let state = &call.state;
    let last = last(words.last.as_deref())?;
    let entries = in_force(state);
    let today = queues(entries.iter().map(|(entry, _)| entry), words.name.as_deref());
    let changed = changed(&entries, &words)?.map(|changed| queues(&changed, words.name.as_deref()));
    if today.is_empty() && changed.as_ref().is_none_or(Vec::is_empty) {
        return Err(unknown(words.name.as_deref(), &entries));
    }
    let under_way = || Problem::new(ProblemType::ForecastUnderWay, "a forecast is being made for somebody else");
    let turn = state.forecasts.clone().try_acquire_owned().map_err(|_| under_way())?;
    let known = read(state, today.iter().chain(changed.iter().flatten()), last).await?;
    replay(turn, known, today, changed).await
}

fn last(said: Option<&str>) -> Result<Duration, Problem> {
    let Some(said) = said else { return Ok(LAST_DEFAULT) };
    let read = humantime::parse_duration(said).ok().filter(|last| !last.is_zero() && *last <= LAST_MAX);
    let allowed = || format!("last: found {said:?}, allowed is a duration such as \"24h\", at the most \"7d\"");
    read.ok_or_else(|| Problem::new(ProblemType::InvalidBody, allowed()))
}

/// The entries that are in force, each with whether it is of a deployment.
fn in_force(state: &AppState) -> Vec<(Entry, bool)> {
    let roster = state.roster.borrow().clone();
    let entry = |handle: &Handle| {
        let orders = handle.orders.borrow();
        (!orders.left).then(|| (orders.entry.clone(), orders.deployment.is_some()))
    };
    roster.values().filter_map(entry).collect()
}

/// Those of queues, or the one of this name.
fn queues<'a>(entries: impl IntoIterator<Item = &'a Entry>, name: Option<&str>) -> Configs {
    let queues = entries.into_iter().filter_map(Entry::queue).cloned();
    queues.filter(|config| name.is_none_or(|name| config.name == name)).collect()
}

fn unknown(name: Option<&str>, entries: &[(Entry, bool)]) -> Problem {
    let Some(name) = name else { return Problem::new(ProblemType::UnknownName, "there is no JobConfig of a queue") };
    let names = entries.iter().filter(|(entry, _)| entry.queue().is_some()).map(|(entry, _)| entry.name());
    let detail = format!("there is no JobConfig of a queue {name:?}{}", nearest(name, names));
    Problem::new(ProblemType::UnknownName, detail)
}

/// What would be in force instead; `None` where nothing is to be changed.
fn changed(entries: &[(Entry, bool)], words: &ForecastWords) -> Result<Option<Vec<Entry>>, Problem> {
    let wrong = |problems: Problems| Problem::new(ProblemType::InvalidBody, problems.to_string());
    let set: &Set = &words.set;
    match &words.file {
        None if set.is_empty() => Ok(None),
        None => {
            let entries: Vec<Entry> = entries.iter().map(|(entry, _)| entry.clone()).collect();
            let base = Base { entries: &entries, root: &Map::new() };
            Ok(Some(base.with(set, words.name.as_deref()).map_err(wrong)?.jobs))
        }
        Some(_) if !set.is_empty() => {
            Err(Problem::new(ProblemType::InvalidBody, "file and set: allowed is one of the two"))
        }
        Some(text) => {
            let mut jobs = jobs_file::load("jobs.json", text).map_err(wrong)?.jobs;
            let named: BTreeSet<String> = jobs.iter().map(|entry| entry.name().to_owned()).collect();
            // What deployments have put in force stays, unless jobs.json has the name.
            let of_deployments = entries.iter().filter(|(entry, deployed)| *deployed && !named.contains(entry.name()));
            jobs.extend(of_deployments.map(|(entry, _)| entry.clone()));
            Ok(Some(jobs))
        }
    }
}

/// What is known of the queues of these JobConfigs.
async fn read(
    state: &AppState,
    configs: impl Iterator<Item = &Arc<JobConfig>>,
    last: Duration,
) -> Result<Known, Problem> {
    let (mut names, mut queues) = (BTreeSet::new(), BTreeSet::new());
    for config in configs {
        names.insert(config.name.as_str());
        queues.insert(config.queue_name.clone());
    }
    let away = |why: String| Problem::new(ProblemType::Unavailable, why);
    let remembered = state.history.read(&queues, last).await.map_err(|error| away(with_causes(&error)))?;
    let names: Vec<&str> = names.into_iter().collect();
    let runs = state.shared.stored.run_histories.read(&names, remembered.span).await;
    let runs = runs.map_err(|error| away(with_causes(&error)))?;
    Ok(Known { span: remembered.span, cut: remembered.cut, queues: remembered.queues, runs })
}

/// Replays beside the tasks, and no longer than somebody waits for it. Its turn lasts until it has stopped.
async fn replay(
    turn: OwnedSemaphorePermit,
    known: Known,
    today: Configs,
    changed: Option<Configs>,
) -> Result<Report, Problem> {
    let waits = CancellationToken::new();
    let gone = waits.clone();
    let _waiting = waits.drop_guard();
    let replaying = spawn_blocking(move || {
        let _turn = turn;
        let mut forecast = Forecast::begin(known, today, changed);
        while !forecast.run(MOMENTS) {
            if gone.is_cancelled() {
                return None;
            }
        }
        Some(forecast.report())
    });
    let internal = |why: &str| Problem::new(ProblemType::Internal, why);
    let report = replaying.await.map_err(|_| internal("the forecast has panicked"))?;
    report.ok_or_else(|| internal("nobody waits for the forecast any more"))
}
