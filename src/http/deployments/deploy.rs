//! `POST /deployment`: written down at once, then waited for, for a while.

use std::time::Duration;

use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    clock::sleep,
    decide::deployment::record::{DeployedObject, Deployment, DeploymentState},
    http::{
        deployments::{
            desk::Prepared,
            is_over,
            words::{self, DeploymentWords, wait},
        },
        problem::{Problem, ProblemType},
        route::{Call, Page, Sent},
        state::AppState,
        writes::checked,
    },
};

/// Between two looks at how far it is: those who wait are few, and a row is read by its key.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What has become of a deployment so far.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "DeploymentAnswer")]
pub(super) struct DeploymentAnswer {
    deployment: Written,
    dependencies: Applied,
    modules: Applied,
    /// Where to look, while not everything is done.
    #[serde(skip_serializing_if = "Option::is_none")]
    see: Option<String>,
    #[serde(skip)]
    code: StatusCode,
}

/// What was written.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "WrittenDeployment")]
struct Written {
    name: String,
    module: String,
    version: String,
    revision: i64,
    /// `applying`, `settled`, `failed` or `drifted`.
    state: &'static str,
}

/// What has become of objects.
#[derive(Debug, Default, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "AppliedObjects")]
struct Applied {
    /// Such as `Secret/cache created`, also `configured`, `replaced` and `unchanged`.
    results: Vec<String>,
    errors: Vec<String>,
}

impl Sent for DeploymentWords {
    const BYTES_MAX: usize = words::BYTES_MAX;
    const ANSWER_WAIT: Duration = words::ANSWER_WAIT;
    const ALLOWED: &'static str = "{\"module\": \"redis\", \"name\": …, \"version\": …, \"config\": {…}, \"force\": …, \
        \"reconcile\": …, \"waitSeconds\": …, \"who\": …, \"why\": …}";
}

impl Page for DeploymentAnswer {
    const CODES: &[StatusCode] = &[StatusCode::OK, StatusCode::ACCEPTED, StatusCode::BAD_GATEWAY];

    fn code(&self) -> StatusCode {
        self.code
    }
}

pub(super) async fn deploy(call: Call, words: DeploymentWords) -> Result<DeploymentAnswer, Problem> {
    checked(&words.who, &words.why)?;
    let (state, within) = (&call.state, wait(words.wait_seconds));
    let Prepared { new, .. } = state.desk.prepare(words, &state.shared.instance.namespace).await?;
    // Before the API server is asked about each object: most refusals need it not.
    let snapshot = state.desk.snapshot().await?;
    state.desk.against(&new, &snapshot.deployments)?;
    state.desk.admit(&new, &state.shared.instance.uid).await?;
    let revision = state.desk.write(&new).await?;
    let (name, module, version) = (new.name, new.module, new.version);
    tracing::info!(deployment = name, module, version, revision, who = new.who, why = new.why, "deployed");
    state.shared.hints.own().notify_one();
    let is_done = |found: &Option<Deployment>| match found {
        Some(found) => found.revision != revision || is_over(found),
        None => true,
    };
    match follow(state, &name, within, is_done).await {
        Some(Some(found)) if found.revision == revision => Ok(DeploymentAnswer::of(&found)),
        Some(_) => Err(written_meanwhile(&name)),
        None => {
            let written = Written { name, module, version, revision, state: DeploymentState::Applying.as_str() };
            Ok(DeploymentAnswer::unfinished(written))
        }
    }
}

/// Looks at a deployment until something is so, or the time is over; tells how it was seen last, if it was.
pub(super) async fn follow(
    state: &AppState,
    name: &str,
    within: Duration,
    is_done: impl Fn(&Option<Deployment>) -> bool,
) -> Option<Option<Deployment>> {
    let clock = state.shared.clock;
    let until = clock.now().saturating_add(within);
    let place = state.desk.followers().try_acquire().ok();
    let mut seen = None;
    loop {
        match state.shared.stored.deployments.one(name).await {
            Ok(found) => seen = Some(found),
            Err(error) => tracing::debug!(%error, deployment = name, "it can't be looked at; trying again"),
        }
        if seen.as_ref().is_some_and(&is_done) || place.is_none() || clock.now().saturating_add(LOOK_EVERY) > until {
            return seen;
        }
        sleep(LOOK_EVERY).await;
    }
}

impl DeploymentAnswer {
    fn of(found: &Deployment) -> Self {
        let state = found.state();
        let code = match state {
            DeploymentState::Failed => StatusCode::BAD_GATEWAY,
            DeploymentState::Applying | DeploymentState::Removing => StatusCode::ACCEPTED,
            DeploymentState::Settled | DeploymentState::Drifted => StatusCode::OK,
        };
        Self {
            deployment: Written {
                name: found.name.clone(),
                module: found.module.clone(),
                version: found.version.clone(),
                revision: found.revision,
                state: state.as_str(),
            },
            dependencies: Applied::of(found.objects.iter().filter(|it| it.dependency)),
            modules: Applied::of(found.objects.iter().filter(|it| !it.dependency)),
            see: (code != StatusCode::OK).then(|| see(&found.name)),
            code,
        }
    }

    fn unfinished(deployment: Written) -> Self {
        let see = Some(see(&deployment.name));
        let (dependencies, modules) = (Applied::default(), Applied::default());
        Self { deployment, dependencies, modules, see, code: StatusCode::ACCEPTED }
    }
}

/// What was written is not what is on record any more.
pub(super) fn written_meanwhile(name: &str) -> Problem {
    let detail = format!("somebody else has written the deployment {name} meanwhile: see GET /deployment/{name}");
    Problem::new(ProblemType::Conflict, detail)
}

/// Where it is told how far it is.
pub(super) fn see(name: &str) -> String {
    format!("/deployment/{name}")
}

impl Applied {
    fn of<'a>(objects: impl Iterator<Item = &'a DeployedObject> + Clone) -> Self {
        let result = |it: &DeployedObject| Some(format!("{} {}", it.object.id, it.known.result?));
        Self {
            results: objects.clone().filter(|it| it.error().is_none()).filter_map(result).collect(),
            errors: objects.filter_map(DeployedObject::error).collect(),
        }
    }
}
