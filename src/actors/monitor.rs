//! Reads the totals of all queues now and then, for `/states` and the slow gauges.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use sqlx::PgPool;
use tokio::sync::watch;

use crate::{
    actors::roster::Roster,
    clock::{Clock, sleep},
    health::{Component, Health},
    metrics::Metrics,
    pgboss::{
        depth::DepthReader,
        totals::{States, totals},
    },
    telemetry::with_causes,
};

/// Between reads while they fail.
const RETRY: Duration = Duration::from_secs(2);

/// The totals by queue, `None` for one without a message, which most are; empty before the first read.
pub type Totals = BTreeMap<String, Option<Box<States>>>;

/// What the monitor reads, and where its results go.
pub struct Monitor {
    /// The JobConfigs.
    pub roster: watch::Receiver<Arc<Roster>>,
    /// pg-boss's table.
    pub depth: DepthReader,
    /// The same connections.
    pub pool: PgPool,
    /// Between reads.
    pub interval: Duration,
    /// Where it reports whether pg-boss's tables can be read: actors without room for a Job do not read them.
    pub health: Health,
    /// The time.
    pub clock: Clock,
    /// The gauges.
    pub metrics: Arc<Metrics>,
    /// The newest totals.
    pub totals: watch::Sender<Totals>,
}

impl Monitor {
    /// Reads for ever.
    pub async fn run(mut self) {
        // A roster that is gone is the end of the process.
        if self.roster.wait_for(|roster| !roster.is_empty()).await.is_err() {
            return;
        }
        loop {
            let wait = self.read().await;
            sleep(wait).await;
        }
    }

    /// Reads once, and returns how long to wait for the next time.
    async fn read(&self) -> Duration {
        let configs = self.configs();
        let queues: Vec<String> = configs.iter().map(|(_, queue)| queue.clone()).collect();
        match totals(&self.depth, &self.pool, &queues).await {
            Ok(totals) => {
                self.health.set(Component::Queue, Ok(()));
                self.publish(&configs, totals);
                self.interval
            }
            Err(error) => {
                self.health.set(Component::Queue, Err(with_causes(&error)));
                self.interval.min(RETRY)
            }
        }
    }

    /// Name and queue of each JobConfig of jobs.json.
    fn configs(&self) -> Vec<(String, String)> {
        let roster = self.roster.borrow().clone();
        let named = roster.values().filter_map(|handle| {
            let orders = handle.orders.borrow();
            let queue = orders.entry.queue().filter(|_| !orders.left)?;
            Some((queue.name.to_string(), queue.queue_name.to_string()))
        });
        named.collect()
    }

    /// Where this process does not lead nobody looks at the queues, so they have no gauges to be filled.
    fn publish(&self, configs: &[(String, String)], totals: BTreeMap<String, States>) {
        for (config, queue) in configs {
            if let Some(states) = totals.get(queue) {
                let gauges = &self.metrics.queues.gauges;
                gauges.note_totals(config, states.gauges(), self.clock.now(), self.interval);
            }
        }
        let boxed = |states: States| (!states.is_empty()).then(|| Box::new(states));
        self.totals.send_replace(totals.into_iter().map(|(queue, states)| (queue, boxed(states))).collect());
    }
}
