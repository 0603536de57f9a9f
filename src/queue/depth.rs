//! How many messages could be fetched now: bounded counts, as far as a decision needs them.

use std::{sync::Arc, time::Duration};

use sqlx::{AssertSqlSafe, PgPool, Row};
use thiserror::Error;
use tokio::sync::RwLock;

use crate::{
    decide::{event::DepthRequest, scale::Look},
    queue::shape::Shape,
};

/// How long a look may take. Past it the connection is closed, for nothing is known of its state.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a queue could not be looked at.
#[derive(Debug, Error)]
pub enum QueueError {
    /// Postgres refused the statement or was not reached.
    #[error(
        "the statement on pg-boss's table failed: the role needs USAGE on the schema and SELECT on its tables (`job-chief grants`)"
    )]
    Statement(#[source] sqlx::Error),
    /// No answer in time.
    #[error("the statement on pg-boss's table took longer than {STATEMENT_TIMEOUT:?}")]
    Timeout,
    /// pg-boss has not been here yet, or `db.schema` is wrong.
    #[error("there is no table \"{schema}\".job: is db.schema right, and has pg-boss been started once?")]
    NoTable {
        /// The schema that was looked in.
        schema: String,
    },
    /// Something else than pg-boss.
    #[error("the table \"{schema}\".job is none of pg-boss 7 to 12: is db.schema right?")]
    UnknownShape {
        /// The schema that was looked in.
        schema: String,
    },
}

/// The reader of all queues.
#[derive(Clone, Debug)]
pub struct DepthReader {
    pool: PgPool,
    schema: Arc<str>,
    shape: Arc<RwLock<Option<Shape>>>,
}

impl DepthReader {
    /// A reader that has read nothing yet.
    pub fn new(pool: PgPool, schema: &str) -> Self {
        Self { pool, schema: schema.into(), shape: Arc::default() }
    }

    /// The shape of the table, read once and again after a statement failed.
    ///
    /// # Errors
    /// As [`Shape::detect`].
    pub async fn shape(&self) -> Result<Shape, QueueError> {
        if let Some(shape) = &*self.shape.read().await {
            return Ok(shape.clone());
        }
        let shape = Shape::detect(&self.pool, &self.schema).await?;
        *self.shape.write().await = Some(shape.clone());
        Ok(shape)
    }

    /// One look at one queue.
    ///
    /// # Errors
    /// See [`QueueError`]. A queue that does not exist has depth 0.
    pub async fn look(&self, queue: &str, request: &DepthRequest) -> Result<Look, QueueError> {
        let shape = self.shape().await?;
        let result = self.count(&shape, queue, request).await;
        if result.is_err() {
            // pg-boss may have migrated its schema under us.
            *self.shape.write().await = None;
        }
        result
    }

    async fn count(&self, shape: &Shape, queue: &str, request: &DepthRequest) -> Result<Look, QueueError> {
        let Shape { table, start_after, .. } = shape;
        let fetchable = shape.fetchable();
        // Younger messages are left out of what is new only: what an earlier look has counted stays counted, or it
        // would seem to have been taken.
        let sql = format!(
            "with clock as (select now() - $4 * interval '1 microsecond' as horizon),
                bounds as (select horizon, coalesce('epoch'::timestamptz + $2 * interval '1 microsecond', horizon) as since from clock)
            select (extract(epoch from horizon) * 1000000)::bigint as at_us,
                (select count(*) from (select 1 from {table} where name = $1 and {fetchable}
                    and {start_after} <= bounds.since limit $3) as o) as old,
                (select count(*) from (select 1 from {table} where name = $1 and {fetchable}
                    and {start_after} > bounds.since and {start_after} <= bounds.horizon limit $3) as n) as new
            from bounds"
        );
        let younger_us = i64::try_from(request.younger_left.as_micros()).unwrap_or(i64::MAX);
        let query = sqlx::query(AssertSqlSafe(sql))
            .bind(queue)
            .bind(request.since_us)
            .bind(i64::try_from(request.limit).unwrap_or(i64::MAX))
            .bind(younger_us)
            .persistent(false);
        let row = bounded(query.fetch_one(&self.pool)).await?;
        let count = |name| u64::try_from(row.get::<i64, _>(name)).unwrap_or_default();
        Ok(Look { old: count("old"), new: count("new"), limit: request.limit, at_us: row.get("at_us") })
    }
}

/// A statement with its time limit.
pub(crate) async fn bounded<T>(statement: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, QueueError> {
    match tokio::time::timeout(STATEMENT_TIMEOUT, statement).await {
        Ok(result) => result.map_err(QueueError::Statement),
        Err(_) => Err(QueueError::Timeout),
    }
}
