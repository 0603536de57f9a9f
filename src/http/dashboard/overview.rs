//! The page at `/`: all JobConfigs, as far as they are asked for, and what was decided last.

use std::time::Duration;

use askama::Template;
use axum::response::Response;
use serde_json::Value;

use crate::{
    decide::decision::Decision,
    http::{
        dashboard::{
            Visit,
            deployments::{self, DeploymentRow},
            frame::{Frame, in_path},
            html,
            rows::{PoolRow, QueueRow, ServiceRow},
        },
        pools,
        problem::Problem,
        queues::{self, JobView},
        services::{self, ServiceView},
        state::AppState,
    },
    tables::{self, text},
};

/// Rows of a page: some hundred kilobytes, which browsers still lay out at once.
const ROWS_MAX: usize = 1000;

/// Rows that are asked for by name at once.
const NAMES_MAX: usize = 100;

/// Decisions that are shown.
const DECISIONS_SHOWN: usize = 10;

/// Which rows are asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Show {
    All,
    Waiting,
    Busy,
    Attention,
}

/// Each of them as it is chosen.
const SHOWS: [(&str, &str, Show); 4] = [
    ("all", "all", Show::All),
    ("waiting", "with messages", Show::Waiting),
    ("busy", "with Jobs", Show::Busy),
    ("attention", "that need a look", Show::Attention),
];

impl Show {
    fn word(self) -> &'static str {
        SHOWS.iter().find(|(.., show)| *show == self).map_or("all", |(word, ..)| word)
    }
}

/// What is asked for.
struct Question {
    /// A part of the name or of the queue's.
    text: String,
    show: Show,
}

impl Question {
    fn of(visit: &Visit) -> Self {
        let first = |key| visit.call.asked(key).next().unwrap_or_default().into_owned();
        let word = first("show");
        let show = SHOWS.iter().find(|(known, ..)| *known == word).map_or(Show::All, |(.., show)| *show);
        Self { text: first("q").trim().to_owned(), show }
    }

    fn names(&self, names: &[&str]) -> bool {
        self.text.is_empty() || names.iter().any(|name| name.to_lowercase().contains(&self.text.to_lowercase()))
    }

    fn has_queue(&self, view: &JobView) -> bool {
        let is_shown = match self.show {
            Show::All => true,
            Show::Waiting => view.has_messages(),
            Show::Busy => view.is_busy(),
            Show::Attention => view.needs_attention(),
        };
        is_shown && self.names(&view.names())
    }

    fn has_service(&self, view: &ServiceView) -> bool {
        let is_shown = match self.show {
            Show::All => true,
            Show::Waiting => false,
            Show::Busy => view.is_busy(),
            Show::Attention => view.needs_attention(),
        };
        is_shown && self.names(&[view.name()])
    }
}

/// A decision in words.
struct Decided {
    /// Seconds.
    age: f64,
    ago: String,
    name: String,
    href: String,
    sentence: String,
}

#[derive(Template)]
#[template(path = "overview.html", config = "src/http/dashboard/askama.toml")]
struct Overview {
    frame: Frame,
    question: Question,
    shows: Vec<(&'static str, &'static str)>,
    queues: Vec<QueueRow>,
    queues_known: usize,
    left_out: usize,
    services: Vec<ServiceRow>,
    services_known: usize,
    pools: Vec<PoolRow>,
    /// Nothing where they can't be read.
    deployments: Option<Vec<DeploymentRow>>,
    decisions: Vec<Decided>,
}

#[derive(Template)]
#[template(path = "rows.html", config = "src/http/dashboard/askama.toml")]
struct Rows {
    queues: Vec<QueueRow>,
    services: Vec<ServiceRow>,
    pools: Vec<PoolRow>,
    decisions: Vec<Decided>,
}

/// All of them.
pub(super) async fn page(visit: Visit) -> Result<Response, Problem> {
    let (state, verbs) = (&visit.call.state, visit.session.is_some());
    let (deployments, pools) = tokio::join!(deployments::rows(state), pools(state));
    let _turn = state.turn().await;
    let (question, mut queues, mut services) = (Question::of(&visit), queues::all(state), services::all(state));
    let (queues_known, services_known) = (queues.len(), services.len());
    queues.retain(|view| question.has_queue(view));
    services.retain(|view| question.has_service(view));
    let left_out = queues.len().saturating_sub(ROWS_MAX) + services.len().saturating_sub(ROWS_MAX);
    let queues = queues.iter().take(ROWS_MAX).map(|view| QueueRow::of(view, state, verbs)).collect();
    let services = services.iter().take(ROWS_MAX).map(|view| ServiceRow::of(view, verbs)).collect();
    let frame = Frame::of(state, visit.session.as_ref(), "/".into());
    let shows = SHOWS.map(|(word, label, _)| (word, label)).to_vec();
    let decisions = decisions(state);
    Ok(html(&Overview {
        frame,
        question,
        shows,
        queues,
        queues_known,
        left_out,
        services,
        services_known,
        pools,
        deployments,
        decisions,
    }))
}

/// Those that are named.
pub(super) async fn rows(visit: Visit) -> Result<Response, Problem> {
    let (state, verbs) = (&visit.call.state, visit.session.is_some());
    let pools = pools(state).await;
    let _turn = state.turn().await;
    let roster = state.roster.borrow().clone();
    let (mut queues, mut services) = (vec![], vec![]);
    for name in visit.call.asked("name").take(NAMES_MAX) {
        let Some(handle) = roster.get(&*name) else { continue };
        queues.extend(queues::view(handle, state).map(|view| QueueRow::of(&view, state, verbs)));
        services.extend(services::view(handle, state).map(|view| ServiceRow::of(&view, verbs)));
    }
    Ok(html(&Rows { queues, services, pools, decisions: decisions(state) }))
}

/// The pools; none where they are not known.
async fn pools(state: &AppState) -> Vec<PoolRow> {
    let page = serde_json::to_value(pools::all(state).await).unwrap_or_default();
    page["pools"].as_array().into_iter().flatten().map(PoolRow::of).collect()
}

/// The last decisions for queues that have messages, the newest first.
fn decisions(state: &AppState) -> Vec<Decided> {
    let now = state.shared.clock.now();
    let mut last: Vec<_> = queues::decided(state);
    last.sort_by_key(|(_, at, _)| std::cmp::Reverse(*at));
    let words = |(name, at, decision): (String, Duration, Decision)| {
        let decision = serde_json::to_value(decision).unwrap_or_default();
        let age = now.saturating_sub(at).as_secs_f64();
        let href = format!("/dashboard/jobs/{}", in_path(&name));
        let name = text(&Value::String(name));
        Decided { age, ago: tables::span(age), href, name, sentence: tables::sentence(&decision) }
    };
    last.into_iter().take(DECISIONS_SHOWN).map(words).collect()
}
