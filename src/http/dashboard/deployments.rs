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
    let frame = Frame::of(state, visit.session.as_ref(), row.href.clone());
    Ok(html(&DeploymentPage::of(frame, row, &view)))
}

impl DeploymentPage {
    fn of(frame: Frame, row: DeploymentRow, view: &DeploymentView) -> Self {
        let told = serde_json::to_value(view).unwrap_or_default();
        let objects = told["objects"].as_array().into_iter().flatten().map(ObjectRow::of).collect();
        Self { frame, row, said: tables::deployments::said(&told), objects }
    }
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

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::*;
    use crate::{
        decide::deployment::record::{DeployedObject, Deployment, Known, ObjectState},
        modules::object::{Object, ObjectId, ObjectKind},
    };

    fn object(kind: ObjectKind, state: ObjectState, message: Option<&str>) -> DeployedObject {
        let body = Map::from_iter([("stringData".to_owned(), json!({"password": "canary"}))]);
        DeployedObject {
            dependency: false,
            object: Object { id: ObjectId { kind, name: "it".into() }, body, file: "it.yaml".into(), line: 1 },
            hash: "h".into(),
            revision: 3,
            wanted: true,
            known: Known { state, message: message.map(str::to_owned), ..Known::default() },
            changed_at: "2026-01-02T03:04:05Z".into(),
        }
    }

    fn failed() -> Deployment {
        Deployment {
            name: "cache".into(),
            module: "redis".into(),
            version: "latest".into(),
            config: Map::from_iter([("password".to_owned(), json!("canary"))]),
            rendered_hash: "h".into(),
            force: false,
            reconcile: false,
            revision: 3,
            gone: false,
            volumes: vec![],
            who: "ann".into(),
            why: "<script>alert(1)</script>".into(),
            written_at: "2026-01-02T03:04:05Z".into(),
            objects: vec![
                object(ObjectKind::JobConfig, ObjectState::Ready, None),
                object(ObjectKind::Secret, ObjectState::Error, Some("<img src=x onerror=alert(1)>")),
                object(ObjectKind::Job, ObjectState::Waiting, None),
            ],
        }
    }

    fn frame() -> Frame {
        Frame {
            instance: "aaaaaa".into(),
            me: "me".into(),
            leads: true,
            version: "1",
            session: None,
            can_sign_in: false,
            back: "/".into(),
            broken: vec![],
            style: "style".into(),
            script: "script".into(),
            icon: "icon".into(),
        }
    }

    #[test]
    fn a_row_tells_what_is_wrong_first_and_leads_to_the_page() {
        let row = DeploymentRow::of(&DeploymentView::of(&failed()));
        assert_eq!((&*row.href, &*row.module), ("/dashboard/deployments/cache", "redis@latest"));
        assert_eq!((&*row.state, row.mood, &*row.ready), ("failed", Mood::Bad.class(), "1/3"));
        assert_eq!(row.problem, "Secret/it is in error, <img src=x onerror=alert(1)>");
    }

    #[test]
    fn the_page_shows_each_object_and_what_others_wrote_as_text() {
        let view = DeploymentView::of(&failed());
        let page = DeploymentPage::of(frame(), DeploymentRow::of(&view), &view).render().expect("a page");
        for part in ["JobConfig/it", "Secret/it", "Job/it", ">ready<", ">error<", ">waiting<", "revision 3 by ann"] {
            assert!(page.contains(part), "{part}: {page}");
        }
        assert!(page.contains("&#60;script&#62;alert(1)&#60;/script&#62;"), "{page}");
        for part in ["<script>alert", "<img", "canary"] {
            assert!(!page.contains(part), "{part}: {page}");
        }
    }

    #[test]
    fn a_deployment_without_any_trouble_tells_of_none() {
        let mut well = failed();
        well.objects.truncate(1);
        let view = DeploymentView::of(&well);
        let page = DeploymentPage::of(frame(), DeploymentRow::of(&view), &view).render().expect("a page");
        assert!(page.contains("settled") && page.contains("1/1") && !page.contains("What is wrong"), "{page}");
    }
}
