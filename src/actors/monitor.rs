//! Reads the totals of all queues now and then, for `/states` and the slow gauges.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use sqlx::PgPool;
use tokio::sync::watch;

use crate::{
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
    /// Name and queue of each JobConfig.
    pub configs: Vec<(String, String)>,
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
    pub async fn run(self) {
        let queues: Vec<String> = self.configs.iter().map(|(_, queue)| queue.clone()).collect();
        loop {
            let wait = match totals(&self.depth, &self.pool, &queues).await {
                Ok(totals) => {
                    self.health.set(Part::Queue, Ok(()));
                    self.tell(totals);
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

    fn tell(&self, totals: Totals) {
        let before = self.told.borrow();
        for (config, queue) in &self.configs {
            if let Some(states) = totals.get(queue) {
                let before = before.get(queue).copied().unwrap_or_default().gauges();
                self.metrics.note_totals(config, queue, &before, &states.gauges());
            }
        }
        drop(before);
        self.told.send_replace(totals);
    }
}
