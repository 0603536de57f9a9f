//! One route: what it answers, to whom, and how it is described. A handler's types are those of the document.

use std::{borrow::Cow, collections::BTreeMap, time::Duration};

use axum::{
    Json,
    body::{Body, Bytes, to_bytes},
    extract::{FromRequestParts, Path, Request, State},
    http::{
        HeaderMap, StatusCode,
        header::{CONTENT_LENGTH, CONTENT_TYPE},
    },
    response::{IntoResponse, Response},
    routing::{MethodFilter, MethodRouter, on},
};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Serialize, de::DeserializeOwned};
use url::form_urlencoded;

use crate::http::{
    problem::{Problem, ProblemType},
    state::AppState,
    token::Access,
};

/// How long an answer may take: a statement has a limit of its own, and no route has more than three.
const ANSWER_WAIT: Duration = Duration::from_secs(30);

/// How long a body may take to arrive: two short sentences.
const BODY_WAIT: Duration = Duration::from_secs(10);

/// Bytes of a body: two short sentences.
const BODY_MAX: usize = 16 << 10;

/// A type as it is in the document.
pub type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// What a handler answers with.
pub trait Page: Serialize + JsonSchema {
    /// The codes that it may have.
    const CODES: &[StatusCode] = &[StatusCode::OK];

    /// The code that it has.
    fn code(&self) -> StatusCode {
        StatusCode::OK
    }
}

impl<T: Page> Page for Vec<T> {}

/// What a handler is told.
#[derive(Clone)]
pub struct Call {
    /// What it answers from.
    pub state: AppState,
    /// The name in the path; `None` where the path has none.
    pub name: Option<String>,
    /// The action in the path; `None` where the path has none.
    pub action: Option<String>,
    /// What stands behind the path's question mark.
    pub query: String,
}

impl Call {
    /// The name in the path.
    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }

    /// What the question names so, each time it does.
    pub fn asked<'a>(&'a self, key: &'a str) -> impl Iterator<Item = Cow<'a, str>> + 'a {
        let pairs = form_urlencoded::parse(self.query.as_bytes());
        pairs.filter(move |(found, _)| found == key).map(|(_, value)| value)
    }
}

/// What an answer consists of.
pub struct Answer {
    /// Codes of answers that are no refusals.
    pub codes: &'static [StatusCode],
    /// How it is written.
    pub media_type: &'static str,
    /// Its type; `None` for text.
    pub schema: Option<SchemaOf>,
}

/// One route.
pub struct Route {
    /// As axum and OpenAPI write it.
    pub path: &'static str,
    /// `get` or `post`.
    pub method: &'static str,
    /// What it is for, in a sentence.
    pub summary: &'static str,
    /// Who gets an answer.
    pub access: Access,
    /// The type of what is sent.
    pub body: Option<SchemaOf>,
    /// What comes back.
    pub answer: Answer,
    /// Kinds of refusals that only some routes have.
    pub problems: &'static [ProblemType],
    /// The handler.
    pub handler: MethodRouter<AppState>,
}

impl Route {
    /// A page that is read.
    pub fn get<T, H, F>(access: Access, path: &'static str, summary: &'static str, handler: H) -> Self
    where
        T: Page,
        H: Fn(Call) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Result<T, Problem>> + Send + 'static,
    {
        let answer = Answer { codes: T::CODES, media_type: "application/json", schema: Some(schema::<T>) };
        Self::raw(access, path, summary, answer, move |call| {
            let page = handler(call);
            async move { page.await.map(|page| json(&page)) }
        })
    }

    /// A page that is read and is written in another way.
    pub fn raw<H, F>(access: Access, path: &'static str, summary: &'static str, answer: Answer, handler: H) -> Self
    where
        H: Fn(Call) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Result<Response, Problem>> + Send + 'static,
    {
        let handler = async move |State(state): State<AppState>, request: Request| {
            let path = request.uri().path().to_owned();
            let answer = in_time(async { handler(admitted(state, access, request).await?.call).await }).await;
            answer.unwrap_or_else(|problem| problem.response(&path))
        };
        let handler = on(MethodFilter::GET, handler);
        Self { path, method: "get", summary, access, body: None, answer, problems: &[], handler }
    }

    /// Something that is changed. The body of somebody who may not change it is not read.
    pub fn post<B, T, H, F>(path: &'static str, summary: &'static str, handler: H) -> Self
    where
        B: DeserializeOwned + JsonSchema + Default + Send + 'static,
        T: Page,
        H: Fn(Call, B) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Result<T, Problem>> + Send + 'static,
    {
        let access = Access::Change;
        let handler = async move |State(state): State<AppState>, request: Request| {
            let path = request.uri().path().to_owned();
            let answer = in_time(async {
                let Admitted { call, headers, body } = admitted(state, access, request).await?;
                let words = read_json(&headers, body).await?;
                handler(call, words).await.map(|page| json(&page))
            });
            answer.await.unwrap_or_else(|problem| problem.response(&path))
        };
        let handler = on(MethodFilter::POST, handler);
        let answer = Answer { codes: T::CODES, media_type: "application/json", schema: Some(schema::<T>) };
        Self { path, method: "post", summary, access, body: Some(schema::<B>), answer, problems: &[], handler }
    }

    /// Refusals that not every route has.
    #[must_use]
    pub fn or(self, problems: &'static [ProblemType]) -> Self {
        Self { problems, ..self }
    }
}

fn schema<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

fn json<T: Page>(page: &T) -> Response {
    (page.code(), Json(page)).into_response()
}

/// A request of somebody who may ask.
pub(super) struct Admitted {
    /// What is asked.
    pub call: Call,
    /// Its head.
    pub headers: HeaderMap,
    /// What is sent with it, not read yet.
    pub body: Body,
}

/// A request, if whoever sends it may ask.
pub(super) async fn admitted(state: AppState, access: Access, request: Request) -> Result<Admitted, Problem> {
    let (mut parts, body) = request.into_parts();
    state.gate.admit(access, &parts.headers, state.shared.clock.now()).await?;
    let unreadable = |why| Problem::new(ProblemType::InvalidPath, format!("the name in the path can't be read: {why}"));
    let named = Option::<Path<BTreeMap<String, String>>>::from_request_parts(&mut parts, &()).await;
    let named = named.map_err(|rejection| unreadable(rejection.body_text()))?;
    let mut named = named.map(|Path(named)| named).unwrap_or_default();
    let (name, action) = (named.remove("name"), named.remove("action"));
    let query = parts.uri.query().unwrap_or_default().to_owned();
    Ok(Admitted { call: Call { state, name, action, query }, headers: parts.headers, body })
}

/// What becomes of a request, within its time.
pub(super) async fn in_time(answer: impl Future<Output = Result<Response, Problem>>) -> Result<Response, Problem> {
    let too_slow = || Problem::new(ProblemType::TooSlow, format!("there was no answer within {ANSWER_WAIT:?}"));
    tokio::time::timeout(ANSWER_WAIT, answer).await.unwrap_or_else(|_| Err(too_slow()))
}

/// A body of this media type, whole.
pub(super) async fn read_body(headers: &HeaderMap, body: Body, media_type: &str) -> Result<Bytes, Problem> {
    let too_large =
        || Problem::new(ProblemType::BodyTooLarge, format!("the body may have {BODY_MAX} bytes at the most"));
    let length = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > BODY_MAX as u64) {
        return Err(too_large());
    }
    let bytes = match tokio::time::timeout(BODY_WAIT, to_bytes(body, BODY_MAX)).await {
        Ok(bytes) => bytes.map_err(|_| too_large())?,
        Err(_) => {
            let detail = format!("the body did not arrive within {BODY_WAIT:?}");
            return Err(Problem::new(ProblemType::BodyTooSlow, detail));
        }
    };
    let given = headers.get(CONTENT_TYPE).map(|value| value.to_str().unwrap_or("?"));
    let given = given.map(|given| given.split(';').next().unwrap_or_default().trim());
    if !bytes.trim_ascii().is_empty() && given.is_some_and(|given| !given.eq_ignore_ascii_case(media_type)) {
        let detail = format!("the body has to be sent with the header Content-Type: {media_type}");
        return Err(Problem::new(ProblemType::UnsupportedContent, detail));
    }
    Ok(bytes)
}

/// What is sent; nothing at all says nothing.
async fn read_json<B: DeserializeOwned + Default>(headers: &HeaderMap, body: Body) -> Result<B, Problem> {
    let bytes = read_body(headers, body, "application/json").await?;
    let text = bytes.trim_ascii();
    if text.is_empty() {
        return Ok(B::default());
    }
    let wrong = |error| {
        let detail = format!("the body can't be read: {error}; allowed is {{\"who\": \"…\", \"why\": \"…\"}}");
        Problem::new(ProblemType::InvalidBody, detail)
    };
    serde_json::from_slice(text).map_err(wrong)
}
