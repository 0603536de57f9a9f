//! The deployments: how they stand, and what can be said of them.

/// Takes what is to be deployed.
pub mod desk;

mod deploy;
mod dry_run;

/// How deployments stand, for whoever follows.
pub mod follower;
mod hiding;
mod undeploy;
mod words;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    config::problems::nearest,
    decide::deployment::record::{DeployedObject, Deployment, DeploymentState, ObjectState},
    http::{
        deployments::{desk::unread, hiding::Hidden},
        problem::{Problem, ProblemType},
        route::{Call, Page, Route},
        state::AppState,
        token::Access,
    },
};

/// Refusals of pages of deployments.
const READ_PROBLEMS: &[ProblemType] = &[ProblemType::UnknownName, ProblemType::InvalidPath, ProblemType::Unavailable];

/// Refusals of whatever changes one.
const WRITE_PROBLEMS: &[ProblemType] = &[
    ProblemType::InvalidPath,
    ProblemType::InvalidBody,
    ProblemType::BadModule,
    ProblemType::RightsMissing,
    ProblemType::UnknownName,
    ProblemType::BodyTooSlow,
    ProblemType::Conflict,
    ProblemType::BodyTooLarge,
    ProblemType::UnsupportedContent,
    ProblemType::ApiServer,
    ProblemType::Unavailable,
];

/// What is deployed, by namespace, module and name.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(transparent)]
#[schemars(rename = "Deployed")]
struct DeployedView(BTreeMap<String, BTreeMap<String, BTreeMap<String, Stated>>>);

/// What people have said of a deployment.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "StatedDeployment")]
struct Stated {
    module: String,
    version: String,
    /// Values that stand in Secrets are hidden.
    config: Map<String, Value>,
}

/// A deployment and how it stands.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Deployment")]
pub(in crate::http) struct DeploymentView {
    pub(super) name: String,
    module: String,
    version: String,
    /// Values that stand in Secrets are hidden.
    config: Map<String, Value>,
    /// `applying`, `settled`, `failed`, `drifted` or `removing`.
    pub(super) state: &'static str,
    /// The first of what is wrong.
    problem: Option<String>,
    /// Raised with each write of people.
    revision: i64,
    force: bool,
    reconcile: bool,
    /// Who wrote it last, why and when.
    who: String,
    why: String,
    written_at: String,
    objects: Vec<ObjectView>,
}

/// An object of a deployment.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "DeployedObject")]
pub(in crate::http) struct ObjectView {
    /// Such as `Job/backfill`.
    object: String,
    kind: &'static str,
    name: String,
    /// The module's file, and the line in it.
    file: String,
    line: usize,
    /// It is waited for before what comes after it is applied.
    dependency: bool,
    /// Else it is to go.
    wanted: bool,
    /// `waiting`, `applying`, `applied`, `ready`, `error`, `drifted`, `missing` or `removing`.
    state: &'static str,
    /// What the last apply did: `created`, `configured`, `replaced` or `unchanged`.
    result: Option<&'static str>,
    /// Why it is in error, or what it waits for.
    message: Option<String>,
    /// When its state changed.
    since: String,
}

impl Page for DeployedView {}
impl Page for DeploymentView {}

/// The routes of deployments.
pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get(Access::Read, "/deployment", "What is deployed, by namespace, module and name", deployed)
            .or(READ_PROBLEMS),
        Route::get(Access::Read, "/deployments", "All deployments with their objects, by name", deployments)
            .or(READ_PROBLEMS),
        Route::get(Access::Read, "/deployment/{name}", "One of them", deployment).or(READ_PROBLEMS),
        Route::post("/deployment", "A module is deployed, or deployed anew", deploy::deploy).or(WRITE_PROBLEMS),
        Route::post("/deployment/dry_run", "What deploying would do; nothing changes", dry_run::dry_run)
            .or(WRITE_PROBLEMS),
        Route::delete("/deployment/{name}", "It is removed, with what it owns", undeploy::undeploy)
            .asking("volumes", "PersistentVolumeClaims of it that go, too, with commas between them")
            .or(WRITE_PROBLEMS),
    ]
}

async fn deployed(call: Call) -> Result<DeployedView, Problem> {
    let snapshot = call.state.desk.snapshot().await?;
    let mut modules: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
    for deployment in snapshot.deployments.iter().filter(|it| !it.gone) {
        let Deployment { name, module, version, .. } = deployment.clone();
        let stated = Stated { module: module.clone(), version, config: config(deployment) };
        modules.entry(module).or_default().insert(name, stated);
    }
    let namespace = call.state.shared.instance.namespace.to_string();
    Ok(DeployedView(if modules.is_empty() { BTreeMap::new() } else { BTreeMap::from([(namespace, modules)]) }))
}

async fn deployments(call: Call) -> Result<Vec<DeploymentView>, Problem> {
    let _turn = call.state.turn().await;
    let snapshot = call.state.desk.snapshot().await?;
    Ok(snapshot.deployments.iter().map(DeploymentView::of).collect())
}

async fn deployment(call: Call) -> Result<DeploymentView, Problem> {
    one(&call.state, call.name()).await
}

/// How a deployment stands.
pub(in crate::http) async fn one(state: &AppState, name: &str) -> Result<DeploymentView, Problem> {
    let found = state.shared.stored.deployments.one(name).await.map_err(|error| unread(&error))?;
    if let Some(found) = found {
        return Ok(DeploymentView::of(&found));
    }
    let known = state.desk.snapshot().await?.deployments;
    let hint = nearest(name, known.iter().map(|it| it.name.as_str()));
    Err(Problem::new(ProblemType::UnknownName, format!("there is no deployment {name:?}{hint}")))
}

/// The values of a deployment, without those that stand in its Secrets.
fn config(deployment: &Deployment) -> Map<String, Value> {
    Hidden::of(deployment.objects.iter().map(|it| &it.object)).shown_map(&deployment.config)
}

impl DeploymentView {
    /// As it is on record.
    pub(in crate::http) fn of(deployment: &Deployment) -> Self {
        let objects: Vec<ObjectView> = deployment.objects.iter().map(ObjectView::of).collect();
        let problem = objects.iter().find(|it| it.is_wrong()).map(ObjectView::problem);
        let Deployment { name, module, version, force, reconcile, revision, who, why, written_at, .. } =
            deployment.clone();
        let (config, state) = (config(deployment), deployment.state().as_str());
        Self {
            name,
            module,
            version,
            config,
            state,
            problem,
            revision,
            force,
            reconcile,
            who,
            why,
            written_at,
            objects,
        }
    }
}

impl ObjectView {
    fn of(it: &DeployedObject) -> Self {
        Self {
            object: it.object.id.to_string(),
            kind: it.object.id.kind.as_str(),
            name: it.object.id.name.clone(),
            file: it.object.file.clone(),
            line: it.object.line,
            dependency: it.dependency,
            wanted: it.wanted,
            state: it.known.state.as_str(),
            result: it.known.result.map(|result| result.as_str()),
            message: it.known.message.clone(),
            since: it.changed_at.clone(),
        }
    }

    fn is_wrong(&self) -> bool {
        let wrong = [ObjectState::Error, ObjectState::Drifted, ObjectState::Missing];
        wrong.iter().any(|state| state.as_str() == self.state)
    }

    fn problem(&self) -> String {
        let message = self.message.as_ref().map(|message| format!(", {message}"));
        format!("{} is {}{}", self.object, self.in_words(), message.unwrap_or_default())
    }

    fn in_words(&self) -> &'static str {
        if self.state == ObjectState::Error.as_str() { "in error" } else { self.state }
    }
}

/// Nobody needs to wait for it any longer.
fn is_over(deployment: &Deployment) -> bool {
    !matches!(deployment.state(), DeploymentState::Applying | DeploymentState::Removing)
}
