//! How each fault is done, and undone: when it returns, the fault is over.

use std::{process::Stdio, sync::Arc, time::Duration};

use k8s_openapi::api::{batch::v1::Job, core::v1::Pod};
use kube::{
    Api, Client,
    api::{DeleteParams, EvictParams, ListParams, Preconditions, PropagationPolicy},
};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::{process::Command, sync::Mutex, time::Instant};

use crate::{
    disk,
    file::{File, QUEUES},
    gateway::Weather,
    journal::Journal,
    pair::Pair,
    replica::{Replica, clock_library},
    schedule::{Fault, Kind, Whom},
    schema::Schema,
    seen::Seen,
};

/// How far a clock is set ahead, in seconds.
const AHEAD: i64 = 3_600;

/// How long it may take until the end of a process that could not read its jobs.json is noticed: it may be frozen.
const NOTICED_WITHIN: Duration = Duration::from_secs(15);

/// Entries that are removed: not the probe, by which it is seen whether all is well.
const REMOVABLE: u64 = QUEUES.len() as u64 - 1;

/// What faults are done to.
pub(crate) struct Field {
    pub(crate) replicas: [Arc<Replica>; 2],
    pub(crate) file: Mutex<File>,
    /// The way to the API server that no fault meets.
    pub(crate) client: Client,
    pub(crate) namespace: String,
    pub(crate) schema: Schema,
    pub(crate) pair: Arc<Pair>,
    pub(crate) journal: Arc<Journal>,
    /// When jobs.json was last mended; `None` while it is broken.
    pub(crate) mended: std::sync::Mutex<Option<Instant>>,
}

impl Field {
    /// A jobs.json could not be read a moment ago: whoever has just started may have seen that one.
    pub(crate) fn was_broken(&self) -> bool {
        let mended = *self.mended.lock().unwrap();
        mended.is_none_or(|mended| mended.elapsed() < NOTICED_WITHIN)
    }

    /// Does it; `false` where there was nothing to do it to.
    pub(crate) async fn perform(&self, fault: &Fault) -> bool {
        let Fault { kind, whom, lasts, pick } = *fault;
        match kind {
            Kind::LeaderKilled => self.one(true).await.kill(lasts).await,
            Kind::FollowerKilled => self.one(false).await.kill(lasts).await,
            Kind::LeaderStopped => self.one(true).await.stop(lasts, &self.journal).await,
            Kind::LeaderFrozen => self.one(true).await.freeze(lasts).await,
            Kind::FollowerFrozen => self.one(false).await.freeze(lasts).await,
            Kind::ClockAhead => return self.clock(whom, lasts).await,
            Kind::ApiCut => self.weather(whom, Weather::Cut, lasts).await,
            Kind::WatchesCut => self.met(whom).for_each(|replica| replica.gateway.cut_watches()),
            Kind::ApiSlow => self.weather(whom, Weather::Slow(Duration::from_millis(100 + pick % 2_400)), lasts).await,
            Kind::ApiBusy => self.weather(whom, Weather::Refuses(429), lasts).await,
            Kind::ApiBroken => self.weather(whom, Weather::Refuses(500), lasts).await,
            Kind::AnswersLost => self.weather(whom, Weather::LosesAnswers, lasts).await,
            Kind::AnswersLate => self.weather(whom, Weather::HoldsAnswers, lasts).await,
            Kind::ApiServerKilled => self.server("apiserver", lasts).await,
            Kind::PostgresKilled => self.pair.restart(lasts).await,
            Kind::PostgresFailsOver => return self.pair.fail_over(lasts).await,
            Kind::BossMigrated => {
                let migrated = self.schema.migrate(pick).await;
                migrated.unwrap_or_else(|told| self.journal.violated(told));
            }
            Kind::KubeletKilled => self.server("kubelet", lasts).await,
            Kind::DiskFull => return disk::fill(&self.client, lasts).await,
            Kind::PostgresCut => {
                self.met(whom).for_each(|replica| replica.postgres.cut());
                tokio::time::sleep(lasts).await;
                self.met(whom).for_each(|replica| replica.postgres.mend());
            }
            Kind::ConnectionsEnded => return self.end_connections().await.unwrap_or_default(),
            Kind::PodKilled | Kind::PodEvicted => return self.lose_pod(kind, pick).await.unwrap_or_default(),
            Kind::JobDeleted => return self.delete_job(pick, PropagationPolicy::Background).await.unwrap_or_default(),
            Kind::JobDeletedInForeground => {
                return self.delete_job(pick, PropagationPolicy::Foreground).await.unwrap_or_default();
            }
            Kind::JobOrphaned => return self.delete_job(pick, PropagationPolicy::Orphan).await.unwrap_or_default(),
            Kind::LimitsChanged => self.rewrite(|file| file.change(pick)).await,
            Kind::DeployedAnew => self.rewrite(|file| file.revision += 1).await,
            Kind::EntryRemoved => {
                self.rewrite(|file| file.absent = usize::try_from(pick % REMOVABLE).ok()).await;
                tokio::time::sleep(lasts).await;
                self.rewrite(|file| file.absent = None).await;
            }
            Kind::FileBroken => {
                *self.mended.lock().unwrap() = None;
                self.rewrite(|file| file.broken = Some(pick)).await;
                tokio::time::sleep(lasts).await;
                self.rewrite(|file| file.broken = None).await;
                *self.mended.lock().unwrap() = Some(Instant::now());
            }
        }
        true
    }

    fn met(&self, whom: Whom) -> impl Iterator<Item = &Arc<Replica>> {
        self.replicas.iter().filter(move |replica| whom.meets(replica.number))
    }

    /// The replica that leads, or the other one. While nobody does, the first counts as the leader.
    async fn one(&self, leader: bool) -> &Arc<Replica> {
        let second_leads = self.replicas[1].leads().await;
        &self.replicas[usize::from(second_leads == leader)]
    }

    async fn weather(&self, whom: Whom, weather: Weather, lasts: Duration) {
        self.met(whom).for_each(|replica| replica.gateway.turns(weather));
        tokio::time::sleep(lasts).await;
        self.met(whom).for_each(|replica| replica.gateway.turns(Weather::Fine));
    }

    async fn clock(&self, whom: Whom, lasts: Duration) -> bool {
        if clock_library().is_none() {
            return false;
        }
        // Both at once would be no difference between them.
        let replica = &self.replicas[usize::from(whom.meets(1))];
        replica.set_clock(AHEAD);
        tokio::time::sleep(lasts).await;
        replica.set_clock(0);
        true
    }

    /// A server of the cluster is killed and comes back.
    async fn server(&self, name: &str, away: Duration) {
        cluster(&["kill", name]).await;
        tokio::time::sleep(away).await;
        cluster(&["revive", name]).await;
    }

    /// Those of both replicas, which come from loopback; the harness' own come from elsewhere.
    async fn end_connections(&self) -> Result<bool, sqlx::Error> {
        const SQL: &str = "select count(pg_terminate_backend(pid)) > 0 from pg_stat_activity
            where datname = current_database() and client_addr = '127.0.0.1'";
        let mut connection = PgConnection::connect(&self.schema.database_url).await?;
        sqlx::query_scalar(AssertSqlSafe(SQL)).fetch_one(&mut connection).await
    }

    async fn lose_pod(&self, kind: Kind, pick: u64) -> kube::Result<bool> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &self.namespace);
        let mut all = pods.list(&ListParams::default()).await?.items;
        all.retain(|pod| {
            let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
            pod.metadata.deletion_timestamp.is_none() && matches!(phase, Some("Running" | "Pending"))
        });
        let Some(name) = picked(&all, pick).and_then(|pod| pod.metadata.name.clone()) else { return Ok(false) };
        if kind == Kind::PodEvicted {
            pods.evict(&name, &EvictParams::default()).await?;
        } else {
            pods.delete(&name, &DeleteParams::default().grace_period(0)).await?;
        }
        Ok(true)
    }

    async fn delete_job(&self, pick: u64, how: PropagationPolicy) -> kube::Result<bool> {
        let jobs: Api<Job> = Api::namespaced(self.client.clone(), &self.namespace);
        let mut all = jobs.list(&ListParams::default()).await?.items;
        all.retain(|job| crate::witness::shown(job).verdict.is_none() && job.metadata.deletion_timestamp.is_none());
        let Some(job) = picked(&all, pick) else { return Ok(false) };
        let (name, uid) = (job.metadata.name.clone().unwrap_or_default(), job.metadata.uid.clone());
        // Said before, so that its end is known to be ours whenever it is seen.
        self.journal.note(Seen::DeletedByHand(uid.clone().unwrap_or_default()));
        let this = Some(Preconditions { uid, resource_version: None });
        let how = DeleteParams { propagation_policy: Some(how), preconditions: this, ..DeleteParams::default() };
        jobs.delete(&name, &how).await?;
        Ok(true)
    }

    /// Writes another jobs.json for both.
    async fn rewrite(&self, change: impl FnOnce(&mut File)) {
        let mut file = self.file.lock().await;
        change(&mut file);
        // Said before: what is allowed from now on is at most what either says.
        file.allowed().into_iter().for_each(|allowed| self.journal.note(Seen::Allowed(allowed)));
        for replica in &self.replicas {
            replica.write(&file.text()).await;
        }
    }
}

fn picked<T>(all: &[T], pick: u64) -> Option<&T> {
    all.get(usize::try_from(pick % (all.len() as u64).max(1)).ok()?)
}

/// Has xtask do something to the cluster.
pub(crate) async fn cluster(words: &[&str]) {
    assert!(try_cluster(words).await, "cargo xtask cluster {words:?} failed");
}

/// The same, where something may be in its way.
pub(crate) async fn try_cluster(words: &[&str]) -> bool {
    let xtask = std::env::var("JOB_CHIEF_TEST_XTASK").expect("cargo xtask chaos says where it is");
    Command::new(xtask).arg("cluster").args(words).stdin(Stdio::null()).status().await.unwrap().success()
}
