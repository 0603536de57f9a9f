//! Requests, head and body as text: whatever is asked, with or without a token, while Postgres is away, is answered, and
//! never by "the answer could not be made".

use std::{path::Path, sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{HeaderName, HeaderValue, Request, header::CONTENT_TYPE},
};
use job_chief::{
    actors::{
        deploying::Deploying,
        inquiry::Inquiry,
        leader::Leader,
        lookout::Lookout,
        orders::{Ordered, Orders},
        performer::{ENDS_MAX, Shared},
        roster::{Handle, Roster, StatusChannel},
        scout::Scout,
    },
    clock::Clock,
    cluster::{apply::Applier, probe::Prober, requests::Cluster, watcher::View},
    config::{entry::Entry, in_file::InFile, jobs_file},
    decide::{pod::inputs::Instance, switches::Switches},
    health::Health,
    http::{deployments::desk::Desk, routes::router, state::AppState},
    interned::Interned,
    latest,
    metrics::Metrics,
    modules::library::Library,
    pgboss::{depth::DepthReader, history::HistoryReader, listen::Hints, looks::Looks},
    store::{place::Place, stored::Stored, writer::Writer},
};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tempfile::NamedTempFile;
use tokio::{
    runtime::{Builder, Runtime},
    sync::{broadcast, watch},
};
use tower::ServiceExt;

/// How long an answer may take: Postgres is away at once.
const ANSWER_WAIT: Duration = Duration::from_secs(15);

/// Bytes of an answer that are read.
const ANSWER_MAX: usize = 16 << 20;

const TOKEN: &str = "token";

thread_local! {
    static SERVED: (Runtime, Router, NamedTempFile) = {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let tokens = NamedTempFile::new().unwrap();
        std::fs::write(tokens.path(), TOKEN).unwrap();
        let router = runtime.block_on(served(tokens.path()));
        (runtime, router, tokens)
    };
}

pub(crate) fn try_out(input: &[u8]) {
    let Some(request) = request(input) else { return };
    let is_endless = request.uri().path() == "/events";
    SERVED.with(|(runtime, router, _)| {
        runtime.block_on(async {
            let told = format!("{request:?}");
            let response = tokio::time::timeout(ANSWER_WAIT, router.clone().oneshot(request)).await;
            let Ok(response) = response.unwrap_or_else(|_| panic!("no answer: {told}"));
            let code = response.status().as_u16();
            assert!(code < 500 || code == 503, "{code}: {told}");
            let is_problem = response.headers().get(CONTENT_TYPE).is_some_and(|it| it == "application/problem+json");
            if !is_endless {
                let body = to_bytes(response.into_body(), ANSWER_MAX).await.unwrap();
                if is_problem {
                    let problem: serde_json::Value = serde_json::from_slice(&body).unwrap();
                    assert_eq!(problem["status"], code, "{told}");
                }
            }
        });
    });
}

/// `METHOD PATH`, a field a line, and behind an empty line the body.
fn request(input: &[u8]) -> Option<Request<Body>> {
    let at = input.windows(2).position(|two| two == b"\n\n");
    let (head, body) = at.map_or((input, &[][..]), |at| (&input[..at], &input[at + 2..]));
    let mut lines = head.split(|byte| *byte == b'\n');
    let (method, path) = std::str::from_utf8(lines.next()?).ok()?.split_once(' ')?;
    let mut request = Request::builder().method(method).uri(path).body(Body::from(body.to_vec())).ok()?;
    for line in lines {
        let Some(at) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = (HeaderName::from_bytes(&line[..at]), HeaderValue::from_bytes(line[at + 1..].trim_ascii()));
        request.headers_mut().append(name.ok()?, value.ok()?);
    }
    Some(request)
}

/// The routes of a process that reaches neither Postgres nor Kubernetes, with the jobs.json of the repository.
async fn served(tokens: &Path) -> Router {
    let file = jobs_file::load("jobs.example.json", include_str!("../../jobs.example.json")).unwrap();
    let mut settings = crate::settings::plain();
    settings.server.token_file = Some(tokens.to_owned());
    let config = kube::Config::new("http://127.0.0.1:1".parse().unwrap());
    let client = kube::Client::try_from(config).unwrap();
    let pool = PgPoolOptions::new().connect_lazy_with(PgConnectOptions::new_without_pgpass());
    // Whoever wants a connection is told at once that there is none.
    pool.close().await;
    let stored = Stored::new(Place::new(&pool, "chief", "instance"));
    let (clock, health, metrics) = (Clock::start(), Health::default(), Arc::new(Metrics::new().unwrap()));
    let instance = Arc::new(Instance::of(&settings));
    let cluster = Cluster::new(&client, &instance.namespace, clock, metrics.clone());
    let leader = Leader::new("me".into(), stored.clone(), clock, (health.clone(), metrics.clone()));
    let looks = Looks::new(DepthReader::new(pool.clone(), "pgboss")).0;
    let lookout = Lookout { looks, clock, health: health.clone(), metrics: metrics.clone() };
    let shared = Arc::new(Shared {
        prober: Prober::default(),
        peers: watch::Sender::default(),
        broker: Inquiry::default(),
        ends: broadcast::Sender::new(ENDS_MAX),
        cluster: cluster.clone(),
        instance,
        stored: stored.clone(),
        writer: Writer::new(stored.clone()).0,
        resting_place: Scout::new(lookout.clone(), 1).0,
        lookout,
        hints: Hints::default(),
        policies: Interned::default(),
        clock,
        health,
        metrics,
        tracer: None,
    });
    let roster: Roster = file.jobs.iter().map(|entry| (entry.shared_name(), handle(entry))).collect();
    let in_file = watch::Sender::new(InFile::new(file.jobs, file.sharing)).subscribe();
    let modules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/modules");
    let deploying = Deploying::new(stored.deployments, in_file.clone(), |_| Err("nothing is deployed".into()));
    let desk = Desk::new(Library::new(Some(modules)), Applier::new(&client, cluster), deploying);
    let (roster, totals) = (watch::Sender::new(Arc::new(roster)).subscribe(), watch::Sender::default().subscribe());
    let followed = (leader.standing(), roster, totals);
    let read = (in_file, HistoryReader::new(&pool, "pgboss"));
    router(AppState::new("me".into(), followed, &settings.server, (shared, desk), read))
}

/// Where an entry is found whose actor has told nothing yet.
fn handle(entry: &Entry) -> Handle {
    let orders = Orders {
        entry: entry.clone(),
        deployment: None,
        left: false,
        pools: [].into(),
        seat: None,
        restarted: false,
        stopping: false,
        switched: None,
        ordered: Ordered::of(entry, &Switches::default()),
    };
    let status = match entry {
        Entry::Queue(_) => StatusChannel::Queue(latest::Sender::default()),
        Entry::Service(_) => StatusChannel::Service(latest::Sender::default()),
    };
    Handle { orders: latest::Sender::new(orders), status, views: latest::Sender::new(View::default()).subscribe() }
}
