//! How many more Jobs: when a lifecycle looks at its queue, what it makes of the look, and what a look tells of
//! the workers that have ended.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use crate::decide::{
    decision::{Decision, DecisionReason, Origin},
    outcome::{JobName, OVERFLOW_SLOT, Slot},
    queue::{
        event::{DepthRequest, LookPurpose, QueueEffect},
        lifecycle::{Lifecycle, Unjudged},
        policy::BURST_MAX,
        scale::{COUNTED_FAR, Look, jobs_wanted},
    },
    run::{event::CreateAnswer, milestone::Milestone, tracked_run::Run},
};

impl Lifecycle {
    // --- how much room

    pub(super) fn live(&self) -> u64 {
        self.runs.by_name.values().filter(|run| !(run.slot >= OVERFLOW_SLOT && run.is_finished())).count() as u64
    }

    fn starting(&self, now: Duration) -> u64 {
        self.runs.by_name.values().filter(|run| run.is_starting(now, self.policy.fetch_grace)).count() as u64
    }

    /// `maxConcurrentJobs` in force − live − cooling slots; less where the cluster is full or a back-off allows one trial.
    /// Also why there is none where there is none.
    fn room_and_limit(&self) -> (u64, DecisionReason) {
        let max = u64::from(self.in_force.max);
        let live = self.live();
        let cools = |slot: &&Slot| **slot < self.in_force.max && !self.runs.is_taken(**slot);
        let cooling = self.cooling.keys().filter(cools).count() as u64;
        let free = max.saturating_sub(live);
        let tighter =
            |room: (u64, DecisionReason), limit: (u64, DecisionReason)| if limit.0 < room.0 { limit } else { room };
        let why = match (max, free) {
            (0, _) => DecisionReason::Closed,
            (_, 0) => DecisionReason::Full,
            _ => DecisionReason::Cooling,
        };
        let mut room = (free.saturating_sub(cooling), why);
        // As many as have started, and one: and that one waits for its node already.
        if self.runs.by_name.values().any(Run::is_running) && self.runs.by_name.values().any(Run::is_unschedulable) {
            room = tighter(room, (0, DecisionReason::ClusterFull));
        }
        if self.backoff.is_active() {
            let trial = self.runs.by_name.values().any(|run| run.purpose.is_trial());
            room = tighter(room, (u64::from(!trial), DecisionReason::BackingOff));
        }
        room
    }

    pub(super) fn room(&self) -> u64 {
        self.room_and_limit().0
    }

    // --- when to look

    /// When the next look is due; `None` while there is no reason to look.
    pub(super) fn look_deadline(&self) -> Option<Duration> {
        if !self.may_create() || self.looks.is_in_flight() {
            return None;
        }
        let begin = self.backoff.until().unwrap_or_default();
        let cooled = self.cooling.values().min().copied();
        let due = match self.room() {
            0 => cooled?,
            room if self.is_look_urgent(room) => Duration::ZERO,
            // More room than waits for places is a reason to look.
            _ if self.looks.backlog_left => cooled.map_or(self.looks.due(), |cooled| cooled.min(self.looks.due())),
            _ => self.looks.due(),
        };
        Some(due.max(begin))
    }

    /// Places were granted for what a look finds; or messages were left for want of room, and there is some, also beyond
    /// what waits for places.
    fn is_look_urgent(&self, room: u64) -> bool {
        self.share.is_granted() || (self.looks.backlog_left && room > self.share.usable())
    }

    /// When the gauges are to be read because no look that decides will have read them by then.
    pub(super) fn gauges_deadline(&self) -> Option<Duration> {
        self.gauges.due().filter(|_| !self.runs.draining && !self.runs.stopping && !self.looks.is_in_flight())
    }

    /// Asks for the gauges.
    pub(super) fn begin_gauges(&mut self) -> QueueEffect {
        self.gauges.note_asked();
        let (since_us, younger_left) = (None, Duration::ZERO);
        QueueEffect::ReadGauges(DepthRequest {
            since_us,
            limit: COUNTED_FAR,
            younger_left,
            purpose: LookPurpose::Gauges,
        })
    }

    /// Asks for the depth.
    pub(super) fn begin_look(&mut self, now: Duration) -> QueueEffect {
        let request = self.depth_request();
        self.looks.note_asked(now);
        QueueEffect::ReadDepth(request)
    }

    /// How the next look is to count.
    pub(super) fn depth_request(&self) -> DepthRequest {
        let urgent = self.is_look_urgent(self.room());
        let running = self.runs.by_name.values().any(Run::is_running);
        let enough = self.claims.look_limit(self.policy.messages_per_job, self.in_force.max.into());
        DepthRequest {
            since_us: self.claims.since_us,
            limit: if self.looks.counts_far { enough.max(COUNTED_FAR) } else { enough },
            younger_left: if running { self.policy.handover } else { Duration::ZERO },
            purpose: if self.looks.is_routine() && !urgent { LookPurpose::Routine } else { LookPurpose::Decision },
        }
    }

    /// A look was answered, or not.
    pub(super) fn on_depth(&mut self, now: Duration, look: Option<Look>) {
        let Some(look) = look else {
            self.share.give_up();
            return self.looks.note_failed(now);
        };
        let jitter = self.runs.jitter();
        self.looks.note_answered(now, &look, self.policy.check_interval, jitter);
        if look.is_exact() {
            self.gauges.note_look(now, self.policy.gauges_every);
        }
        self.claims.note_look(look, self.policy.messages_per_job, self.starting(now));
        self.judge_successes(now);
        self.share.note_look(look.oldest_age, now);
        self.decide(now, look);
    }

    // --- what workers took

    /// A success is one only if it took something, which the next look tells.
    pub(super) fn note_success(&mut self, run: &Run) {
        match run.purpose.tally() {
            Some(tally) if self.claims.tally.took_since(&tally) != Some(true) => {
                let (name, trial) = (run.name.clone(), run.purpose.is_trial());
                self.unjudged.push(Unjudged { name, tally, trial });
            }
            _ => self.backoff.note_success(),
        }
    }

    /// Successes that took nothing count like failures for the back-off.
    fn judge_successes(&mut self, now: Duration) {
        for success in std::mem::take(&mut self.unjudged) {
            let took = self.claims.tally.took_since(&success.tally);
            self.looks.counts_far = took != Some(true);
            if took != Some(false) {
                self.backoff.note_success();
                continue;
            }
            if !self.backoff.is_active() || success.trial {
                let jitter = self.runs.jitter();
                self.backoff.note_failed_run(now, self.policy.wait_after_failure, &self.policy.backoff, jitter);
            }
            self.milestones.push(Milestone::TookNothing);
            self.log.note_took_nothing(success.name);
        }
    }

    // --- what to create

    fn decide(&mut self, now: Duration, look: Look) {
        let m = self.policy.messages_per_job;
        let waiting = self.backoff.until().is_some_and(|until| until > now);
        let (room, limit) = match (self.may_create(), waiting) {
            (true, false) => self.room_and_limit(),
            (true, true) => (0, DecisionReason::BackingOff),
            (false, _) => (0, DecisionReason::Held),
        };
        let asked = |room| jobs_wanted(look.old, look.new, self.claims.claimed, m, room);
        let (by_room, wanted) = (asked(room), asked(u64::MAX));
        let jobs = self.with_places(by_room.min(BURST_MAX));
        let lacking = if self.shares() { by_room - jobs } else { 0 };
        let decision = Decision {
            why: match (look.ready(), wanted) {
                (0, _) => DecisionReason::Empty,
                (_, 0) => DecisionReason::Claimed,
                _ if wanted > jobs => self.limit_after(jobs, if lacking > 0 { DecisionReason::NoPlace } else { limit }),
                _ => DecisionReason::Created,
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
        self.looks.backlog_left = wanted > jobs + lacking;
        self.decided = Some(Arc::new((now, decision)));
        self.log.note_decision(now, decision);
        if jobs > 0 {
            self.claims.note_created(look, m, jobs);
            self.wish(now, jobs, decision, look.oldest_new_age.or(look.oldest_age));
        }
        self.share.note_decided(lacking);
    }

    /// What every decision says of the Jobs there are.
    fn decision_by_jobs(&self, now: Duration) -> Decision {
        Decision {
            live: self.live(),
            starting: self.starting(now),
            max: self.in_force.max.into(),
            ..Decision::default()
        }
    }

    /// What keeps a decision from creating more than these Jobs: what limited the room, or that it is used up.
    fn limit_after(&self, jobs: u64, limit: DecisionReason) -> DecisionReason {
        let full = self.live().saturating_add(jobs) >= u64::from(self.in_force.max);
        match jobs {
            BURST_MAX => DecisionReason::Created,
            1.. if full => DecisionReason::Full,
            _ => limit,
        }
    }

    /// The slot in which the next Job is due that was asked for by hand: neither a pause nor a back-off nor a slot that
    /// cools keeps it, but there are never more than `maxConcurrentJobs` in force: it waits for a window, too.
    pub(super) fn next_manual_slot(&self) -> Option<Slot> {
        if self.manual.requested <= self.manual.served || !self.may_create_manually() {
            return None;
        }
        // One after another: were a later one on record before an earlier one, the earlier would count as served.
        if self.runs.by_name.values().any(Run::is_manual_and_unwritten) {
            return None;
        }
        let is_free = |slot: &Slot| !self.runs.is_taken(*slot);
        (0..self.in_force.max).find(is_free).filter(|_| self.live() < u64::from(self.in_force.max))
    }

    /// The next Job that was asked for by hand, if there is room for it.
    pub(super) fn wish_manual(&mut self, now: Duration) {
        if let Some(slot) = self.next_manual_slot().filter(|_| self.has_place()) {
            let decision = Decision {
                why: DecisionReason::Asked,
                room: u64::from(self.in_force.max).saturating_sub(self.live()),
                jobs: 1,
                ..self.decision_by_jobs(now)
            };
            self.manual.served += 1;
            self.cooling.remove(&slot);
            self.log.note_decision(now, decision);
            let name = self.runs.next_name();
            let mut run = Run::manual(name.clone(), slot, decision, self.manual.served, now);
            run.places = self.share.take();
            self.runs.by_name.insert(name, run);
        }
    }

    fn wish(&mut self, now: Duration, jobs: u64, decision: Decision, mut waited: Option<Duration>) {
        self.messages_at.retain(|name, _| self.runs.by_name.contains_key(name));
        let origin = Origin::messages(now, self.looks.asked_at(), waited.unwrap_or_default());
        let taken = self.slots_taken();
        let free: Vec<Slot> = (0..self.in_force.max).filter(|slot| !taken.contains(slot)).take(jobs as usize).collect();
        for slot in free {
            let name = self.runs.next_name();
            let mut run = Run::decided(name.clone(), slot, (decision, self.claims.tally), origin);
            run.places = self.share.take();
            if let Some(waited) = waited.take() {
                self.messages_at.insert(name.clone(), now.saturating_sub(waited));
            }
            self.runs.by_name.insert(name, run);
        }
    }

    fn slots_taken(&self) -> BTreeSet<Slot> {
        self.runs.by_name.values().map(|run| run.slot).chain(self.cooling.keys().copied()).collect()
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
