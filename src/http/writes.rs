//! What can be changed over HTTP: pausing and resuming, and Jobs asked for by hand. Any process takes it; the one that
//! leads is told through Postgres.

use axum::{
    Json, Router,
    body::{Body, to_bytes},
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header::WWW_AUTHENTICATE},
    response::{IntoResponse, Response},
    routing::post,
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    config::problems::nearest,
    http::{desk::Desk, token::Refused},
    store::{
        runs::StoreError,
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
struct Words {
    who: String,
    why: String,
}

/// The routes that change something.
pub fn router() -> Router<Desk> {
    Router::new()
        .route("/pause", post(async |desk, headers, body| answered(pause_all(desk, headers, body, true).await)))
        .route("/resume", post(async |desk, headers, body| answered(pause_all(desk, headers, body, false).await)))
        .route("/run", post(async |desk, headers, body| answered(run_all(desk, headers, body).await)))
        .route(
            "/jobs/{name}/pause",
            post(async |desk, name, headers, body| answered(pause(desk, name, headers, body, true).await)),
        )
        .route(
            "/jobs/{name}/resume",
            post(async |desk, name, headers, body| answered(pause(desk, name, headers, body, false).await)),
        )
        .route(
            "/jobs/{name}/run",
            post(async |desk, name, headers, body| answered(run(desk, name, headers, body).await)),
        )
}

fn answered(result: Result<(StatusCode, Value), Refused>) -> Response {
    match result {
        Ok((code, told)) => (code, Json(told)).into_response(),
        Err((code, error)) => {
            let mut response = (code, Json(json!({ "error": error }))).into_response();
            if code == StatusCode::UNAUTHORIZED {
                response.headers_mut().insert(WWW_AUTHENTICATE, "Bearer".parse().expect("a header"));
            }
            response
        }
    }
}

async fn pause_all(
    State(desk): State<Desk>,
    headers: HeaderMap,
    body: Body,
    paused: bool,
) -> Result<(StatusCode, Value), Refused> {
    let words = words(&desk, &headers, body).await?;
    say(&desk, None, paused, false, &words).await
}

async fn pause(
    State(desk): State<Desk>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Body,
    paused: bool,
) -> Result<(StatusCode, Value), Refused> {
    let words = words(&desk, &headers, body).await?;
    let file_paused = known(&desk, &name)?;
    say(&desk, Some(&name), paused, file_paused, &words).await
}

async fn say(
    desk: &Desk,
    name: Option<&str>,
    paused: bool,
    file_paused: bool,
    Words { who, why }: &Words,
) -> Result<(StatusCode, Value), Refused> {
    desk.shared
        .stored
        .switches
        .say(name, Saying { paused, file_paused, who, why })
        .await
        .map_err(|error| unwritten(&error))?;
    tracing::info!(job_config = name.unwrap_or("all"), who, why, "{}", if paused { "paused" } else { "resumed" });
    desk.shared.hints.own().notify_one();
    Ok((StatusCode::OK, json!({ "name": name, "paused": paused, "who": who, "why": why })))
}

async fn run_all(State(desk): State<Desk>, headers: HeaderMap, body: Body) -> Result<(StatusCode, Value), Refused> {
    let words = words(&desk, &headers, body).await?;
    let in_file = |desk: &Desk| {
        let roster = desk.roster.borrow();
        roster
            .iter()
            .filter(|(_, handle)| !handle.orders.borrow().left)
            .map(|(name, _)| name.clone())
            .collect::<Vec<_>>()
    };
    ask(&desk, &in_file(&desk), &words).await
}

async fn run(
    State(desk): State<Desk>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Value), Refused> {
    let words = words(&desk, &headers, body).await?;
    known(&desk, &name)?;
    ask(&desk, &[name], &words).await
}

async fn ask(desk: &Desk, names: &[String], Words { who, why }: &Words) -> Result<(StatusCode, Value), Refused> {
    let asked = desk.shared.stored.switches.ask_runs(names).await.map_err(|error| unwritten(&error))?;
    if asked == 0 {
        let text = format!("{RUNS_ASKED_MAX} Jobs were asked for by hand and wait for room already");
        return Err((StatusCode::TOO_MANY_REQUESTS, text));
    }
    tracing::info!(job_configs = ?names, who, why, "a Job was asked for by hand");
    desk.shared.hints.own().notify_one();
    Ok((StatusCode::ACCEPTED, json!({ "asked": asked })))
}

/// Admits whoever asks, then reads what they say: nobody else's body is read.
async fn words(desk: &Desk, headers: &HeaderMap, body: Body) -> Result<Words, Refused> {
    desk.tokens.admit(headers).await?;
    let too_large = || (StatusCode::PAYLOAD_TOO_LARGE, format!("the body may have {BODY_MAX} bytes at the most"));
    let bytes = to_bytes(body, BODY_MAX).await.map_err(|_| too_large())?;
    let wrong =
        |what: &str| (StatusCode::BAD_REQUEST, format!("{what}; allowed is {{\"who\": \"…\", \"why\": \"…\"}}"));
    let words: Words = match bytes.trim_ascii() {
        b"" => Words::default(),
        text => serde_json::from_slice(text).map_err(|error| wrong(&format!("the body can't be read: {error}")))?,
    };
    let fits = |text: &String| text.chars().count() <= WORDS_MAX && !text.chars().any(char::is_control);
    if [&words.who, &words.why].into_iter().all(fits) {
        Ok(words)
    } else {
        Err(wrong(&format!("\"who\" and \"why\" have at most {WORDS_MAX} characters, all printable")))
    }
}

/// Whether jobs.json has the JobConfig paused.
fn known(desk: &Desk, name: &str) -> Result<bool, Refused> {
    let roster = desk.roster.borrow();
    let Some(handle) = roster.get(name) else {
        let hint = nearest(name, roster.keys().map(String::as_str));
        return Err((StatusCode::NOT_FOUND, format!("there is no JobConfig \"{name}\"{hint}")));
    };
    let orders = handle.orders.borrow();
    if orders.left {
        return Err((StatusCode::CONFLICT, format!("\"{name}\" has left jobs.json and only drains")));
    }
    Ok(orders.config.paused)
}

fn unwritten(error: &StoreError) -> Refused {
    let text = format!("Postgres did not take it, nothing has changed; try again: {}", with_causes(error));
    (StatusCode::SERVICE_UNAVAILABLE, text)
}
