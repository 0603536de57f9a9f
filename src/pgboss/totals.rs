//! Messages per state, for `/states` and the slow gauges: exact, rare, never needed by a decision.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;
use sqlx::{PgPool, Row, postgres::PgRow};

use crate::{
    pgboss::{
        depth::DepthReader,
        error::{QueueError, bounded},
        shape::Shape,
    },
    sql::Statement,
};

/// The messages of one queue by state, in the original's words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[expect(missing_docs, reason = "the states are pg-boss's own words")]
pub struct States {
    pub created: i64,
    pub retry: i64,
    pub active: i64,
    pub completed: i64,
    pub expired: i64,
    pub cancelled: i64,
    pub failed: i64,
    pub all: i64,
    /// Of created and retry, those that can't be fetched before a later time.
    #[serde(skip)]
    pub deferred: i64,
    /// Neither what waits nor what is over is split further.
    #[serde(skip)]
    pub coarse: bool,
}

/// Counts that pg-boss keeps by itself are taken while they are no older than this; it refreshes them every minute.
const CACHED_MINUTES: u32 = 3;

/// The totals of some queues; a queue without a message has zeros.
///
/// pg-boss 11 and later keep counts of their own, of which reading costs nothing. They are coarser: all that waits
/// stands under `created`, and all that is over under `completed`, but for what 12 counts as failed. Elsewhere, and
/// where nobody refreshes them, every message is counted.
///
/// # Errors
/// See [`QueueError`].
pub async fn totals(
    reader: &DepthReader,
    pool: &PgPool,
    queues: &[String],
) -> Result<BTreeMap<String, States>, QueueError> {
    let shape = reader.shape().await?;
    let mut totals = cached(&shape, pool, queues).await?;
    let rest: Vec<String> = queues.iter().filter(|queue| !totals.contains_key(*queue)).cloned().collect();
    if !rest.is_empty() {
        totals.extend(counted(&shape, pool, &rest).await?);
    }
    Ok(totals)
}

async fn cached(shape: &Shape, pool: &PgPool, queues: &[String]) -> Result<BTreeMap<String, States>, QueueError> {
    let (Some(table), Some(failed)) = (&shape.queues, shape.failed_count) else { return Ok(BTreeMap::new()) };
    let sql = format!(
        "select name, queued_count::bigint as queued, active_count::bigint as active, {failed}::bigint as failed,
            total_count::bigint as total, least(deferred_count, queued_count)::bigint as deferred
        from {table} where name = any($1::text[]) and monitor_on > now() - interval '{CACHED_MINUTES} minutes'"
    );
    let rows = bounded(Statement::new(sql).bind(queues).fetch_all(pool)).await?;
    let states = |row: &PgRow| {
        let count = |name| row.get::<i64, _>(name);
        let (created, active, failed, all) = (count("queued"), count("active"), count("failed"), count("total"));
        States {
            created,
            active,
            failed,
            all,
            completed: (all - created - active - failed).max(0),
            deferred: count("deferred"),
            coarse: true,
            ..States::default()
        }
    };
    Ok(rows.iter().map(|row| (row.get("name"), states(row))).collect())
}

async fn counted(shape: &Shape, pool: &PgPool, queues: &[String]) -> Result<BTreeMap<String, States>, QueueError> {
    let sql = format!(
        "select name, state::text as state, count(*) as count, count(*) filter (where {} > now()) as deferred
        from {} where name = any($1::text[]) group by 1, 2",
        shape.start_after, shape.table
    );
    let rows = bounded(Statement::new(sql).bind(queues).fetch_all(pool)).await?;
    let mut totals: BTreeMap<String, States> = queues.iter().map(|queue| (queue.clone(), States::default())).collect();
    for row in rows {
        let states = totals.entry(row.get("name")).or_default();
        states.add(row.get("state"), row.get("count"), row.get("deferred"));
    }
    Ok(totals)
}

impl States {
    /// There is no message.
    pub fn is_empty(&self) -> bool {
        *self == Self { coarse: self.coarse, ..Self::default() }
    }

    /// The counts of the gauge `queue_messages`, by its label `state`; what was not counted apart is left out.
    pub fn gauges(&self) -> Vec<(&'static str, i64)> {
        let mut gauges = vec![
            ("ready", (self.created + self.retry - self.deferred).max(0)),
            ("deferred", self.deferred),
            ("active", self.active),
        ];
        if !self.coarse {
            gauges.extend([
                ("retry", self.retry),
                ("completed", self.completed),
                ("cancelled", self.cancelled),
                ("failed", self.failed),
            ]);
        }
        gauges
    }

    fn add(&mut self, state: &str, count: i64, deferred: i64) {
        self.all += count;
        match state {
            "created" => self.created += count,
            "retry" => self.retry += count,
            "active" => self.active += count,
            "completed" => self.completed += count,
            "expired" => self.expired += count,
            "cancelled" => self.cancelled += count,
            "failed" => self.failed += count,
            _ => {}
        }
        if matches!(state, "created" | "retry") {
            self.deferred += deferred;
        }
    }
}
