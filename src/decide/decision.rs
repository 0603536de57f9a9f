//! A decision with its inputs, and the Job that it wishes for.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use crate::decide::{
    one_off::OneOff,
    outcome::{JobName, Slot},
    place::Places,
};

/// A decision with its inputs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct Decision {
    /// Why so many and no more.
    pub why: DecisionReason,
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
    /// `maxConcurrentJobs`, or that of the window that is open.
    pub max: u64,
    /// Jobs there was room for.
    pub room: u64,
    /// Jobs that were asked for.
    pub jobs: u64,
    /// One trial at a time.
    pub backing_off: bool,
}

/// Why a decision created as many Jobs as it did, and no more: a closed set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DecisionReason {
    /// No message can be fetched.
    #[default]
    Empty,
    /// Jobs that are starting are expected to take every message.
    Claimed,
    /// Every message has its Job now.
    Created,
    /// `maxConcurrentJobs` live, or are about to.
    Full,
    /// No window is open that allows any Job, or one is that allows none.
    Closed,
    /// The free slots wait after their last run.
    Cooling,
    /// Pods find no node: no more Jobs than have started, and one.
    ClusterFull,
    /// After failures, one trial at a time.
    BackingOff,
    /// Others have the places in a pool, or in `limits`.
    NoPlace,
    /// Nothing may be created: paused, drained, or the view of the cluster is too old.
    Held,
    /// Somebody asked for a Job by hand.
    Asked,
    /// A replica of a service is kept up.
    KeptUp,
    /// A Job tells whether a service is well.
    Checked,
    /// Checks of a service that runs elsewhere have failed.
    Repaired,
    /// An action of a service runs every so often.
    Scheduled,
}

impl DecisionReason {
    /// The word in the database and the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Claimed => "claimed",
            Self::Created => "created",
            Self::Full => "full",
            Self::Closed => "closed",
            Self::Cooling => "cooling",
            Self::ClusterFull => "cluster_full",
            Self::BackingOff => "backing_off",
            Self::NoPlace => "no_place",
            Self::Held => "held",
            Self::Asked => "asked",
            Self::KeptUp => "kept_up",
            Self::Checked => "checked",
            Self::Repaired => "repaired",
            Self::Scheduled => "scheduled",
        }
    }
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
    /// What a Job is for that runs once beside the replicas of a service.
    pub one_off: Option<OneOff>,
    /// The places that it takes in pools.
    pub places: Places,
    /// How it came to it.
    pub origin: Origin,
}

/// How a run came to be, in the lifecycle's time: where its trace begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Origin {
    /// When the oldest message that it was decided for could be fetched; without one, or where that is not known, when
    /// it was decided.
    pub begun_at: Duration,
    /// When the look was asked for by which it was decided, where there was one.
    pub looked_at: Option<Duration>,
    /// When it was decided.
    pub decided_at: Duration,
}

impl Origin {
    /// A run that was decided now, without a look at any message.
    pub fn decided(now: Duration) -> Self {
        Self { begun_at: now, looked_at: None, decided_at: now }
    }

    /// A run that was decided now by a look that was asked for then, for messages of which the oldest has waited so long.
    pub fn messages(now: Duration, looked_at: Duration, waited: Duration) -> Self {
        // A message may have come while the look was on its way.
        let begun_at = now.saturating_sub(waited).min(looked_at);
        Self { begun_at, looked_at: Some(looked_at), decided_at: now }
    }

    /// A run that another process decided so long ago, for what had begun then by its clock.
    pub fn before(now: Duration, decided_age: Duration, begun_at: Option<Duration>) -> Self {
        let decided_at = now.saturating_sub(decided_age);
        Self { begun_at: begun_at.unwrap_or(decided_at).min(decided_at), looked_at: None, decided_at }
    }
}

impl Wish {
    /// One that nobody has, to see what its Job would be.
    pub fn example(name: JobName) -> Self {
        Self {
            name,
            slot: 0,
            decision: Decision::default(),
            adopted: None,
            serves: None,
            starts: None,
            one_off: None,
            places: Places::default(),
            origin: Origin::default(),
        }
    }
}

/// What was seen of messages leaving the queue, as totals since the start: a run compares them to learn what
/// happened while it lived.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Tally {
    /// Messages that were seen to be taken.
    pub(in crate::decide) taken: u64,
    /// Looks that could not tell, for there were more messages than they counted.
    pub(in crate::decide) unclear: u64,
}

impl Tally {
    /// Whether any message was taken since then; `None` where nobody can tell.
    pub fn took_since(&self, then: &Self) -> Option<bool> {
        match (self.taken > then.taken, self.unclear > then.unclear) {
            (true, _) => Some(true),
            (false, false) => Some(false),
            (false, true) => None,
        }
    }
}
