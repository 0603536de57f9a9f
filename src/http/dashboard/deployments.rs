//! Deployments: as rows of the overview, and the page of one of them.

use std::time::Duration;

use askama::Template;
use axum::response::Response;
use serde_json::Value;

use crate::{
    http::{
        dashboard::{
            Visit,
            frame::{Frame, in_path},
            html,
        },
        deployments::{self, view::DeploymentView},
        problem::Problem,
        state::AppState,
    },
    tables::{self, mood::Mood, text},
};

/// The overview does not wait for Postgres for longer: it shows the rest without it.
const READ_WAIT: Duration = Duration::from_secs(1);

/// A deployment.
pub(super) struct DeploymentRow {
    pub(super) name: String,
    pub(super) href: String,
    pub(super) module: String,
    pub(super) state: String,
    pub(super) mood: &'static str,
    pub(super) ready: String,
    pub(super) problem: String,
}

/// An object of one.
struct ObjectRow {
    object: String,
    state: String,
    mood: &'static str,
    result: String,
    since: String,
    message: String,
}

#[derive(Template)]
#[template(path = "deployment.html", config = "src/http/dashboard/askama.toml")]
struct DeploymentPage {
    frame: Frame,
    row: DeploymentRow,
    said: String,
    objects: Vec<ObjectRow>,
}

impl DeploymentRow {
    fn of(view: &DeploymentView) -> Self {
        let told = &serde_json::to_value(view).unwrap_or_default();
        let name = text(&told["name"]);
        Self {
            href: format!("/dashboard/deployments/{}", in_path(&name)),
            module: format!("{}@{}", text(&told["module"]), text(&told["version"])),
            state: text(&told["state"]),
            mood: Mood::of_deployment(told).class(),
            ready: tables::deployments::ready(told),
            problem: text(&told["problem"]),
            name,
        }
    }
}

/// All of them; nothing where they can't be read.
pub(super) async fn rows(state: &AppState) -> Option<Vec<DeploymentRow>> {
    let snapshot = tokio::time::timeout(READ_WAIT, state.desk.snapshot()).await.ok()?.ok()?;
    Some(snapshot.deployments.iter().map(|it| DeploymentRow::of(&DeploymentView::of(it))).collect())
}

/// The page of one.
pub(super) async fn page(visit: Visit) -> Result<Response, Problem> {
    let (state, name) = (&visit.call.state, visit.call.name());
    let view = deployments::one(state, name).await?;
    let row = DeploymentRow::of(&view);
    let told = serde_json::to_value(&view).unwrap_or_default();
    let frame = Frame::of(state, visit.session.as_ref(), row.href.clone());
    let objects = told["objects"].as_array().into_iter().flatten().map(ObjectRow::of).collect();
    Ok(html(&DeploymentPage { frame, row, said: tables::deployments::said(&told), objects }))
}

impl ObjectRow {
    fn of(object: &Value) -> Self {
        Self {
            object: text(&object["object"]),
            state: text(&object["state"]),
            mood: Mood::of_object(object).class(),
            result: text(&object["result"]),
            since: tables::moment(&object["since"]),
            message: text(&object["message"]),
        }
    }
}
