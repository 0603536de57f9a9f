//! A service as people, metrics and other services see it.

use std::time::Duration;

use crate::decide::{
    one_off::{action_slot, is_one_off},
    pod::{generation::is_same, observation::Observed},
    run::{
        live_job::{LiveJob, Phases, live_job},
        tracked_run::Run,
    },
    service::{
        account::{ReplicaAccount, RolloutView},
        actions::ActionStatus,
        event::ForceDeleteAnswer,
        keep_alive::KeepAlive,
        replica_health::ReplicaHealth,
        sentence::sentence,
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
    /// Replicas wait for places that others have: since when.
    pub waiting_for_place: Option<Duration>,
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
    /// The actions of jobs.json.
    pub actions: Vec<ActionStatus>,
}

impl ServiceStatus {
    /// What a follower shows: no more than what the watches show.
    pub fn of_view(view: &Observed, replicas: u32) -> Self {
        let (live, phases) = crate::decide::run::live_job::of_view(view);
        let replicas_live = || view.jobs.values().filter(|job| job.is_live() && !job.slot.is_some_and(is_one_off));
        let ready = replicas_live().filter(|job| job.address.is_some()).count();
        let ready = u32::try_from(ready).unwrap_or(u32::MAX);
        let state = match (replicas_live().next().is_none(), ready >= replicas) {
            (true, _) => ServiceState::NotStarted,
            (false, true) => ServiceState::Running,
            (false, false) => ServiceState::Started,
        };
        Self { state, ready, phases, live, ..Self::default() }
    }

    /// Every replica is up as an entry of this generation wants it, and none as it was wanted before; whatever the files
    /// of `restartOn` hold. One that is disabled is as it is wanted, too.
    pub fn is_up_as(&self, generation: &str) -> bool {
        matches!(self.state, ServiceState::Running | ServiceState::Disabled)
            && self.rollout.is_none()
            && is_same(&self.generation, generation)
            && self.replicas.iter().all(|replica| !replica.outdated)
    }
}

impl KeepAlive {
    /// The first thing that is wrong, in the order in which somebody would mend it.
    fn error(&self, now: Duration, rollout: Option<&RolloutView>) -> Option<String> {
        if let Some(answer) = self.halting.cannot_halt() {
            let why = match answer {
                ForceDeleteAnswer::Forbidden => "the Role does not allow to delete pods",
                ForceDeleteAnswer::Deleted => "its node may be gone, or a finalizer holds it",
                ForceDeleteAnswer::Unanswered => "the API server gives no answer",
            };
            return Some(format!("could not halt: a pod does not end, and {why}"));
        }
        let problem = |it: &ReplicaHealth| it.problem().map(str::to_owned);
        let starting = self.replica_runs().find_map(|run| live_job(run, now).problem);
        let beside = || self.runs.by_name.values().filter(|run| is_one_off(run.slot));
        let told = |run: &Run| Some(format!("{}: {}", run.purpose.one_off()?, live_job(run, now).problem?));
        let beside = || beside().find_map(told);
        let one_offs = &self.one_offs;
        let asked = || one_offs.requirements.problem().or(one_offs.external.problem()).or(one_offs.checks.problem());
        let unwell = || self.health.values().find_map(problem);
        let waiting = || {
            let waits = self.replicas.values().filter(|replica| replica.wait_until > now);
            waits.filter_map(|replica| replica.last.as_ref()).map(|(end, _)| sentence(end)).next()
        };
        let turn = || match (self.is_wanted(), &self.waits_for.start_after, &self.waits_for.stop_after) {
            (true, Some(other), _) => Some(format!("waits for {other}")),
            (false, _, Some(other)) if self.replica_runs().next().is_some() => Some(format!("stops after {other}")),
            _ => None,
        };
        let found = starting.or_else(unwell).or_else(|| asked().map(str::to_owned)).or_else(beside);
        let place = || {
            let replica = self.places.first_waiting()?;
            Some(format!("replica {replica} waits for a place in {}", self.pools_in_words()))
        };
        let found = found.or_else(waiting).or_else(turn).or_else(place).filter(|_| self.state != ServiceState::Running);
        let stopped = rollout.and_then(|rollout| rollout.stopped.as_ref());
        let held = one_offs.requirements.problem().filter(|_| self.rolls_once_met);
        let held = || held.map(|problem| format!("the rollout waits: {problem}"));
        stopped.map(|why| format!("the rollout has stopped: {why}")).or_else(held).or(found)
    }

    /// The state as of `now`.
    pub fn status(&self, now: Duration) -> ServiceStatus {
        let live: Vec<LiveJob> =
            self.runs.by_name.values().filter(|run| !run.is_finished()).map(|run| live_job(run, now)).collect();
        let rollout = self.rollout(now).map(|rollout| RolloutView::of(&rollout));
        ServiceStatus {
            state: self.state,
            since: self.since,
            wanted: self.is_wanted() && !self.has_had_its_start(),
            ready: if self.policy.external.is_some() { self.is_all_up().into() } else { self.up() },
            restarts: self.restarts,
            generation: self.policy.generation.clone(),
            error: self.error(now, rollout.as_ref()),
            wait_until: self.waits_until(now),
            waiting_for_place: self.places.since(),
            phases: Phases::of(&live),
            live,
            replicas: self.account(now),
            rollout,
            unread: None,
            actions: self.one_offs.actions.status(&self.policy, |name| self.runs.is_taken(action_slot(name))),
        }
    }

    /// A replica, or a repair, waits until then.
    fn waits_until(&self, now: Duration) -> Option<Duration> {
        let replicas = self.replicas.values().map(|replica| replica.wait_until).filter(|until| *until > now).min();
        let repair = self.one_offs.external.waits_until(now).filter(|_| self.policy.repairs);
        replicas.into_iter().chain(repair).min()
    }

    /// How it stands, as other services have to know; what is wanted of it is known before it knows itself.
    pub fn peer_status(&self, known: &PeerStatus) -> PeerStatus {
        PeerStatus {
            begun: self.replica_runs().next().is_some()
                || self.replicas.values().any(|replica| replica.last.is_some())
                // Who waits for places, maybe for long, holds up nobody.
                || self.places.since().is_some()
                || self.one_offs.external.has_begun(),
            running: self.state == ServiceState::Running,
            ending: self.replica_runs().next().is_some() && self.halting.cannot_halt().is_none(),
            ..known.clone()
        }
    }
}
