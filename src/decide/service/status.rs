//! A service as people, metrics and other services see it.

use std::time::Duration;

use crate::decide::{
    pod::observation::Observed,
    run::live_job::{LiveJob, Phases, live_job},
    service::{
        account::{ReplicaAccount, RolloutView},
        event::ForceDeleteAnswer,
        keep_alive::KeepAlive,
        replica_health::ReplicaHealth,
        sentences::sentence,
        start_order::PeerStatus,
        state::ServiceState,
    },
};

/// The state of one service at one moment; times are in the core's time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceStatus {
    /// How it stands.
    pub state: ServiceState,
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
    /// What holds each replica.
    pub replicas: Vec<ReplicaAccount>,
    /// How far a rollout has come.
    pub rollout: Option<RolloutView>,
    /// Why the files of `restartOn` can't be read.
    pub unread: Option<String>,
}

impl ServiceStatus {
    /// What a follower shows: no more than what the watches show.
    pub fn of_view(view: &Observed, replicas: u32) -> Self {
        let (live, phases) = crate::decide::run::live_job::of_view(view);
        let ready = view.jobs.values().filter(|job| job.is_live() && job.address.is_some()).count();
        let ready = u32::try_from(ready).unwrap_or(u32::MAX);
        let state = match (live.is_empty(), ready >= replicas) {
            (true, _) => ServiceState::NotStarted,
            (false, true) => ServiceState::Running,
            (false, false) => ServiceState::Started,
        };
        Self { state, ready, phases, live, ..Self::default() }
    }
}

impl KeepAlive {
    /// The first thing that is wrong, in the order in which somebody would mend it.
    fn error(&self, now: Duration) -> Option<String> {
        if let Some(answer) = self.halting.cannot_halt() {
            let why = match answer {
                ForceDeleteAnswer::Forbidden => "the Role does not allow to delete pods",
                ForceDeleteAnswer::Deleted => "its node may be gone, or a finalizer holds it",
                ForceDeleteAnswer::Unanswered => "the API server gives no answer",
            };
            return Some(format!("could not halt: a pod does not end, and {why}"));
        }
        let problem = |it: &ReplicaHealth| it.problem().map(str::to_owned);
        let starting = self.runs.by_name.values().filter_map(|run| live_job(run, now).problem).next();
        let unwell = || self.health.values().find_map(problem);
        let waiting = || {
            let waits = self.replicas.values().filter(|replica| replica.wait_until > now);
            waits.filter_map(|replica| replica.last.as_ref()).map(|(end, _)| sentence(end)).next()
        };
        let turn = || match (self.is_wanted(), &self.waits_for.start_after, &self.waits_for.stop_after) {
            (true, Some(other), _) => Some(format!("waits for {other}")),
            (false, _, Some(other)) if !self.runs.by_name.is_empty() => Some(format!("stops after {other}")),
            _ => None,
        };
        let found =
            starting.or_else(unwell).or_else(waiting).or_else(turn).filter(|_| self.state != ServiceState::Running);
        let stopped = self.rollout(now).and_then(|rollout| RolloutView::of(&rollout).stopped);
        stopped.map(|why| format!("the rollout has stopped: {why}")).or(found)
    }

    /// The state as of `now`.
    pub fn status(&self, now: Duration) -> ServiceStatus {
        let live: Vec<LiveJob> =
            self.runs.by_name.values().filter(|run| !run.is_finished()).map(|run| live_job(run, now)).collect();
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
            replicas: self.account(now),
            rollout: self.rollout(now).map(|rollout| RolloutView::of(&rollout)),
            unread: None,
        }
    }

    /// How it stands, as other services have to know; what is wanted of it is known before it knows itself.
    pub fn peer_status(&self, known: &PeerStatus) -> PeerStatus {
        PeerStatus {
            begun: !self.runs.by_name.is_empty() || self.replicas.values().any(|replica| replica.last.is_some()),
            running: self.state == ServiceState::Running,
            ending: !self.runs.by_name.is_empty() && self.halting.cannot_halt().is_none(),
            ..known.clone()
        }
    }
}
