//! What can be changed of queues over HTTP: pausing and resuming, and Jobs asked for by hand. Any process takes it; the
//! one that leads is told through Postgres.

use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    config::entry::Kind,
    http::{
        problem::{Problem, ProblemType},
        route::{Call, Page, Route, Sent},
        state::AppState,
    },
    store::{
        error::StoreError,
        switches::{RUNS_ASKED_MAX, Saying},
    },
    telemetry::with_causes,
};

/// Characters of who and why.
const WORDS_MAX: usize = 500;

/// Refusals of whatever changes something.
pub(super) const CHANGE_PROBLEMS: &[ProblemType] = &[
    ProblemType::InvalidPath,
    ProblemType::InvalidBody,
    ProblemType::UnknownName,
    ProblemType::BodyTooSlow,
    ProblemType::Conflict,
    ProblemType::BodyTooLarge,
    ProblemType::UnsupportedContent,
    ProblemType::TooManyAsked,
    ProblemType::Unavailable,
];

/// Who says it, and why; both are kept and shown.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Words {
    #[schemars(length(max = 500))]
    pub(super) who: String,
    #[schemars(length(max = 500))]
    pub(super) why: String,
}

/// What was said.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct PauseTold {
    /// Of which JobConfig; null means all of them.
    name: Option<String>,
    paused: bool,
    who: String,
    why: String,
}

/// What was asked for.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct RunsAsked {
    /// Jobs that will be created as soon as there is room for them.
    asked: u64,
}

impl Sent for Words {}

impl Page for PauseTold {}

impl Page for RunsAsked {
    const CODES: &[StatusCode] = &[StatusCode::ACCEPTED];

    fn code(&self) -> StatusCode {
        StatusCode::ACCEPTED
    }
}

/// The routes that change something of queues, each for one JobConfig and for all.
pub(super) fn routes() -> Vec<Route> {
    let pauses = |path, summary, paused| {
        Route::post(path, summary, move |call, words| pause(call, words, paused)).or(CHANGE_PROBLEMS)
    };
    let runs = |path, summary| Route::post(path, summary, run).or(CHANGE_PROBLEMS);
    vec![
        pauses("/pause", "Nothing is created for any queue", true),
        pauses("/jobs/{name}/pause", "Nothing is created for it, until somebody says resume", true),
        pauses("/resume", "Each queue is as it was before all were paused", false),
        pauses("/jobs/{name}/resume", "Jobs are created for it again", false),
        runs("/run", "A Job for each queue, messages or not"),
        runs("/jobs/{name}/run", "A Job for it, messages or not"),
    ]
}

pub(super) async fn pause(call: Call, words: Words, paused: bool) -> Result<PauseTold, Problem> {
    let Words { who, why } = words;
    checked(&who, &why)?;
    let (state, name) = (&call.state, call.name.clone());
    let file_paused = name.as_deref().map_or(Ok(false), |name| in_file(state, name))?;
    let saying = Saying { paused, file_paused, who: &who, why: &why };
    state.shared.stored.switches.say(name.as_deref(), saying).await.map_err(|error| unwritten(&error))?;
    let job_config = name.as_deref().unwrap_or("all");
    tracing::info!(job_config, who, why, "{}", if paused { "paused" } else { "resumed" });
    state.shared.hints.own().notify_one();
    Ok(PauseTold { name, paused, who, why })
}

pub(super) async fn run(call: Call, words: Words) -> Result<RunsAsked, Problem> {
    let Words { who, why } = words;
    checked(&who, &why)?;
    let state = &call.state;
    let names: Vec<String> = match call.name {
        Some(name) => in_file(state, &name).map(|_| vec![name])?,
        None => {
            // Not borrowed meanwhile: whoever is asked about borrows it, too.
            let roster = state.roster.borrow().clone();
            roster.keys().filter(|name| in_file(state, name).is_ok()).map(ToString::to_string).collect()
        }
    };
    let asked = state.shared.stored.switches.ask_runs(&names, (&who, &why)).await.map_err(|error| unwritten(&error))?;
    if asked == 0 {
        let text = format!("{RUNS_ASKED_MAX} Jobs were asked for by hand and wait for room already");
        return Err(Problem::new(ProblemType::TooManyAsked, text));
    }
    tracing::info!(job_configs = ?names, who, why, "a Job was asked for by hand");
    state.shared.hints.own().notify_one();
    Ok(RunsAsked { asked })
}

/// Words that can be kept and shown.
pub(super) fn checked(who: &str, why: &str) -> Result<(), Problem> {
    let fits = |text: &&str| text.chars().count() <= WORDS_MAX && !text.chars().any(char::is_control);
    let text =
        format!("allowed is {{\"who\": \"…\", \"why\": \"…\"}}, each of at most {WORDS_MAX} characters, all printable");
    if [who, why].iter().all(fits) { Ok(()) } else { Err(Problem::new(ProblemType::InvalidBody, text)) }
}

/// Whether jobs.json, which has to have it, has the JobConfig paused.
fn in_file(state: &AppState, name: &str) -> Result<bool, Problem> {
    let handle = state.handle(Kind::Queue, name)?;
    if handle.orders.borrow().left {
        return Err(Problem::new(ProblemType::Conflict, format!("{name:?} has left jobs.json and only drains")));
    }
    Ok(handle.entry().queue().is_some_and(|queue| queue.paused))
}

pub(super) fn unwritten(error: &StoreError) -> Problem {
    let text = format!("Postgres did not take it, nothing has changed; try again: {}", with_causes(error));
    Problem::new(ProblemType::Unavailable, text)
}
