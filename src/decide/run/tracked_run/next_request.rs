//! The one request of a run that is due, and when the next one is.

use std::time::Duration;

use super::{Request, Run};
use crate::decide::{
    decision::Wish,
    run::{
        event::{Ended, RunEffect},
        policy::{EXPLAINED_WITHIN, RunPolicy, SEEN_WITHIN},
        start_deadline::StartDeadline,
    },
};

impl Run {
    /// The outcome is decided once the pods explain it, or had the time to.
    pub(in crate::decide) fn settle_verdict(&mut self, now: Duration) {
        let due = self.verdict.as_ref().filter(|(_, seen)| now >= seen.saturating_add(EXPLAINED_WITHIN));
        if let (Some((end, _)), None) = (due, &self.end) {
            self.end = Some(end.clone());
        }
    }

    /// What it is waited for with; nothing where its end is known.
    pub(in crate::decide) fn start_deadline(&self) -> StartDeadline<'_> {
        let ended = self.verdict.is_some() || self.end.is_some();
        StartDeadline { starting: self.progress.starting().filter(|_| !ended), problem_since: self.problem_since }
    }

    /// The request that is due now; at most one is in flight for a name. A wish is told by [`Self::wants_wish`].
    pub(in crate::decide) fn next_request(&mut self, now: Duration, policy: &RunPolicy) -> Option<RunEffect> {
        self.settle_verdict(now);
        if self.flight.is_some() || now < self.retry_at || !self.wished {
            return None;
        }
        if self.end.is_some() && !self.end_written {
            // While a create may be on its way the run stays unfinished: whoever restarts holds its slot, too.
            return (now >= self.doubt_until).then(|| self.write_end(now));
        }
        if !self.created && self.end.is_none() && self.unwanted.is_some() && !self.was_asked_for {
            self.gone = true;
            self.end = self.unwanted.clone();
            self.ended_at = now;
            return Some(self.write_end(now));
        }
        if !self.created && self.end.is_none() && self.unwanted.is_none() {
            (self.flight, self.asked_at, self.was_asked_for) = (Some(Request::Create), now, true);
            return Some(RunEffect::CreateJob(self.to_wish()));
        }
        if self.needs_check(now, policy) {
            (self.flight, self.asked_at, self.shown_since_check) = (Some(Request::Get), now, false);
            return Some(RunEffect::GetJob(self.name.clone()));
        }
        None
    }

    fn needs_check(&mut self, now: Duration, policy: &RunPolicy) -> bool {
        let unasked = !self.created && self.unwanted.is_none();
        if unasked || now < self.check_at {
            return false;
        }
        if self.doubted || self.is_finished() {
            return self.doubted;
        }
        if self.end_written {
            return !self.in_view || (self.is_unwanted() && self.terminating.is_none());
        }
        self.giving_up = self.give_up_reason(now, policy);
        let lost_sight = !self.in_view && (self.seen || now >= self.confirmed_at.saturating_add(SEEN_WITHIN));
        self.giving_up.is_some() || lost_sight
    }

    fn write_end(&mut self, now: Duration) -> RunEffect {
        self.flight = Some(Request::End);
        RunEffect::WriteEnd(Ended {
            name: self.name.clone(),
            uid: self.uid.clone(),
            end: self.end.clone().expect("only an end is written"),
            age: now.saturating_sub(self.ended_at),
            started_age: self.ran_at.map(|at| now.saturating_sub(at)),
        })
    }

    /// The wish is to be written now; the caller sends it with the others'.
    pub(in crate::decide) fn wants_wish(&mut self, now: Duration) -> Option<Wish> {
        if self.wished || self.flight.is_some() || now < self.retry_at {
            return None;
        }
        self.flight = Some(Request::Wish);
        Some(self.to_wish())
    }

    fn to_wish(&self) -> Wish {
        let adopted = self.uid.clone().filter(|_| self.created);
        Wish {
            name: self.name.clone(),
            slot: self.slot,
            decision: self.decision,
            adopted,
            serves: self.serves,
            starts: self.starts,
        }
    }

    /// When something is due that no event brings.
    pub(in crate::decide) fn deadline(&self, policy: &RunPolicy) -> Option<Duration> {
        if self.flight.is_some() {
            return None;
        }
        if self.end_written && self.is_finished() {
            return Some(if self.doubted { self.retry_at.max(self.check_at) } else { self.doubt_until });
        }
        if self.wished && self.end.is_some() && !self.end_written {
            return Some(self.retry_at.max(self.doubt_until));
        }
        if !self.wished || !self.created {
            return Some(if self.unwanted.is_some() { self.retry_at.max(self.check_at) } else { self.retry_at });
        }
        if self.end_written {
            let due = self.retry_at.max(self.check_at);
            return Some(due).filter(|_| !self.in_view || (self.is_unwanted() && self.terminating.is_none()));
        }
        let explained = self.verdict.as_ref().map(|(_, seen)| seen.saturating_add(EXPLAINED_WITHIN));
        let unseen = (!self.in_view)
            .then(|| if self.seen { Duration::ZERO } else { self.confirmed_at.saturating_add(SEEN_WITHIN) });
        let unwanted = self.unwanted.as_ref().filter(|_| self.end.is_none() && self.verdict.is_none());
        if self.doubted {
            return Some(self.retry_at.max(self.check_at));
        }
        let check = [unseen, self.start_deadline().give_up_at(policy), unwanted.map(|_| Duration::ZERO)]
            .into_iter()
            .flatten()
            .min()
            .filter(|_| !self.is_finished());
        let due = [explained, check.map(|at| at.max(self.check_at))].into_iter().flatten().min()?;
        Some(due.max(self.retry_at))
    }
}
