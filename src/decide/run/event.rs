//! What the runs of a JobConfig ask of the store and the API server, and what they are answered.
//!
//! Events are facts, effects are wishes. Every effect is answered by exactly one event; `RunEffect::WriteWishes` by one
//! for each of its names.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use crate::decide::{
    decision::{Origin, Wish},
    one_off::OneOff,
    outcome::{End, JobName, Slot},
    place::Places,
    pod::observation::{Observed, SeenJob},
};

/// What may happen to the runs of any JobConfig.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RunEvent {
    /// Answers [`RunEffect::LoadRuns`]; `None` where Postgres did not answer.
    RunsLoaded(Option<LoadedRuns>),
    /// The whole of what the cluster holds for this JobConfig; not a change to it.
    Observed(Arc<Observed>),
    /// The view is too old to create anything by it, until the next [`RunEvent::Observed`].
    ViewStale,
    /// Answers [`RunEffect::WriteWishes`], for each of its names; `None` where Postgres did not answer.
    WishWritten(JobName, Option<WishAnswer>),
    /// Answers [`RunEffect::CreateJob`].
    CreateAnswered(JobName, CreateAnswer),
    /// Answers [`RunEffect::GetJob`].
    GetAnswered(JobName, GetAnswer),
    /// Answers [`RunEffect::DeleteJob`].
    DeleteAnswered(JobName, DeleteAnswer),
    /// Answers [`RunEffect::WriteEnd`]; false where Postgres did not answer.
    EndWritten(JobName, bool),
    /// The JobConfig has left the file: create nothing any more, and see what lives to its end.
    Drain,
    /// The process ends: begin nothing any more; running Jobs go on.
    Stop,
}

/// What the runs of any JobConfig ask of the outside.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RunEffect {
    /// Load the unfinished runs of this JobConfig.
    LoadRuns,
    /// Write these runs as wished, all in one statement.
    WriteWishes(Vec<Wish>),
    /// Ask the API server for a Job under this name.
    CreateJob(Wish),
    /// Read a Job live, with its pods.
    GetJob(JobName),
    /// Delete a Job with its pods, if it is still the one that was read.
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
}

/// Postgres' answer to a wish.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WishAnswer {
    /// It is written.
    Written,
    /// The name belongs to a run that has ended.
    Ended,
    /// The slot belongs to another unfinished run: somebody else decides, too.
    SlotTaken,
}

/// The API server's answer to a create.
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

/// What a live GET of a Job and its pods found.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum GetAnswer {
    /// It exists.
    Found(Box<SeenJob>),
    /// It does not.
    Absent,
    /// No answer.
    Unanswered,
}

/// The API server's answer to a delete.
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
    /// When it came how far.
    pub course: Course,
}

/// When a run came how far, in the lifecycle's time: what its trace is drawn from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Course {
    /// How it began.
    pub origin: Origin,
    /// When its Job was confirmed, or was made by what the API server says; `None` where there was none.
    pub created_at: Option<Duration>,
    /// When its first container began to run; `None` where none did.
    pub started_at: Option<Duration>,
    /// When it ended.
    pub ended_at: Duration,
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
    /// The actions of a service, by name.
    pub actions: BTreeMap<Box<str>, LoadedAction>,
    /// How long ago the last repair of a service that runs elsewhere ended.
    pub repaired: Option<Duration>,
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
    /// See [`Origin::begun_at`]; by the clock of whoever wrote the wish, as all of its trace is.
    pub begun_at: Option<Duration>,
    /// See [`Wish::starts`].
    pub starts: Option<u64>,
    /// See [`Wish::one_off`].
    pub one_off: Option<OneOff>,
    /// See [`Wish::places`].
    pub places: Places,
}

/// What the store knows of an action of a service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct LoadedAction {
    /// How many of those that were asked for by hand are on record.
    pub served: u64,
    /// How long ago it began last.
    pub begun: Option<Duration>,
}
