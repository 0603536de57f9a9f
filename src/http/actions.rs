//! The actions of services: how they stand, and that one is asked for.

use std::time::Duration;

use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    config::{entry::Kind, problems::nearest, service_config::ServiceConfig},
    decide::{outcome::Outcome, service::actions::ActionStatus, switches::Asked},
    http::{
        problem::{Problem, ProblemType},
        route::{Call, Page, Route},
        writes::{CHANGE_PROBLEMS, Words, checked, unwritten},
    },
    store::switches::RUNS_ASKED_MAX,
};

/// One action of a service.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Action")]
pub(super) struct ActionView {
    name: String,
    /// How often it runs by itself, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    every_seconds: Option<f64>,
    /// A Job of it lives.
    running: bool,
    /// How often it was asked for by hand and has not begun.
    waiting: u64,
    /// When it began last; absent where it never did, or this process does not lead.
    #[serde(skip_serializing_if = "Option::is_none")]
    begun_seconds_ago: Option<f64>,
    /// How it ended last; absent where this process has not seen it.
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<Outcome>,
    /// Who asked last.
    #[serde(skip_serializing_if = "Option::is_none")]
    asked: Option<Asked>,
}

impl ActionView {
    /// An action as its service tells of it.
    pub(super) fn of(status: ActionStatus, asked: Option<&Asked>, now: Duration) -> Self {
        Self {
            every_seconds: status.every.map(|every| every.as_secs_f64()),
            running: status.running,
            waiting: status.waiting,
            begun_seconds_ago: status.begun_at.map(|at| now.saturating_sub(at).as_secs_f64()),
            last: status.last,
            asked: asked.cloned(),
            name: status.name,
        }
    }

    /// What is the same in two views that differ by the passing of time alone.
    pub(super) fn timeless(self) -> Self {
        Self { begun_seconds_ago: self.begun_seconds_ago.map(|_| 0.0), ..self }
    }
}

/// The actions of an entry, of which nobody here knows more.
pub(super) fn unknown(config: &ServiceConfig) -> Vec<ActionStatus> {
    let status = |(name, action): (&String, &crate::config::one_off_config::ActionConfig)| ActionStatus {
        name: name.clone(),
        every: action.every,
        running: false,
        waiting: 0,
        begun_at: None,
        last: None,
    };
    config.actions.iter().map(status).collect()
}

/// What was asked for.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ActionAsked")]
struct ActionAsked {
    service: String,
    action: String,
    who: String,
    why: String,
}

impl Page for ActionAsked {
    const CODES: &[StatusCode] = &[StatusCode::ACCEPTED];

    fn code(&self) -> StatusCode {
        StatusCode::ACCEPTED
    }
}

/// The route that asks for one.
pub(super) fn routes() -> Vec<Route> {
    let summary = "A Job for this action, as soon as none of it runs";
    vec![Route::post("/services/{name}/actions/{action}", summary, act).or(CHANGE_PROBLEMS)]
}

async fn act(call: Call, words: Words) -> Result<ActionAsked, Problem> {
    let Words { who, why } = words;
    checked(&who, &why)?;
    let (state, service) = (&call.state, call.name().to_owned());
    let action = call.action.clone().unwrap_or_default();
    let handle = state.handle(Kind::Service, &service)?;
    if handle.orders.borrow().left {
        return Err(Problem::new(ProblemType::Conflict, format!("{service:?} has left jobs.json and only drains")));
    }
    let entry = handle.entry();
    let known = entry.service().filter(|config| config.actions.contains_key(&action));
    if known.is_none() {
        let names =
            entry.service().map(|config| config.actions.keys().cloned().collect::<Vec<_>>()).unwrap_or_default();
        let hint = nearest(&action, names.iter().map(String::as_str));
        let text = format!("the service {service:?} has no action {action:?}{hint}");
        return Err(Problem::new(ProblemType::UnknownName, text));
    }
    let asked = state.shared.stored.switches.ask_action(&service, &action, (&who, &why)).await;
    if !asked.map_err(|error| unwritten(&error))? {
        let text = format!("{RUNS_ASKED_MAX} of this action were asked for by hand and wait already");
        return Err(Problem::new(ProblemType::TooManyAsked, text));
    }
    tracing::info!(service, action, who, why, "an action was asked for by hand");
    state.shared.hints.own().notify_one();
    Ok(ActionAsked { service, action, who, why })
}
