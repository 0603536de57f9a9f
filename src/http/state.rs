//! What the routes answer from.

use std::sync::Arc;

use tokio::sync::{Semaphore, SemaphorePermit, watch};

use crate::{
    actors::{
        leader::Standing,
        monitor::Totals,
        performer::Shared,
        roster::{Handle, Roster},
    },
    config::{entry::Kind, in_file::InFile, problems::nearest, settings::ServerSettings},
    decide::pod::observation::Observed,
    http::{
        channel::Channel,
        deployments::{
            desk::Desk,
            follower::{Follower, Seen},
        },
        problem::{Problem, ProblemType},
        token::Gate,
    },
    latest,
    pgboss::history::HistoryReader,
    store::runs::RunRow,
    telemetry::with_causes,
};

/// Runs that a page of one JobConfig shows.
const RUNS_SHOWN: i64 = 20;

/// Lists that are made at once: one of ten thousand JobConfigs takes some ten milliseconds of a core, and the actors have
/// to have their turns between them.
const LISTS_AT_ONCE: usize = 4;

/// Forecasts that are made at once: each takes a core for seconds, and a connection to Postgres meanwhile.
const FORECASTS_AT_ONCE: usize = 1;

/// Turns at making a list. Clones share them.
#[derive(Clone, Debug)]
struct Turns(Arc<Semaphore>);

impl Default for Turns {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(LISTS_AT_ONCE)))
    }
}

/// What the routes answer from.
#[derive(Clone)]
pub struct AppState {
    /// This process among those of its Instance.
    pub me: Arc<str>,
    /// Whether it leads.
    pub standing: watch::Receiver<Standing>,
    /// The JobConfigs.
    pub roster: watch::Receiver<Arc<Roster>>,
    /// The totals of the queues.
    pub totals: watch::Receiver<Totals>,
    /// Who may ask and change.
    pub gate: Gate,
    /// Who follows what changes.
    pub channel: Channel,
    /// Who takes what is to be deployed.
    pub desk: Arc<Desk>,
    /// How deployments stand, while somebody follows what changes.
    pub(in crate::http) deployments: watch::Sender<Seen>,
    /// Who may make a list of all JobConfigs now.
    turns: Turns,
    /// Who may make a forecast now.
    pub(in crate::http) forecasts: Arc<Semaphore>,
    /// jobs.json, as it was last found good.
    pub(in crate::http) in_file: watch::Receiver<InFile>,
    /// What pg-boss remembers.
    pub(in crate::http) history: HistoryReader,
    /// What the actors share: the time, what is counted, what works, and who is told of a switch.
    pub shared: Arc<Shared>,
}

/// Who leads, the JobConfigs, and the totals of the queues.
pub type Followed = (watch::Receiver<Standing>, watch::Receiver<Arc<Roster>>, watch::Receiver<Totals>);

impl AppState {
    /// What the routes of a process of this name answer from, to whom the settings let in.
    pub fn new(
        me: Arc<str>,
        (standing, roster, totals): Followed,
        settings: &ServerSettings,
        (shared, desk): (Arc<Shared>, Arc<Desk>),
        (in_file, history): (watch::Receiver<InFile>, HistoryReader),
    ) -> Self {
        let (gate, channel, turns) = (Gate::of(settings, &shared.instance.uid), Channel::default(), Turns::default());
        let (deployments, forecasts) = (watch::Sender::default(), Arc::new(Semaphore::new(FORECASTS_AT_ONCE)));
        Self {
            me,
            standing,
            roster,
            totals,
            gate,
            channel,
            desk,
            deployments,
            turns,
            forecasts,
            in_file,
            history,
            shared,
        }
    }

    /// The task that sees how deployments stand.
    pub fn follower(&self) -> Follower {
        let table = self.shared.stored.deployments.clone();
        Follower::new(table, self.channel.clone(), self.deployments.clone())
    }

    /// A turn at making a list of all JobConfigs.
    pub async fn turn(&self) -> SemaphorePermit<'_> {
        self.turns.0.acquire().await.expect("never closed")
    }

    /// This process leads.
    pub fn leads(&self) -> bool {
        self.standing.borrow().term.is_some()
    }

    /// How a JobConfig stands: as its actor says, or, where another process leads, as the watches show.
    pub fn shown<T: Clone>(
        &self,
        handle: &Handle,
        told: &latest::Sender<T>,
        of_view: impl FnOnce(&Observed) -> T,
    ) -> T {
        match &handle.views.borrow().observed {
            Some(observed) if !self.leads() => of_view(observed),
            _ => told.borrow().clone(),
        }
    }

    /// Where to find a JobConfig of a type.
    ///
    /// # Errors
    /// 404 with the nearest name.
    pub fn handle(&self, kind: Kind, name: &str) -> Result<Handle, Problem> {
        let roster = self.roster.borrow();
        let found = roster.get(name).filter(|handle| handle.entry().kind() == kind);
        found.cloned().ok_or_else(|| {
            let of_kind = roster.iter().filter(|(_, handle)| handle.entry().kind() == kind);
            let hint = nearest(name, of_kind.map(|(name, _)| &**name));
            let what = match kind {
                Kind::Queue => "JobConfig of a queue",
                Kind::Service => "service",
            };
            Problem::new(ProblemType::UnknownName, format!("there is no {what} {name:?}{hint}"))
        })
    }

    /// The newest runs of a JobConfig, or why they can't be read.
    pub async fn runs(&self, name: &str) -> (Option<Vec<RunRow>>, Option<String>) {
        match self.shared.stored.runs.recent(name, RUNS_SHOWN).await {
            Ok(runs) => (Some(runs), None),
            Err(error) => (None, Some(with_causes(&error))),
        }
    }
}
