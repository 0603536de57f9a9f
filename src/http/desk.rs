//! What the routes answer from, and how they refuse.

use std::sync::Arc;

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header::WWW_AUTHENTICATE},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::{
    actors::{
        leader::Standing,
        monitor::Totals,
        performer::Shared,
        supervisor::{Handle, Roster},
    },
    config::{entry::Kind, problems::nearest},
    http::token::Tokens,
};

/// Why somebody gets no answer: the code, and what to do about it.
pub type Refused = (StatusCode, String);

/// What the routes answer from.
#[derive(Clone)]
pub struct Desk {
    /// This process among those of its Instance.
    pub me: Arc<str>,
    /// Whether it leads.
    pub standing: watch::Receiver<Standing>,
    /// The JobConfigs.
    pub roster: watch::Receiver<Arc<Roster>>,
    /// The totals of the queues.
    pub totals: watch::Receiver<Totals>,
    /// Who may switch.
    pub tokens: Tokens,
    /// What the actors share: the time, what is counted, what works, and who is told of a switch.
    pub shared: Arc<Shared>,
}

impl Desk {
    /// This process leads.
    pub fn leads(&self) -> bool {
        self.standing.borrow().term.is_some()
    }

    /// Where to find a JobConfig of a type.
    ///
    /// # Errors
    /// 404 with the nearest name.
    pub fn handle(&self, kind: Kind, name: &str) -> Result<Handle, Refused> {
        let roster = self.roster.borrow();
        let found = roster.get(name).filter(|handle| handle.entry().kind() == kind);
        found.cloned().ok_or_else(|| {
            let of_kind = roster.iter().filter(|(_, handle)| handle.entry().kind() == kind);
            let hint = nearest(name, of_kind.map(|(name, _)| name.as_str()));
            let what = match kind {
                Kind::Queue => "JobConfig of a queue",
                Kind::Service => "service",
            };
            (StatusCode::NOT_FOUND, format!("there is no {what} \"{name}\"{hint}"))
        })
    }
}

/// An answer, or why there is none.
pub fn answered(result: Result<(StatusCode, Value), Refused>) -> Response {
    match result {
        Ok((code, told)) => (code, Json(told)).into_response(),
        Err((code, error)) => {
            let mut response = (code, Json(json!({ "error": error }))).into_response();
            if code == StatusCode::UNAUTHORIZED {
                response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            response
        }
    }
}
