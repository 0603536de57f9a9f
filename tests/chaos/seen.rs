//! What the witness tells the judge, each with the time since the beginning at which it was seen.

use std::{collections::BTreeMap, time::Duration};

/// The pool that some queues share.
pub(crate) const POOL: &str = "shared";

/// What a jobs.json allows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Allowed {
    /// `maxConcurrentJobs`, or replicas, of the entries that are there.
    pub(crate) entries: BTreeMap<String, usize>,
    /// Members of the pool, there or not, and its places.
    pub(crate) members: Vec<String>,
    pub(crate) pool: usize,
    /// `limits.jobs`.
    pub(crate) limit: usize,
}

/// How a Job ended by its own conditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Complete,
    Failed,
}

/// A Job as the API server shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) uid: String,
    pub(crate) name: String,
    /// The JobConfig.
    pub(crate) config: String,
    pub(crate) is_service: bool,
    pub(crate) slot: String,
    /// `Complete` or `Failed`.
    pub(crate) verdict: Option<Verdict>,
    /// A verdict that is on its way.
    pub(crate) sign: Option<Verdict>,
    pub(crate) terminating: bool,
}

/// Something that was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// Another jobs.json was written.
    Allowed(Allowed),
    /// A Job is new, or has changed.
    Job(Shown),
    /// A Job is gone.
    Gone(String),
    /// The watch began anew: these are all Jobs, and what was between was not seen.
    Listed(Vec<Shown>),
    /// A container of a Job, by its name, runs, or does not any more.
    Works(String, bool),
    /// The harness deletes a Job, by its uid.
    DeletedByHand(String),
    /// A replica asks the API server to delete a Job, by its name.
    DeleteAsked(String),
    /// The API server refused that.
    DeleteRefused(String),
    /// A run is on record: its Job's name, its JobConfig and when it was wished for.
    Wished { job: String, config: String, at: Duration },
    /// A run's end was written.
    Ended { job: String, outcome: String },
    /// A message is in another state, by whom.
    Message { id: String, queue: String, state: String, by: String },
    /// Something that was read in Postgres is not there any more.
    Forgotten(i64),
    /// A process ended by itself.
    Exited { replica: usize, code: i32 },
}
