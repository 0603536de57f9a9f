//! One run as a lifecycle keeps track of it: facts come in here, and the one request that is due goes out of `next_request.rs`.

mod next_request;

use std::time::Duration;

use crate::{
    config::entry::Kind,
    decide::{
        backoff::{RETRY_MAX, retry_wait},
        decision::{Decision, DecisionReason, Tally},
        outcome::{End, JobName, Outcome, Reason, Slot},
        pod::{
            digest::StartProblem,
            observation::{Phase, SeenJob},
        },
        run::{
            event::{CreateAnswer, DeleteAnswer, GetAnswer, LoadedRun, RunEffect, WishAnswer},
            policy::{CHECK_AGAIN, REQUEST_TIMEOUT, RunPolicy},
            progress::{Progress, Terminating},
        },
    },
};

/// A run from its wish until it is recorded and its Job is finished or gone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Run {
    pub(in crate::decide) name: JobName,
    pub(in crate::decide) slot: Slot,
    /// Created while backing off, so its failure makes the wait grow.
    pub(in crate::decide) trial: bool,
    /// What had been taken when it was decided; `None` for a run that another process has begun.
    pub(in crate::decide) tally: Option<Tally>,
    /// The wish stands in the store.
    pub(in crate::decide) wished: bool,
    /// The Job exists, or did: confirmed by an answer or a view.
    pub(in crate::decide) created: bool,
    seen: bool,
    in_view: bool,
    /// A view has shown it since the last live look was asked for: an answer "absent" is older than that.
    shown_since_check: bool,
    /// A view shows another Job of its name than the API server has confirmed: one of the two is old news.
    doubted: bool,
    /// Its Job's `metadata.uid`.
    pub(in crate::decide) uid: Option<Box<str>>,
    resource_version: Box<str>,
    node: Option<Box<str>>,
    /// When the API server made its Job.
    born_at: Duration,
    /// When its first container began to run.
    ran_at: Option<Duration>,
    decision: Decision,
    /// Which of the Jobs that were asked for by hand it is.
    serves: Option<u64>,
    /// See [`Wish::starts`].
    pub(in crate::decide) starts: Option<u64>,
    /// The type of the JobConfig that its Job was made for.
    pub(in crate::decide) kind: Option<Kind>,
    /// What its Job was rendered from; empty while that was not seen.
    pub(in crate::decide) config_hash: Box<str>,
    /// The address of its pod, while that is Ready.
    pub(in crate::decide) address: Option<Box<str>>,
    /// It is to end, and how that is to be recorded.
    unwanted: Option<End>,
    /// But not if it is ready after all.
    unless_ready: bool,
    /// A create was sent, by us or maybe by a process before us.
    was_asked_for: bool,
    confirmed_at: Duration,
    pub(in crate::decide) progress: Progress,
    problem_since: Option<Duration>,
    giving_up: Option<End>,
    delete_sent: bool,
    verdict: Option<(End, Duration)>,
    pub(in crate::decide) end: Option<End>,
    pub(in crate::decide) ended_at: Duration,
    end_written: bool,
    /// Its end was on record before we heard of it: nothing follows from it now.
    pub(in crate::decide) recorded_before: bool,
    terminal: bool,
    gone: bool,
    /// Its Job is deleted and not gone yet.
    pub(in crate::decide) terminating: Option<Terminating>,
    flight: Option<Request>,
    /// When the last create or live look was sent: its answer may be as old as that.
    asked_at: Duration,
    /// No request before this time.
    retry_at: Duration,
    tries: u32,
    /// No live look before this time: what was just asked for needs a moment to show.
    check_at: Duration,
    /// Until then an unanswered create may still be on its way.
    doubt_until: Duration,
}

/// The one request that may be in flight for a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Request {
    Wish,
    Create,
    Get,
    Delete,
    End,
}

impl Run {
    /// A run that was just decided on.
    pub(in crate::decide) fn decided(
        name: JobName,
        slot: Slot,
        (decision, tally): (Decision, Tally),
        now: Duration,
    ) -> Self {
        Self { trial: decision.backing_off, tally: Some(tally), ..Self::wish(name, slot, decision, now) }
    }

    /// A run that somebody requested by hand.
    pub(in crate::decide) fn manual(name: JobName, slot: Slot, decision: Decision, serves: u64, now: Duration) -> Self {
        Self { serves: Some(serves), ..Self::wish(name, slot, decision, now) }
    }

    /// A run that nobody has heard of yet.
    fn wish(name: JobName, slot: Slot, decision: Decision, now: Duration) -> Self {
        Self {
            name,
            slot,
            trial: false,
            tally: None,
            wished: false,
            created: false,
            seen: false,
            in_view: false,
            shown_since_check: false,
            doubted: false,
            uid: None,
            resource_version: "".into(),
            node: None,
            born_at: now,
            ran_at: None,
            decision,
            serves: None,
            starts: None,
            kind: None,
            config_hash: "".into(),
            address: None,
            unwanted: None,
            unless_ready: false,
            was_asked_for: false,
            confirmed_at: now,
            progress: Progress::Queued,
            problem_since: None,
            giving_up: None,
            delete_sent: false,
            verdict: None,
            end: None,
            ended_at: now,
            end_written: false,
            recorded_before: false,
            terminal: false,
            gone: false,
            terminating: None,
            flight: None,
            asked_at: now,
            retry_at: now,
            tries: 0,
            check_at: now,
            doubt_until: now,
        }
    }

    /// A run that the store knows. One whose create was confirmed, or is too long ago to be tried again, must exist.
    pub(in crate::decide) fn loaded(name: JobName, known: &LoadedRun, exists: bool, now: Duration) -> Self {
        // The process before us may have left a request on its way.
        let doubt_until = now.saturating_add(REQUEST_TIMEOUT);
        let wish = Self::wish(name, known.slot, Decision::default(), now);
        Self {
            starts: known.starts,
            wished: true,
            created: exists,
            seen: exists,
            doubt_until,
            was_asked_for: true,
            ..wish
        }
    }

    /// A replica of a service that is to be up.
    pub(in crate::decide) fn kept_up(name: JobName, slot: Slot, starts: u64, now: Duration) -> Self {
        let decision = Decision { why: DecisionReason::KeptUp, jobs: 1, ..Decision::default() };
        Self { starts: Some(starts), ..Self::wish(name, slot, decision, now) }
    }

    /// A Job that was found without a run of ours.
    pub(in crate::decide) fn adopted(name: JobName, slot: Slot, now: Duration) -> Self {
        Self::wish(name, slot, Decision::default(), now)
    }

    /// A Job that was found although its run has ended.
    pub(in crate::decide) fn resurrected(name: JobName, slot: Slot, now: Duration) -> Self {
        let end = Some(End::new(Outcome::Vanished, Reason::Deleted));
        Self { wished: true, end, end_written: true, ..Self::adopted(name, slot, now) }
    }

    /// It counts against `maxConcurrentJobs` until its end is recorded, its Job is finished or gone, and no
    /// late request can bring a gone one back.
    pub(in crate::decide) fn is_over(&self, now: Duration) -> bool {
        // Also of a finished Job: somebody may delete it, and the late request finds its name free.
        self.end_written && self.is_finished() && now >= self.doubt_until && self.flight.is_none() && !self.doubted
    }

    /// Its Job is finished, although the record may be missing yet.
    pub(in crate::decide) fn is_finished(&self) -> bool {
        self.terminal || self.gone
    }

    /// Its run has ended, and it lives: it was given up, or came back. One with a verdict ends by itself.
    fn is_unwanted(&self) -> bool {
        self.end_written && self.verdict.is_none()
    }

    /// Nothing of it is on its way to an answer.
    pub(in crate::decide) fn is_quiet(&self) -> bool {
        self.flight.is_none() && (self.end.is_none() || self.end_written)
    }

    /// Somebody asked for it by hand, and it is not on record yet.
    pub(in crate::decide) fn is_manual_and_unwritten(&self) -> bool {
        self.serves.is_some() && !self.wished
    }

    /// It may still take its first message.
    pub(in crate::decide) fn is_starting(&self, now: Duration, fetch_grace: Duration) -> bool {
        let taking = match self.progress {
            Progress::Running { since } => now < since.saturating_add(fetch_grace),
            _ => true,
        };
        self.end.is_none() && self.verdict.is_none() && taking
    }

    pub(in crate::decide) fn is_running(&self) -> bool {
        self.end.is_none() && matches!(self.progress, Progress::Running { .. })
    }

    pub(in crate::decide) fn is_unschedulable(&self) -> bool {
        let problem = self.progress.starting().and_then(|(_, problem)| problem);
        self.end.is_none() && problem.is_some_and(|problem| problem.reason == Reason::Unschedulable)
    }

    /// From its Job's creation to its first running container.
    pub(in crate::decide) fn start_took(&self) -> Option<Duration> {
        self.ran_at.map(|at| at.saturating_sub(self.born_at))
    }

    /// Deleted and not gone yet, or ended and kept by a pod that is not gone: since when, and on which node.
    pub(in crate::decide) fn hanging(&self) -> Option<Terminating> {
        let kept = self.verdict.is_some() && !self.is_finished();
        let ending = || Terminating { since: self.ended_at, node: self.node.clone() };
        self.terminating.clone().or_else(|| kept.then(ending))
    }

    /// It is to end: its Job is deleted once a live look has shown it, or never asked for.
    pub(in crate::decide) fn end_as(&mut self, end: End, now: Duration) {
        if self.end.is_some() || self.verdict.is_some() || self.unwanted.is_some() {
            return;
        }
        self.check_at = now;
        (self.unwanted, self.unless_ready) = (Some(end), false);
    }

    /// It is to end, unless a live look finds its pod ready: the views may be old.
    pub(in crate::decide) fn end_unless_ready(&mut self, end: End, now: Duration) {
        self.end_as(end, now);
        self.unless_ready = true;
    }

    /// It was told to end.
    pub(in crate::decide) fn is_ending(&self) -> bool {
        self.unwanted.is_some() || self.end.is_some() || self.verdict.is_some()
    }

    // --- facts

    /// A view shows its Job, or not, or another Job of its name: then nothing is believed before a live look. True if its
    /// first container has begun to run since the last time.
    pub(in crate::decide) fn note_view(&mut self, job: Option<&SeenJob>, now: Duration) -> bool {
        let is_other = |job: &&SeenJob| self.uid.as_ref().is_some_and(|uid| *uid != job.uid);
        if job.filter(is_other).is_some() {
            (self.doubted, self.in_view) = (true, false);
            return false;
        }
        if self.in_view && job.is_none() {
            self.check_at = now;
        }
        self.doubted = false;
        self.in_view = job.is_some();
        self.shown_since_check |= self.in_view;
        job.is_some_and(|job| self.note_seen(job, now))
    }

    /// A view or a live look shows its Job. True if its first container has begun to run since the last time.
    fn note_seen(&mut self, job: &SeenJob, now: Duration) -> bool {
        let had_run = self.ran_at.is_some();
        (self.created, self.seen, self.gone) = (true, true, false);
        self.born_at = now.saturating_sub(job.age);
        self.ran_at = job.ran.map(|ran| now.saturating_sub(ran)).or(self.ran_at);
        self.note_uid(job.uid.clone());
        self.resource_version = job.resource_version.clone();
        self.node = job.node.clone();
        (self.kind, self.config_hash, self.address) = (Some(job.kind), job.config_hash.clone(), job.address.clone());
        let terminating = |age| Terminating { since: now.saturating_sub(age), node: job.node.clone() };
        self.terminating = job.terminating.map(terminating);
        self.note_phase(&job.phase, now);
        self.ran_at.is_some() && !had_run
    }

    /// Another uid than before: it was deleted, and a request that came late made it anew. That one has not ended, and
    /// what was to become of the other is not yet said of it.
    fn note_uid(&mut self, uid: Box<str>) {
        if self.uid.as_ref().is_some_and(|before| *before != uid) {
            (self.terminal, self.verdict, self.unwanted) = (false, None, None);
        }
        self.uid = Some(uid);
    }

    fn note_phase(&mut self, phase: &Phase, now: Duration) {
        match phase {
            Phase::Queued => self.progress = Progress::Queued,
            Phase::Suspended => self.progress = Progress::Suspended,
            Phase::Starting { age, problem } => {
                let waits = problem.as_ref().is_some_and(StartProblem::is_graced);
                self.problem_since = waits.then(|| self.problem_since.unwrap_or(now));
                self.progress = Progress::Starting { since: now.saturating_sub(*age), problem: problem.clone() };
            }
            Phase::Running { age } => {
                self.giving_up = None;
                self.progress = Progress::Running { since: now.saturating_sub(*age) };
            }
            Phase::Ended { end, terminal, explained, age } => {
                self.terminal |= terminal;
                let first_seen = self.verdict.as_ref().map_or(now, |(_, at)| *at);
                let first_seen = if *explained { Duration::ZERO } else { first_seen };
                if self.verdict.is_none() {
                    self.ended_at = now.saturating_sub(*age);
                }
                // What follows our own delete is not the worker's failure.
                let given_up = self.given_up();
                self.verdict = Some((given_up.unwrap_or_else(|| end.clone()), first_seen));
            }
        }
    }

    pub(in crate::decide) fn note_wish(&mut self, answer: Option<WishAnswer>, now: Duration) {
        self.answered(Request::Wish);
        match answer {
            Some(WishAnswer::Ended) => {
                self.wished = true;
                self.end.get_or_insert(End::new(Outcome::Vanished, Reason::Deleted));
                (self.end_written, self.recorded_before) = (true, true);
            }
            Some(_) => self.wished = true,
            None => self.retry(now, None),
        }
    }

    pub(in crate::decide) fn note_create(&mut self, answer: CreateAnswer, now: Duration) {
        self.answered(Request::Create);
        match answer {
            CreateAnswer::Exists { uid } => {
                (self.created, self.confirmed_at) = (true, now);
                self.note_uid(uid);
            }
            CreateAnswer::Unanswered { retry_after } => {
                self.doubt_until = now.saturating_add(REQUEST_TIMEOUT);
                self.retry(now, retry_after);
            }
            // Refused now, but an earlier request may still work: not before that is settled.
            CreateAnswer::Refused { .. } if self.asked_at < self.doubt_until => self.retry(now, None),
            CreateAnswer::Refused { message } if !self.created => {
                let end = End { message: Some(message), ..End::new(Outcome::StartError, Reason::Refused) };
                self.finish(end, now);
                self.gone = true;
            }
            CreateAnswer::Refused { .. } => {}
        }
    }

    pub(in crate::decide) fn note_get(&mut self, answer: GetAnswer, now: Duration, policy: &RunPolicy) {
        self.answered(Request::Get);
        self.doubted &= answer == GetAnswer::Unanswered;
        match answer {
            GetAnswer::Found(job) => {
                self.note_seen(&job, now);
                self.confirmed_at = now;
                self.settle_verdict(now);
                if self.unless_ready && self.address.is_some() && !self.delete_sent {
                    (self.unwanted, self.unless_ready) = (None, false);
                }
                // A Job that is on its way out already needs no second delete.
                self.giving_up = self.give_up_reason(now, policy);
                let unwanted = self.is_unwanted() || self.giving_up.is_some();
                if unwanted && !self.is_finished() && job.terminating.is_none() {
                    self.flight = Some(Request::Delete);
                } else {
                    self.check_at = now.saturating_add(CHECK_AGAIN);
                }
            }
            GetAnswer::Absent => self.note_absent(now),
            GetAnswer::Unanswered => self.retry(now, None),
        }
    }

    /// How a run of which the Job is gone, or has a verdict, ended by our own doing.
    fn given_up(&self) -> Option<End> {
        self.unwanted.clone().or_else(|| self.giving_up.clone().filter(|_| self.delete_sent))
    }

    fn give_up_reason(&self, now: Duration, policy: &RunPolicy) -> Option<End> {
        let unwanted = self.unwanted.as_ref().filter(|_| self.end.is_none() && self.verdict.is_none());
        unwanted.cloned().or_else(|| self.start_deadline().give_up_reason(now, policy))
    }

    fn note_absent(&mut self, now: Duration) {
        if self.shown_since_check || (self.end.is_none() && self.asked_at < self.doubt_until) {
            // A request that is still on its way may make it, or has: not gone before that is settled.
            self.check_at = now.saturating_add(CHECK_AGAIN).max(self.doubt_until);
            return;
        }
        self.gone = true;
        let given_up = self.given_up();
        let verdict = self.verdict.as_ref().map(|(end, _)| end.clone());
        if self.end.is_none() {
            let end = given_up.or(verdict).unwrap_or(End::new(Outcome::Vanished, Reason::Deleted));
            self.finish(end, now);
        }
    }

    /// The delete that a check allowed, to be sent now.
    pub(in crate::decide) fn take_allowed_delete(&mut self) -> Option<RunEffect> {
        if self.flight != Some(Request::Delete) {
            return None;
        }
        self.delete_sent = true;
        Some(RunEffect::DeleteJob {
            name: self.name.clone(),
            uid: self.uid.clone()?,
            resource_version: Some(self.resource_version.clone()),
        })
    }

    pub(in crate::decide) fn note_delete(&mut self, answer: DeleteAnswer, now: Duration) {
        self.answered(Request::Delete);
        match answer {
            DeleteAnswer::Accepted => {
                if let (Some(end), None) = (self.giving_up.take(), &self.end) {
                    self.finish(end, now);
                }
                self.check_at = now.saturating_add(CHECK_AGAIN);
            }
            DeleteAnswer::Absent => self.note_absent(now),
            DeleteAnswer::Changed | DeleteAnswer::Unanswered => self.retry(now, None),
        }
    }

    pub(in crate::decide) fn note_end_written(&mut self, written: bool, now: Duration) {
        self.answered(Request::End);
        self.end_written = written;
        if !written {
            self.retry(now, None);
        }
    }

    fn finish(&mut self, end: End, now: Duration) {
        if self.verdict.is_none() {
            self.ended_at = now;
        }
        self.end = Some(end);
    }

    fn answered(&mut self, request: Request) {
        debug_assert!(self.flight == Some(request), "an answer without its request: {request:?} for {:?}", self.name);
        self.flight = None;
    }

    fn retry(&mut self, now: Duration, asked: Option<Duration>) {
        let wait = asked.map_or_else(|| retry_wait(self.tries), |asked| asked.min(RETRY_MAX));
        self.tries = self.tries.saturating_add(1);
        self.retry_at = now.saturating_add(wait);
    }
}
