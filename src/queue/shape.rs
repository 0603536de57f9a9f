//! What pg-boss's `job` table looks like: read from the catalogue, never from a version number.

use sqlx::PgPool;

use crate::{
    queue::depth::{QueueError, bounded},
    sql::quoted,
};

/// The columns that decisions need, under the names they have here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// The quoted table.
    pub table: String,
    /// `start_after` (10 and later) or `startafter`.
    pub start_after: &'static str,
    /// The column `blocked` exists (12): a blocked message can't be fetched.
    pub blocked: bool,
}

impl Shape {
    /// Reads the shape from the catalogue.
    ///
    /// # Errors
    /// [`QueueError::NoTable`] where there is no table, [`QueueError::UnknownShape`] where it is not pg-boss's.
    pub async fn detect(pool: &PgPool, schema: &str) -> Result<Self, QueueError> {
        let columns: Vec<String> = bounded(
            sqlx::query_scalar(
                "select attname::text from pg_attribute where attrelid = to_regclass($1) and attnum > 0 and not attisdropped",
            )
            .bind(format!("{}.job", quoted(schema)))
            .persistent(false)
            .fetch_all(pool),
        )
        .await?;
        let has = |name: &str| columns.iter().any(|column| column == name);
        if columns.is_empty() {
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
        Ok(Self { table: format!("{}.job", quoted(schema)), start_after, blocked: has("blocked") })
    }

    /// What can be fetched, but for the time: the condition that the fetch index answers.
    pub fn fetchable(&self) -> &'static str {
        if self.blocked { "state < 'active' and not blocked" } else { "state < 'active'" }
    }
}
