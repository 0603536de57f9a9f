//! The dashboard: pages for people, written on the server, whole without JavaScript, and kept as things are by
//! `dashboard/page.js`, which is told by `/events` what has changed and asks for that anew.
//!
//! `overview.rs` is the page at `/`, `job_page.rs` that of one JobConfig; `forms.rs` takes what people send; `frame.rs` is
//! what all pages have in common. The templates stand beside them. Everything that others wrote is escaped by the
//! templates, and the Content-Security-Policy lets nothing run that is not ours.

mod assets;
mod deployments;
mod forms;
mod frame;
mod job_page;
mod overview;
mod rendered;
mod rows;
mod timeline;

use askama::Template;
use axum::{
    extract::{Request, State},
    http::{
        HeaderMap, HeaderName, HeaderValue, Uri,
        header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY},
    },
    response::{IntoResponse, Response},
    routing::{MethodRouter, get, post},
};

use self::{assets::Asset, frame::Frame};
use crate::http::{
    problem::{Problem, ProblemType},
    route::{ANSWER_WAIT, Admitted, BODY_MAX, Call, admitted, in_time, read_body},
    session::{Session, is_same_origin},
    state::AppState,
    token::Access,
};

/// Ours alone: no script, style, picture, form or frame of anybody else's, and nothing that stands in the page itself.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Somebody who asks for a page, or sends a form.
struct Visit {
    call: Call,
    headers: HeaderMap,
    session: Option<Session>,
}

/// A page that can't be shown, and why.
#[derive(Template)]
#[template(path = "problem.html", config = "src/http/dashboard/askama.toml")]
struct ProblemPage {
    frame: Frame,
    title: &'static str,
    detail: String,
}

/// The routes of the dashboard.
pub(super) fn routes() -> Vec<(&'static str, MethodRouter<AppState>)> {
    vec![
        ("/", page(overview::page)),
        ("/dashboard/rows", page(overview::rows)),
        ("/dashboard/jobs/{name}", page(job_page::job).merge(form(forms::change_job))),
        ("/dashboard/services/{name}", page(job_page::service).merge(form(forms::change_service))),
        ("/dashboard/deployments/{name}", page(deployments::page)),
        ("/dashboard/session", form(forms::sign_in)),
        ("/dashboard/session/end", form(forms::sign_out)),
        ("/dashboard/page.css", asset(Asset::Style)),
        ("/dashboard/page.js", asset(Asset::Script)),
        ("/dashboard/icon.svg", asset(Asset::Icon)),
    ]
}

/// What a page is shown with.
fn asset(asset: Asset) -> MethodRouter<AppState> {
    get(async move |uri: Uri| assets::answer(asset, uri.query()))
}

/// A page that is read.
fn page<H, F>(handler: H) -> MethodRouter<AppState>
where
    H: Fn(Visit) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Result<Response, Problem>> + Send + 'static,
{
    get(async move |State(state): State<AppState>, request: Request| {
        let back = request.uri().path().to_owned();
        let session = state.gate.session(request.headers(), state.shared.clock.now()).await;
        let answer = in_time(ANSWER_WAIT, async {
            // Whoever is signed in may read; the tokens were read for that already.
            let access = if session.is_some() { Access::Open } else { Access::Read };
            let Admitted { call, headers, .. } = admitted(state.clone(), access, request).await?;
            handler(Visit { call, headers, session: session.clone() }).await
        });
        let answer = answer.await;
        finished((&state, session.as_ref(), &back), answer)
    })
}

/// A form that is sent, by a page of ours. The body of another's is not read.
fn form<H, F>(handler: H) -> MethodRouter<AppState>
where
    H: Fn(Visit, String) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Result<Response, Problem>> + Send + 'static,
{
    post(async move |State(state): State<AppState>, request: Request| {
        let session = state.gate.session(request.headers(), state.shared.clock.now()).await;
        let answer = in_time(ANSWER_WAIT, async {
            let foreign =
                || Problem::new(ProblemType::TokenNeeded, "only pages of the dashboard itself may send this form");
            is_same_origin(request.headers()).then_some(()).ok_or_else(foreign)?;
            let Admitted { call, headers, body } = admitted(state.clone(), Access::Open, request).await?;
            let bytes = read_body(&headers, body, ("application/x-www-form-urlencoded", BODY_MAX)).await?;
            let visit = Visit { call, headers, session: session.clone() };
            handler(visit, String::from_utf8_lossy(&bytes).into_owned()).await
        });
        let answer = answer.await;
        finished((&state, session.as_ref(), "/"), answer)
    })
}

/// A page with what its reader's browser has to know, a refusal as a page.
fn finished(
    (state, session, back): (&AppState, Option<&Session>, &str),
    answer: Result<Response, Problem>,
) -> Response {
    let mut response = answer.unwrap_or_else(|problem| {
        let code = problem.kind.code();
        let frame = Frame::of(state, session, back.to_owned());
        let page = ProblemPage { frame, title: problem.kind.title(), detail: problem.detail };
        (code, html(&page)).into_response()
    });
    let headers = response.headers_mut();
    let opener = HeaderName::from_static("cross-origin-opener-policy");
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, POLICY),
        (REFERRER_POLICY, "same-origin"),
        (opener, "same-origin"),
        (CACHE_CONTROL, "no-store"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// A template as a page. None of ours can fail: they write into memory.
fn html(page: &impl Template) -> Response {
    let text = page.render().unwrap_or_default();
    ([(CONTENT_TYPE, "text/html; charset=utf-8")], text).into_response()
}
