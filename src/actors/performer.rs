//! What the effects of any JobConfig's runs are performed with.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use k8s_openapi::api::batch::v1::Job;
use tracing::{debug, info, warn};

use crate::{
    actors::{inquiry::Inquiry, leader::Term, lookout::Lookout, scout::RestingPlace, watched_files::Contents},
    clock::Clock,
    cluster::{
        probe::Prober,
        requests::{Cluster, Requests},
    },
    config::entry::{Entry, Kind},
    decide::{
        decision::Wish,
        outcome::{JobName, Outcome},
        pod::{
            inputs::{Instance, Parts},
            manifest::Template,
            names::Naming,
        },
        queue::policy::QueuePolicy,
        run::event::{CreateAnswer, Ended, LoadedRuns, RunEffect, RunEvent, WishAnswer},
        service::start_order::Peers,
        trace::{Span, Traced},
    },
    fence::Fence,
    health::{Component, Health},
    interned::Interned,
    metrics::Metrics,
    pgboss::listen::Hints,
    store::{
        rows::{EndRow, WishRow},
        stored::Stored,
        writer::Writer,
    },
    traces::tracer::Tracer,
};

/// Ends that wait for whoever publishes them; those beyond are on record all the same.
pub const ENDS_MAX: usize = 256;

/// A run of a JobConfig has ended, and its end is on record.
#[derive(Clone, Debug)]
pub struct EndNotice {
    /// The name of the JobConfig.
    pub config: Arc<str>,
    /// The end.
    pub ended: Ended,
}

/// What all actors share.
pub struct Shared {
    /// This installation.
    pub instance: Arc<Instance>,
    /// The writer of the namespace.
    pub cluster: Cluster,
    /// Who asks pods whether they work.
    pub prober: Prober,
    /// Our own tables.
    pub stored: Stored,
    /// The writer of our tables.
    pub writer: Writer,
    /// Who looks at queues.
    pub lookout: Lookout,
    /// Where actors rest.
    pub resting_place: RestingPlace,
    /// Notifications of new messages.
    pub hints: Hints,
    /// The policies of queues: most have the same one as others.
    pub policies: Interned<QueuePolicy>,
    /// How the services stand, while this process leads.
    pub peers: tokio::sync::watch::Sender<Arc<Peers>>,
    /// Who asks the Broker, while this process leads and anything is shared.
    pub broker: Inquiry,
    /// The runs that end.
    pub ends: tokio::sync::broadcast::Sender<Arc<EndNotice>>,
    /// The time.
    pub clock: Clock,
    /// What works and what does not.
    pub health: Health,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Whom the spans of runs are told, where traces are wanted.
    pub tracer: Option<Tracer>,
}

/// Everything that the effects of one JobConfig's runs are performed with.
pub struct RunPerformer {
    /// Its name, as the writer wants it.
    pub name: Arc<str>,
    /// The entry.
    pub entry: Entry,
    /// What the files hold that it is to be started anew on.
    files: Contents,
    /// Rendered when the first Job is wished for: most of many JobConfigs are idle.
    rendered: OnceLock<Box<Rendered>>,
    /// Its share of the requests, taken with the first of them: most of many JobConfigs are idle.
    requests: Arc<OnceLock<Box<Requests>>>,
    /// What its requests are held against.
    fence: Fence,
    /// What all actors share.
    pub shared: Arc<Shared>,
    /// The number of the term.
    term: u64,
}

/// What the Jobs of a JobConfig are made from.
struct Rendered {
    template: Template,
    config_hash: Arc<str>,
}

impl RunPerformer {
    /// The performer of a JobConfig for a term.
    pub fn new(entry: Entry, shared: Arc<Shared>, term: Term) -> Self {
        let name = entry.shared_name();
        Self {
            name,
            entry,
            files: Contents::NotAsked,
            rendered: OnceLock::new(),
            requests: Arc::default(),
            fence: term.fence,
            shared,
            term: term.number,
        }
    }

    /// The same for the entry as it is now; its share of the requests stays the same.
    #[must_use]
    pub fn with(&self, entry: Entry) -> Self {
        Self {
            name: self.name.clone(),
            entry,
            files: self.files.clone(),
            rendered: OnceLock::new(),
            requests: self.requests.clone(),
            fence: self.fence.clone(),
            shared: self.shared.clone(),
            term: self.term,
        }
    }

    /// Whose Jobs they are.
    pub fn naming(&self) -> Naming {
        Naming { instance: self.shared.instance.uid.clone(), config: self.name.clone() }
    }

    /// Its share of the requests.
    pub fn requests(&self) -> &Requests {
        self.requests.get_or_init(|| Box::new(self.shared.cluster.requests(self.fence.clone())))
    }

    /// The same for files that hold this now.
    #[must_use]
    pub fn following(self, files: Contents) -> Self {
        Self { files, rendered: OnceLock::new(), ..self }
    }

    fn rendered(&self) -> &Rendered {
        self.rendered.get_or_init(|| {
            let template = Template::of(&self.entry, &self.shared.instance);
            let template = match &self.files {
                Contents::NotAsked => template,
                Contents::Unread => template.with_files(None),
                Contents::Read(hash) => template.with_files(Some(hash)),
            };
            Box::new(Rendered { config_hash: template.config_hash.as_str().into(), template })
        })
    }

    /// The hash of what its Jobs are rendered from.
    pub fn config_hash(&self) -> &str {
        &self.rendered().config_hash
    }

    /// Performs an effect, and answers it by one event for each name that it carries.
    pub async fn perform(&self, effect: RunEffect) -> Vec<RunEvent> {
        match effect {
            RunEffect::LoadRuns => vec![RunEvent::RunsLoaded(self.load().await)],
            RunEffect::WriteWishes(wishes) => Box::pin(self.write_wishes(wishes)).await,
            RunEffect::CreateJob(wish) => {
                // Requests are large while they are under way, and most actors never have one.
                let answer = Box::pin(self.create(&wish)).await;
                vec![RunEvent::CreateAnswered(wish.name, answer)]
            }
            RunEffect::GetJob(name) => {
                let answer = Box::pin(self.requests().get(&name)).await;
                vec![RunEvent::GetAnswered(name, answer)]
            }
            RunEffect::DeleteJob { name, uid, resource_version } => {
                let answer = Box::pin(self.requests().delete(&name, &uid, resource_version.as_deref())).await;
                info!(job = %name, ?answer, "asked to delete a Job");
                vec![RunEvent::DeleteAnswered(name, answer)]
            }
            RunEffect::WriteEnd(ended) => {
                let row = EndRow { term: self.term, ended: ended.clone() };
                let written = self.stored(self.shared.writer.end(row).await).is_some();
                self.log_end(&ended, written);
                self.publish_end(&ended, written);
                if written {
                    self.trace(&ended.name, |run, _| run.ended(&ended));
                }
                vec![RunEvent::EndWritten(ended.name, written)]
            }
        }
    }

    /// Its unfinished runs; `None` where Postgres did not answer.
    pub async fn load(&self) -> Option<LoadedRuns> {
        self.stored(self.shared.stored.runs.load(self.entry.kind(), &self.name).await)
    }

    /// A result from our own tables; it also decides their health.
    pub fn stored<T>(&self, result: Result<T, impl std::error::Error>) -> Option<T> {
        match result {
            Ok(value) => {
                self.shared.health.set(Component::Schema, Ok(()));
                Some(value)
            }
            Err(error) => {
                self.shared.health.set(Component::Schema, Err(crate::telemetry::with_causes(&error)));
                None
            }
        }
    }

    async fn write_wishes(&self, wishes: Vec<Wish>) -> Vec<RunEvent> {
        let row = |wish: &Wish| WishRow {
            kind: self.entry.kind(),
            config: self.name.clone(),
            config_hash: self.rendered().config_hash.clone(),
            term: self.term,
            wish: wish.clone(),
        };
        let written = self.stored(self.shared.writer.wishes(wishes.iter().map(row).collect()).await);
        let answer = |wish: Wish| {
            let answer = written.as_ref().and_then(|answers| answers.get(&wish.name).copied());
            if answer == Some(WishAnswer::Written) && wish.adopted.is_none() {
                self.trace(&wish.name, |run, now| run.wished(&wish, now));
            }
            RunEvent::WishWritten(wish.name, answer)
        };
        wishes.into_iter().map(answer).collect()
    }

    /// The Job of a wish; `None` where jobs.json no longer has what it is for.
    fn job(&self, wish: &Wish) -> Option<Job> {
        let Some(one_off) = &wish.one_off else { return Some(self.rendered().template.job(wish)) };
        let parts = self.entry.service().and_then(|service| Parts::one_off(service, one_off))?;
        Some(Template::of(parts, &self.shared.instance).job(wish))
    }

    async fn create(&self, wish: &Wish) -> CreateAnswer {
        let sent_at = self.shared.clock.now();
        let answer = match self.job(wish) {
            Some(job) => self.requests().create(&job).await,
            None => CreateAnswer::Refused { message: "jobs.json has it no more".to_owned() },
        };
        self.trace(&wish.name, |run, now| vec![run.asked(sent_at, now, &answer)]);
        match &answer {
            CreateAnswer::Exists { .. } => {
                self.shared.metrics.jobs_created.with_label_values(&[&self.name]).inc();
                match (self.entry.kind(), &wish.one_off) {
                    (_, Some(one_off)) => info!(job = %wish.name, purpose = %one_off, "created a Job"),
                    (Kind::Queue, None) => {
                        let decision = &wish.decision;
                        info!(job = %wish.name, ready = decision.ready, live = decision.live, max = decision.max, "created a Job");
                    }
                    (Kind::Service, None) => info!(job = %wish.name, replica = wish.slot, "created a Job"),
                }
            }
            CreateAnswer::Refused { message } if self.is_quiet() => {
                debug!(job = %wish.name, message, "the API server refused a Job")
            }
            CreateAnswer::Refused { message } => warn!(job = %wish.name, message, "the API server refused a Job"),
            CreateAnswer::Unanswered { .. } => {
                warn!(job = %wish.name, "no answer to the request for a Job; asking again under the same name")
            }
        }
        answer
    }

    /// Tells spans of a run as of now, where traces are wanted.
    fn trace(&self, job: &JobName, spans: impl FnOnce(Traced<'_>, Duration) -> Vec<Span>) {
        let Shared { tracer, instance, clock, .. } = &*self.shared;
        let Some(tracer) = tracer else { return };
        let queue = self.entry.queue().map(|config| &*config.queue_name);
        let (namespace, instance) = (&*instance.namespace, &*instance.uid);
        let run = Traced { job, job_config: &self.name, queue, namespace, instance };
        tracer.tell(job, || spans(run, clock.now()));
    }

    /// Its starts that fail are logged at debug.
    fn is_quiet(&self) -> bool {
        self.entry.service().is_some_and(|service| service.quiet)
    }

    fn publish_end(&self, ended: &Ended, written: bool) {
        if written && self.shared.ends.receiver_count() > 0 {
            // An error says that nobody listens any more.
            drop(self.shared.ends.send(Arc::new(EndNotice { config: self.name.clone(), ended: ended.clone() })));
        }
    }

    fn log_end(&self, ended: &Ended, written: bool) {
        if !written {
            return;
        }
        let end = &ended.end;
        if let Some(started_age) = ended.started_age {
            let ran = started_age.saturating_sub(ended.age);
            self.shared.metrics.job_duration.with_label_values(&[&self.name]).observe(ran.as_secs_f64());
        }
        macro_rules! log_end {
            ($level:ident) => {
                $level!(
                    job = %ended.name,
                    outcome = end.outcome.as_str(),
                    reason = end.reason.as_str(),
                    exit_code = end.exit_code,
                    message = end.message.as_deref(),
                    "a run ended"
                )
            };
        }
        let bad_start = matches!(end.outcome, Outcome::StartError | Outcome::StartTimedOut);
        if self.is_quiet() && bad_start { log_end!(debug) } else { log_end!(info) }
    }
}
