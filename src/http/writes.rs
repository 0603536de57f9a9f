//! What can be changed over HTTP: pausing and resuming, and Jobs asked for by hand. Any process takes it; the one that
//! leads is told through Postgres.

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    routing::post,
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    config::entry::Kind,
    http::{
        refusal::{Refused, answered},
        state::AppState,
    },
    store::{
        error::StoreError,
        switches::{RUNS_ASKED_MAX, Saying},
    },
    telemetry::with_causes,
};

/// Bytes of a body: two short sentences.
const BODY_MAX: usize = 16 << 10;

/// Characters of who and why.
const WORDS_MAX: usize = 500;

/// Who says it, and why. Both are kept and shown.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Words {
    pub(super) who: String,
    pub(super) why: String,
    /// Whether the services that this one depends on, or that depend on it, are meant, too.
    pub(super) deps: Option<bool>,
}

/// The JobConfig in the path; `None` means all of them.
type Whom = Option<Path<String>>;

/// The routes that change something, each for one JobConfig and for all.
pub fn router() -> Router<AppState> {
    let pauses = |paused| {
        post(async move |state, whom, headers, body| answered(pause(state, whom, headers, body, paused).await))
    };
    let runs = || post(async |state, whom, headers, body| answered(run(state, whom, headers, body).await));
    Router::new()
        .route("/pause", pauses(true))
        .route("/jobs/{name}/pause", pauses(true))
        .route("/resume", pauses(false))
        .route("/jobs/{name}/resume", pauses(false))
        .route("/run", runs())
        .route("/jobs/{name}/run", runs())
}

async fn pause(
    State(state): State<AppState>,
    whom: Whom,
    headers: HeaderMap,
    body: Body,
    paused: bool,
) -> Result<(StatusCode, Value), Refused> {
    let Words { who, why, .. } = &words(&state, &headers, body, false).await?;
    let name = whom.as_ref().map(|Path(name)| name.as_str());
    let file_paused = name.map_or(Ok(false), |name| in_file(&state, name))?;
    let saying = Saying { paused, file_paused, who, why };
    state.shared.stored.switches.say(name, saying).await.map_err(|error| unwritten(&error))?;
    tracing::info!(job_config = name.unwrap_or("all"), who, why, "{}", if paused { "paused" } else { "resumed" });
    state.shared.hints.own().notify_one();
    Ok((StatusCode::OK, json!({ "name": name, "paused": paused, "who": who, "why": why })))
}

async fn run(
    State(state): State<AppState>,
    whom: Whom,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Value), Refused> {
    let Words { who, why, .. } = &words(&state, &headers, body, false).await?;
    let names: Vec<String> = match whom {
        Some(Path(name)) => in_file(&state, &name).map(|_| vec![name])?,
        None => state.roster.borrow().keys().filter(|name| in_file(&state, name).is_ok()).cloned().collect(),
    };
    let asked = state.shared.stored.switches.ask_runs(&names, (who, why)).await.map_err(|error| unwritten(&error))?;
    if asked == 0 {
        let text = format!("{RUNS_ASKED_MAX} Jobs were asked for by hand and wait for room already");
        return Err((StatusCode::TOO_MANY_REQUESTS, text));
    }
    tracing::info!(job_configs = ?names, who, why, "a Job was asked for by hand");
    state.shared.hints.own().notify_one();
    Ok((StatusCode::ACCEPTED, json!({ "asked": asked })))
}

/// Admits whoever asks, then reads what they say: nobody else's body is read.
pub(super) async fn words(
    state: &AppState,
    headers: &HeaderMap,
    body: Body,
    of_service: bool,
) -> Result<Words, Refused> {
    state.tokens.admit(headers).await?;
    let too_large = || (StatusCode::PAYLOAD_TOO_LARGE, format!("the body may have {BODY_MAX} bytes at the most"));
    let bytes = to_bytes(body, BODY_MAX).await.map_err(|_| too_large())?;
    let wrong =
        |what: &str| (StatusCode::BAD_REQUEST, format!("{what}; allowed is {{\"who\": \"…\", \"why\": \"…\"}}"));
    let words: Words = match bytes.trim_ascii() {
        b"" => Words::default(),
        text => serde_json::from_slice(text).map_err(|error| wrong(&format!("the body can't be read: {error}")))?,
    };
    let fits = |text: &String| text.chars().count() <= WORDS_MAX && !text.chars().any(char::is_control);
    if words.deps.is_some() && !of_service {
        return Err(wrong("\"deps\" is for services"));
    }
    if [&words.who, &words.why].into_iter().all(fits) {
        Ok(words)
    } else {
        Err(wrong(&format!("\"who\" and \"why\" have at most {WORDS_MAX} characters, all printable")))
    }
}

/// Whether jobs.json, which has to have it, has the JobConfig paused.
fn in_file(state: &AppState, name: &str) -> Result<bool, Refused> {
    let handle = state.handle(Kind::Queue, name)?;
    if handle.orders.borrow().left {
        return Err((StatusCode::CONFLICT, format!("\"{name}\" has left jobs.json and only drains")));
    }
    Ok(handle.entry().queue().is_some_and(|queue| queue.paused))
}

pub(super) fn unwritten(error: &StoreError) -> Refused {
    let text = format!("Postgres did not take it, nothing has changed; try again: {}", with_causes(error));
    (StatusCode::SERVICE_UNAVAILABLE, text)
}
