//! Job and Pod objects, cut down to what decisions need: a few hundred bytes each, however large the object.
//!
//! Every reading of phases, conditions and container states is here. Conditions are looked up by type,
//! never by index: since Kubernetes 1.31 a finished Job carries two.

use k8s_openapi::{
    api::{
        batch::v1::Job,
        core::v1::{ContainerState, ContainerStatus, Pod, PodStatus},
    },
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time},
};

use crate::{
    config::entry::Kind,
    decide::{
        outcome::{JobName, Reason, Slot, shorten},
        pod::names::{ANNOTATION_NAME, ANNOTATION_SLOT, LABEL_CONFIG_HASH, LABEL_TYPE},
    },
};

/// Milliseconds since 1970, as the API server wrote them.
pub type Millis = i64;

/// What is kept of a Job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobDigest {
    /// `metadata.name`.
    pub name: JobName,
    /// `metadata.uid`.
    pub uid: Box<str>,
    /// `metadata.resourceVersion`, the precondition of a delete.
    pub resource_version: Box<str>,
    /// The exact name of its JobConfig; `None` where the annotation was removed.
    pub config: Option<Box<str>>,
    /// The slot it was created for.
    pub slot: Option<Slot>,
    /// The type of its JobConfig.
    pub kind: Kind,
    /// The hash of what it was rendered from.
    pub config_hash: Box<str>,
    /// `metadata.creationTimestamp`.
    pub created_at: Millis,
    /// `status.startTime`: the controller has looked at it.
    pub started_at: Option<Millis>,
    /// It is suspended: the controller leaves it alone.
    pub suspended: bool,
    /// `metadata.deletionTimestamp`.
    pub terminating_at: Option<Millis>,
    /// The verdict, as soon as there is one.
    pub verdict: Option<Verdict>,
}

/// The controller's condition of a Job's end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Complete, or on the way there.
    pub success: bool,
    /// No pod of it is left: `Complete` or `Failed`, not just their precursors.
    pub terminal: bool,
    /// The reason of the condition, such as `DeadlineExceeded`.
    pub reason: Box<str>,
    /// The message of the condition.
    pub message: Box<str>,
    /// When the condition came.
    pub at: Millis,
}

/// What is kept of a Pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodDigest {
    /// `metadata.uid`.
    pub uid: Box<str>,
    /// The uid of the Job that controls it.
    pub job_uid: Box<str>,
    /// `metadata.creationTimestamp`.
    pub created_at: Millis,
    /// When its first container that is no init container began to run.
    pub ran_at: Option<Millis>,
    /// Why it does not start.
    pub problem: Option<StartProblem>,
    /// How its worker ended, if badly.
    pub exit: Option<Exit>,
    /// It carries the condition `DisruptionTarget`: evicted or preempted.
    pub disrupted: bool,
    /// It has a deletion timestamp.
    pub terminating: bool,
    /// The node it stands on.
    pub node: Option<Box<str>>,
    /// Its condition `Ready` is true.
    pub ready: bool,
    /// Its address, once it has one.
    pub ip: Option<Box<str>>,
}

/// Why a pod does not start.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StartProblem {
    /// The class.
    pub reason: Reason,
    /// Kubernetes' own word, such as `ImagePullBackOff`.
    pub word: Box<str>,
    /// Kubernetes' message.
    pub message: Box<str>,
}

impl StartProblem {
    /// Waiting mends nothing.
    pub fn is_hopeless(&self) -> bool {
        matches!(&*self.word, "InvalidImageName" | "ErrImageNeverPull")
    }

    /// Somebody may mend it within `startErrorGrace`: push the image, create the ConfigMap. A pod that has failed is
    /// none of these: the Job controller ends its Job by itself.
    pub fn is_graced(&self) -> bool {
        let waits = ["CreateContainerConfigError", "CreateContainerError", "RunContainerError"].contains(&&*self.word);
        waits || matches!(self.reason, Reason::ImagePull | Reason::CrashLoop)
    }
}

/// How a container ended that did not end well.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Exit {
    /// Its exit code.
    pub code: i32,
    /// `OOMKilled`, `Error`, …
    pub word: Box<str>,
    /// The termination message.
    pub message: Box<str>,
}

impl JobDigest {
    /// Cuts a Job down; `None` for an object without name or uid, which no API server sends.
    pub fn of(job: &Job) -> Option<Self> {
        let meta = &job.metadata;
        let status = job.status.as_ref();
        let label = |key| meta.labels.as_ref().and_then(|all| all.get(key)).map_or("", String::as_str);
        let annotation = |key| meta.annotations.as_ref().and_then(|all| all.get(key));
        Some(Self {
            name: JobName(meta.name.clone()?),
            uid: meta.uid.as_deref()?.into(),
            resource_version: meta.resource_version.as_deref().unwrap_or_default().into(),
            config: annotation(ANNOTATION_NAME).map(|name| name.as_str().into()),
            kind: Kind::of(label(LABEL_TYPE)),
            config_hash: label(LABEL_CONFIG_HASH).into(),
            slot: annotation(ANNOTATION_SLOT).and_then(|slot| slot.parse().ok()),
            created_at: millis(meta.creation_timestamp.as_ref()).unwrap_or_default(),
            started_at: status.and_then(|s| millis(s.start_time.as_ref())),
            suspended: job.spec.as_ref().and_then(|spec| spec.suspend).unwrap_or(false),
            terminating_at: millis(meta.deletion_timestamp.as_ref()),
            verdict: verdict(job),
        })
    }
}

/// The verdict of the conditions; the terminal one wins over its precursor.
fn verdict(job: &Job) -> Option<Verdict> {
    let conditions = job.status.as_ref()?.conditions.as_ref()?;
    let find = |kind: &str| conditions.iter().find(|c| c.type_ == kind && c.status == "True");
    let of = |kind: &str, success, terminal| {
        find(kind).map(|c| Verdict {
            success,
            terminal,
            reason: c.reason.as_deref().unwrap_or_default().into(),
            message: c.message.as_deref().unwrap_or_default().into(),
            at: millis(c.last_transition_time.as_ref()).unwrap_or_default(),
        })
    };
    of("Complete", true, true)
        .or_else(|| of("Failed", false, true))
        .or_else(|| of("SuccessCriteriaMet", true, false))
        .or_else(|| of("FailureTarget", false, false))
}

impl PodDigest {
    /// Cuts a Pod down; `None` for a pod that no Job controls.
    pub fn of(pod: &Pod) -> Option<Self> {
        let status = pod.status.as_ref();
        let mains = status.and_then(|s| s.container_statuses.as_deref()).unwrap_or_default();
        Some(Self {
            uid: pod.metadata.uid.as_deref()?.into(),
            job_uid: job_uid(&pod.metadata)?.into(),
            created_at: millis(pod.metadata.creation_timestamp.as_ref()).unwrap_or_default(),
            ran_at: mains.iter().filter_map(container_ran_at).min(),
            problem: status.and_then(start_problem),
            exit: mains.iter().find_map(bad_exit),
            disrupted: status.is_some_and(|s| condition(s, "DisruptionTarget", "True").is_some()),
            terminating: pod.metadata.deletion_timestamp.is_some(),
            node: pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).map(Into::into),
            ready: status.is_some_and(|s| condition(s, "Ready", "True").is_some()),
            ip: status.and_then(|s| s.pod_ip.as_deref()).map(Into::into),
        })
    }
}

/// The uid of the controlling Job: the owner reference, as labels may be changed.
fn job_uid(meta: &ObjectMeta) -> Option<&str> {
    let owners = meta.owner_references.as_ref()?;
    owners.iter().find(|owner| owner.kind == "Job" && owner.controller == Some(true)).map(|owner| owner.uid.as_str())
}

fn millis(time: Option<&Time>) -> Option<Millis> {
    time.map(|time| time.0.as_millisecond())
}

fn condition<'a>(
    status: &'a PodStatus,
    kind: &str,
    value: &str,
) -> Option<&'a k8s_openapi::api::core::v1::PodCondition> {
    status.conditions.as_deref().unwrap_or_default().iter().find(|c| c.type_ == kind && c.status == value)
}

/// Words of a container that was terminated without ever having run.
const NEVER_RAN: [&str; 4] = ["StartError", "ContainerCannotRun", "ContainerCannotStart", "CreateContainerError"];

/// When a container began to run, now or in an earlier life.
fn container_ran_at(status: &ContainerStatus) -> Option<Millis> {
    let begin = |state: &ContainerState| match (&state.running, &state.terminated) {
        (Some(running), _) => Some(millis(running.started_at.as_ref()).unwrap_or_default()),
        // The kubelet reports the containers of a deleted pod as terminated, also those that it never started.
        (None, Some(ended)) if !NEVER_RAN.contains(&ended.reason.as_deref().unwrap_or_default()) => {
            millis(ended.started_at.as_ref())
        }
        _ => None,
    };
    status.last_state.as_ref().and_then(begin).or_else(|| status.state.as_ref().and_then(begin))
}

fn bad_exit(status: &ContainerStatus) -> Option<Exit> {
    let ended = status.state.as_ref()?.terminated.as_ref()?;
    (ended.exit_code != 0).then(|| Exit {
        code: ended.exit_code,
        word: ended.reason.as_deref().unwrap_or_default().into(),
        message: shorten(ended.message.as_deref().unwrap_or_default()).into(),
    })
}

/// Why the pod does not start: the node's refusal, then any container, then the conditions.
fn start_problem(status: &PodStatus) -> Option<StartProblem> {
    let inits = status.init_container_statuses.as_deref().unwrap_or_default();
    let mains = status.container_statuses.as_deref().unwrap_or_default();
    rejected(status, mains)
        .or_else(|| inits.iter().find_map(|c| container_problem(c, true)))
        .or_else(|| mains.iter().find_map(|c| container_problem(c, false)))
        .or_else(|| unschedulable(status))
        .or_else(|| inits.iter().chain(mains).find_map(creating))
}

/// A pod that failed before any of its containers had a state was refused by the node (`OutOfcpu`, …).
fn rejected(status: &PodStatus, mains: &[ContainerStatus]) -> Option<StartProblem> {
    let failed = status.phase.as_deref() == Some("Failed");
    let untouched =
        mains.iter().all(|c| c.state.as_ref().is_none_or(|s| s.terminated.is_none() && s.running.is_none()));
    let inits_fine =
        status.init_container_statuses.as_deref().unwrap_or_default().iter().all(|c| bad_exit(c).is_none());
    let word = status.reason.as_deref()?;
    (failed && untouched && inits_fine && word != "Evicted" && word != "DeadlineExceeded")
        .then(|| problem(Reason::Rejected, word, status.message.as_deref()))
}

fn container_problem(status: &ContainerStatus, init: bool) -> Option<StartProblem> {
    let state = status.state.as_ref()?;
    if let Some(waiting) = &state.waiting {
        let word = waiting.reason.as_deref().unwrap_or_default();
        return waiting_class(word).map(|reason| problem(reason, word, waiting.message.as_deref()));
    }
    let ended = state.terminated.as_ref()?;
    let word = ended.reason.as_deref().unwrap_or_default();
    if NEVER_RAN.contains(&word) {
        return Some(problem(Reason::ContainerConfig, word, ended.message.as_deref()));
    }
    (init && ended.exit_code != 0).then(|| {
        let what = format!("init container {} ended with exit code {}", status.name, ended.exit_code);
        problem(Reason::InitFailed, word, ended.message.as_deref().or(Some(&what)))
    })
}

/// The class of a waiting container's reason; `None` while it is merely being made.
fn waiting_class(word: &str) -> Option<Reason> {
    match word {
        "ErrImagePull"
        | "ImagePullBackOff"
        | "InvalidImageName"
        | "ErrImageNeverPull"
        | "ImageInspectError"
        | "RegistryUnavailable"
        | "SignatureValidationFailed" => Some(Reason::ImagePull),
        "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError" => Some(Reason::ContainerConfig),
        "CrashLoopBackOff" => Some(Reason::CrashLoop),
        _ => None,
    }
}

fn creating(status: &ContainerStatus) -> Option<StartProblem> {
    let waiting = status.state.as_ref()?.waiting.as_ref()?;
    let word = waiting.reason.as_deref()?;
    (word == "ContainerCreating").then(|| problem(Reason::ContainerCreating, word, waiting.message.as_deref()))
}

fn unschedulable(status: &PodStatus) -> Option<StartProblem> {
    let unscheduled = condition(status, "PodScheduled", "False")?;
    let word = unscheduled.reason.as_deref().unwrap_or_default();
    matches!(word, "Unschedulable" | "SchedulingGated")
        .then(|| problem(Reason::Unschedulable, word, unscheduled.message.as_deref()))
}

fn problem(reason: Reason, word: &str, message: Option<&str>) -> StartProblem {
    StartProblem { reason, word: word.into(), message: shorten(message.unwrap_or_default()).into() }
}
