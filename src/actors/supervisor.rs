//! Starts one Spawner per JobConfig, and knows where to find each; also for those that have left jobs.json while
//! Jobs of theirs live.

use std::{collections::BTreeMap, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::FutureExt;
use tokio::{sync::watch, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    actors::spawner::{Shared, Spawner},
    clock::sleep,
    cluster::index::{Subscribing, View},
    config::job_config::JobConfig,
    decide::{event::Event, status::Status},
};

/// Between tries to learn which JobConfigs have unfinished runs.
const RETRY: Duration = Duration::from_secs(2);

/// Before an actor that has panicked is started again.
const RESTART_WAIT: Duration = Duration::from_secs(10);

/// Where to find one JobConfig's actor.
#[derive(Clone, Debug)]
pub struct Handle {
    /// Its configuration.
    pub config: Arc<JobConfig>,
    /// It has left jobs.json.
    pub left: bool,
    /// Its state.
    pub status: watch::Receiver<Status>,
}

/// The actors, by the name of their JobConfig.
pub type Roster = BTreeMap<String, Handle>;

/// An actor that has ended.
struct Ended {
    name: String,
    panicked: bool,
}

/// Starts actors and sees them to their end.
pub struct Supervisor {
    shared: Shared,
    subscribing: Subscribing,
    shutdown: CancellationToken,
    actors: JoinSet<Ended>,
    roster: watch::Sender<Arc<Roster>>,
}

impl Supervisor {
    /// A supervisor without actors.
    pub fn new(shared: Shared, subscribing: Subscribing, shutdown: CancellationToken) -> Self {
        Self { shared, subscribing, shutdown, actors: JoinSet::new(), roster: watch::Sender::default() }
    }

    /// Follows who is there.
    pub fn roster(&self) -> watch::Receiver<Arc<Roster>> {
        self.roster.subscribe()
    }

    /// Starts an actor for each JobConfig, and for those that left; runs until the shutdown is asked for and all
    /// actors have ended.
    pub async fn run(mut self, jobs: Vec<JobConfig>) {
        for config in jobs {
            self.start(Arc::new(config), false).await;
        }
        let runs = self.shared.runs.clone();
        let mut unfinished = std::pin::pin!(async move {
            loop {
                match runs.unfinished_configs().await {
                    Ok(configs) => return configs,
                    Err(_) => sleep(RETRY).await,
                }
            }
        });
        let mut asked = false;
        while !(self.shutdown.is_cancelled() && self.actors.is_empty()) {
            tokio::select! {
                configs = &mut unfinished, if !asked => {
                    asked = true;
                    for config in configs {
                        self.drain(&config).await;
                    }
                }
                Some(config) = self.subscribing.strangers.recv(), if !self.shutdown.is_cancelled() => {
                    self.drain(&config).await;
                }
                Some(Ok(ended)) = self.actors.join_next() => self.on_ended(ended).await,
                () = self.shutdown.cancelled(), if !self.shutdown.is_cancelled() => {}
            }
        }
    }

    async fn start(&mut self, config: Arc<JobConfig>, left: bool) {
        let name = config.name.clone();
        let (view_sender, view) = watch::channel(View::default());
        let begin = if left { Event::Drain } else { Event::DeadlineReached };
        let spawner = Spawner::new(config.clone(), &self.shared, view, self.shutdown.clone(), draw_seed());
        let handle = Handle { status: spawner.status(), config, left };
        if self.subscribing.subscriptions.send((name.clone(), view_sender)).await.is_err() {
            tracing::error!(job_config = name, "the watcher has ended; nothing can be started any more");
        }
        self.roster.send_modify(|roster| {
            Arc::make_mut(roster).insert(name.clone(), handle);
        });
        self.actors.spawn(async move {
            let panicked = AssertUnwindSafe(spawner.run(begin)).catch_unwind().await.is_err();
            if panicked {
                sleep(RESTART_WAIT).await;
            }
            Ended { name, panicked }
        });
    }

    /// A JobConfig has left the file, and runs or Jobs of it are left: they are seen to their end.
    async fn drain(&mut self, config: &str) {
        if self.roster.borrow().contains_key(config) {
            return;
        }
        tracing::info!(job_config = config, "has left jobs.json; what lives of it is seen to its end");
        self.start(Arc::new(JobConfig::left(config)), true).await;
    }

    /// What an actor knew can be derived anew, so one that has panicked is simply started again.
    async fn on_ended(&mut self, ended: Ended) {
        let Ended { name, panicked } = ended;
        let handle = self.roster.borrow().get(&name).cloned();
        if let (true, false, Some(handle)) = (panicked, self.shutdown.is_cancelled(), handle) {
            tracing::error!(job_config = name, "its actor has panicked and is started again");
            return self.start(handle.config, handle.left).await;
        }
        if let Some(handle) = self.roster.borrow().get(&name) {
            self.shared.metrics.forget(&name, &handle.config.queue_name);
        }
        self.roster.send_modify(|roster| {
            Arc::make_mut(roster).remove(&name);
        });
        if !self.shutdown.is_cancelled() {
            tracing::info!(job_config = name, "nothing is left of it");
        }
    }
}

/// Makes one task's names and jitter its own.
#[expect(clippy::disallowed_methods, reason = "the one place that draws random numbers")]
pub fn draw_seed() -> u64 {
    rand::random()
}
