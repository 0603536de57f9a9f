//! What pg-boss and our own tables remember of a span of time. All times are since 1970 by the clock of the database.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use crate::decide::outcome::Outcome;

/// A span of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Where it begins.
    pub from: Duration,
    /// Where it ends.
    pub to: Duration,
}

/// A message as pg-boss remembers it. One that was tried several times is remembered as it was tried last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// Since when it could be fetched.
    pub at: Duration,
    /// When it was sent: before `at` if it was deferred.
    pub sent_at: Duration,
    /// Those with more are fetched first.
    pub priority: i32,
    /// When a worker took it; `None` while it waits.
    pub taken_at: Option<Duration>,
    /// When that was done with it, well or not.
    pub done_at: Option<Duration>,
}

impl Message {
    /// How long it waited in reality; `None` while it waits.
    pub fn waited(&self) -> Option<Duration> {
        self.taken_at.map(|taken_at| taken_at.saturating_sub(self.at))
    }
}

/// What pg-boss remembers of a queue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueHistory {
    /// Messages that were taken within the span, or wait at its end; in the order in which they could be fetched.
    pub messages: Arc<[Message]>,
    /// pg-boss notifies of new messages.
    pub notifies: bool,
    /// Its policy says which messages may be taken together; a forecast knows nothing of that.
    pub keyed: bool,
}

impl QueueHistory {
    /// Of these messages, which are put in their order.
    pub fn of(mut messages: Vec<Message>) -> Self {
        messages.sort_by_key(|message| (message.at, message.sent_at));
        Self { messages: messages.into(), ..Self::default() }
    }
}

/// A run of a JobConfig as our own tables have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PastRun {
    /// When it was wished.
    pub wished_at: Duration,
    /// When its first container began to run; known once it has ended.
    pub started_at: Option<Duration>,
    /// When it ended.
    pub ended_at: Option<Duration>,
    /// How; `None` while it lives.
    pub outcome: Option<Outcome>,
    /// It was a success that took none of the messages it was started for.
    pub took_nothing: bool,
}

/// The runs of a JobConfig that lived at any time of the span, in the order in which they were wished.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunHistory {
    /// The runs.
    pub runs: Vec<PastRun>,
    /// There were earlier ones within the span that are not kept any more.
    pub cut: bool,
}

/// What is known of a span of time.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// The span.
    pub span: Span,
    /// There were too many messages; where some of them were taken, the span begins later than it was to.
    pub cut: bool,
    /// What pg-boss remembers, by queue.
    pub queues: BTreeMap<String, QueueHistory>,
    /// The runs, by the name of their JobConfig.
    pub runs: BTreeMap<String, RunHistory>,
    /// JobConfigs that people have paused or resumed, other than their configuration says.
    pub switched: BTreeSet<String>,
}
