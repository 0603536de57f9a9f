//! What goes into a [`crate::decide::queue::lifecycle::Lifecycle`], and what comes out.
//!
//! Events are facts, effects are wishes. Every effect is answered by exactly one event.

use std::{sync::Arc, time::Duration};

use crate::decide::{
    decision::Decision,
    outcome::JobName,
    queue::{policy::QueuePolicy, scale::Look},
    run::event::{RunEffect, RunEvent},
    share::need::Grant,
};

/// What may happen to the lifecycle of a queue.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum QueueEvent {
    /// What concerns its runs.
    Run(RunEvent),
    /// Answers [`QueueEffect::ReadDepth`]; `None` where Postgres did not answer.
    DepthRead(Option<Look>),
    /// Answers [`QueueEffect::ReadGauges`]; false where Postgres did not answer.
    GaugesRead(bool),
    /// Answers [`QueueEffect::WriteLog`]; false where Postgres did not answer.
    LogWritten(bool),
    /// A notification that there is a message: a reason to look now, and no more than that.
    Notified,
    /// [`crate::decide::queue::lifecycle::Lifecycle::deadline`] has passed.
    DeadlineReached,
    /// What people and jobs.json say now.
    Switched {
        /// Create nothing until this is false again.
        paused: bool,
        /// How many Jobs were requested by hand, ever; each is created once, whatever the queue holds.
        requested: u64,
    },
    /// Whether a service in its `dependsOn` is not up.
    Blocked(bool),
    /// Places for Jobs that are to be created now; one that is known already is no news.
    Granted(Grant),
    /// The entry of this JobConfig in jobs.json has changed, or is there again.
    Configured {
        /// The entry.
        policy: Arc<QueuePolicy>,
        /// The queue is another than before: nothing that was known of its messages counts.
        other_queue: bool,
    },
}

impl From<RunEvent> for QueueEvent {
    fn from(event: RunEvent) -> Self {
        Self::Run(event)
    }
}

/// What the lifecycle of a queue asks of the outside.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum QueueEffect {
    /// What concerns its runs.
    Run(RunEffect),
    /// Count the messages that can be fetched.
    ReadDepth(DepthRequest),
    /// Count the messages for the gauges alone: nothing is decided by the answer.
    ReadGauges(DepthRequest),
    /// Write these entries into the log of decisions.
    WriteLog(Vec<LogEntry>),
}

impl From<RunEffect> for QueueEffect {
    fn from(effect: RunEffect) -> Self {
        Self::Run(effect)
    }
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
    /// What it is for.
    pub purpose: LookPurpose,
}

/// What a look is for: how soon it is wanted, and how far it must count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LookPurpose {
    /// A decision, at once.
    Decision,
    /// A decision in the queue's interval: others that are due at the same time may join it.
    Routine,
    /// The gauges alone: as routine, and where many are read at once each may count less far.
    Gauges,
}

/// What is written down for people, besides runs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum LogEntry {
    /// A decision that created something, or whose reason is another than the last one's.
    Decided {
        /// When, in the lifecycle's time.
        at: Duration,
        /// What.
        decision: Decision,
    },
    /// A success during which none of the messages it was started for was taken.
    TookNothing(JobName),
}
