//! What goes into a [`crate::decide::lifecycle::Lifecycle`], and what comes out.
//!
//! Events are facts, effects are wishes. Every effect is answered by exactly one event.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde::Serialize;

use crate::{
    config::service_config::HttpCheck,
    decide::{
        keep_alive::ServiceOrders,
        notes::Note,
        observation::{Observed, SeenJob},
        policy::Policy,
        run::{End, JobName, Slot},
        scale::Look,
        service::ServicePolicy,
        turn::Turn,
    },
};

/// What the outside may tell a lifecycle.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// Answers [`Effect::LoadRuns`]; `None` where Postgres did not.
    RunsLoaded(Option<LoadedRuns>),
    /// The whole of what the cluster holds for this JobConfig; not a change to it.
    Observed(Arc<Observed>),
    /// The view is too old to create anything by it, until the next [`Event::Observed`].
    ViewStale,
    /// Answers [`Effect::ReadDepth`]; `None` where Postgres did not.
    DepthRead(Option<Look>),
    /// Answers [`Effect::WriteWishes`], for each of its names; `None` where Postgres did not.
    WishWritten(JobName, Option<WishAnswer>),
    /// Answers [`Effect::CreateJob`].
    CreateAnswered(JobName, CreateAnswer),
    /// Answers [`Effect::CheckJob`].
    Checked(JobName, CheckAnswer),
    /// Answers [`Effect::DeleteJob`].
    DeleteAnswered(JobName, DeleteAnswer),
    /// Answers [`Effect::WriteEnd`]; false where Postgres did not.
    EndWritten(JobName, bool),
    /// Answers [`Effect::WriteNotes`]; false where Postgres did not.
    NotesWritten(bool),
    /// Somebody says that there is a message: a reason to look now, and no more than that.
    Hinted,
    /// [`crate::decide::lifecycle::Lifecycle::deadline`] has passed.
    DeadlineReached,
    /// What people and jobs.json say now.
    Switched {
        /// Create nothing until this is false again.
        paused: bool,
        /// How many Jobs were asked for by hand, ever; each is created once, whatever the queue holds.
        asked: u64,
    },
    /// Whether a service that it depends on is not up.
    Held(bool),
    /// jobs.json says something else of this JobConfig, or has it again.
    Configured {
        /// What it says.
        policy: Box<Policy>,
        /// The queue is another than before: nothing that was known of its messages counts.
        other_queue: bool,
    },
    /// What people and jobs.json say of a service.
    Ordered(ServiceOrders),
    /// jobs.json says something else of this service, or has it again.
    ServiceConfigured(Box<ServicePolicy>),
    /// Whether it is this service's turn, among those that depend on one another.
    Turned(Turn),
    /// Answers [`Effect::Probe`]: what is wrong, where something is.
    Probed(JobName, Result<(), Box<str>>),
    /// Answers [`Effect::KillPods`].
    PodsKilled(JobName, KillAnswer),
    /// The JobConfig has left the file: create nothing any more, and see what lives to its end.
    Drain,
    /// The process ends: begin nothing any more; running Jobs go on.
    Stop,
}

/// What Postgres says of a wish.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WishAnswer {
    /// It is written.
    Written,
    /// The name belongs to a run that has ended.
    Ended,
    /// The slot belongs to another unfinished run: somebody else decides, too.
    SlotTaken,
}

/// What the API server says of a create.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CreateAnswer {
    /// The Job exists, now or since an earlier request of this wish.
    Exists {
        /// `metadata.uid`.
        uid: Box<str>,
    },
    /// No answer, or one that says "later": it may have worked.
    Unanswered {
        /// What the API server asks us to wait.
        retry_after: Option<Duration>,
    },
    /// The Job is not wanted as it is, or the name is somebody else's.
    Refused {
        /// The API server's message.
        message: String,
    },
}

/// What a live look at a Job found.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CheckAnswer {
    /// It exists.
    Found(Box<SeenJob>),
    /// It does not.
    Absent,
    /// No answer.
    Unanswered,
}

/// What the API server says of a delete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeleteAnswer {
    /// Accepted; it is gone when its pods are.
    Accepted,
    /// It was gone already.
    Absent,
    /// It changed since it was looked at.
    Changed,
    /// No answer.
    Unanswered,
}

/// What a lifecycle asks of the outside.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Load the unfinished runs of this JobConfig.
    LoadRuns,
    /// Count what can be fetched.
    ReadDepth(DepthRequest),
    /// Write these runs as wished, all in one statement.
    WriteWishes(Vec<Wish>),
    /// Ask the API server for a Job under this name.
    CreateJob(Wish),
    /// Look at a Job live, with its pods.
    CheckJob(JobName),
    /// Delete a Job with its pods, if it is still the one that was looked at.
    DeleteJob {
        /// Its name.
        name: JobName,
        /// Precondition.
        uid: Box<str>,
        /// Precondition, where it matters that nothing has changed.
        resource_version: Option<Box<str>>,
    },
    /// Record how a run ended.
    WriteEnd(Ended),
    /// Write down what is to be remembered besides runs.
    WriteNotes(Vec<Note>),
    /// Ask a ready pod whether it works.
    Probe {
        /// Its Job.
        name: JobName,
        /// Its address.
        address: Box<str>,
        /// What to ask.
        probe: Probe,
    },
    /// Delete the pods of a Job without any grace.
    KillPods {
        /// Its name.
        name: JobName,
        /// Its uid: another Job of that name is none of ours to harm.
        uid: Box<str>,
    },
}

/// What a pod is asked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Probe {
    /// Whether it takes connections on each of these ports.
    Tcp(Arc<[u16]>),
    /// Whether a page answers.
    Http(Arc<HttpCheck>),
}

/// What the API server says of deleting pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KillAnswer {
    /// Every pod that was there is deleted.
    Killed,
    /// The Role does not allow it.
    Forbidden,
    /// No answer.
    Unanswered,
}

/// How a queue is to be counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DepthRequest {
    /// Messages that could be fetched at this time of the database (microseconds since 1970) are old; `None`: all are.
    pub since_us: Option<i64>,
    /// Both counts stop here.
    pub limit: u64,
    /// Messages younger than this are not counted.
    pub younger_left: Duration,
    /// A routine look, which others that are due at the same time may join.
    pub routine: bool,
}

/// A Job that is to exist.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Wish {
    /// The name, used once.
    pub name: JobName,
    /// The slot it takes.
    pub slot: Slot,
    /// Why.
    pub decision: Decision,
    /// It exists already and is taken over.
    pub adopted: Option<Box<str>>,
    /// Which of the Jobs that were asked for by hand it is, from 1.
    pub serves: Option<u64>,
    /// How often a service had been started by hand when this replica of it was.
    pub starts: Option<u64>,
}

/// A decision with its inputs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
pub struct Decision {
    /// Why so many and no more.
    pub why: Why,
    /// Messages that could be fetched.
    pub ready: u64,
    /// There may be more: the count stopped at its bound.
    pub bounded: bool,
    /// Those of them that came since the last creation.
    pub new: u64,
    /// Messages that starting Jobs are expected to take.
    pub claimed: u64,
    /// Live Jobs.
    pub live: u64,
    /// Those of them that are starting.
    pub starting: u64,
    /// `maxConcurrentJobs`.
    pub max: u64,
    /// Jobs there was room for.
    pub room: u64,
    /// Jobs that were asked for.
    pub jobs: u64,
    /// One trial at a time.
    pub backing_off: bool,
}

/// Why a decision created as many Jobs as it did, and no more: a closed set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// No message can be fetched.
    #[default]
    Empty,
    /// Jobs that are starting are expected to take every message.
    Claimed,
    /// Every message has its Job now.
    Created,
    /// `maxConcurrentJobs` live, or are about to.
    Full,
    /// The free slots wait after their last run.
    Cooling,
    /// Pods find no node: no more Jobs than have started, and one.
    ClusterFull,
    /// After failures, one trial at a time.
    BackingOff,
    /// Nothing may be created: paused, drained, or the view of the cluster is too old.
    Held,
    /// Somebody asked for a Job by hand.
    Asked,
    /// A replica of a service is kept up.
    KeptUp,
}

impl Why {
    /// The word in the database and the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Claimed => "claimed",
            Self::Created => "created",
            Self::Full => "full",
            Self::Cooling => "cooling",
            Self::ClusterFull => "cluster_full",
            Self::BackingOff => "backing_off",
            Self::Held => "held",
            Self::Asked => "asked",
            Self::KeptUp => "kept_up",
        }
    }
}

/// The end of a run, to be recorded.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ended {
    /// Its name.
    pub name: JobName,
    /// The Job's uid, where there was a Job.
    pub uid: Option<Box<str>>,
    /// How.
    pub end: End,
    /// How long ago.
    pub age: Duration,
    /// How long ago its first container began to run; `None` where none did.
    pub started_age: Option<Duration>,
}

/// The runs of a JobConfig that the store knows to be unfinished.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct LoadedRuns {
    /// Unfinished runs.
    pub unfinished: Vec<LoadedRun>,
    /// How many of the last runs failed, or took nothing, without a success between them.
    pub failed_in_a_row: u32,
    /// How many of the Jobs that were asked for by hand are on record.
    pub served: u64,
    /// The highest [`Wish::starts`] of each slot.
    pub starts: BTreeMap<Slot, u64>,
    /// Runs that have ended, but for those that were not wanted any more.
    pub restarts: u64,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LoadedRun {
    /// Its name.
    pub name: JobName,
    /// Its slot.
    pub slot: Slot,
    /// The Job's uid, if the create was confirmed.
    pub uid: Option<Box<str>>,
    /// Since the wish.
    pub age: Duration,
    /// See [`Wish::starts`].
    pub starts: Option<u64>,
}
