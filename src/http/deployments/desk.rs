//! Takes what is to be deployed: fills the module, asks what we may, has the API server judge it, and writes it down.

use std::{collections::BTreeSet, sync::Arc};

use tokio::{
    sync::Semaphore,
    task::{JoinError, spawn_blocking},
};

use crate::{
    actors::deploying::{DeployError, Deploying},
    cluster::{
        apply::{Applier, RightsError},
        apply_error::ApplyError,
    },
    decide::{
        deployment::{
            admission::Refusal,
            record::{Change, Deployment, NewDeployment, NewObject},
        },
        live::{
            owner::Owner,
            rights::{Right, needed},
        },
    },
    http::{
        deployments::words::DeploymentWords,
        problem::{Problem, ProblemType},
    },
    modules::{
        library::{Library, LibraryError},
        module::Module,
        object::{Object, ObjectId, ObjectKind},
        rendered::Rendered,
    },
    store::{deployments::Snapshot, error::StoreError},
    telemetry::with_causes,
};

/// Requests that wait for a deployment at once; the others are told at once where to look.
const FOLLOWERS_MAX: usize = 16;

/// Modules that are read at once, on behalf of requests: each may take some ten megabytes, and a while of a core.
const READERS_MAX: usize = 2;

/// With what deployments are taken.
pub struct Desk {
    library: Library,
    /// Who asks what we may, and what applying would do.
    pub applier: Applier,
    /// Who writes.
    pub deploying: Deploying,
    followers: Semaphore,
    readers: Arc<Semaphore>,
}

/// A module with the values of a deployment in it.
pub(super) struct Prepared {
    pub(super) module: Module,
    pub(super) rendered: Rendered,
    pub(super) new: NewDeployment,
}

/// Does something that blocks, once it has its turn; the turn lasts as long as that, also when nobody waits any longer.
async fn in_turn<T: Send + 'static>(
    turns: &Arc<Semaphore>,
    read: impl FnOnce() -> T + Send + 'static,
) -> Result<T, JoinError> {
    let turn = turns.clone().acquire_owned().await.expect("never closed");
    spawn_blocking(move || {
        let _turn = turn;
        read()
    })
    .await
}

fn unreadable(error: &LibraryError) -> Problem {
    let kind = match error {
        LibraryError::NoFolder
        | LibraryError::BadName(_)
        | LibraryError::NoModule { .. }
        | LibraryError::NoVersion { .. } => ProblemType::UnknownName,
        LibraryError::Refused(..) | LibraryError::Outside(_) | LibraryError::Wrong(..) => ProblemType::BadModule,
        LibraryError::Unreadable(..) => ProblemType::Internal,
    };
    Problem::new(kind, with_causes(error))
}

impl Desk {
    /// One at which nobody waits.
    pub fn new(library: Library, applier: Applier, deploying: Deploying) -> Arc<Self> {
        let followers = Semaphore::new(FOLLOWERS_MAX);
        let readers = Arc::new(Semaphore::new(READERS_MAX));
        Arc::new(Self { library, applier, deploying, followers, readers })
    }

    /// Does something with the modules, beside the tasks: a disk may be slow.
    pub(in crate::http) async fn in_library<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Library) -> Result<T, LibraryError> + Send + 'static,
    ) -> Result<T, Problem> {
        let library = self.library.clone();
        let read = in_turn(&self.readers, move || read(&library)).await;
        let read = read.map_err(|_| Problem::new(ProblemType::Internal, "reading the module has panicked"))?;
        read.map_err(|error| unreadable(&error))
    }

    /// Places for those who wait for a deployment.
    pub(super) fn followers(&self) -> &Semaphore {
        &self.followers
    }

    /// Fills the module that somebody asks for.
    pub(super) async fn prepare(&self, words: DeploymentWords, namespace: &str) -> Result<Prepared, Problem> {
        let name = words.name()?;
        let DeploymentWords { module, version, config, force, reconcile, who, why, .. } = words;
        let (given, namespace) = (config.clone(), namespace.to_owned());
        let fill = move |library: &Library| {
            let module = library.open(&module, version.as_deref())?;
            let rendered = module.fill(&given, &namespace);
            Ok((module, rendered))
        };
        let (module, rendered) = self.in_library(fill).await?;
        let rendered = rendered.map_err(|problems| Problem::new(ProblemType::BadModule, problems.to_string()))?;
        let new = NewDeployment {
            name,
            module: module.name().to_owned(),
            version: module.version().to_owned(),
            config,
            force,
            reconcile,
            objects: NewObject::of(&rendered),
            who,
            why,
        };
        Ok(Prepared { module, rendered, new })
    }

    /// The rights that we lack for it.
    pub(super) async fn missing_rights(&self, new: &NewDeployment) -> Result<Vec<Right>, RightsError> {
        let kinds: BTreeSet<ObjectKind> = new.objects.iter().map(|it| it.object.id.kind).collect();
        self.applier.missing_rights(&needed(kinds)).await
    }

    /// What applying its objects would do, as the API server judges it; JobConfigs are none of its business.
    pub(super) async fn judge(
        &self,
        new: &NewDeployment,
        instance: &str,
    ) -> Vec<(ObjectId, Result<Change, ApplyError>)> {
        let objects: Vec<Object> = new
            .objects
            .iter()
            .map(|it| it.object.clone())
            .filter(|object| object.id.kind != ObjectKind::JobConfig)
            .collect();
        let answers = self.applier.dry_run(&objects, &Owner::new(instance, &new.name), new.force).await;
        objects.into_iter().map(|object| object.id).zip(answers).collect()
    }

    /// Refuses what would not work, before anything is written.
    pub(super) async fn admit(&self, new: &NewDeployment, instance: &str) -> Result<(), Problem> {
        let silent = |error: &RightsError| Problem::new(ProblemType::ApiServer, with_causes(error));
        let missing = match self.missing_rights(new).await {
            // Whoever may not ask is told when it applies.
            Err(RightsError::NotTold(_)) => vec![],
            other => other.map_err(|error| silent(&error))?,
        };
        if !missing.is_empty() {
            return Err(Problem::new(ProblemType::RightsMissing, lacking(&missing)));
        }
        let answers = self.judge(new, instance).await;
        let errors: Vec<&ApplyError> = answers.iter().filter_map(|(_, answer)| answer.as_ref().err()).collect();
        let Some(kind) = errors.iter().map(|error| refused(error)).min() else { return Ok(()) };
        let texts = errors.into_iter().map(|error| with_causes(error)).collect::<Vec<_>>().join("\n");
        Err(Problem::new(kind, texts))
    }

    /// Everything that is deployed.
    pub(in crate::http) async fn snapshot(&self) -> Result<Snapshot, Problem> {
        self.deploying.table().read().await.map_err(|error| unread(&error))
    }

    /// Why it does not go with what is deployed, if it does not.
    pub(super) fn against(&self, new: &NewDeployment, deployments: &[Deployment]) -> Result<(), Problem> {
        let known = deployments.iter().find(|it| it.name == new.name && it.module != new.module);
        if let Some(known) = known {
            let detail = format!(
                "the deployment {} is of the module {}: take another name, or undeploy it first",
                known.name, known.module
            );
            return Err(Problem::new(ProblemType::Conflict, detail));
        }
        self.deploying.may_deploy(new, deployments).map_err(|refusal| told(&refusal))
    }

    /// Writes down what is to be deployed, and tells as which revision.
    pub(super) async fn write(&self, new: &NewDeployment) -> Result<i64, Problem> {
        self.deploying.deploy(new).await.map_err(|error| unwritten(&error))
    }

    /// Writes down that a deployment is to go, and tells as which revision.
    pub(super) async fn write_gone(&self, name: &str, volumes: &[String], words: (&str, &str)) -> Result<i64, Problem> {
        self.deploying.undeploy(name, volumes, words).await.map_err(|error| unwritten(&error))
    }
}

fn unwritten(error: &DeployError) -> Problem {
    match error {
        DeployError::Refused(refusal) => told(refusal),
        DeployError::Busy | DeployError::Unwritten(_) => Problem::new(ProblemType::Unavailable, with_causes(error)),
    }
}

/// Each right that is missing, and where to get it.
pub(super) fn lacking(missing: &[Right]) -> String {
    let named = missing.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    format!(
        "job-chief may not {named} in this namespace: the chart's value rbac.apply gives the rights to deploy, and docs/install.md has them as a Role"
    )
}

/// What kind of refusal it is that the API server, or an object that is there, does not take one.
fn refused(error: &ApplyError) -> ProblemType {
    match error {
        ApplyError::Forbidden { .. } => ProblemType::RightsMissing,
        ApplyError::Conflict { .. } | ApplyError::NameTaken { .. } => ProblemType::Conflict,
        ApplyError::Refused { .. } => ProblemType::BadModule,
        ApplyError::StillThere { .. } | ApplyError::Transient { .. } => ProblemType::ApiServer,
    }
}

fn told(refusal: &Refusal) -> Problem {
    let kind = match refusal {
        Refusal::Wrong(_) => ProblemType::BadModule,
        Refusal::Unknown(_) => ProblemType::UnknownName,
        Refusal::Conflict(_) => ProblemType::Conflict,
    };
    Problem::new(kind, refusal.text())
}

/// What is on record can't be read.
pub(super) fn unread(error: &StoreError) -> Problem {
    let detail = format!("what is deployed can't be read from Postgres; try again: {}", with_causes(error));
    Problem::new(ProblemType::Unavailable, detail)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn a_turn_lasts_as_long_as_what_is_read_also_when_nobody_waits_for_it() {
        let turns = Arc::new(Semaphore::new(1));
        let ((begun, has_begun), (end, ends)) = (tokio::sync::oneshot::channel(), mpsc::channel::<()>());
        let slow = {
            let turns = turns.clone();
            tokio_util::task::TaskTracker::new().spawn(async move {
                in_turn(&turns, move || {
                    begun.send(()).expect("the test waits");
                    ends.recv()
                })
                .await
            })
        };
        has_begun.await.expect("it begins");
        slow.abort();
        assert!(slow.await.is_err_and(|error| error.is_cancelled()), "whoever asked has gone");
        assert_eq!(turns.available_permits(), 0, "it is read nevertheless");
        end.send(()).expect("it is read");
        assert_eq!(in_turn(&turns, || 7).await.expect("no panic"), 7);
    }
}
