//! A gateway in front of the API server, one for each replica: it passes requests on, or does what a fault says.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http_body_util::{BodyExt, Either, Full};
use hyper::{
    Method, Request, Response, StatusCode, Uri,
    body::{Bytes, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
};
use kube::client::ConfigExt;
use serde_json::json;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
};

use crate::journal::Journal;

/// What the gateway does with requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weather {
    Fine,
    /// Connections end, and none is accepted.
    Cut,
    /// Each request waits before it is passed on.
    Slow(Duration),
    /// Each request is refused with this code; one of 429 has a `Retry-After` of a second.
    Refuses(u16),
    /// What changes something is passed on, and the connection ends without an answer.
    LosesAnswers,
    /// What changes something is passed on, and its answer comes when the weather changes.
    HoldsAnswers,
}

type Wire = Client<hyper_rustls::HttpsConnector<HttpConnector>, Full<Bytes>>;
type Answer = Response<Either<Incoming, Full<Bytes>>>;

/// One replica's gateway.
#[derive(Clone)]
pub(crate) struct Gateway {
    pub(crate) port: u16,
    weather: Arc<watch::Sender<Weather>>,
    /// Raised when all watches are to end.
    watches: Arc<watch::Sender<u64>>,
}

/// What passes requests on.
struct Passing {
    name: String,
    wire: Wire,
    server: Uri,
    weather: watch::Receiver<Weather>,
    journal: Arc<Journal>,
}

impl Gateway {
    /// A gateway to the API server of a kubeconfig.
    pub(crate) async fn to(config: &kube::Config, name: &str, journal: Arc<Journal>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (weather, watches) = (Arc::new(watch::Sender::new(Weather::Fine)), Arc::new(watch::Sender::new(0)));
        let passing = Arc::new(Passing {
            name: name.into(),
            wire: Client::builder(TokioExecutor::new()).build(config.rustls_https_connector().unwrap()),
            server: config.cluster_url.clone(),
            weather: weather.subscribe(),
            journal,
        });
        let cuts = watches.subscribe();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(talk(stream, passing.clone(), cuts.clone()));
            }
        });
        Self { port, weather, watches }
    }

    pub(crate) fn turns(&self, weather: Weather) {
        self.weather.send_replace(weather);
    }

    /// Ends every watch that there is.
    pub(crate) fn cut_watches(&self) {
        self.watches.send_modify(|count| *count += 1);
    }
}

/// One connection, until either side ends it or a fault does.
async fn talk(stream: TcpStream, passing: Arc<Passing>, mut cuts: watch::Receiver<u64>) {
    let mut weather = passing.weather.clone();
    cuts.mark_unchanged();
    let watches = Arc::new(AtomicBool::new(false));
    let seen = watches.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        let is_watch = request.uri().query().is_some_and(|query| query.contains("watch="));
        seen.fetch_or(is_watch, Ordering::SeqCst);
        let passing = passing.clone();
        async move { passing.answer(request).await }
    });
    let cut = async {
        while cuts.changed().await.is_ok() {
            if watches.load(Ordering::SeqCst) {
                return;
            }
        }
    };
    tokio::select! {
        _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service) => {}
        _ = weather.wait_for(|weather| *weather == Weather::Cut) => {}
        () = cut => {}
    }
}

impl Passing {
    async fn answer(&self, request: Request<Incoming>) -> anyhow::Result<Answer> {
        let mut weather = self.weather.clone();
        let now = *weather.borrow_and_update();
        match now {
            Weather::Slow(wait) => tokio::time::sleep(wait).await,
            Weather::Refuses(code) => return Ok(refusal(code)),
            _ => {}
        }
        let changes = request.method() != Method::GET;
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        if changes {
            self.journal.asked(&method, &path);
        }
        let passed = self.pass(request).await;
        if changes {
            let code = passed.as_ref().map_or(0, |answer| answer.status().as_u16());
            let told = json!({"gateway": self.name, "method": method.as_str(), "path": path, "code": code, "weather": format!("{now:?}")});
            self.journal.answered(&method, &path, code, &told);
        }
        match now {
            Weather::LosesAnswers if changes => anyhow::bail!("the answer is lost"),
            // A weather that is there for good passes the answer on, too.
            Weather::HoldsAnswers if changes => drop(weather.changed().await),
            _ => {}
        }
        Ok(passed?.map(Either::Left))
    }

    async fn pass(&self, request: Request<Incoming>) -> anyhow::Result<Response<Incoming>> {
        let (mut head, body) = request.into_parts();
        // Half a request is none.
        let body = body.collect().await?.to_bytes();
        let mut parts = std::mem::take(&mut head.uri).into_parts();
        parts.scheme = self.server.scheme().cloned();
        parts.authority = self.server.authority().cloned();
        head.uri = Uri::from_parts(parts)?;
        head.headers.remove(hyper::header::HOST);
        Ok(self.wire.request(Request::from_parts(head, Full::new(body))).await?)
    }
}

/// As the API server refuses.
fn refusal(code: u16) -> Answer {
    let reason = if code == 429 { "TooManyRequests" } else { "InternalError" };
    let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "chaos", "reason": reason, "code": code});
    let body = Full::new(Bytes::from(status.to_string()));
    let mut answer = Response::new(Either::Right(body));
    *answer.status_mut() = StatusCode::from_u16(code).unwrap();
    answer.headers_mut().insert(hyper::header::CONTENT_TYPE, "application/json".parse().unwrap());
    if code == 429 {
        answer.headers_mut().insert(hyper::header::RETRY_AFTER, "1".parse().unwrap());
    }
    answer
}
