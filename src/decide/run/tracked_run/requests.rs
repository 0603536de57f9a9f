//! The one request that may be in flight for the Job of a run, and when the next one may be.

use std::time::Duration;

use crate::decide::backoff::{RETRY_MAX, retry_wait};

/// The request for a name that is in flight, and when the next one may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Requests {
    pub(super) in_flight: Option<InFlight>,
    /// No request before this time.
    pub(super) retry_at: Duration,
    pub(super) tries: u32,
    /// No live look before this time: what was just asked for needs a moment to show.
    pub(super) check_at: Duration,
    /// Until then an unanswered create may still be on its way. Stays until a live look that was sent later is answered: a
    /// view may be older than what that create has made.
    pub(super) doubt: Option<Duration>,
}

impl Requests {
    /// None so far.
    pub(super) fn none(now: Duration) -> Self {
        Self { in_flight: None, retry_at: now, tries: 0, check_at: now, doubt: None }
    }

    /// Again later, by what was asked of us or by how often it was tried.
    pub(super) fn retry(&mut self, now: Duration, asked: Option<Duration>) {
        let wait = asked.map_or_else(|| retry_wait(self.tries), |asked| asked.min(RETRY_MAX));
        self.tries = self.tries.saturating_add(1);
        self.retry_at = now.saturating_add(wait);
    }

    /// Whether what was asked for at this time may be older than what a create makes that is still on its way.
    pub(super) fn is_in_doubt(&self, at: Duration) -> bool {
        self.doubt.is_some_and(|until| at < until)
    }
}

/// The one request that may be in flight for a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum InFlight {
    Wish,
    Create {
        sent_at: Duration,
    },
    Get(LiveLook),
    /// After the live look that has allowed it.
    Delete(LiveLook),
    End,
}

/// A live look at a Job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct LiveLook {
    /// Its answer may be as old as that.
    pub(super) sent_at: Duration,
    /// A view has shown the Job since then, so an answer "absent" is older than that view.
    pub(super) shown_since: bool,
}
