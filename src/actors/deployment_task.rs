//! Works on one deployment in a term: waits, steps, performs one step after another.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::sync::{Semaphore, mpsc, watch};

use crate::{
    actors::{
        leader::Term,
        performer::Shared,
        roster::{Roster, StatusChannel},
    },
    clock::{sleep, sleep_until},
    cluster::{
        apply::{Applied, Applier},
        apply_error::ApplyError,
    },
    config::{entry::Entry, in_file::InFile},
    decide::{
        deployment::{
            application::Application,
            fleet::ReadEntry,
            record::{Deployment, DeploymentState, ObjectState},
            step::{Answer, Facts, Live, Looked, Next, Step},
        },
        live::{fields::Drift, live_object, owner::Owner, written::Written},
        pod::manifest::Template,
    },
    modules::object::{Object, ObjectId, ObjectKind},
    store::{deployments::NoteRow, error::StoreError},
    telemetry::with_causes,
};

/// Between tries to read a deployment.
const RETRY: Duration = Duration::from_secs(2);

/// How often it is looked, in memory, whether the services that are waited for are up: a rollout ends without a word.
const FACTS_EVERY: Duration = Duration::from_secs(2);

/// Changed fields that are named of one object.
const FIELDS_NAMED: usize = 5;

/// What all deployments are worked on with.
pub struct World {
    /// What all actors share.
    pub shared: Arc<Shared>,
    /// Who applies objects.
    pub applier: Applier,
    /// The JobConfigs that have an actor.
    pub roster: watch::Receiver<Arc<Roster>>,
    /// jobs.json.
    pub file: watch::Receiver<InFile>,
    /// How JobConfigs are read.
    pub read_entry: ReadEntry,
}

/// How far a deployment is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// How it stands.
    pub state: DeploymentState,
    /// How its objects stand.
    pub states: Vec<ObjectState>,
    /// Objects that are compared now and then with what was applied.
    pub checkable: Vec<ObjectId>,
}

/// The JobConfigs of a deployment as they are wanted, by name, each with its generation.
type Wanted = BTreeMap<String, Option<(Entry, String)>>;

/// The task of one deployment in one term.
pub(super) struct DeploymentTask {
    name: String,
    owner: Owner,
    term: Term,
    world: Arc<World>,
    /// Places for statements, which all deployments share.
    statements: Arc<Semaphore>,
    revisions: watch::Receiver<i64>,
    checks: mpsc::Receiver<ObjectId>,
    progress: watch::Sender<BTreeMap<String, Progress>>,
    roster: watch::Receiver<Arc<Roster>>,
    file: watch::Receiver<InFile>,
    peers: watch::Receiver<Arc<crate::decide::service::start_order::Peers>>,
}

impl DeploymentTask {
    pub(super) fn new(
        name: &str,
        term: Term,
        (world, statements): (Arc<World>, Arc<Semaphore>),
        (revisions, checks): (watch::Receiver<i64>, mpsc::Receiver<ObjectId>),
        progress: watch::Sender<BTreeMap<String, Progress>>,
    ) -> Self {
        let (roster, file, peers) = (world.roster.clone(), world.file.clone(), world.shared.peers.subscribe());
        let owner = Owner::new(&world.shared.instance.uid, name);
        let name = name.to_owned();
        Self { name, owner, term, world, statements, revisions, checks, progress, roster, file, peers }
    }

    /// Runs until nothing is left of the deployment. Returns the revision after which that was so.
    pub(super) async fn run(mut self) -> i64 {
        loop {
            match self.read().await {
                Ok(Some(record)) => {
                    if self.work_on(&record).await.is_over() {
                        tracing::info!(deployment = self.name, "nothing is left of it");
                        return record.revision;
                    }
                }
                Ok(None) => return *self.revisions.borrow(),
                Err(error) => {
                    tracing::debug!(error = with_causes(&error), "a deployment can't be read; trying again");
                    sleep(RETRY).await;
                }
            }
        }
    }

    async fn read(&self) -> Result<Option<Deployment>, StoreError> {
        let _turn = self.statements.acquire().await.expect("never closed");
        self.world.shared.stored.deployments.one(&self.name).await
    }

    /// Works on one revision until nothing is left of the deployment, or there is another.
    async fn work_on(&mut self, record: &Deployment) -> Worked {
        let clock = self.world.shared.clock;
        let mut application = Application::new(record, clock.now());
        let wanted = self.wanted(record);
        loop {
            self.publish(&application);
            if application.is_recorded() && *self.revisions.borrow_and_update() > application.revision() {
                return Worked::Revised;
            }
            let facts = self.facts(&wanted);
            match application.next(clock.now(), &facts) {
                Next::Do(step) => {
                    let answer = self.perform(&step, record).await;
                    application.answered(clock.now(), &step, answer);
                }
                Next::Over => return Worked::Over,
                Next::Wait(until) => {
                    tokio::select! {
                        () = sleep_until(clock, until.unwrap_or_default()), if until.is_some() => {}
                        () = sleep(FACTS_EVERY), if is_waiting(application.state()) => {}
                        Ok(()) = self.revisions.changed() => {}
                        Some(id) = self.checks.recv() => application.check(&id),
                        Ok(()) = self.roster.changed() => {}
                        Ok(()) = self.peers.changed() => {}
                        Ok(()) = self.file.changed() => {}
                    }
                }
            }
        }
    }

    fn publish(&self, application: &Application) {
        let progress = Progress {
            state: application.state(),
            states: application.objects().map(|object| object.known().state).collect(),
            checkable: application.checkable(),
        };
        self.progress.send_if_modified(|all| {
            let changed = all.get(&self.name) != Some(&progress);
            if changed {
                all.insert(self.name.clone(), progress);
            }
            changed
        });
    }

    /// Each JobConfig as it is wanted, with its generation; none for one that can't be read.
    fn wanted(&self, record: &Deployment) -> Wanted {
        let configs = record.objects.iter().filter(|it| it.object.id.kind == ObjectKind::JobConfig);
        let of = |object: &Object| {
            let entry = (self.world.read_entry)(object).ok()?;
            let generation = Template::of(&entry, &self.world.shared.instance).config_hash;
            Some((entry, generation))
        };
        configs.map(|it| (it.object.id.name.clone(), of(&it.object))).collect()
    }

    /// How the JobConfigs stand. A service is up when it is so as it is wanted, and not as it was before.
    fn facts(&mut self, wanted: &Wanted) -> Facts {
        let (roster, file) = (self.roster.borrow_and_update().clone(), self.file.borrow_and_update().clone());
        self.peers.mark_unchanged();
        let mut facts = Facts::default();
        for (name, wanted) in wanted {
            facts.in_file.extend(file.entries.iter().any(|entry| entry.name() == name).then(|| name.clone()));
            let Some(handle) = roster.get(&**name) else { continue };
            facts.present.insert(name.clone());
            let (Some((entry, generation)), StatusChannel::Service(status)) = (wanted, &handle.status) else {
                continue;
            };
            let is_up = handle.entry() == *entry && status.borrow().is_up_as(generation);
            facts.running.extend(is_up.then(|| name.clone()));
        }
        facts
    }

    async fn perform(&self, step: &Step, record: &Deployment) -> Answer {
        let (applier, fence) = (&self.world.applier, &self.term.fence);
        match step {
            Step::Look(id) => match applier.look(id).await {
                Ok(None) => Answer::Looked(Looked::Absent),
                Ok(Some(live)) => match record.object(id) {
                    Some(object) => Answer::Looked(Looked::Found(self.seen(&live, &object.object))),
                    None => Answer::Unanswered,
                },
                Err(error) => self.refused(id, &error),
            },
            Step::Apply(id) => {
                let Some(object) = record.object(id) else { return Answer::Unanswered };
                match applier.apply(&object.object, &self.owner, record.force, fence).await {
                    Ok(applied) => {
                        let Applied { change, uid } = applied;
                        tracing::info!(deployment = self.name, object = %id, change = change.as_str(), "applied an object");
                        Answer::Applied(change, uid)
                    }
                    Err(error) => self.refused(id, &error),
                }
            }
            Step::Delete(id, uid) => match applier.delete(id, uid, fence).await {
                Ok(()) => {
                    tracing::info!(deployment = self.name, object = %id, "asked to delete an object");
                    Answer::Deleted
                }
                Err(error) => self.refused(id, &error),
            },
            Step::Note { .. } | Step::ObjectGone(_) | Step::Gone => match self.record(step, record).await {
                Ok(()) => Answer::Noted,
                Err(error) => {
                    tracing::debug!(deployment = self.name, error = with_causes(&error), "could not be recorded");
                    Answer::Unanswered
                }
            },
        }
    }

    async fn record(&self, step: &Step, record: &Deployment) -> Result<(), StoreError> {
        let _turn = self.statements.acquire().await.expect("never closed");
        let (table, term) = (&self.world.shared.stored.deployments, self.term.number);
        match step {
            Step::Note { id, revision, known, fleet } => {
                if let (ObjectState::Error, Some(message)) = (known.state, &known.message) {
                    tracing::warn!(deployment = self.name, object = %id, message, "an object is in error; trying again");
                }
                let (revision, fleet) = (*revision, *fleet);
                table.note(&NoteRow { term, deployment: &self.name, id, revision, known, fleet }).await
            }
            Step::ObjectGone(id) => table.object_gone(term, &self.name, id, record.revision).await,
            _ => table.gone(term, &self.name, record.revision).await,
        }
    }

    fn refused(&self, id: &ObjectId, error: &ApplyError) -> Answer {
        if error.is_transient() {
            tracing::debug!(deployment = self.name, object = %id, error = with_causes(error), "not now; trying again");
            return Answer::Later(with_causes(error));
        }
        Answer::Refused(with_causes(error))
    }

    fn seen(&self, live: &live_object::Live, object: &Object) -> Live {
        let written = Written::of(object, &self.owner);
        let fields: Vec<String> = match live.is_of(&written) {
            true => live.drift(&written).into_iter().take(FIELDS_NAMED).map(|drift| told(&drift)).collect(),
            false => vec!["it was made from something else".to_owned()],
        };
        Live {
            uid: live.uid().to_owned(),
            whose: live.whose(&self.owner),
            terminating: live.is_going(),
            ready: live.readiness(),
            changed: (!fields.is_empty()).then(|| fields.join(", ")),
        }
    }
}

/// Services may be waited for, be it that one is late already, or has Jobs that end.
fn is_waiting(state: DeploymentState) -> bool {
    matches!(state, DeploymentState::Applying | DeploymentState::Failed | DeploymentState::Removing)
}

fn told(Drift { field, by }: &Drift) -> String {
    match by {
        Some(by) => format!("{by} has changed {field}"),
        None => format!("{field} was removed"),
    }
}

/// Why a revision is no longer worked on.
enum Worked {
    /// Nothing is left of the deployment.
    Over,
    /// There is another.
    Revised,
}

impl Worked {
    fn is_over(&self) -> bool {
        matches!(self, Self::Over)
    }
}
