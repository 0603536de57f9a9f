//! An independent watch that notes when each Job came to be, and the messages that Jobs are made for.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::batch::v1::Job;
use kube::{
    api::{DeleteParams, ListParams, PropagationPolicy},
    runtime::watcher::{Config, Event, watcher},
};
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection, PgPool};
use tokio::sync::mpsc;

use crate::stage::{PATIENCE, Stage, eventually, script, with};

/// A Job that was seen for the first time.
pub(crate) struct Seen {
    pub(crate) at: Instant,
    /// The JobConfig that its annotation names.
    pub(crate) config: String,
}

/// A watch of its own, over a connection of its own.
pub(crate) struct Witness {
    seen: mpsc::UnboundedReceiver<Seen>,
}

impl Witness {
    /// Begins to watch for new Jobs; what is there already is not told.
    pub(crate) async fn begin(stage: &Stage) -> Self {
        Self::of(stage, |_| true).await
    }

    /// Begins to watch for Jobs that become so; what is so already is not told.
    pub(crate) async fn of(stage: &Stage, is_so: fn(&Job) -> bool) -> Self {
        let api = kube::Api::<Job>::namespaced(stage.site.client().await, &stage.name);
        let (sender, seen) = mpsc::unbounded_channel();
        let (begun, ready) = tokio::sync::oneshot::channel();
        tokio::spawn(async move {
            let mut begun = Some(begun);
            let mut known = BTreeSet::new();
            let mut events = watcher(api, Config::default()).boxed();
            while let Ok(Some(event)) = events.try_next().await {
                let at = Instant::now();
                match event {
                    Event::InitApply(job) if is_so(&job) => drop(known.insert(job.metadata.uid)),
                    Event::InitDone => drop(begun.take().map(|begun| begun.send(()))),
                    Event::Apply(job) if is_so(&job) && known.insert(job.metadata.uid.clone()) => {
                        let annotations = job.metadata.annotations.unwrap_or_default();
                        let config = annotations.get("job-chief/name").cloned().unwrap_or_default();
                        if sender.send(Seen { at, config }).is_err() {
                            return;
                        }
                    }
                    _ => {}
                }
            }
        });
        ready.await.unwrap();
        Self { seen }
    }

    pub(crate) async fn next(&mut self) -> Seen {
        tokio::time::timeout(PATIENCE, self.seen.recv()).await.expect("a Job within the patience").unwrap()
    }

    /// Takes one message for each Job that it sees, as its worker would; for ever.
    pub(crate) async fn work(mut self, mut connection: PgConnection) {
        let take = "update pgboss.job set state = 'active' where id =
            (select id from pgboss.job where state < 'active' order by id limit 1 for update skip locked)";
        while self.seen.recv().await.is_some() {
            sqlx::raw_sql(take).execute(&mut connection).await.unwrap();
        }
    }

    /// When the last of so many more Jobs was seen.
    pub(crate) async fn last_of(&mut self, count: usize) -> Instant {
        let mut last = Instant::now();
        for _ in 0..count {
            last = self.next().await.at;
        }
        last
    }
}

/// A JobConfig whose Jobs make no pods: what is measured ends with the Job.
pub(crate) fn podless(queue: &str, keys: Value) -> Value {
    with(with(script(queue, "unused"), json!({"jobTemplate": {"spec": {"suspend": true}}})), keys)
}

impl Stage {
    pub(crate) async fn connection(&self) -> PgConnection {
        PgConnection::connect(&self.site.database_url(&self.database())).await.unwrap()
    }

    pub(crate) async fn pool(&self) -> PgPool {
        PgPool::connect(&self.site.database_url(&self.database())).await.unwrap()
    }

    /// Makes queues of pg-boss, by an expression for the names of `n` from 1 on.
    pub(crate) async fn queues(&self, name: &str, count: u32) {
        let options = r#"{"policy": "standard"}"#;
        let all = format!("select pgboss.create_queue({name}, '{options}') from generate_series(1, {count}) n");
        self.execute(&all).await;
    }

    /// Deletes every Job, and waits until none is left.
    pub(crate) async fn clear(&self) {
        let background =
            DeleteParams { propagation_policy: Some(PropagationPolicy::Background), ..DeleteParams::default() };
        eventually("an empty namespace", || async {
            self.api::<Job>().delete_collection(&background, &ListParams::default()).await.unwrap();
            self.jobs().await.is_empty().then_some(())
        })
        .await;
    }
}

/// Messages that are committed at once, with pg-boss's notification if that is asked for. Returns the time just
/// before the commit was asked for.
pub(crate) async fn send(connection: &mut PgConnection, queue: &str, count: usize, notify: bool) -> Instant {
    let mut transaction = connection.begin().await.unwrap();
    sqlx::query("insert into pgboss.job (name, policy) select $1, 'standard' from generate_series(1, $2)")
        .bind(queue)
        .bind(i32::try_from(count).unwrap())
        .execute(&mut *transaction)
        .await
        .unwrap();
    if notify {
        sqlx::query("select pg_notify('pgboss_' || left(encode(sha224('pgboss'), 'hex'), 24), $1)")
            .bind(queue)
            .execute(&mut *transaction)
            .await
            .unwrap();
    }
    let before = Instant::now();
    transaction.commit().await.unwrap();
    before
}

/// Every message was taken.
pub(crate) async fn take_all(connection: &mut PgConnection) {
    sqlx::query("update pgboss.job set state = 'active' where state < 'active'").execute(connection).await.unwrap();
}

/// A pause that no poll falls in step with.
pub(crate) async fn pause(number: u64) {
    tokio::time::sleep(Duration::from_millis(60 + number * 37 % 90)).await;
}
