//! What another configuration would have done with the messages that pg-boss remembers. Any process answers; nothing is
//! changed.

use std::{collections::BTreeSet, time::Duration};

use schemars::JsonSchema;
use serde::Deserialize;
use tokio::{sync::OwnedSemaphorePermit, task::spawn_blocking};
use tokio_util::sync::CancellationToken;

use crate::{
    config::{
        entry::Entry,
        jobs_file::{self, JobsFile},
        problems::{Problems, nearest},
        sharing::Sharing,
        what_if::{Base, Set},
    },
    decide::forecast::{
        history::Known,
        report::{Configs, Report},
        scenario::{Configuration, Forecast},
    },
    http::{
        problem::{Problem, ProblemType},
        route::{Call, Page, Route, Sent},
        state::AppState,
    },
    pgboss::history::Remembered,
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
    set: Set,
    /// Another jobs.json, whole, in place of `set`.
    file: Option<String>,
}

impl Sent for ForecastWords {
    const BYTES_MAX: usize = BYTES_MAX;
    const ANSWER_WAIT: Duration = FORECAST_WAIT;
    const TOO_SLOW: &'static str = ": name one JobConfig, or look back for a shorter time";
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
    let turn = state.forecasts.clone().try_acquire_owned().map_err(|_| under_way())?;
    let in_force = InForce::of(state);
    // Whoever gives up leaves it to its end, and with it the turn.
    let judged = spawn_blocking(move || (turn, Asked::of(in_force, words)));
    let (turn, asked) = judged.await.map_err(|_| internal("what was asked could not be judged"))?;
    let asked = asked?;
    let known = read(state, &asked, last).await?;
    replay(turn, known, asked).await
}

fn under_way() -> Problem {
    let detail = "a forecast is being made for somebody else: ask again in a few seconds";
    Problem::new(ProblemType::ForecastUnderWay, detail)
}

fn internal(why: &str) -> Problem {
    Problem::new(ProblemType::Internal, why)
}

fn last(said: Option<&str>) -> Result<Duration, Problem> {
    let Some(said) = said else { return Ok(LAST_DEFAULT) };
    let read = humantime::parse_duration(said).ok().filter(|last| !last.is_zero() && *last <= LAST_MAX);
    let allowed = || format!("last: found {said:?}, allowed is a duration such as \"24h\", at the most \"7d\"");
    read.ok_or_else(|| Problem::new(ProblemType::InvalidBody, allowed()))
}

/// What is in force.
#[derive(Default)]
struct InForce {
    configuration: Configuration,
    /// Names of the entries that are of deployments.
    of_deployments: BTreeSet<String>,
    /// Names of those that people have paused or resumed, other than their entries say.
    switched: BTreeSet<String>,
}

impl InForce {
    fn of(state: &AppState) -> Self {
        let roster = state.roster.borrow().clone();
        let mut found = Self::default();
        for handle in roster.values() {
            let orders = handle.orders.borrow();
            let name = || orders.entry.name().to_owned();
            found.of_deployments.extend(orders.deployment.is_some().then(name));
            let queue = orders.entry.queue();
            let is_switched = queue.is_some_and(|config| config.paused != orders.is_paused());
            found.switched.extend(is_switched.then(name));
            found.configuration.entries.extend((!orders.left).then(|| orders.entry.clone()));
        }
        found.configuration.sharing = Sharing::clone(&state.in_file.borrow().sharing);
        found
    }
}

/// What is asked, once it is judged: the configurations that are compared.
struct Asked {
    /// The one JobConfig that it is about.
    name: Option<String>,
    today: Configuration,
    changed: Option<Configuration>,
    switched: BTreeSet<String>,
}

impl Asked {
    /// What it takes a loader for, and seconds of a core where it is large.
    fn of(in_force: InForce, words: ForecastWords) -> Result<Self, Problem> {
        let changed = changed(&in_force, &words)?;
        let InForce { configuration: today, switched, .. } = in_force;
        let Some(name) = words.name else { return Ok(Self { name: None, today, changed, switched }) };
        known(&name, today.entries.iter().chain(changed.iter().flat_map(|it| &it.entries)))?;
        let (today, changed) = (today.about(&name), changed.map(|changed| changed.about(&name)));
        Ok(Self { name: Some(name), today, changed, switched })
    }
}

/// There is a queue of this name.
fn known<'a>(name: &str, entries: impl Iterator<Item = &'a Entry>) -> Result<(), Problem> {
    let names: BTreeSet<&str> = entries.filter(|entry| entry.queue().is_some()).map(Entry::name).collect();
    if names.contains(name) {
        return Ok(());
    }
    let detail = format!("there is no JobConfig of a queue {name:?}{}", nearest(name, names));
    Err(Problem::new(ProblemType::UnknownName, detail))
}

/// What would be in force instead; `None` where nothing is to be changed.
fn changed(
    InForce { configuration: in_force, of_deployments, .. }: &InForce,
    words: &ForecastWords,
) -> Result<Option<Configuration>, Problem> {
    let wrong = |problems: Problems| Problem::new(ProblemType::InvalidBody, problems.to_string());
    let of = |file: JobsFile| Configuration { entries: file.jobs, sharing: file.sharing };
    match &words.file {
        None if words.set.is_empty() => Ok(None),
        None => {
            let base = Base { entries: &in_force.entries, sharing: &in_force.sharing };
            base.with(&words.set, words.name.as_deref()).map(|file| Some(of(file))).map_err(wrong)
        }
        Some(_) if !words.set.is_empty() => {
            Err(Problem::new(ProblemType::InvalidBody, "file and set: allowed is one of the two"))
        }
        Some(text) if text.len() as u64 > jobs_file::BYTES_MAX => {
            let detail = format!("file: found {} bytes, allowed are {}", text.len(), jobs_file::BYTES_MAX);
            Err(Problem::new(ProblemType::InvalidBody, detail))
        }
        Some(text) => {
            let mut changed = of(jobs_file::load("jobs.json", text).map_err(wrong)?);
            let named: BTreeSet<String> = changed.entries.iter().map(|entry| entry.name().to_owned()).collect();
            // What deployments have put in force stays, unless jobs.json has the name.
            let stays = |entry: &&Entry| of_deployments.contains(entry.name()) && !named.contains(entry.name());
            changed.entries.extend(in_force.entries.iter().filter(stays).cloned());
            Ok(Some(changed))
        }
    }
}

/// What is known of the queues of these configurations.
async fn read(state: &AppState, asked: &Asked, last: Duration) -> Result<Known, Problem> {
    let all = std::iter::once(&asked.today).chain(&asked.changed);
    let configs: Configs = all.flat_map(Configuration::configs).collect();
    let queues: BTreeSet<String> = configs.iter().map(|config| config.queue_name.to_string()).collect();
    let names: BTreeSet<&str> = configs.iter().map(|config| &*config.name).collect();
    let names: Vec<&str> = names.into_iter().collect();
    let away = |why: String| Problem::new(ProblemType::Unavailable, why);
    let remembered = state.history.read(&queues, last).await.map_err(|error| away(with_causes(&error)))?;
    let runs = state.shared.stored.run_histories.read(&names, remembered.span).await;
    let runs = runs.map_err(|error| away(with_causes(&error)))?;
    let Remembered { span, cut, queues } = remembered;
    Ok(Known { span, cut, queues, runs, switched: asked.switched.clone() })
}

/// Replays beside the tasks, and no longer than somebody waits for it. Its turn lasts until it has stopped.
async fn replay(turn: OwnedSemaphorePermit, known: Known, asked: Asked) -> Result<Report, Problem> {
    let waits = CancellationToken::new();
    let gone = waits.clone();
    let _waiting = waits.drop_guard();
    let replaying = spawn_blocking(move || {
        let _turn = turn;
        let mut forecast = Forecast::begin(known, &asked.today, asked.changed.as_ref());
        while !forecast.run(MOMENTS) {
            if gone.is_cancelled() {
                return None;
            }
        }
        Some(forecast.report(asked.name.as_deref()))
    });
    let report = replaying.await.map_err(|_| internal("the forecast has panicked"))?;
    report.ok_or_else(|| internal("nobody waits for the forecast any more"))
}
