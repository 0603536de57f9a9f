//! The page of one JobConfig: how it stands and why, its live Jobs, its runs, and its Job.

use askama::Template;
use axum::response::Response;
use serde_json::Value;

use crate::{
    config::entry::Kind,
    http::{
        dashboard::{
            Visit,
            frame::Frame,
            html,
            rendered::rendered,
            rows::{QueueRow, ServiceRow},
            timeline::{RunLine, timeline},
        },
        problem::{Problem, ProblemType},
        queues, services,
    },
    store::switches::{SERVICE_VERBS, ServiceVerb},
    tables::{self, text},
};

/// A live Job.
struct Live {
    job: String,
    phase: String,
    problem: String,
}

#[derive(Template)]
#[template(path = "job.html", config = "src/http/dashboard/askama.toml")]
struct JobPage {
    frame: Frame,
    name: String,
    queue: Option<QueueRow>,
    service: Option<ServiceRow>,
    service_verbs: [&'static str; 6],
    /// Why what is on record can't be read.
    trouble: Option<String>,
    why: Vec<String>,
    live: Vec<Live>,
    runs: Vec<RunLine>,
    /// For whoever is signed in.
    rendered: Option<String>,
}

/// Of a queue.
pub(super) async fn job(visit: Visit) -> Result<Response, Problem> {
    let (state, name) = (&visit.call.state, visit.call.name());
    let details = queues::details(state, name).await?;
    let page =
        serde_json::to_value(&details).map_err(|error| Problem::new(ProblemType::Internal, error.to_string()))?;
    let row = QueueRow::of(&details.job, state, visit.session.is_some());
    let why = tables::why(&page);
    Ok(shown(&visit, Kind::Queue, &page, (Some(row), None, why)))
}

/// Of a service.
pub(super) async fn service(visit: Visit) -> Result<Response, Problem> {
    let (state, name) = (&visit.call.state, visit.call.name());
    let details = services::details(state, name).await?;
    let page =
        serde_json::to_value(&details).map_err(|error| Problem::new(ProblemType::Internal, error.to_string()))?;
    let row = ServiceRow::of(&details.service, visit.session.is_some());
    Ok(shown(&visit, Kind::Service, &page, (None, Some(row), vec![])))
}

type Told = (Option<QueueRow>, Option<ServiceRow>, Vec<String>);

fn shown(visit: &Visit, kind: Kind, page: &Value, (queue, service, why): Told) -> Response {
    let (state, name) = (&visit.call.state, visit.call.name());
    // Arguments and annotations are shown to whoever could run the Job, too.
    let handle = visit.session.as_ref().and_then(|_| state.handle(kind, name).ok());
    let rendered = handle.map(|handle| rendered(&handle.entry(), &state.shared.instance));
    let back = queue.as_ref().map(|row| &row.href).or(service.as_ref().map(|row| &row.href));
    html(&JobPage {
        frame: Frame::of(state, visit.session.as_ref(), back.cloned().unwrap_or_default()),
        name: text(&page["name"]),
        queue,
        service,
        service_verbs: SERVICE_VERBS.map(ServiceVerb::as_str),
        trouble: page["runsError"].as_str().map(|error| text(&error.into())),
        why,
        live: page["live"].as_array().into_iter().flatten().map(live).collect(),
        runs: timeline(page["runs"].as_array().map(Vec::as_slice).unwrap_or_default(), state.shared.clock.now()),
        rendered,
    })
}

fn live(job: &Value) -> Live {
    let [name, phase] = [&job["job"], &job["phase"]].map(text);
    Live { job: name, phase, problem: tables::problem(job).unwrap_or_default() }
}
