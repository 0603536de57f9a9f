//! How the routes refuse: problem details for HTTP APIs, RFC 9457.

use axum::{
    Json,
    http::{
        HeaderValue, StatusCode,
        header::{CONNECTION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
    },
    response::{IntoResponse, Response},
};
use schemars::JsonSchema;
use serde::Serialize;

/// The media type of every refusal.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// What the type of each problem begins with.
pub const TYPE_PREFIX: &str = "urn:job-chief:problem:";

/// What kinds of refusals there are: a closed set, of which programs may make use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProblemType {
    /// The path can't be read.
    InvalidPath,
    /// The body can't be read, or says what is not allowed.
    InvalidBody,
    /// A module, or what it makes of its values, is not as it should be.
    BadModule,
    /// No token, or none that is listed.
    TokenNeeded,
    /// There is no file of tokens.
    NoTokens,
    /// job-chief may not do what it would have to do.
    RightsMissing,
    /// No route has this path.
    UnknownPath,
    /// Nothing that is asked for has this name.
    UnknownName,
    /// The path takes another method.
    MethodNotAllowed,
    /// The body did not arrive in time.
    BodyTooSlow,
    /// What is so does not allow it.
    Conflict,
    /// The body is too long.
    BodyTooLarge,
    /// The body is not JSON.
    UnsupportedContent,
    /// Enough Jobs by hand wait already.
    TooManyAsked,
    /// A forecast is being made for somebody else.
    ForecastUnderWay,
    /// The head is too long.
    HeadTooLarge,
    /// The answer could not be made.
    Internal,
    /// The API server does not answer, or not as it should.
    ApiServer,
    /// Something that is needed does not work.
    Unavailable,
    /// Enough listeners, or connections, are there already.
    TooManyListeners,
    /// The answer took too long.
    TooSlow,
}

/// Each of them.
pub const PROBLEM_TYPES: [ProblemType; 21] = [
    ProblemType::InvalidPath,
    ProblemType::InvalidBody,
    ProblemType::BadModule,
    ProblemType::TokenNeeded,
    ProblemType::NoTokens,
    ProblemType::RightsMissing,
    ProblemType::UnknownPath,
    ProblemType::UnknownName,
    ProblemType::MethodNotAllowed,
    ProblemType::BodyTooSlow,
    ProblemType::Conflict,
    ProblemType::BodyTooLarge,
    ProblemType::UnsupportedContent,
    ProblemType::TooManyAsked,
    ProblemType::ForecastUnderWay,
    ProblemType::HeadTooLarge,
    ProblemType::Internal,
    ProblemType::ApiServer,
    ProblemType::Unavailable,
    ProblemType::TooManyListeners,
    ProblemType::TooSlow,
];

/// Refusals of pages of one JobConfig.
pub const NAME_PROBLEMS: &[ProblemType] = &[ProblemType::UnknownName, ProblemType::InvalidPath];

impl ProblemType {
    /// The last word of its type, its code, and what it means.
    fn parts(self) -> (&'static str, StatusCode, &'static str) {
        match self {
            Self::InvalidPath => ("invalid-path", StatusCode::BAD_REQUEST, "The path can't be read"),
            Self::InvalidBody => ("invalid-body", StatusCode::BAD_REQUEST, "The body is not as it should be"),
            Self::BadModule => {
                ("bad-module", StatusCode::BAD_REQUEST, "The module or its values are not as they should be")
            }
            Self::TokenNeeded => ("token-needed", StatusCode::UNAUTHORIZED, "A token is needed"),
            Self::NoTokens => ("no-tokens", StatusCode::FORBIDDEN, "Nobody may do this here"),
            Self::RightsMissing => {
                ("rights-missing", StatusCode::FORBIDDEN, "job-chief may not do what it would have to do")
            }
            Self::UnknownPath => ("unknown-path", StatusCode::NOT_FOUND, "There is nothing at this path"),
            Self::UnknownName => ("unknown-name", StatusCode::NOT_FOUND, "There is nothing of this name"),
            Self::MethodNotAllowed => {
                ("method-not-allowed", StatusCode::METHOD_NOT_ALLOWED, "The path takes another method")
            }
            Self::BodyTooSlow => ("body-too-slow", StatusCode::REQUEST_TIMEOUT, "The body did not arrive in time"),
            Self::Conflict => ("conflict", StatusCode::CONFLICT, "What is so does not allow it"),
            Self::BodyTooLarge => ("body-too-large", StatusCode::PAYLOAD_TOO_LARGE, "The body is too long"),
            Self::UnsupportedContent => {
                ("unsupported-content", StatusCode::UNSUPPORTED_MEDIA_TYPE, "The body has another media type")
            }
            Self::TooManyAsked => ("too-many-asked", StatusCode::TOO_MANY_REQUESTS, "Enough Jobs wait already"),
            Self::ForecastUnderWay => {
                ("forecast-under-way", StatusCode::TOO_MANY_REQUESTS, "A forecast is being made already")
            }
            Self::HeadTooLarge => {
                ("head-too-large", StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "The request's head is too long")
            }
            Self::Internal => ("internal", StatusCode::INTERNAL_SERVER_ERROR, "The answer could not be made"),
            Self::ApiServer => ("api-server", StatusCode::BAD_GATEWAY, "The API server does not do what it should"),
            Self::Unavailable => ("unavailable", StatusCode::SERVICE_UNAVAILABLE, "What is needed does not work now"),
            Self::TooManyListeners => ("too-many-listeners", StatusCode::SERVICE_UNAVAILABLE, "Enough listen already"),
            Self::TooSlow => ("too-slow", StatusCode::GATEWAY_TIMEOUT, "The answer took too long"),
        }
    }

    /// Its code.
    pub fn code(self) -> StatusCode {
        self.parts().1
    }

    /// The URI that stands for it.
    pub fn uri(self) -> String {
        format!("{TYPE_PREFIX}{}", self.parts().0)
    }

    /// What it means, the same for each of this type.
    pub fn title(self) -> &'static str {
        self.parts().2
    }

    /// Worth to be asked again after a while.
    fn retry_after(self) -> Option<HeaderValue> {
        matches!(
            self,
            Self::Unavailable
                | Self::ApiServer
                | Self::TooManyListeners
                | Self::TooManyAsked
                | Self::ForecastUnderWay
                | Self::TooSlow
        )
        .then(|| HeaderValue::from_static("5"))
    }
}

/// Why somebody gets no answer.
#[derive(Clone, Debug)]
pub struct Problem {
    /// Which kind.
    pub kind: ProblemType,
    /// What happened, and what to do about it.
    pub detail: String,
}

/// A refusal: problem details as of RFC 9457.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Problem")]
pub struct ProblemView {
    /// A URI that stands for the kind of problem.
    r#type: String,
    /// What this kind of problem means.
    title: &'static str,
    /// The code of the answer.
    #[schemars(range(min = 400, max = 599))]
    status: u16,
    /// What happened here, and what to do about it.
    detail: String,
    /// The path that was asked.
    instance: String,
}

impl Problem {
    /// A problem of a kind.
    pub fn new(kind: ProblemType, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into() }
    }

    /// The same with what to do about it, where it is of a kind.
    #[must_use]
    pub fn advised(mut self, kind: ProblemType, advice: &str) -> Self {
        if self.kind == kind {
            self.detail.push_str(advice);
        }
        self
    }

    /// As an answer to whoever asked for this path.
    pub fn response(self, path: &str) -> Response {
        let Self { kind, detail } = self;
        let (code, title) = (kind.code(), kind.title());
        let view = ProblemView { r#type: kind.uri(), title, status: code.as_u16(), detail, instance: path.to_owned() };
        let mut response = (code, Json(view)).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        if code == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if kind == ProblemType::BodyTooSlow {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        headers.extend(kind.retry_after().map(|after| (RETRY_AFTER, after)));
        response
    }
}
