//! How a run comes to its end: who wants it to end, what the Job's verdict is, and what is recorded.
//!
//! ```text
//!          ┌──────────── Unwanted ───────┐ delete accepted, or the Job is gone
//!  Open ───┤                             ├──────────────▶ Ended { concluded: false }
//!          ├── GivenUp (delete sent) ────┤                        │
//!          │                             ▼ the Job ends           ▼ the Job ends
//!          └────────────────────────▶ Verdict ──────────▶ Ended { concluded: true }
//!                                       explained, or not explained in time
//! ```

use std::time::Duration;

use crate::decide::{
    outcome::{End, Outcome, Reason},
    run::policy::EXPLAINED_WITHIN,
};

/// How far a run is on its way to an end.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Ending {
    /// Nothing ends it.
    Open,
    /// Whoever owns the run wants it to end: its Job is deleted after a live look.
    Unwanted {
        /// What is recorded then.
        end: End,
        /// It stays after all if a live look finds its pod ready before a delete was sent.
        unless_ready: bool,
        /// A delete was sent, and not refused.
        delete_sent: bool,
    },
    /// It did not start in time, and a delete was sent. A pod that starts after all opens it again.
    GivenUp(End),
    /// The Job has a verdict, and its pods may still explain it.
    Verdict {
        /// What is recorded then.
        end: End,
        /// It follows from what we wanted, so the pods have nothing to explain.
        by_us: bool,
        /// When it counts as it is.
        settles_at: Duration,
    },
    /// It has ended.
    Ended {
        /// How.
        end: End,
        /// The Job has a verdict, so it needs no delete.
        concluded: bool,
    },
}

impl Ending {
    /// A run whose end was on record before its Job was found.
    pub fn recorded_before() -> Self {
        Self::Ended { end: End::new(Outcome::Vanished, Reason::Deleted), concluded: false }
    }

    /// How it ended; `None` while that is not settled.
    pub fn end(&self) -> Option<&End> {
        match self {
            Self::Ended { end, .. } => Some(end),
            _ => None,
        }
    }

    /// How it is to end that is not wanted any more, while its Job has no verdict.
    pub fn unwanted(&self) -> Option<&End> {
        match self {
            Self::Unwanted { end, .. } => Some(end),
            _ => None,
        }
    }

    /// The Job has a verdict.
    pub fn is_concluded(&self) -> bool {
        matches!(self, Self::Verdict { .. } | Self::Ended { concluded: true, .. })
    }

    /// It has not ended, has no verdict, and is not to end. A Job that did not start in time may still start.
    pub fn is_open(&self) -> bool {
        matches!(self, Self::Open | Self::GivenUp(_))
    }

    /// It is to end, if nothing ends it already. True if that is new.
    pub fn note_unwanted(&mut self, end: End, unless_ready: bool) -> bool {
        let is_new = self.is_open();
        if is_new {
            *self = Self::Unwanted { end, unless_ready, delete_sent: matches!(self, Self::GivenUp(_)) };
        }
        is_new
    }

    /// It is not given up any more: a pod of it runs, or what kept it is mended.
    pub fn reopen(&mut self) {
        if matches!(self, Self::GivenUp(_)) {
            *self = Self::Open;
        }
    }

    /// A live look found its pod ready.
    pub fn note_ready(&mut self) {
        if matches!(self, Self::Unwanted { unless_ready: true, delete_sent: false, .. }) {
            *self = Self::Open;
        }
    }

    /// A delete of its Job was sent, because of `given_up` unless it was unwanted or had ended.
    pub fn note_delete_sent(&mut self, given_up: Option<End>) {
        match (self, given_up) {
            (Self::Unwanted { delete_sent, .. }, _) => *delete_sent = true,
            (open @ (Self::Open | Self::GivenUp(_)), Some(end)) => *open = Self::GivenUp(end),
            _ => {}
        }
    }

    /// Its Job has changed since the live look by which a delete was sent, so neither that one nor one before it takes hold.
    pub fn note_delete_refused(&mut self) {
        if let Self::Unwanted { delete_sent, .. } = self {
            *delete_sent = false;
        }
    }

    /// The Job has this verdict. One that follows from our own delete is not the worker's failure.
    pub fn note_verdict(&mut self, verdict: &End, explained: bool, now: Duration) {
        let before = match self {
            Self::Verdict { settles_at, .. } => *settles_at,
            _ => now.saturating_add(EXPLAINED_WITHIN),
        };
        let settles_at = if explained { Duration::ZERO } else { before };
        match self {
            Self::Ended { concluded, .. } => *concluded = true,
            Self::Verdict { by_us: true, settles_at: at, .. } => *at = settles_at,
            Self::GivenUp(_) if verdict.outcome == Outcome::Succeeded => {
                *self = Self::Verdict { end: verdict.clone(), by_us: false, settles_at };
            }
            Self::Unwanted { end, .. } | Self::GivenUp(end) => {
                *self = Self::Verdict { end: end.clone(), by_us: true, settles_at };
            }
            Self::Open | Self::Verdict { .. } => {
                *self = Self::Verdict { end: verdict.clone(), by_us: false, settles_at };
            }
        }
    }

    /// A late create made another Job of its name: that one has no verdict, and nobody wants it to end.
    pub fn note_other_job(&mut self) {
        match self {
            Self::Ended { concluded, .. } => *concluded = false,
            _ => *self = Self::Open,
        }
    }

    /// When its verdict counts as it is; `None` where there is none to wait for.
    pub fn settles_at(&self) -> Option<Duration> {
        match self {
            Self::Verdict { settles_at, .. } => Some(*settles_at),
            _ => None,
        }
    }

    /// It has ended like this, unless it had ended before.
    pub fn finish(&mut self, end: End) {
        if self.end().is_none() {
            *self = Self::Ended { end, concluded: self.is_concluded() };
        }
    }

    /// A delete was accepted, so what it was sent for is settled.
    pub fn finish_deleted(&mut self) {
        match self {
            Self::Unwanted { end, .. } | Self::GivenUp(end) | Self::Verdict { end, by_us: true, .. } => {
                let end = end.clone();
                self.finish(end);
            }
            Self::Open | Self::Verdict { .. } | Self::Ended { .. } => {}
        }
    }

    /// Its Job is gone: it ended as was wanted, or by its verdict, else nobody knows how.
    pub fn finish_gone(&mut self) {
        let end = match self {
            Self::Open => End::new(Outcome::Vanished, Reason::Deleted),
            Self::Unwanted { end, .. } | Self::GivenUp(end) | Self::Verdict { end, .. } | Self::Ended { end, .. } => {
                end.clone()
            }
        };
        self.finish(end);
    }

    /// The verdict counts once the pods have explained it, or had the time to.
    pub fn settle_verdict(&mut self, now: Duration) {
        if let Self::Verdict { end, settles_at, .. } = self
            && *settles_at <= now
        {
            *self = Self::Ended { end: end.clone(), concluded: true };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1_000);

    fn end(reason: Reason) -> End {
        End::new(Outcome::Failed, reason)
    }

    fn unwanted(unless_ready: bool) -> Ending {
        let mut ending = Ending::Open;
        assert!(ending.note_unwanted(end(Reason::Unwanted), unless_ready));
        ending
    }

    #[test]
    fn a_verdict_waits_for_its_explanation_but_not_for_ever() {
        let mut ending = Ending::Open;
        ending.note_verdict(&end(Reason::JobFailed), false, NOW);
        ending.note_verdict(&end(Reason::JobFailed), false, NOW + Duration::from_secs(1));
        ending.settle_verdict(NOW + EXPLAINED_WITHIN - Duration::from_nanos(1));
        assert_eq!(ending.end(), None);
        let mut unexplained = ending.clone();
        unexplained.settle_verdict(NOW + EXPLAINED_WITHIN);
        assert_eq!(unexplained.end(), Some(&end(Reason::JobFailed)), "counted from when it was first seen");
        ending.note_verdict(&end(Reason::OomKilled), true, NOW + Duration::from_secs(1));
        ending.settle_verdict(NOW + Duration::from_secs(1));
        assert_eq!(ending, Ending::Ended { end: end(Reason::OomKilled), concluded: true });
    }

    #[test]
    fn what_follows_from_our_delete_is_not_the_workers_failure() {
        let mut ending = unwanted(false);
        ending.note_verdict(&end(Reason::ExitCode), true, NOW);
        ending.note_verdict(&end(Reason::ExitCode), true, NOW);
        ending.settle_verdict(NOW);
        assert_eq!(ending.end(), Some(&end(Reason::Unwanted)));
        let mut given_up = Ending::GivenUp(end(Reason::ImagePull));
        given_up.note_verdict(&end(Reason::ExitCode), true, NOW);
        given_up.settle_verdict(NOW);
        assert_eq!(given_up.end(), Some(&end(Reason::ImagePull)));
    }

    #[test]
    fn a_ready_pod_is_kept_until_a_delete_was_sent() {
        let mut ending = unwanted(true);
        ending.note_ready();
        assert_eq!(ending, Ending::Open);
        let (mut sent, mut firm) = (unwanted(true), unwanted(false));
        sent.note_delete_sent(None);
        sent.note_ready();
        firm.note_ready();
        assert!(sent.unwanted().is_some() && firm.unwanted().is_some());
    }

    #[test]
    fn a_ready_pod_is_kept_where_the_delete_was_refused() {
        for unless_ready in [true, false] {
            let mut ending = unwanted(unless_ready);
            ending.note_delete_sent(None);
            ending.note_delete_refused();
            ending.note_ready();
            assert_eq!(ending == Ending::Open, unless_ready, "{ending:?}");
        }
    }

    #[test]
    fn a_pod_that_starts_after_all_is_not_given_up() {
        let mut ending = Ending::Open;
        ending.note_delete_sent(Some(end(Reason::ImagePull)));
        assert_eq!(ending, Ending::GivenUp(end(Reason::ImagePull)));
        let mut later = ending.clone();
        later.reopen();
        later.finish_gone();
        assert_eq!(later.end().map(|end| end.outcome), Some(Outcome::Vanished));
        ending.finish_gone();
        assert_eq!(ending.end(), Some(&end(Reason::ImagePull)));
    }

    #[test]
    fn a_success_is_one_although_a_delete_was_on_its_way() {
        let mut ending = Ending::GivenUp(end(Reason::ImagePull));
        ending.note_verdict(&End::new(Outcome::Succeeded, Reason::Completed), true, NOW);
        ending.settle_verdict(NOW);
        assert_eq!(ending.end().map(|end| end.outcome), Some(Outcome::Succeeded));
    }

    #[test]
    fn the_first_end_stays() {
        let mut ending = unwanted(false);
        assert!(!ending.note_unwanted(end(Reason::Replaced), false));
        ending.finish_deleted();
        ending.finish(end(Reason::ExitCode));
        ending.finish_gone();
        assert_eq!(ending, Ending::Ended { end: end(Reason::Unwanted), concluded: false });
        ending.note_verdict(&end(Reason::ExitCode), true, NOW);
        assert!(ending.is_concluded() && ending.end() == Some(&end(Reason::Unwanted)));
    }

    #[test]
    fn another_job_of_the_name_has_no_verdict_yet() {
        let mut ending = Ending::Open;
        ending.note_verdict(&end(Reason::ExitCode), false, NOW);
        ending.note_other_job();
        assert_eq!(ending, Ending::Open);
        let mut ended = Ending::Ended { end: end(Reason::ExitCode), concluded: true };
        ended.note_other_job();
        assert_eq!(ended, Ending::Ended { end: end(Reason::ExitCode), concluded: false });
    }
}
