//! Reads the totals of all queues now and then, for `/states` and the slow gauges.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use sqlx::PgPool;
use tokio::sync::watch;

use crate::{
    clock::sleep,
    metrics::Metrics,
    queue::{
        depth::DepthReader,
        totals::{States, totals},
    },
    telemetry::with_causes,
};

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
            match totals(&self.depth, &self.pool, &queues).await {
                Ok(totals) => self.tell(totals),
                Err(error) => tracing::debug!(error = with_causes(&error), "could not read the totals of the queues"),
            }
            sleep(self.interval).await;
        }
    }

    fn tell(&self, totals: Totals) {
        for (config, queue) in &self.configs {
            if let Some(states) = totals.get(queue) {
                self.metrics.note_totals(config, queue, &states.gauges());
            }
        }
        self.told.send_replace(totals);
    }
}
