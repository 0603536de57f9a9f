//! Sees how deployments stand while somebody follows what changes: any process can, for they stand in Postgres.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    clock::sleep,
    http::{channel::Channel, deployments::view::DeploymentView},
    store::deployments::DeploymentTable,
    telemetry::with_causes,
};

/// Between two reads of all deployments: they change by the steps of people and of slow starts.
const READ_EVERY: Duration = Duration::from_secs(2);

/// All deployments, by name.
pub(in crate::http) type Seen = Arc<BTreeMap<String, DeploymentView>>;

/// What is known of deployments while somebody listens.
pub struct Follower {
    table: DeploymentTable,
    channel: Channel,
    seen: watch::Sender<Seen>,
}

impl Follower {
    /// One that has seen nothing.
    pub(in crate::http) fn new(table: DeploymentTable, channel: Channel, seen: watch::Sender<Seen>) -> Self {
        Self { table, channel, seen }
    }

    /// Reads again and again while somebody listens, until the process ends.
    pub async fn run(self, shutdown: CancellationToken) {
        let following = async {
            loop {
                self.channel.arrival().await;
                match self.table.read().await {
                    Ok(snapshot) => self.see(snapshot.deployments.iter().map(DeploymentView::of)),
                    Err(error) => tracing::debug!(error = with_causes(&error), "deployments can't be read"),
                }
                sleep(READ_EVERY).await;
            }
        };
        // It has nothing to finish.
        shutdown.run_until_cancelled(following).await.unwrap_or(());
    }

    fn see(&self, views: impl Iterator<Item = DeploymentView>) {
        let fresh: BTreeMap<_, _> = views.map(|view| (view.name.clone(), view)).collect();
        self.seen.send_if_modified(|seen| {
            let changed = **seen != fresh;
            if changed {
                *seen = Arc::new(fresh);
            }
            changed
        });
    }
}
