//! Asks a running job-chief, for the commands.

use std::time::Duration;

use axum::{
    body::{Body, to_bytes},
    http::{Request, Uri, header::AUTHORIZATION, uri::InvalidUri},
};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use thiserror::Error;

/// How long an answer may take: whoever asks waits for it.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes of an answer: some kilobytes for each of ten thousand JobConfigs.
const BYTES_MAX: usize = 64 << 20;

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum AskError {
    /// Not a URL that we speak.
    #[error("--url {0} is not of the form http://HOST:PORT")]
    Url(String),
    /// The token can't stand in a header.
    #[error("the token contains characters that a header may not have")]
    Request(#[source] axum::http::Error),
    /// Nobody listens there, or not for long.
    #[error("job-chief at {url} does not answer; is it running, and is --url right?")]
    Unreached {
        /// What was asked.
        url: String,
        /// Why.
        #[source]
        source: hyper_util::client::legacy::Error,
    },
    /// It listens, and says nothing.
    #[error("job-chief at {0} gave no answer within {TIMEOUT:?}")]
    Timeout(String),
    /// It says no.
    #[error("{0}")]
    Refused(String),
    /// Something else listens there.
    #[error("what listens at {0} is not job-chief")]
    NotOurs(String),
}

/// GETs a path of the job-chief at `base`; the parts of the path are escaped.
///
/// # Errors
/// See [`AskError`].
pub async fn ask(base: &str, path: &[&str]) -> Result<Value, AskError> {
    send(base, path, |uri| Request::get(uri).body(Body::empty())).await
}

/// POSTs to a path of the job-chief at `base`.
///
/// # Errors
/// See [`AskError`].
pub async fn tell(base: &str, path: &[&str], token: &str, words: &Value) -> Result<Value, AskError> {
    let request = |uri| {
        let authorized = Request::post(uri).header(AUTHORIZATION, format!("Bearer {token}"));
        authorized.body(Body::from(words.to_string()))
    };
    send(base, path, request).await
}

async fn send(
    base: &str,
    path: &[&str],
    request: impl FnOnce(Uri) -> Result<Request<Body>, axum::http::Error>,
) -> Result<Value, AskError> {
    let escaped = path.iter().map(|part| format!("/{}", utf8_percent_encode(part, NON_ALPHANUMERIC)));
    let url = format!("{}{}", base.trim_end_matches('/'), escaped.collect::<String>());
    let uri: Uri = url.parse().map_err(|_: InvalidUri| AskError::Url(base.to_owned()))?;
    if uri.scheme_str() != Some("http") {
        return Err(AskError::Url(base.to_owned()));
    }
    let request = request(uri).map_err(AskError::Request)?;
    tokio::time::timeout(TIMEOUT, answer(&url, request)).await.unwrap_or_else(|_| Err(AskError::Timeout(url.clone())))
}

async fn answer(url: &str, request: Request<Body>) -> Result<Value, AskError> {
    let client: Client<_, Body> = Client::builder(TokioExecutor::new()).build_http();
    let unreached = |source| AskError::Unreached { url: url.to_owned(), source };
    let response = client.request(request).await.map_err(unreached)?;
    let status = response.status();
    let not_ours = || AskError::NotOurs(url.to_owned());
    let body = to_bytes(Body::new(response.into_body()), BYTES_MAX).await.map_err(|_| not_ours())?;
    let told: Value = serde_json::from_slice(&body).map_err(|_| not_ours())?;
    match told["detail"].as_str() {
        Some(error) => Err(AskError::Refused(error.to_owned())),
        None if status.is_success() => Ok(told),
        None => Err(not_ours()),
    }
}
