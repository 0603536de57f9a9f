//! A collector on loopback that takes traces, or does not, and keeps what it was sent.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
    serve::Listener,
};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{KeyValue, any_value::Value},
    trace::v1::Span,
};
use prost::Message;
use tokio::{net::TcpListener, sync::watch};

/// How long anything may take that a case waits for: far beyond what it takes, so that only a fault reaches it.
const PATIENCE: Duration = Duration::from_secs(600);

/// How a collector answers.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Mood {
    /// It takes everything.
    Takes,
    /// It takes everything once it was asked so often.
    BusyFor(u32),
    /// It refuses everything.
    Refuses,
    /// It reads the request, and that is all.
    NeverAnswers,
}

/// A collector that runs.
pub(crate) struct Collector {
    pub(crate) address: SocketAddr,
    taken: watch::Receiver<Vec<Taken>>,
    asked: Arc<AtomicU32>,
}

/// A request that it was sent.
#[derive(Clone, Debug)]
pub(crate) struct Taken {
    pub(crate) headers: HeaderMap,
    pub(crate) request: ExportTraceServiceRequest,
}

#[derive(Clone)]
struct Desk {
    mood: Mood,
    taken: Arc<watch::Sender<Vec<Taken>>>,
    asked: Arc<AtomicU32>,
}

impl Collector {
    /// Runs until the case ends.
    pub(crate) async fn start(mood: Mood) -> Self {
        Self::behind(TcpListener::bind("127.0.0.1:0").await.unwrap(), mood)
    }

    /// The same behind another listener.
    pub(crate) fn behind<L: Listener<Addr = SocketAddr>>(listener: L, mood: Mood) -> Self {
        let (sender, taken) = watch::channel(vec![]);
        let asked = Arc::<AtomicU32>::default();
        let desk = Desk { mood, taken: Arc::new(sender), asked: asked.clone() };
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/v1/traces", post(take)).with_state(desk);
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, taken, asked }
    }

    /// What the variable of its endpoint says.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How often it was asked to take anything.
    pub(crate) fn asked(&self) -> u32 {
        self.asked.load(Ordering::SeqCst)
    }

    /// The requests that it has taken.
    pub(crate) fn taken(&self) -> Vec<Taken> {
        self.taken.borrow().clone()
    }

    /// Waits until it has spans of this kind, so many, and returns all of them.
    pub(crate) async fn spans_with(&mut self, kind: impl Fn(&Span) -> bool, count: usize) -> Vec<Span> {
        let enough = |taken: &Vec<Taken>| spans(taken).iter().filter(|span| kind(span)).count() >= count;
        let seen = tokio::time::timeout(PATIENCE, self.taken.wait_for(enough)).await;
        let seen = seen.unwrap_or_else(|_| panic!("waited {PATIENCE:?} for {count} spans")).unwrap();
        spans(&seen)
    }
}

/// All spans of some requests.
pub(crate) fn spans(taken: &[Taken]) -> Vec<Span> {
    let resources = taken.iter().flat_map(|taken| &taken.request.resource_spans);
    resources.flat_map(|resource| &resource.scope_spans).flat_map(|scope| &scope.spans).cloned().collect()
}

/// An attribute as text; empty where there is none.
pub(crate) fn attribute(attributes: &[KeyValue], key: &str) -> String {
    let found = attributes.iter().find(|attribute| attribute.key == key);
    match found.and_then(|attribute| attribute.value.clone()?.value) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        other => other.map(|other| format!("{other:?}")).unwrap_or_default(),
    }
}

async fn take(State(desk): State<Desk>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let before = desk.asked.fetch_add(1, Ordering::SeqCst);
    match desk.mood {
        Mood::Refuses => return StatusCode::BAD_REQUEST,
        Mood::NeverAnswers => std::future::pending().await,
        Mood::BusyFor(times) if before < times => return StatusCode::SERVICE_UNAVAILABLE,
        Mood::BusyFor(_) | Mood::Takes => {}
    }
    let request = ExportTraceServiceRequest::decode(body).unwrap();
    desk.taken.send_modify(|taken| taken.push(Taken { headers, request }));
    StatusCode::OK
}
