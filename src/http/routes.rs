//! Every route: one table, from which the router and the OpenAPI document are made; and the pages for people, which no
//! program needs described.

use std::sync::{Arc, LazyLock};

use axum::{
    Router,
    extract::Request,
    http::{
        HeaderValue, Method, StatusCode, Uri,
        header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS},
    },
    middleware::{Next, from_fn},
    response::{IntoResponse, Response},
};
use schemars::json_schema;

use crate::{
    config::problems::nearest,
    http::{
        actions, changes, dashboard, deployments, forecast, modules,
        openapi::document,
        pools, probes,
        problem::{Problem, ProblemType},
        queues,
        route::{Answer, Call, Route},
        services,
        state::AppState,
        token::Access,
        writes,
    },
};

/// Bytes of a request's head, its method and path included: a token and what proxies add.
pub const HEAD_MAX: usize = 16 << 10;

/// Fields of a request's head.
pub const FIELDS_MAX: usize = 64;

/// The document, written when it is asked for.
static DOCUMENT: LazyLock<String> = LazyLock::new(|| document(&table()).to_string());

/// All routes.
fn table() -> Vec<Route> {
    let mut table = probes::routes();
    table.extend(queues::routes());
    table.extend(services::routes());
    table.extend(pools::routes());
    table.extend(actions::routes());
    table.extend(deployments::routes());
    table.extend(modules::routes());
    table.extend(forecast::routes());
    table.extend(changes::routes());
    table.extend(writes::routes());
    let answer = Answer {
        codes: &[StatusCode::OK],
        media_type: "application/json",
        schema: Some(|_| json_schema!({"type": "object"})),
    };
    let handler = async |_: Call| Ok(([(CONTENT_TYPE, "application/json")], DOCUMENT.as_str()).into_response());
    table.push(Route::raw(Access::Open, "/openapi.json", "This document", answer, handler));
    table
}

/// The router.
pub fn router(state: AppState) -> Router {
    let table = table().into_iter().map(|route| (route.path, route.handler));
    let all: Vec<_> = table.chain(dashboard::routes()).collect();
    let paths: Arc<[&str]> = all.iter().map(|(path, _)| *path).collect();
    let routed = all.into_iter().fold(Router::new(), |router, (path, handler)| router.route(path, handler));
    routed
        .fallback(async move |uri: Uri| unknown(&uri, &paths))
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn(guarded))
        .with_state(state)
}

fn unknown(uri: &Uri, paths: &[&str]) -> Response {
    let hint = nearest(uri.path(), paths.iter().copied());
    let detail = format!("there is nothing at {:?}{hint}; /openapi.json has every path", uri.path());
    Problem::new(ProblemType::UnknownPath, detail).response(uri.path())
}

async fn wrong_method(method: Method, uri: Uri) -> Response {
    let detail = format!("{} does not take {method}; the header Allow says what it takes", uri.path());
    Problem::new(ProblemType::MethodNotAllowed, detail).response(uri.path())
}

/// Refuses heads that are too long, and says of every answer that it is only what it says it is, and only now.
async fn guarded(request: Request, next: Next) -> Response {
    let mut response = match too_long(&request) {
        Some(problem) => problem.response(request.uri().path()),
        None => next.run(request).await,
    };
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

fn too_long(request: &Request) -> Option<Problem> {
    let fields = request.headers();
    let line = request.uri().path_and_query().map_or(0, |path| path.as_str().len());
    let bytes = line + fields.iter().map(|(name, value)| name.as_str().len() + value.len()).sum::<usize>();
    let detail = || format!("a request's head may have {HEAD_MAX} bytes and {FIELDS_MAX} fields");
    (bytes > HEAD_MAX || fields.len() > FIELDS_MAX).then(|| Problem::new(ProblemType::HeadTooLarge, detail()))
}
