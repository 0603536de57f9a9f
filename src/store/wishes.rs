//! How wishes become runs, with their places: together or not at all.
//!
//! A wish whose slot, or one of whose places, belongs to another unfinished run is refused alone. The unique indexes
//! decide it, and not what a statement has read: so it also holds for a statement that began in a term which is over.

use std::{collections::BTreeMap, time::Duration};

use sqlx::{Row, postgres::PgRow};

use crate::{
    decide::{one_off::OneOff, outcome::JobName, run::event::WishAnswer},
    sql::{Rows, Statement, Values},
    store::{
        error::{StoreError, bounded},
        rows::{WishRow, number},
        runs::Runs,
    },
};

/// What is put before the runs where any of them is to have places: those that are free are taken, always in the same
/// order, so that two statements never wait for each other.
const TAKE_PLACES: &str = ", wanted as (
                select * from unnest($3::text[], $4::text[], $5::bigint[]) with ordinality as w (job, pool, number, turn)
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
const RELEASE_UNUSED: &str = "; delete from {}.places as place using unnest($3::text[]) as wish (job)
            where place.instance = $1 and place.job = wish.job
                and (select ended_at is null from {}.runs where instance = $1 and job = wish.job) is not true";

impl Runs {
    /// Writes wishes, all in one message, and returns what became of each. Those that were not written, which are few, are asked
    /// about in a second one; where that fails, the answer leaves them out.
    ///
    /// # Errors
    /// See [`StoreError`]. Wishes may be on record all the same, and can be written again.
    pub async fn write_wishes(&self, rows: &[WishRow]) -> Result<BTreeMap<JobName, WishAnswer>, StoreError> {
        if rows.is_empty() {
            return Ok(BTreeMap::new());
        }
        let any = |is: fn(&WishRow) -> bool| rows.iter().any(is);
        let parts = Parts {
            places: any(|row| !row.wish.places.is_empty()),
            served: any(|row| row.wish.serves.is_some()),
            acted: any(|row| row.wish.one_off.as_ref().is_some_and(|it| it.action().is_some())),
        };
        let query = self.place.sql(&write(parts)).bind(Rows(rows.iter().map(values).collect()));
        let query = bind_places(query, rows);
        let written = bounded(query.fetch_all(&self.place.pool)).await?;
        let mut answers: BTreeMap<_, _> =
            written.iter().map(|row| (JobName(row.get("job")), WishAnswer::Written)).collect();
        let left: Vec<&str> =
            rows.iter().map(|row| &row.wish.name).filter(|job| !answers.contains_key(job)).map(|job| &*job.0).collect();
        if left.is_empty() {
            return Ok(answers);
        }
        match bounded(self.place.sql(KNOWN).bind(&left).fetch_all(&self.place.pool)).await {
            Ok(rows) => {
                answers.extend(left.iter().map(|job| (JobName((*job).to_owned()), WishAnswer::SlotTaken)));
                answers.extend(rows.iter().map(known));
            }
            Err(error) if answers.is_empty() => return Err(error),
            Err(error) => tracing::debug!(%error, "some wishes were written, and nothing is known of the others"),
        }
        Ok(answers)
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

/// The statement; its rows are the Jobs that were written. It does without what no run needs: Postgres plans it anew each
/// time, and a Job waits for that.
fn write(parts: Parts) -> String {
    const WISH: &str =
        "(values $2) as wish (job_config, job, config_hash, slot, uid, decision, type, begun_at, purpose, action,
                has_places, term, serves, starts, action_number)";
    let insert = |wish: &str, unless: &str| {
        format!(
            "insert into {{}}.runs
                    (instance, job_config, job, config_hash, slot, uid, decision, adopted, type, begun_at, purpose, action,
                        has_places, serves, starts, action_number)
                select $1, job_config, job, config_hash, slot, uid, decision::jsonb, uid is not null, type,
                    to_timestamp(begun_at), purpose, action, has_places, serves::bigint, starts::bigint, action_number::bigint
                from {wish} join {{}}.leadership as lead on lead.instance = $1 and lead.term = wish.term {unless}
                on conflict do nothing returning job"
        )
    };
    if !(parts.places || parts.served || parts.acted) {
        return insert(WISH, "");
    }
    let [take, unless, release] = match parts.places {
        true => [TAKE_PLACES, UNLESS_LACKING, RELEASE_UNUSED],
        false => [""; 3],
    };
    let served = if parts.served { NOTE_SERVED } else { "" };
    let acted = if parts.acted { NOTE_ACTED } else { "" };
    let insert = insert("wish", unless);
    format!(
        "with wish as (select * from {WISH}){take},
            written as ({insert}, job_config, serves, action, action_number){served}{acted}
            select job from written{release}"
    )
}

/// What is on record of Jobs whose wishes were not written: a wish may have been written before, and be asked again.
const KNOWN: &str =
    "select job, ended_at is not null as ended from {}.runs where instance = $1 and job = any($2::text[])";

fn known(row: &PgRow) -> (JobName, WishAnswer) {
    (JobName(row.get("job")), if row.get("ended") { WishAnswer::Ended } else { WishAnswer::Written })
}

/// The values of one wish, in the order in which [`write`] names them.
fn values(row: &WishRow) -> Values {
    let WishRow { kind, config, config_hash, term, wish } = row;
    let one_off = wish.one_off.as_ref();
    Values::of([
        &config.as_ref(),
        &wish.name.0,
        &config_hash.as_ref(),
        &i64::from(wish.slot),
        &wish.adopted.as_deref(),
        &serde_json::to_string(&wish.decision).unwrap_or_default(),
        &kind.as_str(),
        &microseconds(wish.origin.begun_at),
        &one_off.map(OneOff::purpose),
        &one_off.and_then(OneOff::action),
        &!wish.places.is_empty(),
        &number(*term),
        &wish.serves.map(number),
        &wish.starts.map(number),
        &one_off.and_then(OneOff::number).map(number),
    ])
}

/// `$3` to `$5`: a row for each place.
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
