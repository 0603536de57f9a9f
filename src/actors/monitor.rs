//! Reads the totals of all queues now and then, for `/states` and the slow gauges.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use sqlx::PgPool;
use tokio::sync::watch;

use crate::{
    actors::{leader::Standing, supervisor::Roster},
    clock::sleep,
    health::{Health, Part},
    metrics::Metrics,
    queue::{
        depth::DepthReader,
        totals::{States, totals},
    },
    telemetry::with_causes,
};

/// Between reads while they fail.
const RETRY: Duration = Duration::from_secs(2);

/// The totals by queue; empty before the first read.
pub type Totals = BTreeMap<String, States>;

/// What the monitor reads and where it tells it.
pub struct Monitor {
    /// The JobConfigs.
    pub roster: watch::Receiver<Arc<Roster>>,
    /// Whether this process leads: others export no gauges of queues.
    pub standing: watch::Receiver<Standing>,
    /// pg-boss's table.
    pub depth: DepthReader,
    /// The same connections.
    pub pool: PgPool,
    /// Between reads.
    pub interval: Duration,
    /// Where it is told whether pg-boss's tables can be read: an actor that has no room looks at none.
    pub health: Health,
    /// The gauges.
    pub metrics: Arc<Metrics>,
    /// The newest totals.
    pub told: watch::Sender<Totals>,
}

impl Monitor {
    /// Reads for ever.
    pub async fn run(mut self) {
        // A roster that is gone is the end of the process.
        if self.roster.wait_for(|roster| !roster.is_empty()).await.is_err() {
            return;
        }
        loop {
            let configs = self.configs();
            let queues: Vec<String> = configs.iter().map(|(_, queue)| queue.clone()).collect();
            let wait = match totals(&self.depth, &self.pool, &queues).await {
                Ok(totals) => {
                    self.health.set(Part::Queue, Ok(()));
                    self.tell(&configs, totals);
                    self.interval
                }
                Err(error) => {
                    self.health.set(Part::Queue, Err(with_causes(&error)));
                    self.interval.min(RETRY)
                }
            };
            sleep(wait).await;
        }
    }

    /// Name and queue of each JobConfig of jobs.json.
    fn configs(&self) -> Vec<(String, String)> {
        let roster = self.roster.borrow().clone();
        let named = roster.values().filter_map(|handle| {
            let orders = handle.orders.borrow();
            let queue = orders.entry.queue().filter(|_| !orders.left)?;
            Some((queue.name.clone(), queue.queue_name.clone()))
        });
        named.collect()
    }

    fn tell(&self, configs: &[(String, String)], totals: Totals) {
        let leads = self.standing.borrow().term.is_some();
        let before = self.told.borrow();
        for (config, queue) in configs.iter().filter(|_| leads) {
            if let Some(states) = totals.get(queue) {
                let before = before.get(queue).copied().unwrap_or_default().gauges();
                self.metrics.note_totals(config, queue, &before, &states.gauges());
            }
        }
        drop(before);
        self.told.send_replace(totals);
    }
}
