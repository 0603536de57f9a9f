//! A service as people, metrics and other services see it.

use std::time::Duration;

use serde::Serialize;

use crate::decide::{
    event::KillAnswer,
    keep_alive::KeepAlive,
    observation::Observed,
    run::{End, Outcome},
    status::{LiveJob, Phases, live_job},
    turn::Stage,
    wellness::Wellness,
};

/// How a service stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum State {
    /// `enabled: false`, in jobs.json or by hand.
    Disabled,
    /// Nothing was asked for yet, or it was stopped.
    #[default]
    NotStarted,
    /// Its Jobs are asked for, and not every replica is up.
    Started,
    /// Every replica is up.
    Running,
    /// A replica waits after a bad start, or one can't be halted.
    Failed,
    /// A replica has ended and is started anew.
    Restart,
}

/// All states, as the metrics name them.
pub const STATES: [State; 6] =
    [State::Disabled, State::NotStarted, State::Started, State::Running, State::Failed, State::Restart];

impl State {
    /// The word in the metrics, the API and what commands print.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Disabled => "DISABLED",
            Self::NotStarted => "NOT_STARTED",
            Self::Started => "STARTED",
            Self::Running => "RUNNING",
            Self::Failed => "FAILED",
            Self::Restart => "RESTART",
        }
    }
}

/// The state of one service at one moment; times are in the core's time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceStatus {
    /// How it stands.
    pub state: State,
    /// Since when.
    pub since: Duration,
    /// It is to be up.
    pub wanted: bool,
    /// Replicas that are up.
    pub ready: u32,
    /// Replicas that were started anew, as far as is on record.
    pub restarts: u64,
    /// The hash of what its Jobs are rendered from.
    pub generation: Box<str>,
    /// What is wrong.
    pub error: Option<String>,
    /// A replica waits until then before it is started again.
    pub wait_until: Option<Duration>,
    /// Live Jobs by phase.
    pub phases: Phases,
    /// Each of them.
    pub live: Vec<LiveJob>,
}

impl ServiceStatus {
    /// What a process tells that does not lead: no more than what the watches show.
    pub fn of_view(view: &Observed, replicas: u32) -> Self {
        let (live, phases) = crate::decide::status::of_view(view);
        let ready = view.jobs.values().filter(|job| job.is_live() && job.address.is_some()).count();
        let ready = u32::try_from(ready).unwrap_or(u32::MAX);
        let state = match (live.is_empty(), ready >= replicas) {
            (true, _) => State::NotStarted,
            (false, true) => State::Running,
            (false, false) => State::Started,
        };
        Self { state, ready, phases, live, ..Self::default() }
    }
}

impl KeepAlive {
    fn up(&self) -> u32 {
        let runs = self.fleet.runs.values().filter(|run| run.slot < self.policy.replicas && !run.is_ending());
        let up = runs.filter(|run| self.wellness.get(&run.name).is_some_and(|it| it.up_since().is_some()));
        u32::try_from(up.count()).unwrap_or(u32::MAX)
    }

    pub(super) fn derived_state(&self, now: Duration) -> State {
        if self.cannot_halt.is_some() {
            return State::Failed;
        }
        if !self.orders.enabled {
            return State::Disabled;
        }
        if !self.is_wanted() {
            return State::NotStarted;
        }
        if self.up() >= self.policy.replicas {
            return State::Running;
        }
        let empty: Vec<u32> = (0..self.policy.replicas).filter(|slot| !self.fleet.is_taken(*slot)).collect();
        let last = |slot: &u32| self.replicas.get(slot).and_then(|replica| replica.last.as_ref());
        if self.has_had_its_start() {
            let badly = empty.iter().filter_map(last).any(|(end, _)| end.outcome != Outcome::Succeeded);
            return if badly { State::Failed } else { State::NotStarted };
        }
        let waits = |slot: &u32| self.replicas.get(slot).is_some_and(|replica| replica.wait_until > now);
        if empty.iter().any(|slot| waits(slot) && last(slot).is_some_and(|(_, was_up)| !was_up)) {
            return State::Failed;
        }
        let ends = self.fleet.runs.values().any(|run| run.slot < self.policy.replicas && run.is_ending());
        if ends || empty.iter().any(|slot| last(slot).is_some()) {
            return State::Restart;
        }
        if self.fleet.runs.values().any(|run| run.created) { State::Started } else { State::NotStarted }
    }

    /// The first thing that is wrong, in the order in which somebody would mend it.
    fn error(&self, now: Duration) -> Option<String> {
        if let Some(answer) = self.cannot_halt {
            let why = match answer {
                KillAnswer::Forbidden => "the Role does not allow to delete pods",
                KillAnswer::Killed => "its node may be gone, or a finalizer holds it",
                KillAnswer::Unanswered => "the API server gives no answer",
            };
            return Some(format!("could not halt: a pod does not end, and {why}"));
        }
        let problem = |it: &Wellness| it.problem().map(str::to_owned);
        let starting = self.fleet.runs.values().filter_map(|run| live_job(run, now).problem).next();
        let unwell = || self.wellness.values().find_map(problem);
        let waiting = || {
            let waits = self.replicas.values().filter(|replica| replica.wait_until > now);
            waits.filter_map(|replica| replica.last.as_ref()).map(|(end, _)| sentence(end)).next()
        };
        let turn = || match (self.is_wanted(), &self.turn.start_after, &self.turn.stop_after) {
            (true, Some(other), _) if self.up() < self.policy.replicas => Some(format!("waits for {other}")),
            (false, _, Some(other)) if !self.fleet.runs.is_empty() => Some(format!("stops after {other}")),
            _ => None,
        };
        starting.or_else(unwell).or_else(waiting).or_else(turn).filter(|_| self.state != State::Running)
    }

    /// The state as of `now`.
    pub fn status(&self, now: Duration) -> ServiceStatus {
        let live: Vec<LiveJob> =
            self.fleet.runs.values().filter(|run| !run.is_finished()).map(|run| live_job(run, now)).collect();
        ServiceStatus {
            state: self.state,
            since: self.since,
            wanted: self.is_wanted() && !self.has_had_its_start(),
            ready: self.up(),
            restarts: self.restarts,
            generation: self.policy.generation.clone(),
            error: self.error(now),
            wait_until: self.replicas.values().map(|replica| replica.wait_until).filter(|until| *until > now).min(),
            phases: Phases::of(&live),
            live,
        }
    }

    /// How it stands, as other services have to know; what is wanted of it is known before it knows itself.
    pub fn stage(&self, known: &Stage) -> Stage {
        Stage {
            begun: !self.fleet.runs.is_empty() || self.replicas.values().any(|replica| replica.last.is_some()),
            running: self.state == State::Running,
            ending: !self.fleet.runs.is_empty() && self.cannot_halt.is_none(),
            ..known.clone()
        }
    }
}

fn sentence(end: &End) -> String {
    let how = match end.outcome {
        Outcome::Succeeded => "ended with exit code 0".to_owned(),
        outcome => format!("{}: {}", outcome.as_str(), end.reason.as_str()).replace('_', " "),
    };
    let code = end.exit_code.filter(|code| *code != 0).map(|code| format!(" {code}")).unwrap_or_default();
    let message = end.message.as_deref().and_then(|message| message.lines().next());
    format!("{how}{code}{}", message.map(|message| format!(" ({message})")).unwrap_or_default())
}
