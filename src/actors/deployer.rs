//! Keeps one task per deployment while this process leads, and none while it does not; says now and then which object
//! is compared with what was applied.

use std::{
    collections::{BTreeMap, BTreeSet},
    panic::AssertUnwindSafe,
    sync::Arc,
    time::Duration,
};

use futures::FutureExt;
use tokio::{
    sync::{Semaphore, mpsc, watch},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use crate::{
    actors::{
        deployment_task::{DeploymentTask, Progress, World},
        leader::Standing,
    },
    clock::{sleep, sleep_until},
    decide::deployment::record::DEPLOYMENT_STATES,
    modules::object::ObjectId,
};

/// One object of all deployments is compared with what was applied, so that the API server is asked once a minute
/// however many there are.
const COMPARED_EVERY: Duration = Duration::from_secs(60);

/// Before a task that has panicked is started again.
const RESTART_WAIT: Duration = Duration::from_secs(10);

/// Objects that wait to be compared by the task of their deployment: the next ones come a minute later.
const CHECKS_MAX: usize = 1;

/// Statements of all tasks under way: a process has two connections, and its lease needs one.
const STATEMENTS_MAX: usize = 1;

/// A task of a deployment that has ended.
struct Ended {
    name: String,
    /// The revision after which nothing was left; `None` if it has panicked.
    after: Option<i64>,
}

/// The task of one deployment.
struct Working {
    revision: watch::Sender<i64>,
    checks: mpsc::Sender<ObjectId>,
}

/// Starts the tasks of deployments and sees to it that each has its turn at being compared.
pub struct Deployer {
    world: Arc<World>,
    statements: Arc<Semaphore>,
    standing: watch::Receiver<Standing>,
    shutdown: CancellationToken,
    term: Option<u64>,
    tasks: JoinSet<Ended>,
    working: BTreeMap<String, Working>,
    progress: watch::Sender<BTreeMap<String, Progress>>,
    /// The deployments that have gauges.
    shown: BTreeSet<String>,
    /// The object that was compared last.
    compared: Option<(String, ObjectId)>,
}

impl Deployer {
    /// One that works on nothing yet.
    pub fn new(world: World, standing: watch::Receiver<Standing>, shutdown: CancellationToken) -> Self {
        Self {
            world: Arc::new(world),
            statements: Arc::new(Semaphore::new(STATEMENTS_MAX)),
            standing,
            shutdown,
            term: None,
            tasks: JoinSet::new(),
            working: BTreeMap::new(),
            progress: watch::Sender::default(),
            shown: BTreeSet::new(),
            compared: None,
        }
    }

    /// Runs until the shutdown is asked for. What is under way then is cut off, as by a crash: the next to lead goes on.
    pub async fn run(mut self) {
        let clock = self.world.shared.clock;
        let mut progress = self.progress.subscribe();
        let mut next = clock.now().saturating_add(COMPARED_EVERY);
        loop {
            tokio::select! {
                biased;
                () = self.shutdown.cancelled() => break,
                Ok(()) = self.standing.changed() => self.take_standing().await,
                Some(ended) = self.tasks.join_next() => {
                    // A task that was cut off has nothing to say.
                    if let Ok(ended) = ended {
                        self.on_ended(ended);
                    }
                }
                Ok(()) = progress.changed() => self.show(&progress.borrow_and_update()),
                () = sleep_until(clock, next) => {
                    next = clock.now().saturating_add(COMPARED_EVERY);
                    // One that went and came again with the revision of its end has no task yet.
                    self.take_standing().await;
                    self.compare_next();
                }
            }
        }
        self.tasks.shutdown().await;
    }

    async fn take_standing(&mut self) {
        let Standing { term, deployed, .. } = self.standing.borrow_and_update().clone();
        let number = term.as_ref().map(|term| term.number);
        if number != self.term {
            self.term = number;
            self.tasks.shutdown().await;
            self.working.clear();
            self.progress.send_replace(BTreeMap::new());
        }
        let (Some(_), Some(deployed)) = (term, deployed) else { return };
        for (name, revision) in &deployed.revisions {
            match self.working.get(name) {
                Some(working) => drop(working.revision.send_if_modified(|known| {
                    let changed = *known != *revision;
                    *known = *revision;
                    changed
                })),
                None => self.start(name, *revision),
            }
        }
    }

    fn start(&mut self, name: &str, revision: i64) {
        let Some(term) = self.standing.borrow().term.clone() else { return };
        let (revision, revisions) = watch::channel(revision);
        let (checks, checked) = mpsc::channel(CHECKS_MAX);
        let shared = (self.world.clone(), self.statements.clone());
        let task = DeploymentTask::new(name, term, shared, (revisions, checked), self.progress.clone());
        let name = name.to_owned();
        self.working.insert(name.clone(), Working { revision, checks });
        self.tasks.spawn(async move {
            let after = AssertUnwindSafe(task.run()).catch_unwind().await.ok();
            if after.is_none() {
                sleep(RESTART_WAIT).await;
            }
            Ended { name, after }
        });
    }

    /// What a task knew is on record, so one that has panicked is started again; one of which nothing is left is not,
    /// unless it was deployed anew meanwhile.
    fn on_ended(&mut self, Ended { name, after }: Ended) {
        self.working.remove(&name);
        self.progress.send_modify(|all| drop(all.remove(&name)));
        if after.is_none() {
            tracing::error!(deployment = name, "its task has panicked and is started again");
        }
        let deployed = self.standing.borrow().deployed.clone();
        let again = deployed.and_then(|deployed| deployed.revisions.get(&name).copied());
        if let Some(revision) = again.filter(|revision| after != Some(*revision)) {
            self.start(&name, revision);
        }
    }

    /// The object after the one that was compared last, in the order of their names.
    fn compare_next(&mut self) {
        let all: Vec<(String, _)> = {
            let progress = self.progress.borrow();
            progress.iter().flat_map(|(name, it)| it.checkable.iter().map(|id| (name.clone(), id.clone()))).collect()
        };
        let after = |last: &(String, _)| all.iter().filter(|it| *it > last).min();
        let next = self.compared.as_ref().and_then(after).or_else(|| all.iter().min()).cloned();
        if let Some((name, id)) = &next
            && let Some(working) = self.working.get(name)
            && working.checks.try_send(id.clone()).is_err()
        {
            tracing::debug!(deployment = name, object = %id, "it is still being compared");
        }
        self.compared = next;
    }

    fn show(&mut self, progress: &BTreeMap<String, Progress>) {
        let gauges = &self.world.shared.metrics.deployments;
        for state in DEPLOYMENT_STATES {
            gauges.note_deployments(state, progress.values().filter(|it| it.state == state).count());
        }
        self.shown.iter().filter(|name| !progress.contains_key(*name)).for_each(|name| gauges.forget(name));
        progress.iter().for_each(|(name, it)| gauges.note(name, it.state, &it.states));
        self.shown = progress.keys().cloned().collect();
    }
}
