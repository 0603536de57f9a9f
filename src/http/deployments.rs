//! The deployments: how they stand, and what can be said of them.

/// Takes what is to be deployed.
pub mod desk;

mod deploy;
mod dry_run;

/// How deployments stand, for whoever follows.
pub mod follower;
mod hiding;
mod undeploy;

/// A deployment as it is shown.
pub mod view;

mod words;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    config::problems::nearest,
    decide::deployment::record::{Deployment, DeploymentState},
    http::{
        deployments::{
            desk::unread,
            view::{DeploymentView, config},
        },
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

/// Nobody needs to wait for it any longer.
fn is_over(deployment: &Deployment) -> bool {
    !matches!(deployment.state(), DeploymentState::Applying | DeploymentState::Removing)
}
