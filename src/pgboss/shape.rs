//! What pg-boss's `job` table looks like: read from the catalogue, never from a version number.

use sqlx::{PgPool, Row};

use crate::{
    pgboss::error::{QueueError, bounded},
    sql::{Statement, quoted},
};

/// The columns that decisions need, under the names they have here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// The quoted table of messages.
    pub table: String,
    /// `start_after` (10 and later) or `startafter`.
    pub start_after: &'static str,
    /// The column `blocked` exists (12): a blocked message can't be fetched.
    pub blocked: bool,
    /// The quoted table of queues, where these have policies (10 and later).
    pub queues: Option<String>,
    /// The queues' table carries counts that pg-boss refreshes (11 and later); the expression of those that failed,
    /// which only 12 counts.
    pub failed_count: Option<&'static str>,
    /// Every queue has a table of its own below that of messages (10); later versions make one only for queues that ask
    /// for it.
    pub table_per_queue: bool,
}

impl Shape {
    /// Reads the shape from the catalogue.
    ///
    /// # Errors
    /// [`QueueError::NoTable`] where there is no table, [`QueueError::UnknownShape`] where it is not pg-boss's.
    pub async fn detect(pool: &PgPool, schema: &str) -> Result<Self, QueueError> {
        let messages = columns(pool, &format!("{}.job", quoted(schema))).await?;
        let queues = columns(pool, &format!("{}.queue", quoted(schema))).await?;
        let has = |name: &str| messages.iter().any(|column| column == name);
        if messages.is_empty() {
            return Err(QueueError::NoTable { schema: schema.to_owned() });
        }
        let start_after = match (has("start_after"), has("startafter")) {
            (true, _) => "start_after",
            (false, true) => "startafter",
            _ => return Err(QueueError::UnknownShape { schema: schema.to_owned() }),
        };
        if !has("name") || !has("state") {
            return Err(QueueError::UnknownShape { schema: schema.to_owned() });
        }
        let of_queue = |name: &str| queues.iter().any(|column| column == name);
        let keyed = has("policy") && has("singleton_key") && of_queue("name") && of_queue("policy");
        let counted = ["monitor_on", "deferred_count", "queued_count", "active_count", "total_count"];
        Ok(Self {
            table: format!("{}.job", quoted(schema)),
            start_after,
            blocked: has("blocked"),
            queues: keyed.then(|| format!("{}.queue", quoted(schema))),
            failed_count: (keyed && counted.into_iter().all(of_queue))
                .then(|| if of_queue("failed_count") { "failed_count" } else { "0" }),
            table_per_queue: of_queue("partition_name"),
        })
    }

    /// What can be fetched, but for the time and the policy: the condition that the fetch index answers.
    pub fn fetchable(&self) -> &'static str {
        if self.blocked { "state < 'active' and not blocked" } else { "state < 'active'" }
    }
}

/// The columns of a table; none where there is no such table.
pub(super) async fn columns(pool: &PgPool, table: &str) -> Result<Vec<String>, QueueError> {
    let select = "select attname::text as name from pg_attribute
        where attrelid = to_regclass($1) and attnum > 0 and not attisdropped";
    let rows = bounded(Statement::new(select).bind(table).fetch_all(pool)).await?;
    Ok(rows.iter().map(|row| row.get("name")).collect())
}
