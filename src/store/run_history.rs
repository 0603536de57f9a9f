//! The runs of a span of time, for forecasts.

use std::{collections::BTreeMap, time::Duration};

use sqlx::{Row, postgres::PgRow};

use crate::{
    decide::{
        forecast::history::{PastRun, RunHistory, Span},
        outcome::Outcome,
    },
    store::{
        error::{StoreError, bounded},
        place::Place,
        runs::RUNS_KEPT,
    },
};

/// Runs of all JobConfigs of a forecast: some megabytes.
pub const RUNS_MAX: i64 = 50_000;

/// The runs of one Instance, as they are read for forecasts.
#[derive(Clone, Debug)]
pub struct RunHistories {
    place: Place,
}

impl RunHistories {
    /// The runs at a place.
    pub fn new(place: Place) -> Self {
        Self { place }
    }

    /// The runs of queues that lived at any time of a span, by the name of their JobConfig; the newest of them where there
    /// are very many.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn read(&self, configs: &[&str], span: Span) -> Result<BTreeMap<String, RunHistory>, StoreError> {
        let us = |column: &str| format!("(extract(epoch from {column}) * 1000000)::bigint");
        let select = format!(
            "select job_config, {} as wished_us, {} as started_us, {} as ended_us, outcome, took_nothing
            from {{}}.runs where instance = $1 and job_config = any($2::text[]) and type = 'queue' and purpose is null
                and wished_at <= to_timestamp($4) and (ended_at is null or ended_at >= to_timestamp($3))
            order by id desc limit $5",
            us("wished_at"),
            us("started_at"),
            us("ended_at"),
        );
        let [from, to] = [span.from, span.to].map(|at| at.as_secs_f64());
        let query = self.place.sql(&select).bind(configs).bind(from).bind(to).bind(RUNS_MAX);
        let rows = bounded(query.fetch_all(&self.place.pool)).await?;
        let all_kept = rows.len() < usize::try_from(RUNS_MAX).unwrap_or_default();
        let mut histories: BTreeMap<String, RunHistory> = BTreeMap::new();
        for row in &rows {
            histories.entry(row.get("job_config")).or_default().runs.push(past_run(row));
        }
        let kept = usize::try_from(RUNS_KEPT).unwrap_or_default();
        for history in histories.values_mut() {
            // Older ones that have ended are pruned, by and by, once there are so many.
            let ended = history.runs.iter().filter(|run| run.ended_at.is_some()).count();
            history.cut = ended >= kept || !all_kept;
            history.runs.reverse();
        }
        Ok(histories)
    }
}

fn past_run(row: &PgRow) -> PastRun {
    let time = |us: i64| Duration::from_micros(u64::try_from(us).unwrap_or_default());
    let known = |name| row.get::<Option<i64>, _>(name).map(time);
    PastRun {
        wished_at: time(row.get("wished_us")),
        started_at: known("started_us"),
        ended_at: known("ended_us"),
        outcome: row.get::<Option<&str>, _>("outcome").and_then(Outcome::of),
        took_nothing: row.get("took_nothing"),
    }
}
