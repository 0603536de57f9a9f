//! What a run does next, and when: [`Run::next`] alone decides it, for the deadline and for the act.

use std::time::Duration;

use super::{
    Record, Run,
    requests::{InFlight, LiveLook},
};
use crate::decide::{
    decision::{Origin, Wish},
    run::{
        ending::Ending,
        event::{Course, Ended, RunEffect},
        job_state::{Confirmation, JobState, Sight},
        policy::{RunPolicy, SEEN_WITHIN},
        purpose::Purpose,
    },
};

/// What a run does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// Its wish is written.
    WriteWish,
    /// Its Job is asked for.
    Create,
    /// Its Job is looked at live.
    Get,
    /// It is not wanted any more and nobody has asked for its Job: it ends.
    Abandon,
    /// The verdict counts as it is.
    SettleVerdict,
    /// Its end is written.
    WriteEnd,
    /// It is over, and its owner forgets it.
    Leave,
}

impl Run {
    /// What is next, if nothing else happens, and when; `None` while a request is in flight or nothing is ahead.
    fn next(&self, policy: &RunPolicy) -> Option<(Duration, Next)> {
        if self.requests.in_flight.is_some() {
            return None;
        }
        let (at, next) = match self.record {
            Record::Nothing => (Duration::ZERO, Next::WriteWish),
            // While a create may be on its way the run stays unfinished: a process that restarts holds its slot, too.
            Record::Wish if self.end().is_some() => (self.requests.doubt.unwrap_or_default(), Next::WriteEnd),
            Record::Wish => self.next_unfinished(policy)?,
            Record::End => self.next_recorded()?,
        };
        Some((at.max(self.requests.retry_at), next))
    }

    /// What is next for a run that is on record and has not ended.
    fn next_unfinished(&self, policy: &RunPolicy) -> Option<(Duration, Next)> {
        match (self.job, self.ending.unwanted()) {
            (JobState::NotAsked, Some(_)) => Some((Duration::ZERO, Next::Abandon)),
            (JobState::NotAsked | JobState::Asked, None) => Some((Duration::ZERO, Next::Create)),
            _ => {
                let settles = self.ending.settles_at().map(|at| (at, Next::SettleVerdict));
                let looks = self.next_look(policy).map(|at| (at.max(self.requests.check_at), Next::Get));
                settles.into_iter().chain(looks).min_by_key(|(at, _)| *at)
            }
        }
    }

    /// When its Job is looked at live: because the views contradict the API server or lack it, somebody has
    /// to be sure of it, or before it is given up.
    fn next_look(&self, policy: &RunPolicy) -> Option<Duration> {
        let unseen = match self.sight {
            Sight::Contradicted { .. } => return Some(Duration::ZERO),
            Sight::InView => None,
            Sight::Lost => Some(Duration::ZERO),
            Sight::Awaited { since } => Some(since.saturating_add(SEEN_WITHIN)),
        };
        let unconfirmed = self.confirmation == Confirmation::Wanted && self.last_seen.terminating.is_none();
        let unconfirmed = unconfirmed.then_some(Duration::ZERO);
        [unseen, unconfirmed, self.give_up_at(policy)].into_iter().flatten().min().filter(|_| !self.is_finished())
    }

    /// What is next for a run whose end is on record.
    fn next_recorded(&self) -> Option<(Duration, Next)> {
        if self.sight.is_contradicted() {
            return Some((self.requests.check_at, Next::Get));
        }
        if self.is_finished() {
            return Some(self.requests.doubt.map_or((Duration::ZERO, Next::Leave), |until| (until, Next::Get)));
        }
        let is_to_be_deleted = self.has_outlived_its_run() && self.last_seen.terminating.is_none();
        (self.sight != Sight::InView || is_to_be_deleted).then_some((self.requests.check_at, Next::Get))
    }

    /// When something is due that no event brings.
    pub(in crate::decide) fn deadline(&self, policy: &RunPolicy) -> Option<Duration> {
        self.next(policy).map(|(at, _)| at)
    }

    /// Its wish, if that is to be written now; the caller sends it with the others'.
    pub(in crate::decide) fn next_wish(&mut self, now: Duration, policy: &RunPolicy) -> Option<Wish> {
        self.next(policy).filter(|(at, next)| *at <= now && *next == Next::WriteWish)?;
        self.requests.in_flight = Some(InFlight::Wish);
        Some(self.to_wish())
    }

    /// The request that is due now; at most one is in flight for a name. A wish comes from [`Self::next_wish`].
    pub(in crate::decide) fn next_request(&mut self, now: Duration, policy: &RunPolicy) -> Option<RunEffect> {
        self.ending.settle_verdict(now);
        let (_, next) = self.next(policy).filter(|(at, _)| *at <= now)?;
        match next {
            Next::Create => {
                self.job = JobState::Asked;
                self.requests.in_flight = Some(InFlight::Create { sent_at: now });
                Some(RunEffect::CreateJob(self.to_wish()))
            }
            Next::Get => {
                self.requests.in_flight = Some(InFlight::Get(LiveLook { sent_at: now, shown_since: false }));
                Some(RunEffect::GetJob(self.name.clone()))
            }
            Next::Abandon => {
                self.job = JobState::Gone;
                self.close(now, Ending::finish_gone);
                self.write_end(now)
            }
            Next::WriteEnd => self.write_end(now),
            Next::WriteWish | Next::SettleVerdict | Next::Leave => None,
        }
    }

    fn write_end(&mut self, now: Duration) -> Option<RunEffect> {
        let end = self.end()?.clone();
        self.requests.in_flight = Some(InFlight::End);
        Some(RunEffect::WriteEnd(Ended {
            name: self.name.clone(),
            uid: self.uid.clone(),
            end,
            age: now.saturating_sub(self.ended_at),
            started_age: self.last_seen.ran_at.map(|at| now.saturating_sub(at)),
            course: Course {
                origin: self.traced_origin(),
                created_at: self.created_at,
                started_at: self.last_seen.ran_at,
                ended_at: self.ended_at,
            },
        }))
    }

    /// A Job that was found without a run has begun when it was made.
    fn traced_origin(&self) -> Origin {
        match (&self.purpose, self.created_at) {
            (Purpose::Found, Some(created_at)) => Origin::decided(created_at),
            _ => self.origin,
        }
    }

    fn to_wish(&self) -> Wish {
        Wish {
            name: self.name.clone(),
            slot: self.slot,
            decision: self.purpose.decision(),
            adopted: self.uid.clone(),
            serves: self.purpose.manual_number(),
            starts: self.purpose.starts(),
            one_off: self.purpose.one_off().cloned(),
            places: self.places.clone(),
            origin: self.origin,
        }
    }
}
