//! A made-up cluster: Job and Pod objects as Kubernetes 1.34 writes them, and the requests that change them.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use job_chief::decide::{
    decision::Wish,
    outcome::JobName,
    pod::{
        digest::{JobDigest, PodDigest},
        names::{ANNOTATION_NAME, ANNOTATION_SLOT},
        observation::{Observed, SeenJob, observe},
    },
    run::event::{CreateAnswer, DeleteAnswer, GetAnswer},
};
use k8s_openapi::{
    api::{
        batch::v1::{Job, JobCondition, JobSpec, JobStatus},
        core::v1::{
            ContainerState, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting, ContainerStatus,
            Pod, PodCondition, PodStatus,
        },
    },
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference, Time},
    jiff::Timestamp,
};

use crate::dice::Dice;

/// How a Job of this world will fare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Works,
    /// Its worker ends with this word and exit code.
    Fails(&'static str, i32),
    /// Its container waits with this reason.
    Waits(&'static str),
    /// Its command can't be started.
    BadCommand,
    InitFails,
    /// `activeDeadlineSeconds` passes.
    Deadline,
    Unschedulable,
    NoPod,
    Suspended,
}

/// A Job with its pod.
#[derive(Clone, Debug)]
pub(crate) struct SimJob {
    pub job: Job,
    pub pod: Option<Pod>,
    pub fate: Fate,
    /// Its node is gone: a deleted pod stays Terminating.
    pub stuck: bool,
    /// How often it went on since it was deleted.
    leaving: u8,
    pub finished_at: Option<Duration>,
}

/// What a watch showed at one time: digests as the service keeps them.
pub(crate) type Snapshot = BTreeMap<JobName, (JobDigest, Option<PodDigest>)>;

/// Everything the API server holds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cluster {
    pub jobs: BTreeMap<JobName, SimJob>,
    /// All that there ever were.
    pub(crate) born: BTreeSet<JobName>,
    /// For how many steps more the pods of a Job that is deleted are there.
    lingers: u8,
    versions: u64,
}

fn time(now: Duration) -> Time {
    Time(Timestamp::from_second(i64::try_from(now.as_secs()).expect("years")).expect("in range"))
}

fn condition(kind: &str, reason: &str, now: Duration) -> JobCondition {
    JobCondition {
        type_: kind.into(),
        status: "True".into(),
        reason: Some(reason.into()),
        last_transition_time: Some(time(now)),
        ..JobCondition::default()
    }
}

fn container(state: ContainerState) -> Vec<ContainerStatus> {
    vec![ContainerStatus { name: "worker".into(), state: Some(state), ..ContainerStatus::default() }]
}

fn waiting(reason: &str) -> ContainerState {
    ContainerState {
        waiting: Some(ContainerStateWaiting { reason: Some(reason.into()), ..ContainerStateWaiting::default() }),
        ..ContainerState::default()
    }
}

fn is_disrupted(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    conditions.iter().any(|it| it.type_ == "DisruptionTarget")
}

fn terminated(state: ContainerStateTerminated) -> ContainerState {
    ContainerState { terminated: Some(state), ..ContainerState::default() }
}

impl SimJob {
    /// Not Complete, Failed or gone.
    pub(crate) fn is_live(&self) -> bool {
        self.finished_at.is_none()
    }

    /// It has a condition that tells of its end, or that it is on the way there.
    pub(crate) fn has_verdict(&self) -> bool {
        !self.conditions().is_empty()
    }

    pub(crate) fn conditions(&self) -> &[JobCondition] {
        self.job.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default()
    }

    pub(crate) fn is_suspended(&self) -> bool {
        self.fate == Fate::Suspended
    }

    /// The controller has written its start time.
    pub(crate) fn is_looked_at(&self) -> bool {
        self.job.status.as_ref().is_some_and(|status| status.start_time.is_some())
    }

    /// Its container runs.
    pub(crate) fn is_running(&self) -> bool {
        let states = self.pod.as_ref().and_then(|pod| pod.status.as_ref()?.container_statuses.as_ref());
        self.is_live()
            && states.is_some_and(|all| all.iter().any(|c| c.state.as_ref().is_some_and(|s| s.running.is_some())))
    }

    pub(crate) fn is_terminating(&self) -> bool {
        self.job.metadata.deletion_timestamp.is_some()
    }

    fn status(&mut self) -> &mut JobStatus {
        self.job.status.get_or_insert_default()
    }
}

impl Cluster {
    /// An empty one in which pods linger.
    pub(crate) fn of_lingering_pods() -> Self {
        Self { lingers: 2, ..Self::default() }
    }

    fn version(&mut self) -> String {
        self.versions += 1;
        self.versions.to_string()
    }

    pub(crate) fn touch(&mut self, name: &JobName) {
        let version = self.version();
        if let Some(it) = self.jobs.get_mut(name) {
            it.job.metadata.resource_version = Some(version);
        }
    }

    pub(crate) fn create(&mut self, wish: &Wish, config: &str, fate: Fate, now: Duration) -> CreateAnswer {
        if let Some(it) = self.jobs.get(&wish.name) {
            return CreateAnswer::Exists { uid: it.job.metadata.uid.clone().expect("set").into() };
        }
        let version = self.version();
        let uid = format!("uid-{version}");
        let annotations = [(ANNOTATION_NAME, config.to_owned()), (ANNOTATION_SLOT, wish.slot.to_string())];
        let job = Job {
            metadata: ObjectMeta {
                name: Some(wish.name.0.clone()),
                uid: Some(uid.clone()),
                resource_version: Some(version),
                creation_timestamp: Some(time(now)),
                annotations: Some(annotations.map(|(key, value)| (key.to_owned(), value)).into()),
                ..ObjectMeta::default()
            },
            spec: Some(JobSpec { suspend: Some(fate == Fate::Suspended), ..JobSpec::default() }),
            status: None,
        };
        self.born.insert(wish.name.clone());
        self.jobs
            .insert(wish.name.clone(), SimJob { job, pod: None, fate, stuck: false, leaving: 0, finished_at: None });
        CreateAnswer::Exists { uid: uid.into() }
    }

    pub(crate) fn check(&self, name: &JobName, now: Duration) -> GetAnswer {
        match self.digest(name) {
            Some(pair) => GetAnswer::Found(Box::new(seen(&pair, now))),
            None => GetAnswer::Absent,
        }
    }

    /// Somebody deletes it in the background: the Job goes at once, its pods after it.
    pub(crate) fn delete_by_hand(&mut self, name: &JobName) {
        self.jobs.remove(name);
    }

    /// It is deleted in the foreground: the Job goes when its pods have gone.
    pub(crate) fn delete(&mut self, name: &JobName, uid: &str, version: Option<&str>, now: Duration) -> DeleteAnswer {
        let Some(it) = self.jobs.get_mut(name) else { return DeleteAnswer::Absent };
        let meta = &it.job.metadata;
        if meta.uid.as_deref() != Some(uid)
            || version.is_some_and(|version| meta.resource_version.as_deref() != Some(version))
        {
            return DeleteAnswer::Changed;
        }
        it.terminate(now);
        self.touch(name);
        DeleteAnswer::Accepted
    }

    /// Its node goes silent, and its pods are evicted: they stay Terminating, and the Job with them.
    pub(crate) fn lose_node(&mut self, name: &JobName, now: Duration) {
        let Some(it) = self.jobs.get_mut(name) else { return };
        it.stuck = true;
        it.terminate(now);
        self.touch(name);
    }

    /// One step in the life of one Job. Returns how many messages its worker asks for.
    pub(crate) fn advance(&mut self, name: &JobName, dice: &mut Dice, now: Duration) -> u64 {
        let Some(it) = self.jobs.get_mut(name) else { return 0 };
        if it.is_terminating() {
            it.leaving += u8::from(!it.stuck);
            if it.leaving > self.lingers {
                self.jobs.remove(name);
            }
            return 0;
        }
        if it.finished_at.is_some() {
            return 0;
        }
        let wants = it.advance(dice, now);
        self.touch(name);
        wants
    }

    /// The kubelet says whether its pod is ready.
    pub(crate) fn set_ready(&mut self, name: &JobName, ready: bool) {
        let Some(it) = self.jobs.get_mut(name).filter(|it| it.pod.is_some()) else { return };
        let status = it.pod_status();
        status.pod_ip = Some("10.0.0.1".into());
        let condition = PodCondition {
            type_: "Ready".into(),
            status: if ready { "True" } else { "False" }.into(),
            ..PodCondition::default()
        };
        status.conditions = Some(vec![condition]);
        self.touch(name);
    }

    /// TTL: Kubernetes removes finished Jobs after half an hour.
    pub(crate) fn expire(&mut self, now: Duration) {
        self.jobs.retain(|_, it| it.finished_at.is_none_or(|at| now < at + Duration::from_secs(1800)));
    }

    fn digest(&self, name: &JobName) -> Option<(JobDigest, Option<PodDigest>)> {
        let it = self.jobs.get(name)?;
        Some((JobDigest::of(&it.job)?, it.pod.as_ref().and_then(PodDigest::of)))
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        self.jobs.keys().filter_map(|name| Some((name.clone(), self.digest(name)?))).collect()
    }
}

/// A digest pair as the service's observation code reads it.
pub(crate) fn seen(pair: &(JobDigest, Option<PodDigest>), now: Duration) -> SeenJob {
    let pods: Vec<&PodDigest> = pair.1.iter().collect();
    observe(&pair.0, &pods, i64::try_from(now.as_millis()).expect("years"))
}

/// A snapshot as the service's observation code reads it.
pub(crate) fn observed(snapshot: &Snapshot, now: Duration) -> Observed {
    Observed { jobs: snapshot.iter().map(|(name, pair)| (name.clone(), seen(pair, now))).collect() }
}

impl SimJob {
    fn advance(&mut self, dice: &mut Dice, now: Duration) -> u64 {
        if self.fate == Fate::Suspended {
            if dice.once_in(4) {
                self.fate = Fate::Works;
                self.job.spec.get_or_insert_default().suspend = Some(false);
            }
            return 0;
        }
        if self.status().start_time.is_none() {
            // The controller makes the pods and writes the start time in one go.
            self.status().start_time = Some(time(now));
            if self.fate != Fate::NoPod {
                self.pod = Some(self.new_pod(now));
            }
            return 0;
        }
        if self.has_verdict() {
            // An evicted pod is gone before its Job is finished.
            if self.pod.take_if(|pod| is_disrupted(pod)).is_none() {
                self.end(now);
            }
            return 0;
        }
        if self.pod.is_none() {
            return 0;
        }
        if self.is_running() {
            return self.work(dice, now);
        }
        if self.has_failed_to_start() {
            self.verdict("FailureTarget", "BackoffLimitExceeded", now);
        } else {
            self.start(now);
        }
        0
    }

    /// Its pod has failed without its worker having run.
    fn has_failed_to_start(&self) -> bool {
        let phase = self.pod.as_ref().and_then(|pod| pod.status.as_ref()?.phase.as_deref());
        phase == Some("Failed")
    }

    fn verdict(&mut self, kind: &str, reason: &str, now: Duration) {
        self.status().conditions = Some(vec![condition(kind, reason, now)]);
    }

    fn terminate(&mut self, now: Duration) {
        self.job.metadata.deletion_timestamp.get_or_insert(time(now));
        if let Some(pod) = &mut self.pod {
            pod.metadata.deletion_timestamp.get_or_insert(time(now));
        }
    }

    fn new_pod(&self, now: Duration) -> Pod {
        let meta = &self.job.metadata;
        let owner = OwnerReference {
            kind: "Job".into(),
            controller: Some(true),
            uid: meta.uid.clone().expect("set"),
            ..OwnerReference::default()
        };
        let name = format!("{}-pod", meta.name.as_deref().unwrap_or_default());
        Pod {
            metadata: ObjectMeta {
                uid: Some(name.clone()),
                name: Some(name),
                creation_timestamp: Some(time(now)),
                owner_references: Some(vec![owner]),
                ..ObjectMeta::default()
            },
            status: Some(PodStatus { phase: Some("Pending".into()), ..PodStatus::default() }),
            ..Pod::default()
        }
    }

    fn pod_status(&mut self) -> &mut PodStatus {
        self.pod.as_mut().expect("has a pod").status.get_or_insert_default()
    }

    fn start(&mut self, now: Duration) {
        match self.fate {
            Fate::Waits(reason) => self.pod_status().container_statuses = Some(container(waiting(reason))),
            Fate::Unschedulable => {
                self.pod_status().conditions = Some(vec![PodCondition {
                    type_: "PodScheduled".into(),
                    status: "False".into(),
                    reason: Some("Unschedulable".into()),
                    ..PodCondition::default()
                }]);
            }
            Fate::BadCommand => {
                let never = ContainerStateTerminated {
                    exit_code: 128,
                    reason: Some("StartError".into()),
                    started_at: Some(time(Duration::ZERO)),
                    ..ContainerStateTerminated::default()
                };
                let status = self.pod_status();
                status.phase = Some("Failed".into());
                status.container_statuses = Some(container(terminated(never)));
            }
            Fate::InitFails => {
                let exit = ContainerStateTerminated {
                    exit_code: 3,
                    reason: Some("Error".into()),
                    started_at: Some(time(now)),
                    ..ContainerStateTerminated::default()
                };
                let status = self.pod_status();
                status.phase = Some("Failed".into());
                status.init_container_statuses = Some(container(terminated(exit)));
                status.container_statuses = Some(container(waiting("PodInitializing")));
            }
            _ => {
                let running = ContainerStateRunning { started_at: Some(time(now)) };
                let status = self.pod_status();
                status.phase = Some("Running".into());
                status.container_statuses =
                    Some(container(ContainerState { running: Some(running), ..ContainerState::default() }));
            }
        }
    }

    fn work(&mut self, dice: &mut Dice, now: Duration) -> u64 {
        if !dice.once_in(3) {
            return dice.roll(2);
        }
        if self.fate == Fate::Deadline {
            self.verdict("FailureTarget", "DeadlineExceeded", now);
            return 1;
        }
        let (word, code) = if let Fate::Fails(word, code) = self.fate { (word, code) } else { ("Completed", 0) };
        let ended = ContainerStateTerminated {
            exit_code: code,
            reason: Some(word.into()),
            started_at: Some(time(now)),
            ..ContainerStateTerminated::default()
        };
        self.pod_status().container_statuses = Some(container(terminated(ended)));
        match code {
            0 => self.verdict("SuccessCriteriaMet", "CompletionsReached", now),
            _ => self.verdict("FailureTarget", "BackoffLimitExceeded", now),
        }
        1 + dice.roll(2)
    }

    /// From the precursor to the terminal condition.
    fn end(&mut self, now: Duration) {
        let precursor = self.status().conditions.as_ref().map(|all| all[0].clone()).expect("has one");
        let kind = if precursor.type_ == "SuccessCriteriaMet" { "Complete" } else { "Failed" };
        let reason = precursor.reason.clone().unwrap_or_default();
        self.status().conditions = Some(vec![precursor, condition(kind, &reason, now)]);
        self.finished_at = Some(now);
    }

    /// Its pod is deleted under it: the Job fails at once.
    pub(crate) fn lose_pod(&mut self, now: Duration) {
        self.pod = None;
        self.verdict("FailureTarget", "BackoffLimitExceeded", now);
    }

    /// Its pod is evicted.
    pub(crate) fn evict(&mut self, now: Duration) {
        let disrupted = PodCondition {
            type_: "DisruptionTarget".into(),
            status: "True".into(),
            reason: Some("DeletionByTaintManager".into()),
            ..PodCondition::default()
        };
        self.pod_status().conditions = Some(vec![disrupted]);
        self.verdict("FailureTarget", "BackoffLimitExceeded", now);
    }
}
