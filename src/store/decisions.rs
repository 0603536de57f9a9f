//! The table of decisions, and the mark on runs that took nothing: all SQL over them, one function a statement.

use schemars::JsonSchema;
use serde::Serialize;
use sqlx::Row;

use crate::{
    decide::queue::event::LogEntry,
    store::{
        error::{StoreError, bounded},
        place::Place,
        rows::NoteRow,
    },
};

/// Decisions that are kept of a JobConfig.
const DECISIONS_KEPT: i64 = 200;

/// The decisions of one Instance.
#[derive(Clone, Debug)]
pub struct Decisions {
    place: Place,
}

/// A decision as it is shown.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DecisionRow {
    /// RFC 3339.
    pub at: String,
    /// The decision with its inputs.
    #[serde(flatten)]
    pub decision: serde_json::Value,
}

impl Decisions {
    /// The decisions at a place.
    pub fn new(place: Place) -> Self {
        Self { place }
    }

    /// Writes notes, all in one statement.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn write_notes(&self, rows: &[NoteRow]) -> Result<(), StoreError> {
        let write = "with marked as (
                update {}.runs set took_nothing = true where instance = $1 and job = any($6::text[])
            )
            insert into {}.decisions (instance, job_config, decided_at, why, decision)
            select $1, config, now() - make_interval(secs => age), why, decision::jsonb
            from unnest($2::text[], $3::float8[], $4::text[], $5::text[]) as note (config, age, why, decision)";
        let (mut configs, mut ages, mut whys, mut decisions, mut marked) = (vec![], vec![], vec![], vec![], vec![]);
        for NoteRow { config, age, note } in rows {
            match note {
                LogEntry::TookNothing(job) => marked.push(job.0.clone()),
                LogEntry::Decided { decision, .. } => {
                    configs.push(config.to_string());
                    ages.push(age.as_secs_f64());
                    whys.push(decision.why.as_str());
                    decisions.push(serde_json::to_string(decision).unwrap_or_default());
                }
            }
        }
        let query = self.place.sql(write).bind(configs).bind(ages).bind(whys).bind(decisions).bind(marked);
        bounded(query.execute(&self.place.pool)).await.map(|_| ())
    }

    /// The newest decisions of a JobConfig, newest first.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn recent(&self, config: &str, limit: i64) -> Result<Vec<DecisionRow>, StoreError> {
        let select = "select decision::text as decision,
                to_char(decided_at at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"') as at
            from {}.decisions where instance = $1 and job_config = $2 order by decisions.decided_at desc limit $3";
        let query = self.place.sql(select).bind(config).bind(limit);
        let rows = bounded(query.fetch_all(&self.place.pool)).await?;
        let shown = |row: &sqlx::postgres::PgRow| DecisionRow {
            at: row.get("at"),
            decision: serde_json::from_str(row.get::<&str, _>("decision")).unwrap_or_default(),
        };
        Ok(rows.iter().map(shown).collect())
    }

    /// Deletes decisions beyond the newest of their JobConfig, and old ones. Returns how many.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn prune(&self, days_kept: i64) -> Result<u64, StoreError> {
        let delete = "delete from {}.decisions where instance = $1 and id in (
                select id from (
                    select id, decided_at, row_number() over (partition by job_config order by decided_at desc) as place
                    from {}.decisions where instance = $1) as kept
                where place > $2 or decided_at < now() - make_interval(days => $3::int)
                limit 10000)";
        let query = self.place.sql(delete).bind(DECISIONS_KEPT).bind(days_kept);
        bounded(query.execute(&self.place.pool)).await.map(|done| done.rows_affected())
    }
}
