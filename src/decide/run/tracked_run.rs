//! One run as a lifecycle keeps track of it: facts come in here, and the one request that is due goes out of `next_request.rs`.
//!
//! Five things are known of a run, each a state of its own: what Postgres has on record (`Record`), whether its Job
//! exists (`JobState`) and whether the views show it (`Sight`), how far its pods have come (`Progress`), and how it comes
//! to its end (`Ending`).

mod next_request;

mod requests;

use std::time::Duration;

use self::requests::{InFlight, LiveLook, Requests};
use crate::decide::{
    decision::{Decision, Origin, Tally},
    one_off::OneOff,
    outcome::{End, JobName, Outcome, Reason, Slot},
    place::Places,
    pod::observation::{Phase, SeenJob},
    run::{
        ending::Ending,
        event::{CreateAnswer, DeleteAnswer, GetAnswer, LoadedRun, RunEffect, WishAnswer},
        job_state::{Confirmation, JobState, LastSeen, Sight},
        policy::{CHECK_AGAIN, REQUEST_TIMEOUT, RunPolicy},
        progress::{Progress, Terminating},
        purpose::Purpose,
        start_deadline::StartDeadline,
    },
};

/// A run from its wish until it is recorded and its Job is finished or gone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Run {
    pub(in crate::decide) name: JobName,
    pub(in crate::decide) slot: Slot,
    pub(in crate::decide) purpose: Purpose,
    /// What it takes in pools, until it is over.
    pub(in crate::decide) places: Places,
    pub(in crate::decide) origin: Origin,
    record: Record,
    job: JobState,
    /// When its Job was confirmed, or was made by what the API server says.
    created_at: Option<Duration>,
    sight: Sight,
    confirmation: Confirmation,
    /// Its Job's `metadata.uid`.
    pub(in crate::decide) uid: Option<Box<str>>,
    pub(in crate::decide) last_seen: LastSeen,
    pub(in crate::decide) progress: Progress,
    ending: Ending,
    /// When it ended: by the verdict, from then on by `Complete` or `Failed`; else when its end was decided.
    pub(in crate::decide) ended_at: Duration,
    /// How long its slot is not used again after its end.
    pub(in crate::decide) cooldown: Duration,
    requests: Requests,
}

/// What Postgres has on record of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Record {
    /// Nothing yet.
    Nothing,
    /// The wish.
    Wish,
    /// The wish and the end.
    End,
}

impl Run {
    /// A run that was just decided on because of messages.
    pub(in crate::decide) fn decided(
        name: JobName,
        slot: Slot,
        (decision, tally): (Decision, Tally),
        origin: Origin,
    ) -> Self {
        let purpose = Purpose::Messages { decision, tally };
        Self { origin, ..Self::wish(name, slot, purpose, origin.decided_at) }
    }

    /// A run that somebody requested by hand.
    pub(in crate::decide) fn manual(name: JobName, slot: Slot, decision: Decision, number: u64, now: Duration) -> Self {
        Self::wish(name, slot, Purpose::Manual { decision, number }, now)
    }

    /// A replica of a service that is to be up.
    pub(in crate::decide) fn replica(name: JobName, slot: Slot, starts: u64, now: Duration) -> Self {
        Self::wish(name, slot, Purpose::Replica { starts }, now)
    }

    /// A Job that runs once beside the replicas of a service.
    pub(in crate::decide) fn one_off(name: JobName, one_off: OneOff, now: Duration) -> Self {
        Self::wish(name, one_off.slot(), Purpose::OneOff(one_off), now)
    }

    /// A Job that was found without a run of ours.
    pub(in crate::decide) fn adopted(name: JobName, slot: Slot, now: Duration) -> Self {
        Self::wish(name, slot, Purpose::Found, now)
    }

    /// A Job that was found although its run has ended.
    pub(in crate::decide) fn resurrected(name: JobName, slot: Slot, now: Duration) -> Self {
        Self { record: Record::End, ending: Ending::recorded_before(), ..Self::adopted(name, slot, now) }
    }

    /// A run that the store knows. One whose create was confirmed, or is too long ago to be tried again, must exist.
    pub(in crate::decide) fn loaded(name: JobName, known: &LoadedRun, exists: bool, now: Duration) -> Self {
        let before = Purpose::BegunBefore { starts: known.starts };
        let wish = Self::wish(name, known.slot, known.one_off.clone().map_or(before, Purpose::OneOff), now);
        let (job, sight) = if exists { (JobState::Exists, Sight::Lost) } else { (JobState::Asked, wish.sight) };
        // The process before us may have left a request on its way.
        let requests = Requests { doubt: Some(now.saturating_add(REQUEST_TIMEOUT)), ..wish.requests };
        let origin = Origin::before(now, known.age, known.begun_at);
        let places = known.places.clone();
        Self { places, origin, record: Record::Wish, job, sight, requests, ..wish }
    }

    /// A run that nobody has heard of yet.
    fn wish(name: JobName, slot: Slot, purpose: Purpose, now: Duration) -> Self {
        Self {
            name,
            slot,
            purpose,
            places: Places::default(),
            origin: Origin::decided(now),
            record: Record::Nothing,
            job: JobState::NotAsked,
            created_at: None,
            sight: Sight::Awaited { since: now },
            confirmation: Confirmation::NotWanted,
            uid: None,
            last_seen: LastSeen::never(now),
            progress: Progress::Queued,
            ending: Ending::Open,
            ended_at: now,
            cooldown: Duration::ZERO,
            requests: Requests::none(now),
        }
    }

    // --- how it stands

    /// It counts against `maxConcurrentJobs` until its end is recorded, its Job is finished or gone, and no
    /// late request can bring a gone one back.
    pub(in crate::decide) fn is_over(&self) -> bool {
        // Also of a finished Job: somebody may delete it, and the late request finds its name free.
        let is_settled = self.record == Record::End && self.job.is_finished() && !self.sight.is_contradicted();
        is_settled && self.requests.in_flight.is_none() && self.requests.doubt.is_none()
    }

    /// Its Job is finished, although the record may be missing yet.
    pub(in crate::decide) fn is_finished(&self) -> bool {
        self.job.is_finished()
    }

    /// Its Job exists, or did: confirmed by an answer or a view.
    pub(in crate::decide) fn is_created(&self) -> bool {
        self.job.is_created()
    }

    /// It may take its next step. Whoever stops writes no wish any more, and looks at nothing whose end is on record.
    pub(in crate::decide) fn goes_on(&self, stopping: bool) -> bool {
        !stopping || self.record == Record::Wish
    }

    /// How it ended; `None` while that is not settled.
    pub(in crate::decide) fn end(&self) -> Option<&End> {
        self.ending.end()
    }

    /// Its run has ended, and its Job lives without a verdict: it was given up, or came back. One with a verdict ends
    /// by itself.
    fn has_outlived_its_run(&self) -> bool {
        self.record == Record::End && !self.ending.is_concluded()
    }

    /// Nothing of it is on its way to an answer, and no end of it is still to be written. Without a wish on record there
    /// is none to be written.
    pub(in crate::decide) fn is_quiet(&self) -> bool {
        self.requests.in_flight.is_none() && (self.end().is_none() || self.record != Record::Wish)
    }

    /// Somebody asked for it by hand, and it is not on record yet.
    pub(in crate::decide) fn is_manual_and_unwritten(&self) -> bool {
        self.purpose.manual_number().is_some() && self.record == Record::Nothing
    }

    /// It may still take its first message.
    pub(in crate::decide) fn is_starting(&self, now: Duration, fetch_grace: Duration) -> bool {
        let taking = match self.progress {
            Progress::Running { since } => now < since.saturating_add(fetch_grace),
            _ => true,
        };
        self.end().is_none() && !self.ending.is_concluded() && taking
    }

    pub(in crate::decide) fn is_running(&self) -> bool {
        self.end().is_none() && matches!(self.progress, Progress::Running { .. })
    }

    pub(in crate::decide) fn is_unschedulable(&self) -> bool {
        self.end().is_none() && self.progress.problem().is_some_and(|problem| problem.reason == Reason::Unschedulable)
    }

    /// From its Job's creation to its first running container.
    pub(in crate::decide) fn start_took(&self) -> Option<Duration> {
        self.last_seen.ran_at.map(|at| at.saturating_sub(self.last_seen.born_at))
    }

    /// Deleted and not gone yet, or ended and kept by a pod that is not gone: since when, and on which node.
    pub(in crate::decide) fn hanging(&self) -> Option<Terminating> {
        let kept = self.ending.is_concluded() && !self.is_finished();
        let ending = || Terminating { since: self.ended_at, node: self.last_seen.node.clone() };
        self.last_seen.terminating.clone().or_else(|| kept.then(ending))
    }

    /// It is to end: its Job is deleted once a live look has shown it, or never asked for.
    pub(in crate::decide) fn end_as(&mut self, end: End, now: Duration) {
        self.want_end(end, false, now);
    }

    /// It is to end, unless a live look finds its pod ready: the views may be old.
    pub(in crate::decide) fn end_unless_ready(&mut self, end: End, now: Duration) {
        self.want_end(end, true, now);
    }

    /// This process asked for it, or has found it in a live look that was asked for: no process before has deleted it.
    pub(in crate::decide) fn is_confirmed(&self) -> bool {
        matches!(self.purpose, Purpose::Replica { .. }) || self.confirmation == Confirmation::Given
    }

    /// It is looked at live, once, unless this process asked for it.
    pub(in crate::decide) fn want_confirmed(&mut self, now: Duration) {
        let wants = !self.is_confirmed() && self.is_running() && self.ending.is_open();
        if wants && self.confirmation == Confirmation::NotWanted {
            (self.confirmation, self.requests.check_at) = (Confirmation::Wanted, now);
        }
    }

    fn want_end(&mut self, end: End, unless_ready: bool, now: Duration) {
        if self.ending.note_unwanted(end, unless_ready) {
            self.requests.check_at = now;
        }
    }

    /// It is to end, or has ended.
    pub(in crate::decide) fn is_ending(&self) -> bool {
        !self.ending.is_open()
    }

    // --- facts

    /// A view shows its Job, or not, or another Job of its name: then nothing is believed before a live look. True if its
    /// first container has begun to run since the last time.
    pub(in crate::decide) fn note_view(&mut self, job: Option<&SeenJob>, now: Duration) -> bool {
        let Some(job) = job else {
            if self.sight.note_not_shown() {
                self.requests.check_at = now;
            }
            return false;
        };
        if self.uid.as_ref().is_some_and(|uid| *uid != job.uid) {
            self.sight.note_other_shown();
            return false;
        }
        self.sight.note_shown();
        if let Some(InFlight::Get(look) | InFlight::Delete(look)) = &mut self.requests.in_flight {
            look.shown_since = true;
        }
        self.note_seen(job, now)
    }

    /// A view or a live look shows its Job. True if its first container has begun to run since the last time.
    fn note_seen(&mut self, job: &SeenJob, now: Duration) -> bool {
        if self.job != JobState::Finished {
            self.job = JobState::Exists;
        }
        self.note_uid(job.uid.clone());
        let has_begun_to_run = self.last_seen.note(job, now);
        self.created_at.get_or_insert(self.last_seen.born_at);
        self.note_phase(&job.phase, now);
        has_begun_to_run
    }

    /// Another uid than before: it was deleted, and a request that came late made it anew.
    fn note_uid(&mut self, uid: Box<str>) {
        if self.uid.as_ref().is_some_and(|before| *before != uid) {
            self.job = JobState::Exists;
            self.ending.note_other_job();
        }
        self.uid = Some(uid);
    }

    fn note_phase(&mut self, phase: &Phase, now: Duration) {
        match phase {
            Phase::Queued => self.progress = Progress::Queued,
            Phase::Suspended => self.progress = Progress::Suspended,
            Phase::Starting { age, problem } => {
                self.progress = self.progress.starting(now.saturating_sub(*age), problem.clone(), now);
            }
            Phase::Running { age } => {
                self.ending.reopen();
                self.progress = Progress::Running { since: now.saturating_sub(*age) };
            }
            Phase::Ended { end, terminal, explained, age } => {
                let is_finished_now = *terminal && self.job != JobState::Finished;
                if is_finished_now || !self.ending.is_concluded() {
                    self.ended_at = now.saturating_sub(*age);
                }
                if is_finished_now {
                    self.job = JobState::Finished;
                }
                self.ending.note_verdict(end, *explained, now);
            }
        }
    }

    pub(in crate::decide) fn note_wish(&mut self, answer: Option<WishAnswer>, now: Duration) {
        self.answered("wish", |request| matches!(request, InFlight::Wish).then_some(()));
        match answer {
            Some(WishAnswer::Ended) => {
                self.record = Record::End;
                self.close(now, |ending| ending.finish(End::new(Outcome::Vanished, Reason::Deleted)));
            }
            Some(_) => self.record = Record::Wish,
            None => self.requests.retry(now, None),
        }
    }

    pub(in crate::decide) fn note_create(&mut self, answer: CreateAnswer, now: Duration) {
        let sent_at = self.answered("create", |request| match request {
            InFlight::Create { sent_at } => Some(sent_at),
            _ => None,
        });
        match answer {
            CreateAnswer::Exists { uid } => {
                if !self.job.is_created() {
                    self.job = JobState::Exists;
                }
                self.sight.note_confirmed(now);
                self.created_at.get_or_insert(now);
                self.note_uid(uid);
            }
            CreateAnswer::Unanswered { retry_after } => {
                self.requests.doubt = Some(now.saturating_add(REQUEST_TIMEOUT));
                self.requests.retry(now, retry_after);
            }
            // Refused now, but an earlier request may still work: not before that is settled.
            CreateAnswer::Refused { .. } if sent_at.is_some_and(|at| self.requests.is_in_doubt(at)) => {
                self.requests.retry(now, None);
            }
            CreateAnswer::Refused { message } if !self.job.is_created() => {
                // What has this name now, if anything, is not ours to look at.
                self.requests.doubt = None;
                let end = End { message: Some(message), ..End::new(Outcome::StartError, Reason::Refused) };
                self.job = JobState::Gone;
                self.close(now, |ending| ending.finish(end));
            }
            CreateAnswer::Refused { .. } => {}
        }
    }

    pub(in crate::decide) fn note_get(&mut self, answer: GetAnswer, now: Duration, policy: &RunPolicy) {
        let look = self.answered("live look", |request| match request {
            InFlight::Get(look) => Some(look),
            _ => None,
        });
        if answer != GetAnswer::Unanswered && look.is_some_and(|look| !self.requests.is_in_doubt(look.sent_at)) {
            self.requests.doubt = None;
        }
        match answer {
            GetAnswer::Found(job) => self.note_found(&job, look, now, policy),
            GetAnswer::Absent => {
                self.sight.note_settled();
                self.note_absent(look, now);
            }
            GetAnswer::Unanswered => self.requests.retry(now, None),
        }
    }

    fn note_found(&mut self, job: &SeenJob, look: Option<LiveLook>, now: Duration, policy: &RunPolicy) {
        self.sight.note_found();
        self.note_seen(job, now);
        self.ending.settle_verdict(now);
        if self.last_seen.address.is_some() {
            self.ending.note_ready();
        }
        if self.confirmation == Confirmation::Wanted && job.terminating.is_none() {
            self.confirmation = Confirmation::Given;
        }
        let is_given_up = self.give_up_at(policy).is_some_and(|at| at <= now);
        if !is_given_up && job.terminating.is_none() {
            self.ending.reopen();
        }
        let is_to_be_deleted = self.has_outlived_its_run() || is_given_up;
        // A Job that is on its way out already needs no second delete.
        if is_to_be_deleted && !self.is_finished() && job.terminating.is_none() {
            self.requests.in_flight = look.map(InFlight::Delete);
        } else {
            self.requests.check_at = now.saturating_add(CHECK_AGAIN);
        }
    }

    /// When its Job is to be deleted, if nothing changes: because nobody wants it any more, or because it does not start.
    fn give_up_at(&self, policy: &RunPolicy) -> Option<Duration> {
        match self.ending {
            Ending::Unwanted { .. } => Some(Duration::ZERO),
            Ending::Open | Ending::GivenUp(_) => StartDeadline::of(&self.progress, policy).map(|deadline| deadline.at),
            Ending::Verdict { .. } | Ending::Ended { .. } => None,
        }
    }

    fn note_absent(&mut self, look: Option<LiveLook>, now: Duration) {
        let is_shown = look.is_some_and(|look| look.shown_since);
        let may_come = look.is_some_and(|look| self.requests.is_in_doubt(look.sent_at));
        if is_shown || (self.end().is_none() && may_come) {
            // A request that is still on its way may make it, or has: not gone before that is settled.
            let check_at = now.saturating_add(CHECK_AGAIN);
            self.requests.check_at = self.requests.doubt.map_or(check_at, |until| until.max(check_at));
            return;
        }
        self.job = JobState::Gone;
        self.close(now, Ending::finish_gone);
    }

    /// The delete that a live look has allowed, to be sent now.
    pub(in crate::decide) fn take_allowed_delete(&mut self, now: Duration, policy: &RunPolicy) -> Option<RunEffect> {
        let Some(InFlight::Delete(_)) = self.requests.in_flight else { return None };
        let late = StartDeadline::of(&self.progress, policy).filter(|deadline| deadline.at <= now);
        self.ending.note_delete_sent(late.map(|deadline| deadline.end()));
        Some(RunEffect::DeleteJob {
            name: self.name.clone(),
            uid: self.uid.clone()?,
            resource_version: Some(self.last_seen.resource_version.clone()),
        })
    }

    pub(in crate::decide) fn note_delete(&mut self, answer: DeleteAnswer, now: Duration) {
        let look = self.answered("delete", |request| match request {
            InFlight::Delete(look) => Some(look),
            _ => None,
        });
        match answer {
            DeleteAnswer::Accepted => {
                self.close(now, Ending::finish_deleted);
                self.requests.check_at = now.saturating_add(CHECK_AGAIN);
            }
            DeleteAnswer::Absent => self.note_absent(look, now),
            DeleteAnswer::Changed => {
                self.ending.note_delete_refused();
                self.requests.retry(now, None);
            }
            DeleteAnswer::Unanswered => self.requests.retry(now, None),
        }
    }

    pub(in crate::decide) fn note_end_written(&mut self, written: bool, now: Duration) {
        self.answered("end", |request| matches!(request, InFlight::End).then_some(()));
        if written {
            self.record = Record::End;
        } else {
            self.requests.retry(now, None);
        }
    }

    /// It may end by this; without a verdict, it has ended now.
    fn close(&mut self, now: Duration, how: impl FnOnce(&mut Ending)) {
        let was_undecided = self.end().is_none() && !self.ending.is_concluded();
        how(&mut self.ending);
        if was_undecided && self.end().is_some() {
            self.ended_at = now;
        }
    }

    /// Takes the request out of flight that was answered, and what is kept of it.
    fn answered<T>(&mut self, what: &str, of: impl FnOnce(InFlight) -> Option<T>) -> Option<T> {
        let kept = self.requests.in_flight.take().and_then(of);
        debug_assert!(kept.is_some(), "an answer without its request: {what} for {:?}", self.name);
        kept
    }
}
