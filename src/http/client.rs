//! Asks a running job-chief, for the commands: one question over one stream, whoever has opened it.

use std::{io, time::Duration};

use axum::{
    body::{Body, to_bytes},
    http::{
        Request, StatusCode, Uri,
        header::{AUTHORIZATION, CONNECTION, HOST},
        uri::InvalidUri,
    },
};
use hyper_util::rt::TokioIo;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use thiserror::Error;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

/// How long an answer may take: whoever asks waits for it.
pub const TIMEOUT: Duration = Duration::from_secs(10);

/// How long the answer to a question may take that is much work: longer than the one who answers gives itself.
pub const LONG_TIMEOUT: Duration = Duration::from_secs(70);

/// Bytes of an answer: some kilobytes for each of ten thousand JobConfigs.
const BYTES_MAX: usize = 64 << 20;

/// What is escaped in a path: routes have `_` in their names, which are compared as they are written.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'_').remove(b'-');

/// The port of a URL that names none.
const HTTP_PORT: u16 = 80;

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum AskError {
    /// Not a URL that we speak.
    #[error("--url {0} is not of the form http://HOST:PORT")]
    Url(String),
    /// The token can't stand in a header.
    #[error("the token contains characters that a header may not have")]
    Request(#[source] axum::http::Error),
    /// Nobody listens there.
    #[error(
        "job-chief at {url} does not answer (does it run, and is --url right? \
         From outside its cluster it is --context NAME --namespace NAMESPACE)"
    )]
    Unreached {
        /// What was asked.
        url: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The connection ends before the answer does.
    #[error("job-chief at {whom} does not answer: the connection has ended")]
    Cut {
        /// Who was asked.
        whom: String,
        /// Why.
        #[source]
        source: hyper::Error,
    },
    /// It listens, and says nothing.
    #[error("{0} gave no answer within {1:?}")]
    Timeout(String, Duration),
    /// It says no.
    #[error("{0}")]
    Refused(String),
    /// It knows nothing of that name.
    #[error("{0}")]
    Unknown(String),
    /// Something else listens there.
    #[error("what answers at {0} is not job-chief")]
    NotOurs(String),
}

impl AskError {
    /// Whether another answer is to be had later, without anybody changing the question.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Unreached { .. } | Self::Cut { .. } | Self::Timeout(..) | Self::NotOurs(_))
    }
}

/// How something is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// A page.
    Get,
    /// Something is to change.
    Post,
    /// Something is to go.
    Delete,
}

impl Method {
    fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Delete => "DELETE",
        }
    }
}

/// What is asked: a GET, or another by somebody who may.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// How it is asked.
    pub method: Method,
    /// The parts of the path; they are escaped.
    pub path: &'a [&'a str],
    /// What stands behind the path's question mark; it is escaped.
    pub asking: &'a [(&'a str, &'a str)],
    /// The token, where one is known: pages may need it, and whatever changes something does.
    pub token: Option<&'a str>,
    /// The words that are told.
    pub told: Option<&'a Value>,
    /// How long the answer may take.
    pub within: Duration,
}

impl Question<'_> {
    fn path(&self) -> String {
        let escaped = |text: &str| utf8_percent_encode(text, ESCAPED).to_string();
        let path: String = self.path.iter().map(|part| format!("/{}", escaped(part))).collect();
        let asking: Vec<_> = self.asking.iter().map(|(key, value)| format!("{key}={}", escaped(value))).collect();
        if asking.is_empty() { path } else { format!("{path}?{}", asking.join("&")) }
    }

    fn request(&self, prefix: &str, host: &str) -> Result<Request<Body>, AskError> {
        let request = Request::builder().method(self.method.as_str()).uri(format!("{prefix}{}", self.path()));
        let request = request.header(HOST, host).header(CONNECTION, "close");
        let request = match self.token {
            Some(token) => request.header(AUTHORIZATION, format!("Bearer {token}")),
            None => request,
        };
        match self.told {
            None => request.body(Body::empty()),
            Some(words) => request.body(Body::from(words.to_string())),
        }
        .map_err(AskError::Request)
    }
}

/// Asks the job-chief at `base`, such as `http://127.0.0.1:8080`.
///
/// # Errors
/// See [`AskError`].
pub async fn ask_at(base: &str, question: Question<'_>) -> Result<Value, AskError> {
    let base = base.trim_end_matches('/');
    let wrong = || AskError::Url(base.to_owned());
    let uri: Uri = base.parse().map_err(|_: InvalidUri| wrong())?;
    let authority = uri.authority().filter(|_| uri.scheme_str() == Some("http")).ok_or_else(wrong)?;
    let url = format!("{base}{}", question.path());
    let request = question.request(uri.path().trim_end_matches('/'), authority.as_str())?;
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    let address = (host, authority.port_u16().unwrap_or(HTTP_PORT));
    let asking = async {
        let stream = TcpStream::connect(address).await;
        let stream = stream.map_err(|source| AskError::Unreached { url: url.clone(), source })?;
        exchange(stream, &url, request).await
    };
    let late = |_| Err(AskError::Timeout(format!("job-chief at {url}"), question.within));
    tokio::time::timeout(question.within, asking).await.unwrap_or_else(late)
}

/// Asks the job-chief at the other end of a stream, which is called `whom` in errors.
///
/// # Errors
/// See [`AskError`].
pub async fn ask_over<S>(stream: S, whom: &str, question: Question<'_>) -> Result<Value, AskError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let request = question.request("", "job-chief")?;
    let asking = exchange(stream, whom, request);
    let late = |_| Err(AskError::Timeout(format!("job-chief at {whom}"), question.within));
    tokio::time::timeout(question.within, asking).await.unwrap_or_else(late)
}

async fn exchange<S>(stream: S, whom: &str, request: Request<Body>) -> Result<Value, AskError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let cut = |source| AskError::Cut { whom: whom.to_owned(), source };
    let not_ours = || AskError::NotOurs(whom.to_owned());
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(cut)?;
    let answer = async move {
        let response = sender.send_request(request).await.map_err(cut)?;
        let status = response.status();
        let body = to_bytes(Body::new(response.into_body()), BYTES_MAX).await.map_err(|_| not_ours())?;
        let told: Value = serde_json::from_slice(&body).map_err(|_| not_ours())?;
        match told["detail"].as_str() {
            Some(error) if status == StatusCode::NOT_FOUND => Err(AskError::Unknown(error.to_owned())),
            Some(error) => Err(AskError::Refused(error.to_owned())),
            None if status.is_success() => Ok(told),
            None => Err(not_ours()),
        }
    };
    // The connection does the work; what becomes of it is told by the answer.
    tokio::join!(answer, connection).0
}
