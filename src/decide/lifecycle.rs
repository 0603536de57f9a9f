//! The life of one queue JobConfig, as a pure state machine.
//!
//! Facts come in as [`Event`]s, wishes go out as [`Effect`]s, and each effect is answered by exactly one
//! event. What is a matter of runs alone is in [`crate::decide::fleet`]; what a queue needs is here.
//!
//! `now` is the time since 1970 by the clock at the start, going on monotonically.

use std::{collections::BTreeMap, time::Duration};

use crate::decide::{
    backoff::Backoff,
    demand::{ByHand, LookState, Unjudged},
    event::{Decision, Effect, Event},
    fleet::{Fleet, News},
    notes::Notes,
    policy::Policy,
    run::{JobName, Outcome, Reason, Slot},
    scale::Claims,
    tracking::{OVERFLOW_SLOT, Run},
};

/// The state of one queue JobConfig.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Lifecycle {
    pub(super) policy: Policy,
    pub(super) fleet: Fleet,
    pub(super) paused: bool,
    /// A service that it depends on is not up.
    held: bool,
    pub(super) by_hand: ByHand,
    /// Slots that wait after a run, and until when.
    pub(super) cooling: BTreeMap<Slot, Duration>,
    pub(super) claims: Claims,
    pub(super) backoff: Backoff,
    pub(super) look: LookState,
    pub(super) decided: Option<(Duration, Decision)>,
    /// Successes of which the next look tells whether they took anything.
    pub(super) unjudged: Vec<Unjudged>,
    /// When the oldest message could be fetched that the first Job of a decision is for, until that is confirmed.
    pub(super) messages_at: BTreeMap<JobName, Duration>,
    pub(super) notes: Notes,
    /// What happened since the last [`Self::take_milestones`].
    pub(super) milestones: Vec<Milestone>,
}

/// What is counted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Milestone {
    /// The first Job of a decision was confirmed.
    Created {
        /// Since the oldest message that it was decided for could be fetched.
        waited: Duration,
    },
    /// The first container of a Job began to run.
    Started {
        /// Since the Job's creation.
        took: Duration,
    },
    /// A run's end is on record.
    Ended {
        /// How.
        outcome: Outcome,
        /// Why.
        reason: Reason,
    },
    /// A success turned out to have taken nothing.
    TookNothing,
}

impl Lifecycle {
    /// A lifecycle that knows nothing yet. `seed` makes its names and its jitter its own.
    pub fn new(policy: Policy, seed: u64, now: Duration) -> Self {
        Self {
            paused: policy.paused,
            held: false,
            by_hand: ByHand::default(),
            policy,
            fleet: Fleet::begin(seed, now),
            cooling: BTreeMap::new(),
            claims: Claims::default(),
            backoff: Backoff::default(),
            look: LookState::begin(now),
            decided: None,
            unjudged: vec![],
            messages_at: BTreeMap::new(),
            notes: Notes::default(),
            milestones: vec![],
        }
    }

    /// The one entry: events in, in their order, effects out. What follows is derived once for all of them.
    pub fn step(&mut self, now: Duration, events: impl IntoIterator<Item = Event>) -> Vec<Effect> {
        let mut effects = vec![];
        for event in events {
            self.note(now, event, &mut effects);
        }
        self.advance(now, &mut effects);
        effects
    }

    /// When the outside must come back even if nothing happens.
    pub fn deadline(&self) -> Option<Duration> {
        let runs = self.fleet.deadline(&self.policy.runs);
        let asked = self.next_asked().map(|_| Duration::ZERO);
        [runs, asked, self.look_deadline(), self.notes.deadline()].into_iter().flatten().min()
    }

    /// Nothing is in flight, and nothing new will be: stopped, or drained to the last run.
    pub fn is_done(&self) -> bool {
        let at_rest = self.fleet.is_quiet() && self.notes.is_quiet() && !self.look.reading;
        let emptied = self.fleet.knows() && self.fleet.runs.is_empty() && self.notes.is_empty();
        at_rest && (self.fleet.stopping || (self.fleet.draining && emptied))
    }

    /// Whether a message may become a Job.
    pub(super) fn may_create(&self) -> bool {
        !self.paused && self.may_create_by_hand()
    }

    /// Whether what people ask for may.
    pub(super) fn may_create_by_hand(&self) -> bool {
        !self.held && self.fleet.may_create()
    }

    /// Its JobConfig has left the file.
    pub fn is_draining(&self) -> bool {
        self.fleet.draining
    }

    /// What is to be counted since the last call.
    pub fn take_milestones(&mut self) -> Vec<Milestone> {
        std::mem::take(&mut self.milestones)
    }

    fn note(&mut self, now: Duration, event: Event, effects: &mut Vec<Effect>) {
        match event {
            Event::DepthRead(look) => self.on_depth(now, look),
            Event::NotesWritten(written) => self.notes.note_written(written, now),
            Event::Hinted => self.on_hint(now),
            Event::Switched { paused, asked } => {
                self.paused = paused;
                self.by_hand.asked = self.by_hand.asked.max(asked);
            }
            Event::Held(held) => self.held = held,
            Event::Configured { policy, other_queue } => self.on_configured(now, *policy, other_queue),
            event => {
                if let Event::CreateAnswered(name, answer) = &event {
                    self.note_message_to_job(name, answer, now);
                }
                for news in self.fleet.note(now, event, &self.policy.runs, effects) {
                    self.on_news(now, news);
                }
            }
        }
    }

    /// Runs go on as they are; what is created from here on is created by this policy.
    fn on_configured(&mut self, now: Duration, policy: Policy, other_queue: bool) {
        self.fleet.draining = false;
        self.policy = policy;
        if other_queue {
            (self.claims, self.unjudged) = (Claims::default(), vec![]);
        }
        self.on_hint(now);
    }

    /// What is to be known of the runs.
    fn on_news(&mut self, now: Duration, news: News) {
        match news {
            News::Loaded { loaded, first } => {
                self.by_hand.served = loaded.served;
                if first {
                    self.backoff = Backoff::after_restart(loaded.failed_in_a_row);
                }
            }
            News::Started(name) => {
                self.backoff.note_started();
                let took = self.fleet.runs.get(&name).and_then(Run::start_took);
                self.milestones.extend(took.map(|took| Milestone::Started { took }));
            }
            News::Ended(run) => {
                if let Some(end) = &run.end {
                    self.milestones.push(Milestone::Ended { outcome: end.outcome, reason: end.reason });
                    self.follow(now, &run, end.outcome, end.reason);
                }
            }
        }
    }

    /// The waits that follow an end.
    fn follow(&mut self, now: Duration, run: &Run, outcome: Outcome, reason: Reason) {
        let jitter = self.fleet.jitter();
        let grows = !self.backoff.is_active() || run.trial;
        let full = reason == Reason::Unschedulable && self.fleet.runs.values().any(Run::is_running);
        let policy = &self.policy;
        match outcome {
            Outcome::Succeeded => {
                self.cool(run, policy.wait_after_success);
                self.note_success(run);
            }
            Outcome::Failed => {
                self.cool(run, policy.wait_after_failure);
                if reason != Reason::Disrupted && grows {
                    self.backoff.note_failed_run(now, self.policy.wait_after_failure, &self.policy.backoff, jitter);
                }
            }
            Outcome::StartTimedOut if full => self.cool(run, policy.wait_after_timeout),
            Outcome::StartTimedOut if grows => {
                self.backoff.note_start_failure(now, policy.wait_after_timeout, &policy.backoff, jitter);
            }
            Outcome::StartError if grows => {
                self.backoff.note_start_failure(now, policy.wait_after_error, &policy.backoff, jitter);
            }
            Outcome::Vanished | Outcome::Stopped | Outcome::StartTimedOut | Outcome::StartError => {}
        }
    }

    fn cool(&mut self, run: &Run, wait: Duration) {
        if run.slot < OVERFLOW_SLOT {
            self.cooling.insert(run.slot, run.ended_at.saturating_add(wait));
        }
    }

    fn advance(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        self.cooling.retain(|_, until| *until > now);
        self.fleet.settle(now);
        self.fleet.end_services(now);
        self.wish_asked(now);
        self.fleet.advance(now, &self.policy.runs, effects);
        effects.extend(self.notes.next_write(now));
        if self.look_deadline().is_some_and(|due| due <= now) && self.room() > 0 {
            effects.push(self.begin_look(now));
        }
    }
}
