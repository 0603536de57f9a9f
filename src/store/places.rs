//! The table of places: which unfinished run holds which. They are taken in `wishes.rs`, and released by a trigger.

use std::{collections::BTreeMap, sync::Arc};

use sqlx::{Row, postgres::PgRow};

use crate::{
    decide::{
        outcome::JobName,
        place::{Place, Places},
    },
    store::{
        error::{StoreError, bounded},
        runs::Runs,
    },
};

/// Places that are read at the begin of a term: more than any cluster runs Jobs. Those beyond are refused by the table
/// all the same when they are given a second time.
const RECORDED_MAX: i64 = 100_000;

impl Runs {
    /// The places of all unfinished runs that hold any, by JobConfig, an entry for each run.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn recorded_places(&self) -> Result<BTreeMap<Arc<str>, Vec<Places>>, StoreError> {
        let select = "select run.job_config, job, place.pool, place.number
            from {}.places as place join {}.runs as run using (instance, job)
            where instance = $1 and run.ended_at is null order by job, place.pool limit $2";
        let query = self.place.sql(select).bind(RECORDED_MAX);
        let rows = bounded(query.fetch_all(&self.place.pool)).await?;
        let mut recorded: BTreeMap<Arc<str>, Vec<Places>> = BTreeMap::new();
        for run in rows.chunk_by(|one, next| job(one) == job(next)) {
            let places = run.iter().map(place).collect();
            let config = run[0].get::<&str, _>("job_config");
            match recorded.get_mut(config) {
                Some(all) => all.push(places),
                None => drop(recorded.insert(config.into(), vec![places])),
            }
        }
        Ok(recorded)
    }

    /// The places of runs, by their names.
    pub(super) async fn places_of(&self, jobs: Vec<&str>) -> Result<BTreeMap<JobName, Places>, StoreError> {
        let select =
            "select job, pool, number from {}.places where instance = $1 and job = any($2::text[]) order by job, pool";
        let rows = bounded(self.place.sql(select).bind(jobs).fetch_all(&self.place.pool)).await?;
        let by_run = rows.chunk_by(|one, next| job(one) == job(next));
        Ok(by_run.map(|run| (JobName(job(&run[0]).to_owned()), run.iter().map(place).collect())).collect())
    }

    /// Releases places that no unfinished run holds. The triggers leave none; a copy of the tables that was restored
    /// without them, or a table that was emptied by hand, may, and a place that nobody releases is lost to its pool.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn release_orphaned(&self) -> Result<u64, StoreError> {
        // Each run is looked up by its name, whatever the planner believes of tables that it knows little of.
        let delete = "delete from {}.places as place where instance = $1
                and (select ended_at is null from {}.runs where instance = $1 and job = place.job) is not true";
        bounded(self.place.sql(delete).execute(&self.place.pool)).await.map(|done| done.rows_affected())
    }
}

fn job(row: &PgRow) -> &str {
    row.get("job")
}

fn place(row: &PgRow) -> Place {
    let number = u32::try_from(row.get::<i64, _>("number")).unwrap_or(u32::MAX);
    Place { pool: row.get::<&str, _>("pool").into(), number }
}
