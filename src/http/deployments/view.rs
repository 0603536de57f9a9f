//! A deployment as it is shown, in answers and to those who follow.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    decide::deployment::record::{DeployedObject, Deployment, ObjectState},
    http::deployments::hiding::Hidden,
};

/// A deployment and how it stands.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Deployment")]
pub struct DeploymentView {
    pub(in crate::http) name: String,
    module: String,
    version: String,
    /// Values that stand in Secrets are hidden.
    config: Map<String, Value>,
    /// `applying`, `settled`, `failed`, `drifted` or `removing`.
    state: &'static str,
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
pub struct ObjectView {
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

/// The values of a deployment, without those that stand in its Secrets.
pub(super) fn config(deployment: &Deployment) -> Map<String, Value> {
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
