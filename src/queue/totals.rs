//! Messages per state, for `/states` and the slow gauges: exact, rare, never needed by a decision.

use std::collections::BTreeMap;

use serde::Serialize;
use sqlx::{AssertSqlSafe, PgPool, Row};

use crate::queue::depth::{DepthReader, QueueError, bounded};

/// The messages of one queue by state, in the original's words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
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
}

/// The totals of some queues; a queue without a message has zeros.
///
/// # Errors
/// See [`QueueError`].
pub async fn totals(
    reader: &DepthReader,
    pool: &PgPool,
    queues: &[String],
) -> Result<BTreeMap<String, States>, QueueError> {
    let shape = reader.shape().await?;
    let sql = format!(
        "select name, state::text as state, count(*) as count, count(*) filter (where {} > now()) as deferred
        from {} where name = any($1) group by 1, 2",
        shape.start_after, shape.table
    );
    let rows = bounded(sqlx::query(AssertSqlSafe(sql)).bind(queues).persistent(false).fetch_all(pool)).await?;
    let mut totals: BTreeMap<String, States> = queues.iter().map(|queue| (queue.clone(), States::default())).collect();
    for row in rows {
        let states = totals.entry(row.get("name")).or_default();
        states.add(row.get("state"), row.get("count"), row.get("deferred"));
    }
    Ok(totals)
}

impl States {
    /// The counts of the gauge `queue_messages`, by its label `state`.
    pub fn gauges(&self) -> [(&'static str, i64); 7] {
        [
            ("ready", (self.created + self.retry - self.deferred).max(0)),
            ("deferred", self.deferred),
            ("active", self.active),
            ("retry", self.retry),
            ("completed", self.completed),
            ("cancelled", self.cancelled),
            ("failed", self.failed),
        ]
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
