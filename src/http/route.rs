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
pub(super) const ANSWER_WAIT: Duration = Duration::from_secs(30);

/// How long a body may take to arrive: two short sentences, or the values of a module.
const BODY_WAIT: Duration = Duration::from_secs(10);

/// Bytes of a body: two short sentences.
pub(super) const BODY_MAX: usize = 16 << 10;

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

/// What is sent with a request that changes something; nothing at all is its default.
pub trait Sent: DeserializeOwned + JsonSchema + Default + Send + 'static {
    /// Bytes that it may have.
    const BYTES_MAX: usize = BODY_MAX;

    /// How long the answer may take.
    const ANSWER_WAIT: Duration = ANSWER_WAIT;

    /// What to do where it takes longer.
    const TOO_SLOW: &'static str = "";

    /// What is allowed, for whoever sends something else.
    const ALLOWED: &'static str = "{\"who\": \"…\", \"why\": \"…\"}";
}

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
    /// `get`, `post` or `delete`.
    pub method: &'static str,
    /// What it is for, in a sentence.
    pub summary: &'static str,
    /// Who gets an answer.
    pub access: Access,
    /// The type of what is sent.
    pub body: Option<SchemaOf>,
    /// What may be asked behind the path's question mark, and what it means.
    pub question: Option<(&'static str, &'static str)>,
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
            let answer = async { handler(admitted(state, access, request).await?.call).await };
            let answer = in_time(ANSWER_WAIT, answer).await;
            answer.unwrap_or_else(|problem| problem.response(&path))
        };
        let handler = on(MethodFilter::GET, handler);
        Self { path, method: "get", summary, access, body: None, question: None, answer, problems: &[], handler }
    }

    /// Something that is changed. The body of somebody who may not change it is not read.
    pub fn post<B, T, H, F>(path: &'static str, summary: &'static str, handler: H) -> Self
    where
        B: Sent,
        T: Page,
        H: Fn(Call, B) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Result<T, Problem>> + Send + 'static,
    {
        Self::sent(Access::Change, (MethodFilter::POST, "post"), path, summary, handler)
    }

    /// Something that is to go.
    pub fn delete<B, T, H, F>(path: &'static str, summary: &'static str, handler: H) -> Self
    where
        B: Sent,
        T: Page,
        H: Fn(Call, B) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Result<T, Problem>> + Send + 'static,
    {
        Self::sent(Access::Change, (MethodFilter::DELETE, "delete"), path, summary, handler)
    }

    /// Something that is read, and asked in more words than a path may have. Nothing is changed.
    pub fn ask<B, T, H, F>(path: &'static str, summary: &'static str, handler: H) -> Self
    where
        B: Sent,
        T: Page,
        H: Fn(Call, B) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Result<T, Problem>> + Send + 'static,
    {
        Self::sent(Access::Read, (MethodFilter::POST, "post"), path, summary, handler)
    }

    fn sent<B, T, H, F>(
        access: Access,
        (filter, method): (MethodFilter, &'static str),
        path: &'static str,
        summary: &'static str,
        handler: H,
    ) -> Self
    where
        B: Sent,
        T: Page,
        H: Fn(Call, B) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Result<T, Problem>> + Send + 'static,
    {
        let handler = async move |State(state): State<AppState>, request: Request| {
            let path = request.uri().path().to_owned();
            let answer = in_time(B::ANSWER_WAIT, async {
                let Admitted { call, headers, body } = admitted(state, access, request).await?;
                let words = read_json(&headers, body).await?;
                handler(call, words).await.map(|page| json(&page))
            });
            answer.await.unwrap_or_else(|problem| problem.advised(ProblemType::TooSlow, B::TOO_SLOW).response(&path))
        };
        let handler = on(filter, handler);
        let answer = Answer { codes: T::CODES, media_type: "application/json", schema: Some(schema::<T>) };
        let body = Some(schema::<B> as SchemaOf);
        Self { path, method, summary, access, body, question: None, answer, problems: &[], handler }
    }

    /// What may be asked behind the path's question mark, and what it means.
    #[must_use]
    pub fn asking(self, name: &'static str, meaning: &'static str) -> Self {
        Self { question: Some((name, meaning)), ..self }
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
pub(super) async fn in_time(
    within: Duration,
    answer: impl Future<Output = Result<Response, Problem>>,
) -> Result<Response, Problem> {
    let too_slow = || Problem::new(ProblemType::TooSlow, format!("there was no answer within {within:?}"));
    tokio::time::timeout(within, answer).await.unwrap_or_else(|_| Err(too_slow()))
}

/// A body of this media type, whole, of so many bytes at the most.
pub(super) async fn read_body(
    headers: &HeaderMap,
    body: Body,
    (media_type, bytes_max): (&str, usize),
) -> Result<Bytes, Problem> {
    let too_large =
        || Problem::new(ProblemType::BodyTooLarge, format!("the body may have {bytes_max} bytes at the most"));
    let length = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > bytes_max as u64) {
        return Err(too_large());
    }
    let bytes = match tokio::time::timeout(BODY_WAIT, to_bytes(body, bytes_max)).await {
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
async fn read_json<B: Sent>(headers: &HeaderMap, body: Body) -> Result<B, Problem> {
    let bytes = read_body(headers, body, ("application/json", B::BYTES_MAX)).await?;
    let text = bytes.trim_ascii();
    if text.is_empty() {
        return Ok(B::default());
    }
    let wrong = |error| {
        let detail = format!("the body can't be read: {error}; allowed is {}", B::ALLOWED);
        Problem::new(ProblemType::InvalidBody, detail)
    };
    serde_json::from_slice(text).map_err(wrong)
}
