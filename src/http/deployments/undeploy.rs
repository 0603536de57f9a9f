//! `DELETE /deployment/{name}`: written down at once, then waited for, for a while.

use std::time::Duration;

use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    decide::deployment::record::{DeployedObject, Deployment},
    http::{
        deployments::{
            deploy::{follow, see, written_meanwhile},
            words::{self, RemovalWords, wait},
        },
        problem::Problem,
        route::{Call, Page, Sent},
        writes::checked,
    },
};

/// What has become of a removal so far.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "RemovalAnswer")]
pub(super) struct RemovalAnswer {
    /// The deployment.
    deployment: String,
    /// Nothing is left of it.
    removed: bool,
    /// The objects that are still there.
    left: Vec<String>,
    errors: Vec<String>,
    /// Where to look, while not everything is done.
    #[serde(skip_serializing_if = "Option::is_none")]
    see: Option<String>,
    #[serde(skip)]
    code: StatusCode,
}

impl Sent for RemovalWords {
    const ANSWER_WAIT: Duration = words::ANSWER_WAIT;
    const ALLOWED: &'static str = "{\"waitSeconds\": 20, \"who\": \"…\", \"why\": \"…\"}";
}

impl Page for RemovalAnswer {
    const CODES: &[StatusCode] = &[StatusCode::OK, StatusCode::ACCEPTED, StatusCode::BAD_GATEWAY];

    fn code(&self) -> StatusCode {
        self.code
    }
}

pub(super) async fn undeploy(call: Call, words: RemovalWords) -> Result<RemovalAnswer, Problem> {
    let RemovalWords { wait_seconds, who, why } = words;
    checked(&who, &why)?;
    let (state, name) = (&call.state, call.name());
    let volumes: Vec<String> = call
        .asked("volumes")
        .flat_map(|names| names.split(',').map(|name| name.trim().to_owned()).collect::<Vec<_>>())
        .filter(|name| !name.is_empty())
        .collect();
    let revision = state.desk.write_gone(name, &volumes, (&who, &why)).await?;
    tracing::info!(deployment = name, revision, ?volumes, who, why, "a deployment is to be removed");
    state.shared.hints.own().notify_one();
    let is_done = |found: &Option<Deployment>| match found {
        Some(found) => found.revision != revision || !errors(found).is_empty(),
        None => true,
    };
    match follow(state, name, wait(wait_seconds), is_done).await {
        Some(None) => Ok(RemovalAnswer::of(name, None)),
        Some(Some(found)) if found.revision != revision => Err(written_meanwhile(name)),
        seen => Ok(RemovalAnswer { see: Some(see(name)), ..RemovalAnswer::of(name, Some(seen.flatten().as_ref())) }),
    }
}

fn errors(found: &Deployment) -> Vec<String> {
    found.objects.iter().filter_map(DeployedObject::error).collect()
}

impl RemovalAnswer {
    /// Of what is there yet; of a deployment of which nothing is left, nothing.
    fn of(name: &str, there: Option<Option<&Deployment>>) -> Self {
        let found = there.flatten();
        let errors = found.map(errors).unwrap_or_default();
        let left = found.into_iter().flat_map(|it| &it.objects).map(|it| it.object.id.to_string()).collect();
        let code = match (there, errors.is_empty()) {
            (None, _) => StatusCode::OK,
            (Some(_), true) => StatusCode::ACCEPTED,
            (Some(_), false) => StatusCode::BAD_GATEWAY,
        };
        Self { deployment: name.to_owned(), removed: there.is_none(), left, errors, see: None, code }
    }
}
