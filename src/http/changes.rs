//! `/events`: everything once, then what changes, as server-sent events.
//!
//! One task looks twice a second at which actors have told something new, and writes each change once for all who
//! listen. Nothing waits for a listener.

use std::{collections::BTreeMap, convert::Infallible, sync::Arc, time::Duration};

use axum::{
    http::StatusCode,
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures::{FutureExt, StreamExt, stream};
use serde::Serialize;
use tokio::sync::{
    broadcast::{self, error::TryRecvError},
    watch,
};
use tokio_util::sync::CancellationToken;

use crate::{
    actors::{
        orders::Orders,
        performer::EndNotice,
        roster::{Handle, Roster, StatusChannel},
    },
    clock::sleep,
    cluster::watcher::View,
    decide::{
        outcome::{JobName, Outcome, Reason},
        queue::status::Status,
        service::{start_order::Peers, status::ServiceStatus},
    },
    http::{
        channel::{LISTENERS_MAX, Listener, Message},
        deployments::{follower::Seen as SeenDeployments, view::DeploymentView},
        probes::Readiness,
        problem::{Problem, ProblemType},
        queues::{self, JobView},
        route::{Answer, Call, Route},
        services::{self, ServiceView},
        state::AppState,
        token::Access,
    },
    latest,
    metrics::queue_gauges::Depth,
};

/// Between looks at what has changed: nobody reads faster.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Between signs of life, below the minute after which proxies cut a silent connection.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// How long a client waits before it connects again.
const RECONNECT: Duration = Duration::from_secs(2);

/// How long a stream lasts: whoever goes on connects again, and is asked for a token again.
const LASTS: Duration = Duration::from_secs(15 * 60);

/// The word that leaves the first event out: `/events?snapshot=none`.
const NO_SNAPSHOT: &str = "none";

/// The first event: everything.
#[derive(Serialize)]
struct Snapshot {
    #[serde(flatten)]
    standing: StandingView,
    jobs: Vec<JobView>,
    services: Vec<ServiceView>,
    /// As they were read last; those that were not read yet are told as changes.
    deployments: Vec<DeploymentView>,
}

/// Who answers, and whether it leads. One that does not shows what the cluster shows, no decisions and no ends.
#[derive(Clone, PartialEq, Serialize)]
struct StandingView {
    me: String,
    leads: bool,
}

/// A JobConfig, or a deployment, is not there any more.
#[derive(Serialize)]
struct Gone<'a> {
    name: &'a str,
}

/// A run has ended.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EndedRun<'a> {
    /// The name of its JobConfig.
    name: &'a str,
    job: &'a JobName,
    outcome: Outcome,
    reason: Reason,
    exit_code: Option<i32>,
    /// The termination message, or what the API server said.
    message: Option<&'a str>,
}

/// The route.
pub(super) fn routes() -> Vec<Route> {
    let answer = Answer { codes: &[StatusCode::OK], media_type: "text/event-stream", schema: None };
    vec![
        Route::raw(Access::Read, "/events", "Everything once, then what changes: server-sent events", answer, events)
            .or(&[ProblemType::TooManyListeners]),
    ]
}

async fn events(call: Call) -> Result<Response, Problem> {
    let state = &call.state;
    let full = || {
        let detail = format!("{LISTENERS_MAX} listen to /events already; try again later");
        Problem::new(ProblemType::TooManyListeners, detail)
    };
    let listener = state.channel.listen().await.ok_or_else(full)?;
    let first = match call.asked("snapshot").any(|word| word == NO_SNAPSHOT) {
        true => Event::default().retry(RECONNECT).comment("what changes"),
        false => snapshot(state).await,
    };
    let stream = stream::unfold((Some(first), listener), next).take_until(sleep(LASTS));
    Ok(Sse::new(stream).keep_alive(KeepAlive::new().interval(HEARTBEAT)).into_response())
}

async fn snapshot(state: &AppState) -> Event {
    let _turn = state.turn().await;
    let (jobs, services) = (queues::all(state), services::all(state));
    let deployments = state.deployments.borrow().values().cloned().collect();
    let snapshot = Snapshot { standing: standing(state), jobs, services, deployments };
    Event::default().event("snapshot").retry(RECONNECT).data(json(&snapshot))
}

/// What a listener is sent next; its end where it was too slow, or the process ends.
async fn next(
    (first, mut listener): (Option<Event>, Listener),
) -> Option<(Result<Event, Infallible>, (Option<Event>, Listener))> {
    if let Some(first) = first {
        return Some((Ok(first), (None, listener)));
    }
    let message = listener.messages.recv().await.ok()?;
    let Message { number, event, data } = &*message;
    Some((Ok(Event::default().id(number.to_string()).event(*event).data(data)), (None, listener)))
}

fn standing(state: &AppState) -> StandingView {
    StandingView { me: state.me.to_string(), leads: state.leads() }
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("views are plain data")
}

/// What a JobConfig was last seen to be.
struct Tracked {
    orders: latest::Receiver<Orders>,
    status: StatusReceiver,
    views: latest::Receiver<View>,
    depth: Depth,
    told: Seen,
}

enum StatusReceiver {
    Queue(latest::Receiver<Status>),
    Service(latest::Receiver<ServiceStatus>),
}

#[derive(PartialEq)]
enum Seen {
    Nothing,
    Queue(Box<JobView>),
    Service(Box<ServiceView>),
}

/// Sees what changes, while somebody listens.
pub struct Publisher {
    state: AppState,
    number: u64,
    standing: Option<StandingView>,
    readiness: Option<Readiness>,
    roster: Arc<Roster>,
    tracked: BTreeMap<Arc<str>, Tracked>,
    deployments: SeenDeployments,
    peers: watch::Receiver<Arc<Peers>>,
    ends: broadcast::Receiver<Arc<EndNotice>>,
}

impl Publisher {
    /// For the listeners of this state.
    pub fn new(state: AppState) -> Self {
        let (ends, peers) = (state.shared.ends.subscribe(), state.shared.peers.subscribe());
        let (roster, tracked, deployments) = (Arc::default(), BTreeMap::new(), Arc::default());
        Self { state, number: 0, standing: None, readiness: None, roster, tracked, deployments, peers, ends }
    }

    /// Looks until the process ends.
    pub async fn run(mut self, shutdown: CancellationToken) {
        while !shutdown.is_cancelled() {
            if self.state.channel.pause() {
                self.forget();
                if shutdown.run_until_cancelled(self.state.channel.arrival()).await.is_none() {
                    return;
                }
                self.look(false);
                self.state.channel.follow();
            }
            if shutdown.run_until_cancelled(sleep(LOOK_EVERY)).await.is_some() {
                self.look(true);
            }
        }
    }

    /// Nothing is kept while nobody listens.
    fn forget(&mut self) {
        self.tracked.clear();
        self.roster = Arc::default();
        self.ends = self.ends.resubscribe();
    }

    /// Sees what has changed, and tells it.
    fn look(&mut self, tell: bool) {
        let mut news = vec![];
        let standing = standing(&self.state);
        // What one waits for stands in how the others do.
        let mut all = matches!(self.peers.changed().now_or_never(), Some(Ok(())));
        if self.standing.as_ref() != Some(&standing) {
            news.push(("leader", json(&standing)));
            self.standing = Some(standing);
            all = true;
        }
        let readiness = Readiness::of(&self.state);
        if self.readiness.as_ref() != Some(&readiness) {
            news.push(("readiness", json(&readiness)));
            self.readiness = Some(readiness);
        }
        self.take_roster(&mut news);
        let depths = self.state.shared.metrics.queues.gauges.depths(self.state.shared.clock.now());
        for (name, tracked) in &mut self.tracked {
            let deeper = depths.get(&**name).is_some_and(|depth| tracked.note_depth(depth));
            if let Some(handle) = self.roster.get(name).filter(|_| tracked.take_change() || all || deeper) {
                news.extend(tracked.look(handle, &self.state, deeper));
            }
        }
        self.take_deployments(&mut news);
        while let Some(end) = self.next_end() {
            news.push(("ended", json(&EndedRun::of(&end))));
        }
        for (event, data) in news.into_iter().filter(|_| tell) {
            self.number += 1;
            self.state.channel.tell(Message { number: self.number, event, data });
        }
    }

    /// An end that was not told yet. Whoever ended while there were too many of them is on record all the same.
    fn next_end(&mut self) -> Option<Arc<EndNotice>> {
        loop {
            match self.ends.try_recv() {
                Ok(end) => return Some(end),
                Err(TryRecvError::Lagged(_)) => {}
                Err(TryRecvError::Empty | TryRecvError::Closed) => return None,
            }
        }
    }

    fn take_deployments(&mut self, news: &mut Vec<(&'static str, String)>) {
        let seen = self.state.deployments.borrow().clone();
        news.extend(news_of_deployments(&self.deployments, &seen));
        self.deployments = seen;
    }

    fn take_roster(&mut self, news: &mut Vec<(&'static str, String)>) {
        let roster = self.state.roster.borrow().clone();
        if Arc::ptr_eq(&roster, &self.roster) {
            return;
        }
        let mut before = std::mem::take(&mut self.tracked);
        for (name, handle) in &*roster {
            let told = before.remove(name).map_or((Seen::Nothing, Depth::default()), |it| (it.told, it.depth));
            self.tracked.insert(name.clone(), Tracked::new(handle, told));
        }
        news.extend(before.keys().map(|name| ("gone", json(&Gone { name }))));
        self.roster = roster;
    }
}

/// Those that are there or otherwise than before, and those that are gone.
fn news_of_deployments(before: &SeenDeployments, seen: &SeenDeployments) -> Vec<(&'static str, String)> {
    let changed = seen.iter().filter(|(name, view)| before.get(*name) != Some(view));
    let gone = before.keys().filter(|name| !seen.contains_key(*name));
    let changed = changed.map(|(_, view)| ("deployment", json(view)));
    changed.chain(gone.map(|name| ("undeployed", json(&Gone { name })))).collect()
}

impl Tracked {
    /// One that is looked at at once.
    fn new(handle: &Handle, (told, depth): (Seen, Depth)) -> Self {
        let mut orders = handle.orders.subscribe();
        orders.mark_changed();
        let status = match &handle.status {
            StatusChannel::Queue(status) => StatusReceiver::Queue(status.subscribe()),
            StatusChannel::Service(status) => StatusReceiver::Service(status.subscribe()),
        };
        Self { orders, status, views: handle.views.clone(), depth, told }
    }

    /// Whether anything was told since the last look.
    fn take_change(&mut self) -> bool {
        let status = match &mut self.status {
            StatusReceiver::Queue(status) => take(status),
            StatusReceiver::Service(status) => take(status),
        };
        take(&mut self.orders) | take(&mut self.views) | status
    }

    /// How it stands, if that is another than was told, or its queue is deeper or less deep.
    fn look(&mut self, handle: &Handle, state: &AppState, deeper: bool) -> Option<(&'static str, String)> {
        match &handle.status {
            StatusChannel::Queue(_) => {
                let view = queues::view(handle, state)?;
                let differs = self.note(Seen::Queue(Box::new(view.timeless())));
                (differs || deeper).then(|| ("job", json(&view)))
            }
            StatusChannel::Service(_) => {
                let view = services::view(handle, state)?;
                self.note(Seen::Service(Box::new(view.timeless()))).then(|| ("service", json(&view)))
            }
        }
    }

    /// Whether its queue is deeper or less deep than was told. Each look has the beginning of a wait anew, within a
    /// second, which is no news.
    fn note_depth(&mut self, depth: &Depth) -> bool {
        let rounded = |since: Duration| Duration::from_secs((since.as_secs() + 2) / 5 * 5);
        let depth = Depth { ready: depth.ready, oldest_since: depth.oldest_since.map(rounded), empty_at: None };
        std::mem::replace(&mut self.depth, depth.clone()) != depth
    }

    /// Whether it is another than was told; from now on it counts as told.
    fn note(&mut self, seen: Seen) -> bool {
        let differs = seen != self.told;
        self.told = seen;
        differs
    }
}

fn take<T>(receiver: &mut latest::Receiver<T>) -> bool {
    receiver.changed().now_or_never().is_some()
}

impl<'a> EndedRun<'a> {
    fn of(EndNotice { config, ended }: &'a EndNotice) -> Self {
        let end = &ended.end;
        Self {
            name: config,
            job: &ended.name,
            outcome: end.outcome,
            reason: end.reason,
            exit_code: end.exit_code,
            message: end.message.as_deref(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value};

    use super::*;
    use crate::decide::deployment::record::Deployment;

    fn deployment(name: &str, revision: i64) -> (String, DeploymentView) {
        let record = Deployment {
            name: name.into(),
            module: "redis".into(),
            version: "latest".into(),
            config: Map::new(),
            rendered_hash: "h".into(),
            force: false,
            reconcile: false,
            revision,
            gone: false,
            volumes: vec![],
            who: "ann".into(),
            why: String::new(),
            written_at: "2026-01-02T03:04:05Z".into(),
            objects: vec![],
        };
        (name.to_owned(), DeploymentView::of(&record))
    }

    #[test]
    fn of_deployments_only_what_is_new_changed_or_gone_is_told() {
        let before = Arc::new(BTreeMap::from([deployment("same", 1), deployment("changed", 1), deployment("gone", 1)]));
        let seen = Arc::new(BTreeMap::from([deployment("same", 1), deployment("changed", 2), deployment("new", 1)]));
        let told: Vec<(&str, Value)> = news_of_deployments(&before, &seen)
            .into_iter()
            .map(|(event, data)| (event, serde_json::from_str(&data).expect("JSON")))
            .collect();
        let short: Vec<_> =
            told.iter().map(|(event, it)| (*event, it["name"].as_str(), it["revision"].as_i64())).collect();
        let expected = [
            ("deployment", Some("changed"), Some(2)),
            ("deployment", Some("new"), Some(1)),
            ("undeployed", Some("gone"), None),
        ];
        assert_eq!(short, expected);
        assert!(news_of_deployments(&seen, &seen).is_empty());
    }
}
