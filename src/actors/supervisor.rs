//! Starts one Spawner per JobConfig, and knows where to find each.

use std::collections::BTreeMap;

use tokio::sync::{mpsc, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    actors::spawner::{Shared, Spawner},
    cluster::index::{View, Views},
    config::job_config::JobConfig,
    decide::{event::Event, status::Status},
};

/// Commands that wait for one actor; who sends more waits.
const COMMANDS_MAX: usize = 16;

/// Where to find one JobConfig's actor.
#[derive(Clone, Debug)]
pub struct Handle {
    /// Its configuration.
    pub config: JobConfig,
    /// Its state.
    pub status: watch::Receiver<Status>,
    /// What it is told: pause, resume, drain.
    pub commands: mpsc::Sender<Event>,
}

/// The actors, by the name of their JobConfig.
pub type Roster = BTreeMap<String, Handle>;

/// Starts an actor for each JobConfig. The views are where the watcher puts what it sees.
pub fn start(
    jobs: Vec<JobConfig>,
    shared: &Shared,
    shutdown: &CancellationToken,
    tasks: &TaskTracker,
) -> (Roster, Views) {
    let mut roster = Roster::new();
    let mut views = Views::new();
    for config in jobs {
        let (view_sender, view) = watch::channel(View::default());
        let (command_sender, commands) = mpsc::channel(COMMANDS_MAX);
        let spawner = Spawner::new(config.clone(), shared, view, commands, shutdown.clone(), draw_seed());
        views.insert(config.name.clone(), view_sender);
        let handle = Handle { status: spawner.status(), commands: command_sender, config };
        roster.insert(handle.config.name.clone(), handle);
        tasks.spawn(spawner.run());
    }
    (roster, views)
}

/// Makes one actor's names and jitter its own.
#[expect(clippy::disallowed_methods, reason = "the one place that draws random numbers")]
fn draw_seed() -> u64 {
    rand::random()
}
