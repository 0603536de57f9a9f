//! How many more Jobs: when a lifecycle looks at its queue, what it makes of the look, and what a look tells of
//! the workers that have ended.

use std::{collections::BTreeSet, time::Duration};

use crate::decide::{
    event::{CreateAnswer, Decision, DepthRequest, Effect, Why},
    lifecycle::{Lifecycle, Milestone},
    policy::{BURST_MAX, retry_wait},
    run::{JobName, Slot},
    scale::{Look, Tally, WATCHFUL_LIMIT, jobs_wanted},
    tracking::{OVERFLOW_SLOT, Run},
};

/// Routine looks of all JobConfigs fall on a common beat, so that those that are due together are one statement: eight a
/// second at the most, which with the lease stays below ten.
const BEAT: Duration = Duration::from_millis(125);

/// Between a look and one for a hint that came after it: a burst of hints is a look or two.
const HINT_GAP: Duration = Duration::from_millis(10);

/// How much later than promised a message is looked for.
const TIMER_LATE: Duration = Duration::from_millis(1);

/// When the queue is looked at.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct LookState {
    pub(super) reading: bool,
    due: Duration,
    failures: u32,
    /// The last look left messages for want of room: the next free slot is used at once.
    hungry: bool,
    /// When the last look was asked for.
    asked_at: Duration,
    /// Somebody said meanwhile that there is a message.
    hinted: bool,
    /// No look was answered yet.
    first: bool,
    /// Nothing shows yet that the workers take messages: looks count far enough to tell.
    watchful: bool,
}

impl LookState {
    /// The first look is due.
    pub(super) fn begin(now: Duration) -> Self {
        Self {
            reading: false,
            due: now,
            failures: 0,
            hungry: false,
            asked_at: Duration::ZERO,
            hinted: false,
            first: true,
            watchful: true,
        }
    }
}

/// Jobs that people asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct ByHand {
    /// How many, ever.
    pub(super) asked: u64,
    /// How many of them are wished, or on record.
    pub(super) served: u64,
}

/// A success of which it is not known yet whether it took anything.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Unjudged {
    name: JobName,
    tally: Tally,
    trial: bool,
}

impl Lifecycle {
    // --- how much room

    pub(super) fn live(&self) -> u64 {
        self.fleet.runs.values().filter(|run| !(run.slot >= OVERFLOW_SLOT && run.is_finished())).count() as u64
    }

    fn starting(&self, now: Duration) -> u64 {
        self.fleet.runs.values().filter(|run| run.is_starting(now, self.policy.fetch_grace)).count() as u64
    }

    /// `maxConcurrentJobs − live − cooling slots`; less where the cluster is full or a back-off allows one trial.
    /// Also why there is none where there is none.
    fn room_and_limit(&self) -> (u64, Why) {
        let max = u64::from(self.policy.jobs_max);
        let live = self.live();
        let cooling = self.cooling.keys().filter(|slot| !self.fleet.is_taken(**slot)).count() as u64;
        let free = max.saturating_sub(live);
        let tighter = |room: (u64, Why), limit: (u64, Why)| if limit.0 < room.0 { limit } else { room };
        let mut room = (free.saturating_sub(cooling), if free == 0 { Why::Full } else { Why::Cooling });
        // As many as have started, and one: and that one waits for its node already.
        if self.fleet.runs.values().any(Run::is_running) && self.fleet.runs.values().any(Run::is_unschedulable) {
            room = tighter(room, (0, Why::ClusterFull));
        }
        if self.backoff.is_active() {
            let trial = self.fleet.runs.values().any(|run| run.trial);
            room = tighter(room, (u64::from(!trial), Why::BackingOff));
        }
        room
    }

    pub(super) fn room(&self) -> u64 {
        self.room_and_limit().0
    }

    // --- when to look

    /// When the next look is due; `None` while there is no reason to look.
    pub(super) fn look_deadline(&self) -> Option<Duration> {
        if !self.may_create() || self.look.reading {
            return None;
        }
        let begin = self.backoff.until().unwrap_or_default();
        if self.room() > 0 {
            let due = if self.look.hungry { Duration::ZERO } else { self.look.due };
            return Some(due.max(begin));
        }
        self.cooling.values().min().map(|until| (*until).max(begin))
    }

    /// Asks for the depth.
    pub(super) fn begin_look(&mut self, now: Duration) -> Effect {
        (self.look.reading, self.look.asked_at, self.look.hinted) = (true, now, false);
        let running = self.fleet.runs.values().any(Run::is_running);
        let enough = self.claims.look_limit(self.policy.messages_per_job, self.policy.jobs_max.into());
        Effect::ReadDepth(DepthRequest {
            since_us: self.claims.since_us,
            limit: if self.look.watchful { enough.max(WATCHFUL_LIMIT) } else { enough },
            younger_left: if running { self.policy.handover } else { Duration::ZERO },
            routine: since_the_beat(self.look.due).is_zero() && !self.look.hungry,
        })
    }

    /// A look was answered, or not.
    pub(super) fn on_depth(&mut self, now: Duration, look: Option<Look>) {
        self.look.reading = false;
        let Some(look) = look else {
            self.look.due = now.saturating_add(retry_wait(self.look.failures));
            self.look.failures = self.look.failures.saturating_add(1);
            self.look.hungry = false;
            return;
        };
        self.look.due = self.next_look(now, &look);
        (self.look.failures, self.look.hungry, self.look.first) = (0, false, false);
        self.claims.note_look(look, self.policy.messages_per_job, self.starting(now));
        self.judge_successes(now);
        self.decide(now, look);
    }

    /// When to look again if nothing happens: after the interval, or when the next message can be fetched.
    fn next_look(&mut self, now: Duration, look: &Look) -> Duration {
        let interval = self.policy.check_interval;
        // The first wait is spread over the whole interval, those after it over a tenth: jitter only shortens.
        let early = interval.saturating_mul(self.fleet.jitter()) / if self.look.first { 1_000 } else { 10_000 };
        let due = now.saturating_add(interval.saturating_sub(early));
        let on_the_beat = due.saturating_sub(since_the_beat(due));
        let routine = if interval >= BEAT * 8 { on_the_beat } else { due };
        let soonest = self.look.asked_at.saturating_add(HINT_GAP);
        // Both clocks are cut to the microsecond: a little later it can be fetched for sure.
        let timer = look.next_in.map(|wait| now.saturating_add(wait).saturating_add(TIMER_LATE).max(soonest));
        let hint = self.look.hinted.then_some(soonest);
        [timer, hint].into_iter().flatten().fold(routine, Duration::min).max(now)
    }

    /// Somebody says that there is a message. Many such in a row are one.
    pub(super) fn on_hint(&mut self, now: Duration) {
        if self.look.reading {
            self.look.hinted = true;
        } else {
            self.look.due = self.look.due.min(now.max(self.look.asked_at.saturating_add(HINT_GAP)));
        }
    }

    // --- what workers took

    /// A success is one only if it took something, which the next look tells.
    pub(super) fn note_success(&mut self, run: &Run) {
        let took = run.tally.map_or(Some(true), |tally| self.claims.tally.took_since(&tally).filter(|took| *took));
        match (took, run.tally) {
            (None, Some(tally)) => self.unjudged.push(Unjudged { name: run.name.clone(), tally, trial: run.trial }),
            _ => self.backoff.note_success(),
        }
    }

    /// Successes that took nothing count like failures for the back-off.
    fn judge_successes(&mut self, now: Duration) {
        for success in std::mem::take(&mut self.unjudged) {
            let took = self.claims.tally.took_since(&success.tally);
            self.look.watchful = took != Some(true);
            if took != Some(false) {
                self.backoff.note_success();
                continue;
            }
            if !self.backoff.is_active() || success.trial {
                let jitter = self.fleet.jitter();
                self.backoff.note_failed_run(now, self.policy.wait_after_failure, &self.policy.backoff, jitter);
            }
            self.milestones.push(Milestone::TookNothing);
            self.notes.note_took_nothing(success.name);
        }
    }

    // --- what to create

    fn decide(&mut self, now: Duration, look: Look) {
        let m = self.policy.messages_per_job;
        let waiting = self.backoff.until().is_some_and(|until| until > now);
        let (room, limit) = match (self.may_create(), waiting) {
            (true, false) => self.room_and_limit(),
            (true, true) => (0, Why::BackingOff),
            (false, _) => (0, Why::Held),
        };
        let asked = |room| jobs_wanted(look.old, look.new, self.claims.claimed, m, room);
        let (jobs, wanted) = (asked(room.min(BURST_MAX)), asked(u64::MAX));
        let decision = Decision {
            why: match (look.ready(), wanted) {
                (0, _) => Why::Empty,
                (_, 0) => Why::Claimed,
                _ if wanted > jobs => self.limit_after(jobs, limit),
                _ => Why::Created,
            },
            ready: look.ready(),
            bounded: !look.is_exact(),
            new: look.new,
            claimed: self.claims.claimed,
            room,
            jobs,
            backing_off: self.backoff.is_active(),
            ..self.decision_by_jobs(now)
        };
        self.look.hungry = wanted > jobs;
        self.decided = Some((now, decision));
        self.notes.note_decision(now, decision);
        if jobs > 0 {
            self.claims.note_created(look, m, jobs);
            self.wish(now, jobs, decision, look.oldest_new_age.or(look.oldest_age));
        }
    }

    /// What every decision says of the Jobs there are.
    fn decision_by_jobs(&self, now: Duration) -> Decision {
        Decision {
            live: self.live(),
            starting: self.starting(now),
            max: self.policy.jobs_max.into(),
            ..Decision::default()
        }
    }

    /// What keeps a decision from creating more than these Jobs: what limited the room, or that it is used up.
    fn limit_after(&self, jobs: u64, limit: Why) -> Why {
        let full = self.live().saturating_add(jobs) >= u64::from(self.policy.jobs_max);
        match jobs {
            BURST_MAX => Why::Created,
            1.. if full => Why::Full,
            _ => limit,
        }
    }

    /// The slot in which the next Job is due that was asked for by hand: neither a pause nor a back-off nor a slot that
    /// cools keeps it, but there are never more than `maxConcurrentJobs`.
    pub(super) fn next_asked(&self) -> Option<Slot> {
        if self.by_hand.asked <= self.by_hand.served || !self.may_create_by_hand() {
            return None;
        }
        // One after another: were a later one on record before an earlier one, the earlier would count as served.
        if self.fleet.runs.values().any(Run::is_asked_and_unwritten) {
            return None;
        }
        let is_free = |slot: &Slot| !self.fleet.is_taken(*slot);
        (0..self.policy.jobs_max).find(is_free).filter(|_| self.live() < u64::from(self.policy.jobs_max))
    }

    /// The next Job that was asked for by hand, if there is room for it.
    pub(super) fn wish_asked(&mut self, now: Duration) {
        if let Some(slot) = self.next_asked() {
            let decision = Decision {
                why: Why::Asked,
                room: u64::from(self.policy.jobs_max).saturating_sub(self.live()),
                jobs: 1,
                ..self.decision_by_jobs(now)
            };
            self.by_hand.served += 1;
            self.cooling.remove(&slot);
            self.notes.note_decision(now, decision);
            let name = self.fleet.next_name(&self.policy.runs);
            self.fleet.runs.insert(name.clone(), Run::asked(name, slot, decision, self.by_hand.served, now));
        }
    }

    fn wish(&mut self, now: Duration, jobs: u64, decision: Decision, mut waited: Option<Duration>) {
        self.messages_at.retain(|name, _| self.fleet.runs.contains_key(name));
        let taken = self.slots_taken();
        let free: Vec<Slot> =
            (0..self.policy.jobs_max).filter(|slot| !taken.contains(slot)).take(jobs as usize).collect();
        for slot in free {
            let name = self.fleet.next_name(&self.policy.runs);
            let run = Run::decided(name.clone(), slot, (decision, self.claims.tally), now);
            if let Some(waited) = waited.take() {
                self.messages_at.insert(name.clone(), now.saturating_sub(waited));
            }
            self.fleet.runs.insert(name, run);
        }
    }

    fn slots_taken(&self) -> BTreeSet<Slot> {
        self.fleet.runs.values().map(|run| run.slot).chain(self.cooling.keys().copied()).collect()
    }

    /// The first Job of a decision is confirmed, or will not be.
    pub(super) fn note_message_to_job(&mut self, name: &JobName, answer: &CreateAnswer, now: Duration) {
        if matches!(answer, CreateAnswer::Unanswered { .. }) {
            return;
        }
        let Some(message_at) = self.messages_at.remove(name) else { return };
        if matches!(answer, CreateAnswer::Exists { .. }) {
            self.milestones.push(Milestone::Created { waited: now.saturating_sub(message_at) });
        }
    }
}

/// `Duration` has no remainder.
fn since_the_beat(at: Duration) -> Duration {
    Duration::from_nanos(u64::from(at.subsec_nanos()) % (BEAT.as_nanos() as u64))
}
