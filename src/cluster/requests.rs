//! Creates, live looks and deletes: bounded in number and time, each answer sorted into what a decision needs.

use std::{error::Error, iter, sync::Arc, time::Duration};

use axum::http;
use k8s_openapi::api::{batch::v1::Job, core::v1::Pod};
use kube::{
    Api, Client,
    api::{DeleteParams, ListParams, PostParams, Preconditions, PropagationPolicy},
    core::{Request, Status},
};
use tokio::sync::Mutex;

use crate::{
    clock::Clock,
    cluster::{
        fenced::LeaseOver,
        in_flight::{InFlight, Place},
        partial::PartialJob,
        window::Load,
    },
    decide::{
        outcome::{JobName, shorten},
        pod::{
            digest::{JobDigest, PodDigest},
            names::{ANNOTATION_NAME, LABEL_OWNER},
            observation::observe,
        },
        run::{
            event::{CreateAnswer, DeleteAnswer, GetAnswer},
            policy::REQUEST_TIMEOUT,
        },
        service::event::ForceDeleteAnswer,
    },
    fence::Fence,
    metrics::Metrics,
};

type HttpRequest = http::Request<Vec<u8>>;

/// The longest wait that a `Retry-After` may impose.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);

/// Pods of one Job that a live look reads: `parallelism` allows no more, and failed ones are kept beside them.
const PODS_MAX: u32 = 100;

/// The writer of one namespace.
#[derive(Clone)]
pub struct Cluster {
    pub(super) client: Client,
    pub(super) namespace: String,
    jobs: Api<Job>,
    pods: Api<Pod>,
    in_flight: Arc<InFlight>,
    clock: Clock,
    metrics: Arc<Metrics>,
}

/// One JobConfig's share of the writer.
pub struct Requests {
    cluster: Cluster,
    turn: Mutex<()>,
    fence: Fence,
}

/// Why a request has not done what was asked.
#[derive(Debug)]
pub(super) enum Unanswered {
    /// The API server says so.
    Told(Box<Status>),
    /// It says nothing, or was not asked.
    Silent,
}

/// What an API error means for the caller.
enum Refusal {
    /// The answer is final.
    Final { code: u16, message: String },
    /// No answer, or "later".
    Later { retry_after: Option<Duration> },
}

impl Cluster {
    /// A writer that has asked for nothing yet.
    pub fn new(client: &Client, namespace: &str, clock: Clock, metrics: Arc<Metrics>) -> Self {
        Self {
            client: client.clone(),
            namespace: namespace.to_owned(),
            jobs: Api::namespaced(client.clone(), namespace),
            pods: Api::namespaced(client.clone(), namespace),
            in_flight: Arc::new(InFlight::new(clock, metrics.clone())),
            clock,
            metrics,
        }
    }

    /// The share of one JobConfig, whose requests that change something are held to this fence.
    pub fn requests(&self, fence: Fence) -> Requests {
        Requests { cluster: self.clone(), turn: Mutex::default(), fence }
    }

    /// Waits for a lease that has lapsed.
    pub(super) async fn opened(&self, fence: &Fence, verb: &'static str) -> Result<(), Unanswered> {
        if tokio::time::timeout(REQUEST_TIMEOUT, fence.opened()).await.is_err() {
            self.metrics.note_kube_request(verb, "dropped", REQUEST_TIMEOUT);
            return Err(Unanswered::Silent);
        }
        Ok(())
    }

    /// A request in one of the places of the process, within its time.
    pub(super) async fn bounded<T>(
        &self,
        verb: &'static str,
        request: impl Future<Output = kube::Result<T>>,
    ) -> Result<T, Unanswered> {
        self.sent(self.in_flight.place(&self.in_flight.others).await, verb, request).await
    }

    async fn sent<T>(
        &self,
        place: Place<'_>,
        verb: &'static str,
        request: impl Future<Output = kube::Result<T>>,
    ) -> Result<T, Unanswered> {
        let answer = tokio::time::timeout(REQUEST_TIMEOUT, request).await;
        let (code, load, said, result) = match answer {
            Ok(Ok(value)) => ("2xx".to_owned(), Load::Well, String::new(), Ok(value)),
            Ok(Err(kube::Error::Api(status))) => {
                (status.code.to_string(), load(&status), shorten(&status.message), Err(Unanswered::Told(status)))
            }
            Ok(Err(error)) if was_not_sent(&error) => {
                ("dropped".to_owned(), Load::Unknown, String::new(), Err(Unanswered::Silent))
            }
            Ok(Err(_)) => ("none".to_owned(), Load::Overloaded(None), "no answer".to_owned(), Err(Unanswered::Silent)),
            Err(_) => ("timeout".to_owned(), Load::Overloaded(None), "no answer".to_owned(), Err(Unanswered::Silent)),
        };
        let took = place.answered(verb, load, &said);
        self.metrics.note_kube_request(verb, &code, took);
        result
    }
}

impl Requests {
    /// Asks for a Job. "Already exists" is success where the Job is ours.
    pub async fn create(&self, job: &Job) -> CreateAnswer {
        match self.fenced("create", self.post(job)).await {
            Ok(PartialJob(job)) => CreateAnswer::Exists { uid: job.metadata.uid.unwrap_or_default().into() },
            Err(Refusal::Final { code: 409, .. }) => self.existing(job).await,
            Err(Refusal::Final { message, .. }) => CreateAnswer::Refused { message },
            Err(Refusal::Later { retry_after }) => CreateAnswer::Unanswered { retry_after },
        }
    }

    /// The Job that has the name already: ours, from a request whose answer was lost, or somebody else's.
    async fn existing(&self, wanted: &Job) -> CreateAnswer {
        let name = wanted.metadata.name.as_deref().unwrap_or_default();
        let mark = |job: &Job| {
            let meta = &job.metadata;
            let config = meta.annotations.as_ref().and_then(|all| all.get(ANNOTATION_NAME).cloned());
            (config, meta.labels.as_ref().and_then(|all| all.get(LABEL_OWNER).cloned()))
        };
        match self.bounded("get", self.cluster.jobs.get(name)).await {
            Ok(job) if mark(&job) == mark(wanted) => {
                CreateAnswer::Exists { uid: job.metadata.uid.unwrap_or_default().into() }
            }
            Ok(_) => CreateAnswer::Refused { message: format!("a Job named {name} exists that is not ours") },
            // It was there, and is gone: asked again, the next answer decides.
            Err(_) => CreateAnswer::Unanswered { retry_after: None },
        }
    }

    /// Looks at a Job and its pods, live and not by the watch.
    pub async fn get(&self, name: &JobName) -> GetAnswer {
        let job = match self.bounded("get", self.cluster.jobs.get(&name.0)).await {
            Ok(job) => job,
            Err(Refusal::Final { code: 404, .. }) => return GetAnswer::Absent,
            Err(_) => return GetAnswer::Unanswered,
        };
        let Some(digest) = JobDigest::of(&job) else { return GetAnswer::Unanswered };
        let Ok(pods) = self.bounded("list", self.cluster.pods.list(&of_job(&digest.uid))).await else {
            return GetAnswer::Unanswered;
        };
        let pods: Vec<PodDigest> = pods.items.iter().filter_map(PodDigest::of).collect();
        let pods: Vec<&PodDigest> = pods.iter().collect();
        GetAnswer::Found(Box::new(observe(&digest, &pods, self.cluster.clock.unix_millis())))
    }

    /// Deletes a Job; with `Foreground` it is gone when its pods are.
    pub async fn delete(&self, name: &JobName, uid: &str, resource_version: Option<&str>) -> DeleteAnswer {
        let params = DeleteParams {
            propagation_policy: Some(PropagationPolicy::Foreground),
            preconditions: Some(Preconditions {
                uid: Some(uid.to_owned()),
                resource_version: resource_version.map(str::to_owned),
            }),
            ..DeleteParams::default()
        };
        match self.fenced("delete", self.remove(name, &params)).await {
            Ok(_) => DeleteAnswer::Accepted,
            Err(Refusal::Final { code: 404, .. }) => DeleteAnswer::Absent,
            Err(Refusal::Final { code: 409, .. }) => DeleteAnswer::Changed,
            Err(_) => DeleteAnswer::Unanswered,
        }
    }

    /// Deletes the pods of the Job with this uid without any grace.
    pub async fn force_delete_pods(&self, uid: &str) -> ForceDeleteAnswer {
        let Ok(pods) = self.bounded("list", self.cluster.pods.list(&of_job(uid))).await else {
            return ForceDeleteAnswer::Unanswered;
        };
        let mut worst = ForceDeleteAnswer::Deleted;
        for pod in pods.items {
            let params = DeleteParams {
                preconditions: Some(Preconditions { uid: pod.metadata.uid, resource_version: None }),
                ..DeleteParams::default().grace_period(0)
            };
            let request = Request::new(self.cluster.pods.resource_url());
            let request = request.delete(&pod.metadata.name.unwrap_or_default(), &params);
            match self.fenced("delete", self.send_text(request)).await {
                Ok(_) | Err(Refusal::Final { code: 404 | 409, .. }) => {}
                Err(Refusal::Final { code: 403, .. }) => return ForceDeleteAnswer::Forbidden,
                Err(_) => worst = ForceDeleteAnswer::Unanswered,
            }
        }
        worst
    }

    /// The answer is the whole Job, of which nobody needs more than the uid.
    async fn post(&self, job: &Job) -> kube::Result<PartialJob> {
        let body = serde_json::to_vec(job).map_err(kube::Error::SerdeError)?;
        let request = self.requesting().create(&PostParams::default(), body);
        self.cluster.client.request(self.carrying_the_fence(request)?).await
    }

    /// The answer is a Job or a status, and nobody needs either.
    async fn remove(&self, name: &JobName, params: &DeleteParams) -> kube::Result<String> {
        self.send_text(self.requesting().delete(&name.0, params)).await
    }

    async fn send_text(&self, request: Result<HttpRequest, kube::core::request::Error>) -> kube::Result<String> {
        self.cluster.client.request_text(self.carrying_the_fence(request)?).await
    }

    fn requesting(&self) -> Request {
        Request::new(self.cluster.jobs.resource_url())
    }

    fn carrying_the_fence(
        &self,
        request: Result<HttpRequest, kube::core::request::Error>,
    ) -> kube::Result<HttpRequest> {
        let mut request = request.map_err(kube::Error::BuildRequest)?;
        request.extensions_mut().insert(self.fence.clone());
        Ok(request)
    }

    /// A request that changes something: it waits for a lease that has lapsed, and is dropped without one.
    async fn fenced<T>(
        &self,
        verb: &'static str,
        request: impl Future<Output = kube::Result<T>>,
    ) -> Result<T, Refusal> {
        match self.cluster.opened(&self.fence, verb).await {
            Ok(()) => self.bounded(verb, request).await,
            Err(_) => Err(Refusal::Later { retry_after: None }),
        }
    }

    async fn bounded<T>(
        &self,
        verb: &'static str,
        request: impl Future<Output = kube::Result<T>>,
    ) -> Result<T, Refusal> {
        let place = self.cluster.in_flight.place(&self.turn).await;
        match self.cluster.sent(place, verb, request).await {
            Ok(value) => Ok(value),
            Err(Unanswered::Told(status)) => {
                if status.code == 403 {
                    tracing::warn!(verb, message = %shorten(&status.message), "the API server refused a request");
                }
                Err(refusal(&status))
            }
            Err(Unanswered::Silent) => Err(Refusal::Later { retry_after: None }),
        }
    }
}

/// The pods of a Job.
fn of_job(uid: &str) -> ListParams {
    ListParams::default().labels(&format!("batch.kubernetes.io/controller-uid={uid}")).limit(PODS_MAX)
}

/// What an answer says of how much the API server has to do. 500 is what a webhook that fails is answered with, too.
fn load(status: &Status) -> Load {
    match status.code {
        429 | 503 => Load::Overloaded(retry_after(status)),
        408 | 504 => Load::Overloaded(None),
        _ => Load::Well,
    }
}

/// The API server never had the whole request: the lease had ended, or it could not be built.
fn was_not_sent(error: &kube::Error) -> bool {
    let mut causes = iter::successors(Some(error as &(dyn Error + 'static)), |&cause| cause.source());
    matches!(error, kube::Error::BuildRequest(_) | kube::Error::SerdeError(_))
        || causes.any(|cause| cause.is::<LeaseOver>())
}

/// Answers that say "later", and those that nobody can take back.
fn refusal(status: &Status) -> Refusal {
    if says_later(status) {
        return Refusal::Later { retry_after: retry_after(status) };
    }
    Refusal::Final { code: status.code, message: shorten(&status.message) }
}

/// The same request may be answered otherwise later.
pub(super) fn says_later(status: &Status) -> bool {
    matches!(status.code, 401 | 408 | 429 | 500..=599)
}

/// How long the API server asks to be left alone.
pub(super) fn retry_after(status: &Status) -> Option<Duration> {
    let asked = status.details.as_ref().map(|details| Duration::from_secs(details.retry_after_seconds.into()));
    asked.filter(|wait| !wait.is_zero()).map(|wait| wait.min(RETRY_AFTER_MAX))
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, sync::Mutex};

    use axum::http::Response;
    use futures::{StreamExt, stream};
    use kube::client::Body;

    use super::*;
    use crate::{clock, fence::Gate};

    const ROUND_TRIP: Duration = Duration::from_millis(10);

    /// When which path was asked for, in order.
    type Asked = Arc<Mutex<Vec<(Duration, String)>>>;

    /// An API server that has no Job and takes its time to say so; and what it was asked for.
    fn cluster(clock: Clock) -> (Cluster, Asked) {
        let asked = Asked::default();
        let log = asked.clone();
        let server = tower::service_fn(move |request: http::Request<Body>| {
            log.lock().expect("unpoisoned").push((clock.now(), request.uri().path().to_owned()));
            async {
                clock::sleep(ROUND_TRIP).await;
                let status = serde_json::json!({"kind": "Status", "status": "Failure", "code": 404});
                let answer = Response::builder().status(404).body(Body::from(status.to_string().into_bytes()));
                Ok::<_, Infallible>(answer.expect("a response"))
            }
        });
        let metrics = Arc::new(Metrics::new().expect("a page"));
        (Cluster::new(&Client::new(server, "here"), "here", clock, metrics), asked)
    }

    async fn get(of: &Requests, name: String) {
        assert!(matches!(of.get(&JobName(name)).await, GetAnswer::Absent));
    }

    #[tokio::test(start_paused = true)]
    async fn the_burst_of_one_job_config_is_not_before_anothers_only_request() {
        let clock = Clock::start();
        let (begun, (cluster, asked)) = (clock.now(), cluster(clock));
        let gate = Gate::until(Duration::MAX, clock);
        let (many, one) = (cluster.requests(gate.fence()), cluster.requests(gate.fence()));
        let burst = stream::iter(0..500).for_each_concurrent(None, |number| get(&many, format!("burst-{number}")));
        let single = async {
            clock::sleep(ROUND_TRIP / 2).await;
            get(&one, "single".to_owned()).await;
        };
        futures::join!(single, burst);
        let asked = asked.lock().expect("unpoisoned");
        let sent = |name: &str| {
            let of_name = asked.iter().filter(|(_, path)| path.contains(name));
            of_name.map(|(at, _)| at.saturating_sub(begun)).max().expect("some were asked")
        };
        assert_eq!(sent("single"), ROUND_TRIP, "as soon as the first places became free");
        assert!(sent("burst") < 12 * ROUND_TRIP, "the window doubled by the round");
        assert!(sent("burst") > 5 * ROUND_TRIP);
    }

    #[tokio::test]
    async fn what_a_lapsed_lease_has_dropped_is_no_trouble_of_the_api_server() {
        let server = tower::service_fn(|_: http::Request<Body>| async { Err::<Response<Body>, _>(LeaseOver) });
        let (clock, metrics) = (Clock::start(), Arc::new(Metrics::new().expect("a page")));
        let cluster = Cluster::new(&Client::new(server, "here"), "here", clock, metrics.clone());
        let requests = cluster.requests(Gate::until(Duration::MAX, clock).fence());
        for _ in 0..10 {
            assert!(matches!(requests.get(&JobName("gone".to_owned())).await, GetAnswer::Unanswered));
        }
        assert_eq!(metrics.kube_places(), 16);
    }
}
