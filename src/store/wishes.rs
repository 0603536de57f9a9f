//! How wishes become runs, with their places: together or not at all.
//!
//! A wish whose slot, or one of whose places, belongs to another unfinished run is refused alone. The unique indexes
//! decide it, and not what a statement has read: so it also holds for a statement that began in a term which is over.

use std::{collections::BTreeMap, time::Duration};

use sqlx::{Row, postgres::PgRow};

use crate::{
    decide::{outcome::JobName, run::event::WishAnswer},
    sql::Statement,
    store::{
        error::{StoreError, bounded},
        rows::{WishRow, number},
        runs::Runs,
    },
};

/// What is put before the runs where any of them is to have places: those that are free are taken, always in the same
/// order, so that two statements never wait for each other.
const TAKE_PLACES: &str = ", wanted as (
                select * from unnest($18::text[], $19::text[], $20::bigint[]) with ordinality as w (job, pool, number, turn)
            ), placed as (
                insert into {}.places (instance, pool, number, job)
                select $1, pool, number, job
                from wanted join wish using (job) join {}.leadership as lead on lead.instance = $1 and lead.term = wish.term
                order by pool, number, turn
                on conflict do nothing returning job, pool
            ), lacking as materialized (
                select job, pool from wanted except select job, pool from placed
            )";

/// A run that lacks one of its places is not written.
const UNLESS_LACKING: &str = "where not exists (select from lacking where lacking.job = wish.job)";

/// Gives back what was taken for a run that was not written. In the same message, so in the same transaction.
const RELEASE_UNUSED: &str = "; delete from {}.places as place using unnest($4::text[]) as wish (job)
            where place.instance = $1 and place.job = wish.job
                and (select ended_at is null from {}.runs where instance = $1 and job = wish.job) is not true";

impl Runs {
    /// Writes wishes, all in one statement, and returns what became of each. A second one goes with it, in the same
    /// message, where any of them has places.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn write_wishes(&self, rows: &[WishRow]) -> Result<BTreeMap<JobName, WishAnswer>, StoreError> {
        let any = |is: fn(&WishRow) -> bool| rows.iter().any(is);
        let parts = Parts {
            places: any(|row| !row.wish.places.is_empty()),
            served: any(|row| row.wish.serves.is_some()),
            acted: any(|row| row.wish.one_off.as_ref().is_some_and(|it| it.action().is_some())),
        };
        let query = bind_places(bind_wishes(self.place.sql(&write(parts)), rows), rows);
        let answers = bounded(query.fetch_all(&self.place.pool)).await?;
        Ok(answers.iter().map(|row| (JobName(row.get("job")), wish_answer(row))).collect())
    }
}

/// What is written beside the runs.
#[derive(Clone, Copy)]
struct Parts {
    /// Some of them have places.
    places: bool,
    /// Some serve what was asked for by hand.
    served: bool,
    /// Some are those of actions.
    acted: bool,
}

/// What was asked for by hand counts as served.
const NOTE_SERVED: &str = ", served as (
                update {}.switches as it set run_served = greatest(it.run_served, done.serves)
                from (select job_config, max(serves) as serves from written group by job_config) as done
                where it.instance = $1 and it.job_config = done.job_config and done.serves is not null
            )";

/// An action has begun.
const NOTE_ACTED: &str = ", acted as (
                insert into {}.actions as it (instance, job_config, action, served, begun_at)
                select $1, job_config, action, coalesce(max(action_number), 0), now() from written where action is not null
                    group by job_config, action
                on conflict (instance, job_config, action) do update
                    set served = greatest(it.served, excluded.served), begun_at = excluded.begun_at
            )";

/// The statement. It does without what no run needs: Postgres plans it anew each time, and a Job waits for that.
fn write(parts: Parts) -> String {
    let [take, unless, release] = match parts.places {
        true => [TAKE_PLACES, UNLESS_LACKING, RELEASE_UNUSED],
        false => [""; 3],
    };
    let served = if parts.served { NOTE_SERVED } else { "" };
    let acted = if parts.acted { NOTE_ACTED } else { "" };
    format!(
        "with wish as (
                select * from unnest($2::text[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::text[], $8::bool[],
                    $9::bigint[], $10::bigint[], $11::text[], $12::bigint[], $13::float8[], $14::text[], $15::text[], $16::bigint[],
                    $17::bool[])
                    as w (job_config, config_hash, job, slot, uid, decision, adopted, serves, term, type, starts, begun_at,
                        purpose, action, action_number, has_places)
            ){take}, written as (
                insert into {{}}.runs
                    (instance, job_config, config_hash, job, slot, uid, decision, adopted, serves, type, starts, begun_at,
                        purpose, action, action_number, has_places)
                select $1, job_config, config_hash, job, slot, uid, decision::jsonb, adopted, serves, type, starts,
                    to_timestamp(begun_at), purpose, action, action_number, has_places
                from wish join {{}}.leadership as lead on lead.instance = $1 and lead.term = wish.term {unless}
                on conflict do nothing returning job, job_config, serves, action, action_number
            ){served}{acted}
            select wish.job, written.job is not null as written, known.id is not null as known, known.ended_at is not null as ended
            from wish left join written using (job) left join {{}}.runs as known on known.instance = $1 and known.job = wish.job{release}"
    )
}

/// `$2` to `$17`.
fn bind_wishes(query: Statement, rows: &[WishRow]) -> Statement {
    let column = |of: fn(&WishRow) -> String| rows.iter().map(of).collect::<Vec<_>>();
    query
        .bind(column(|row| row.config.to_string()))
        .bind(column(|row| row.config_hash.to_string()))
        .bind(column(|row| row.wish.name.0.clone()))
        .bind(rows.iter().map(|row| i64::from(row.wish.slot)).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.wish.adopted.as_deref()).collect::<Vec<_>>())
        .bind(column(|row| serde_json::to_string(&row.wish.decision).unwrap_or_default()))
        .bind(rows.iter().map(|row| row.wish.adopted.is_some()).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.wish.serves.map(number)).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| number(row.term)).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.kind.as_str()).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.wish.starts.map(number)).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| microseconds(row.wish.origin.begun_at)).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| Some(row.wish.one_off.as_ref()?.purpose())).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.wish.one_off.as_ref()?.action()).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.wish.one_off.as_ref()?.number().map(number)).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| !row.wish.places.is_empty()).collect::<Vec<_>>())
}

/// `$18` to `$20`: a row for each place.
fn bind_places(query: Statement, rows: &[WishRow]) -> Statement {
    let places = || rows.iter().flat_map(|row| row.wish.places.iter().map(|place| (&row.wish.name, place)));
    query
        .bind(places().map(|(job, _)| job.0.as_str()).collect::<Vec<_>>())
        .bind(places().map(|(_, place)| &*place.pool).collect::<Vec<_>>())
        .bind(places().map(|(_, place)| i64::from(place.number)).collect::<Vec<_>>())
}

/// Seconds with the microseconds that Postgres keeps: what is cut off would make a time later.
fn microseconds(time: Duration) -> f64 {
    Duration::from_micros(u64::try_from(time.as_micros()).unwrap_or(u64::MAX)).as_secs_f64()
}

fn wish_answer(row: &PgRow) -> WishAnswer {
    match (row.get("written"), row.get("known"), row.get("ended")) {
        (true, _, _) | (_, true, false) => WishAnswer::Written,
        (false, true, true) => WishAnswer::Ended,
        (false, false, _) => WishAnswer::SlotTaken,
    }
}
