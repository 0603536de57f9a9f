//! The life of one queue JobConfig, as a pure state machine.
//!
//! Facts come in as [`QueueEvent`]s, wishes go out as [`QueueEffect`]s, and each effect is answered by exactly one
//! event. What is a matter of runs alone is in [`crate::decide::run::run_set`]; what a queue needs is here.
//!
//! `now` is the time since 1970 by the clock at the start, going on monotonically.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use crate::{
    config::entry::Kind,
    decide::{
        backoff::Backoff,
        decision::{Decision, Tally},
        outcome::{JobName, OVERFLOW_SLOT, Outcome, Reason, Slot},
        pod::names::Naming,
        queue::{
            decision_log::DecisionLog,
            event::{QueueEffect, QueueEvent},
            gauge_schedule::GaugeSchedule,
            granted_places::PlaceShare,
            look_schedule::LookSchedule,
            policy::QueuePolicy,
            scale::Claims,
            windows::InForce,
        },
        run::{
            event::RunEvent,
            milestone::Milestone,
            run_set::{News, RunSet},
            tracked_run::Run,
        },
    },
};

/// Jobs that people requested by hand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct ManualRuns {
    /// How many, ever.
    pub(super) requested: u64,
    /// How many of them are wished, or on record.
    pub(super) served: u64,
}

/// A success of which it is not known yet whether it took anything.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Unjudged {
    pub(super) name: JobName,
    pub(super) tally: Tally,
    pub(super) trial: bool,
}

/// The state of one queue JobConfig.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Lifecycle {
    pub(super) policy: Arc<QueuePolicy>,
    /// Which `maxConcurrentJobs` counts until its next edge.
    pub(super) in_force: InForce,
    pub(super) runs: RunSet,
    pub(super) paused: bool,
    /// A service that it depends on is not up.
    blocked: bool,
    pub(super) manual: ManualRuns,
    /// Slots that wait after a run, and until when.
    pub(super) cooling: BTreeMap<Slot, Duration>,
    pub(super) claims: Claims,
    pub(super) backoff: Backoff,
    pub(super) looks: LookSchedule,
    pub(super) gauges: GaugeSchedule,
    pub(super) share: PlaceShare,
    pub(super) decided: Option<Arc<(Duration, Decision)>>,
    /// Successes of which the next look tells whether they took anything.
    pub(super) unjudged: Vec<Unjudged>,
    /// For the first Job of each decision: since when the oldest message behind it could be fetched. Removed once the
    /// create is confirmed.
    pub(super) messages_at: BTreeMap<JobName, Duration>,
    pub(super) log: DecisionLog,
    /// What happened since the last [`Self::take_milestones`].
    pub(super) milestones: Vec<Milestone>,
}

impl Lifecycle {
    /// A lifecycle that knows nothing yet. `seed` makes its names and its jitter its own.
    pub fn new(naming: Naming, policy: impl Into<Arc<QueuePolicy>>, seed: u64, now: Duration) -> Self {
        let policy = policy.into();
        Self {
            paused: policy.paused,
            blocked: false,
            manual: ManualRuns::default(),
            in_force: policy.in_force(now),
            policy,
            runs: RunSet::begin(Kind::Queue, naming, seed, now),
            cooling: BTreeMap::new(),
            claims: Claims::default(),
            backoff: Backoff::default(),
            looks: LookSchedule::begin(now),
            gauges: GaugeSchedule::begin(now),
            share: PlaceShare::default(),
            decided: None,
            unjudged: vec![],
            messages_at: BTreeMap::new(),
            log: DecisionLog::default(),
            milestones: vec![],
        }
    }

    /// The one entry: events in, in their order, effects out. What follows is derived once for all of them.
    pub fn step(&mut self, now: Duration, events: impl IntoIterator<Item = QueueEvent>) -> Vec<QueueEffect> {
        let mut effects = vec![];
        self.follow_windows(now);
        for event in events {
            self.note(now, event, &mut effects);
        }
        self.advance(now, &mut effects);
        effects
    }

    /// When the outside must come back even if nothing happens.
    pub fn deadline(&self) -> Option<Duration> {
        let asked = self.next_manual_slot().filter(|_| self.has_place()).map(|_| Duration::ZERO);
        let looks = [self.look_deadline(), self.gauges_deadline()];
        [self.deadline_at_rest(), asked].into_iter().chain(looks).flatten().min()
    }

    /// Nothing is in flight, and nothing new will be: stopped, or drained to the last run.
    pub fn is_done(&self) -> bool {
        let is_quiet = self.runs.is_quiet() && self.log.is_quiet() && !self.looks.is_in_flight();
        let emptied = self.runs.knows() && self.runs.by_name.is_empty() && self.log.is_empty();
        is_quiet && (self.runs.stopping || (self.runs.draining && emptied))
    }

    /// Whether a message may become a Job.
    pub(super) fn may_create(&self) -> bool {
        !self.paused && self.may_create_manually()
    }

    /// Whether what people ask for may.
    pub(super) fn may_create_manually(&self) -> bool {
        !self.blocked && self.runs.may_create()
    }

    /// Its JobConfig has left the file.
    pub fn is_draining(&self) -> bool {
        self.runs.draining
    }

    /// The pools of which each of its Jobs takes a place.
    pub fn pools(&self) -> &Arc<[Arc<str>]> {
        &self.policy.pools
    }

    /// What is to be counted since the last call.
    pub fn take_milestones(&mut self) -> Vec<Milestone> {
        std::mem::take(&mut self.milestones)
    }

    fn note(&mut self, now: Duration, event: QueueEvent, effects: &mut Vec<QueueEffect>) {
        match event {
            QueueEvent::DepthRead(look) => self.on_depth(now, look),
            QueueEvent::GaugesRead(read) => self.gauges.note_read(read, now, self.policy.gauges_every),
            QueueEvent::LogWritten(written) => self.log.note_written(written, now),
            QueueEvent::Notified => self.looks.note_notified(now),
            QueueEvent::Switched { paused, requested } => {
                self.paused = paused;
                self.manual.requested = self.manual.requested.max(requested);
            }
            QueueEvent::Blocked(blocked) => self.blocked = blocked,
            QueueEvent::Granted(grant) => self.note_grant(grant, now),
            QueueEvent::Configured { policy, other_queue } => self.on_configured(now, policy, other_queue),
            QueueEvent::DeadlineReached => {}
            QueueEvent::Run(event) => {
                if let RunEvent::CreateAnswered(name, answer) = &event {
                    self.note_message_to_job(name, answer, now);
                }
                for news in self.runs.note(now, event, &self.policy.runs, effects) {
                    self.on_news(now, news);
                }
            }
        }
    }

    /// What counts is worked out at the edges of windows alone, so that an idle queue costs no more for having some. A
    /// window that closes ends nothing: its Jobs run on.
    fn follow_windows(&mut self, now: Duration) {
        let Some(edge) = self.in_force.until.filter(|edge| *edge <= now) else { return };
        let before = std::mem::replace(&mut self.in_force, self.policy.in_force(now));
        if self.in_force.max > before.max {
            self.looks.note_notified(edge);
        }
    }

    /// Runs go on as they are; what is created from here on is created by this policy.
    fn on_configured(&mut self, now: Duration, policy: Arc<QueuePolicy>, other_queue: bool) {
        self.runs.draining = false;
        if other_queue || policy.pools != self.policy.pools {
            self.share.give_up();
        }
        self.in_force = policy.in_force(now);
        self.policy = policy;
        if other_queue {
            (self.claims, self.unjudged) = (Claims::default(), vec![]);
        }
        self.looks.note_notified(now);
    }

    /// What is to be known of the runs.
    fn on_news(&mut self, now: Duration, news: News) {
        match news {
            News::Loaded { loaded, first } => {
                self.manual.served = loaded.served;
                if first {
                    self.backoff = Backoff::after_restart(loaded.failed_in_a_row);
                }
            }
            News::Started(name) => {
                self.backoff.note_started();
                let took = self.runs.by_name.get(&name).and_then(Run::start_took);
                self.milestones.extend(took.map(|took| Milestone::Started { took }));
            }
            News::Ended(run) => {
                if let Some(end) = run.end() {
                    self.milestones.push(Milestone::Ended { outcome: end.outcome, reason: end.reason });
                    self.follow(now, &run, end.outcome, end.reason);
                }
            }
        }
    }

    /// The waits that follow an end.
    fn follow(&mut self, now: Duration, run: &Run, outcome: Outcome, reason: Reason) {
        let jitter = self.runs.jitter();
        let grows = !self.backoff.is_active() || run.purpose.is_trial();
        let full = reason == Reason::Unschedulable && self.runs.by_name.values().any(Run::is_running);
        let policy = &self.policy;
        match outcome {
            Outcome::Succeeded => {
                self.runs.cool(&run.name, policy.wait_after_success);
                self.note_success(run);
            }
            Outcome::Failed => {
                self.runs.cool(&run.name, policy.wait_after_failure);
                if reason != Reason::Disrupted && grows {
                    self.backoff.note_failed_run(now, self.policy.wait_after_failure, &self.policy.backoff, jitter);
                }
            }
            Outcome::StartTimedOut if full => self.runs.cool(&run.name, policy.wait_after_timeout),
            Outcome::StartTimedOut if grows => {
                self.backoff.note_start_failure(now, policy.wait_after_timeout, &policy.backoff, jitter);
            }
            Outcome::StartError if grows => {
                self.backoff.note_start_failure(now, policy.wait_after_error, &policy.backoff, jitter);
            }
            Outcome::Vanished | Outcome::Stopped | Outcome::StartTimedOut | Outcome::StartError => {}
        }
    }

    fn advance(&mut self, now: Duration, effects: &mut Vec<QueueEffect>) {
        for run in self.runs.settle(now).iter().filter(|run| run.slot < OVERFLOW_SLOT) {
            self.cooling.insert(run.slot, run.ended_at.saturating_add(run.cooldown));
        }
        self.cooling.retain(|_, until| *until > now);
        self.runs.end_services(now);
        self.wish_manual(now);
        self.bound_share(now);
        self.runs.advance(now, &self.policy.runs, effects);
        effects.extend(self.log.next_write(now));
        if self.look_deadline().is_some_and(|due| due <= now) && self.room() > 0 {
            effects.push(self.begin_look(now));
        }
        if self.gauges_deadline().is_some_and(|due| due <= now) {
            effects.push(self.begin_gauges());
        }
    }
}
