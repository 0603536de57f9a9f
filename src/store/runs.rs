//! The table of runs: the SQL over it, one function a statement; how wishes are written is in `wishes.rs`.

use std::{sync::Arc, time::Duration};

use schemars::JsonSchema;
use serde::Serialize;
use sqlx::{Row, postgres::PgRow};
use tokio::sync::Semaphore;

use crate::{
    config::entry::Kind,
    decide::{
        one_off::OneOff,
        outcome::{JobName, Reason, Slot},
        place::Places,
        run::{
            event::{LoadedAction, LoadedRun, LoadedRuns},
            policy::RECORDED_WITHIN,
        },
    },
    store::{
        error::{StoreError, bounded},
        place::Place,
        rows::{EndRow, number},
    },
};

/// Ended runs that are kept of a JobConfig.
pub(super) const RUNS_KEPT: i64 = 1000;

/// Ended runs that are kept beside them of each action, of the repairs and of the checks of a service.
const ONE_OFFS_KEPT: i64 = 100;

/// Days for which ended runs and decisions are kept.
pub const DAYS_KEPT: i64 = 14;

/// Failed runs that are looked back on after a restart: as many as any `backoff.after`.
const FAILED_MAX: i64 = 1000;

/// The runs of one Instance.
#[derive(Clone, Debug)]
pub struct Runs {
    pub(super) place: Place,
    /// Permits for loading: a start loads the runs of every JobConfig, and each takes kilobytes while it is under way.
    loads: Arc<Semaphore>,
}

/// JobConfigs whose runs are loaded at once.
const LOADS_MAX: usize = 4;

/// A run as it is shown.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunRow {
    /// The Job's name.
    pub job: String,
    /// The Job's uid, where there was a Job.
    pub uid: Option<String>,
    /// What it was for, where it ran once beside the replicas of a service: `check`, `repair` or `action`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub purpose: Option<String>,
    /// The name of the action.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// The hash of what it was rendered from.
    pub config_hash: String,
    /// The decision with its inputs, as whoever made it wrote it.
    pub decision: serde_json::Value,
    /// RFC 3339.
    pub wished_at: String,
    /// When its first pod started, RFC 3339; known once it has ended.
    pub started_at: Option<String>,
    /// RFC 3339; absent while it is unfinished.
    pub ended_at: Option<String>,
    /// See [`crate::decide::outcome::Outcome`].
    pub outcome: Option<String>,
    /// See [`crate::decide::outcome::Reason`].
    pub reason: Option<String>,
    /// The worker's exit code.
    pub exit_code: Option<i32>,
    /// The termination message, or the API server's message.
    pub message: Option<String>,
    /// A success during which none of the messages it was started for was taken.
    pub took_nothing: bool,
}

impl Runs {
    /// The runs at a place.
    pub fn new(place: Place) -> Self {
        Self { place, loads: Arc::new(Semaphore::new(LOADS_MAX)) }
    }

    /// The unfinished runs of a JobConfig, and how many of its last ones failed in a row.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn load(&self, kind: Kind, config: &str) -> Result<LoadedRuns, StoreError> {
        let _turn = self.loads.acquire().await.expect("never closed");
        let mut loaded = Box::pin(self.load_counts(config)).await?;
        if kind == Kind::Service {
            Box::pin(self.load_service(config, &mut loaded)).await?;
        }
        // At last: a wish that is written meanwhile, of a process before or of a request that nobody waits for any more,
        // may be among these and not yet counted as served, and never the other way round.
        loaded.unfinished = Box::pin(self.load_unfinished(config)).await?;
        for (slot, starts) in loaded.unfinished.iter().filter_map(|run| Some((run.slot, run.starts?))) {
            let known = loaded.starts.entry(slot).or_default();
            *known = starts.max(*known);
        }
        Ok(loaded)
    }

    /// What is to be known of a service besides: by which start each replica was started, and how often again.
    async fn load_service(&self, config: &str, loaded: &mut LoadedRuns) -> Result<(), StoreError> {
        let select = "select slot, max(starts) filter (where reason is distinct from $4) as starts,
                count(*) filter (where ended_at is not null and reason <> $3) as restarts
            from {}.runs where instance = $1 and job_config = $2 and type = 'service' and purpose is null group by slot";
        let query = self.place.sql(select).bind(config).bind(Reason::Unwanted.as_str());
        let query = query.bind(Reason::Replaced.as_str());
        for row in &bounded(query.fetch_all(&self.place.pool)).await? {
            let starts = row.get::<Option<i64>, _>("starts").and_then(|starts| u64::try_from(starts).ok());
            loaded.starts.extend(starts.map(|starts| (slot(row), starts)));
            loaded.restarts += u64::try_from(row.get::<i64, _>("restarts")).unwrap_or_default();
        }
        self.load_one_offs(config, loaded).await
    }

    /// What is to be known of the Jobs that ran once beside its replicas.
    async fn load_one_offs(&self, config: &str, loaded: &mut LoadedRuns) -> Result<(), StoreError> {
        let actions = "select action, served, extract(epoch from now() - begun_at)::float8 as begun
            from {}.actions where instance = $1 and job_config = $2";
        let query = self.place.sql(actions).bind(config);
        for row in &bounded(query.fetch_all(&self.place.pool)).await? {
            let served = u64::try_from(row.get::<i64, _>("served")).unwrap_or_default();
            let begun = row.get::<Option<f64>, _>("begun").map(|age| Duration::from_secs_f64(age.max(0.0)));
            loaded.actions.insert(row.get::<String, _>("action").into(), LoadedAction { served, begun });
        }
        let repaired = "select extract(epoch from now() - max(ended_at))::float8 as age
            from {}.runs where instance = $1 and job_config = $2 and purpose = 'repair' and ended_at is not null";
        let row = bounded(self.place.sql(repaired).bind(config).fetch_one(&self.place.pool)).await?;
        loaded.repaired = row.get::<Option<f64>, _>("age").map(|age| Duration::from_secs_f64(age.max(0.0)));
        Ok(())
    }

    async fn load_unfinished(&self, config: &str) -> Result<Vec<LoadedRun>, StoreError> {
        let unfinished = "select job, slot, uid, starts, purpose, action, action_number, has_places,
                extract(epoch from now() - wished_at)::float8 as age, (extract(epoch from begun_at) * 1000000)::bigint as begun_at_us
            from {}.runs where instance = $1 and job_config = $2 and ended_at is null order by id";
        let query = self.place.sql(unfinished).bind(config);
        let rows = bounded(query.fetch_all(&self.place.pool)).await?;
        let mut unfinished: Vec<LoadedRun> = rows.iter().map(loaded_run).collect();
        let holders: Vec<&str> =
            rows.iter().filter(|row| row.get("has_places")).map(|row| row.get::<&str, _>("job")).collect();
        if !holders.is_empty() {
            let mut held = self.places_of(holders).await?;
            unfinished.iter_mut().for_each(|run| run.places = held.remove(&run.name).unwrap_or_default());
        }
        Ok(unfinished)
    }

    /// How many of the last ones failed in a row, and how many of those that were asked for by hand are on record.
    async fn load_counts(&self, config: &str) -> Result<LoadedRuns, StoreError> {
        let failed = "select count(*) from (
                select 1 from {}.runs where instance = $1 and job_config = $2 and ended_at is not null and purpose is null
                    and (outcome = 'failed' and reason <> 'disrupted' or took_nothing)
                    and ended_at > coalesce((select max(ended_at) from {}.runs
                        where instance = $1 and job_config = $2 and outcome = 'succeeded' and not took_nothing
                            and purpose is null), '-infinity')
                limit $3) as since";
        let both = format!(
            "select ({failed}) as failed,
                coalesce((select run_served from {{}}.switches where instance = $1 and job_config = $2), 0) as served"
        );
        let query = self.place.sql(&both).bind(config).bind(FAILED_MAX);
        let row = bounded(query.fetch_one(&self.place.pool)).await?;
        let (failed, served): (i64, i64) = (row.get("failed"), row.get("served"));
        Ok(LoadedRuns {
            failed_in_a_row: u32::try_from(failed).unwrap_or_default(),
            served: u64::try_from(served).unwrap_or_default(),
            ..LoadedRuns::default()
        })
    }

    /// JobConfigs that have unfinished runs, whether they stand in jobs.json or not, with their type.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn unfinished_configs(&self) -> Result<Vec<(Kind, String)>, StoreError> {
        let select = "select distinct type, job_config from {}.runs where instance = $1 and ended_at is null";
        let rows = bounded(self.place.sql(select).fetch_all(&self.place.pool)).await?;
        Ok(rows.iter().map(|row| (Kind::of(row.get("type")), row.get("job_config"))).collect())
    }

    /// Records how runs ended, all in one statement. A run that has ended keeps its first end.
    ///
    /// # Errors
    /// See [`StoreError`]; nothing is written of a term that is over.
    pub async fn write_ends(&self, rows: &[EndRow]) -> Result<(), StoreError> {
        let write = "with written as (
                update {}.runs as run set
                    ended_at = now() - make_interval(secs => e.age), started_at = now() - make_interval(secs => e.started_age),
                    uid = coalesce(e.uid, run.uid), outcome = e.outcome, reason = e.reason, exit_code = e.exit_code, message = e.message
                from unnest($2::text[], $3::float8[], $4::float8[], $5::text[], $6::text[], $7::text[], $8::int[], $9::text[], $10::bigint[])
                    as e (job, age, started_age, uid, outcome, reason, exit_code, message, term)
                join {}.leadership as lead on lead.instance = $1 and lead.term = e.term
                where run.instance = $1 and run.job = e.job and run.ended_at is null
            )
            select exists (select from {}.leadership where instance = $1 and term = all ($10::bigint[])) as current";
        let ended = || rows.iter().map(|row| &row.ended);
        let query = self
            .place
            .sql(write)
            .bind(ended().map(|row| row.name.0.as_str()).collect::<Vec<_>>())
            .bind(ended().map(|row| row.age.as_secs_f64()).collect::<Vec<_>>())
            .bind(ended().map(|row| row.started_age.map(|age| age.as_secs_f64())).collect::<Vec<_>>())
            .bind(ended().map(|row| row.uid.as_deref()).collect::<Vec<_>>())
            .bind(ended().map(|row| row.end.outcome.as_str()).collect::<Vec<_>>())
            .bind(ended().map(|row| row.end.reason.as_str()).collect::<Vec<_>>())
            .bind(ended().map(|row| row.end.exit_code).collect::<Vec<_>>())
            .bind(ended().map(|row| row.end.message.as_deref()).collect::<Vec<_>>())
            .bind(rows.iter().map(|row| number(row.term)).collect::<Vec<_>>());
        if bounded(query.fetch_one(&self.place.pool)).await?.get("current") {
            Ok(())
        } else {
            Err(StoreError::TermOver)
        }
    }

    /// The newest runs of a JobConfig, unfinished ones first; without checks that have passed, which would fill the page.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn recent(&self, config: &str, limit: i64) -> Result<Vec<RunRow>, StoreError> {
        let select = "select job, uid, purpose, action, config_hash, decision::text as decision, outcome, reason, exit_code, message, took_nothing,
                to_char(started_at at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"') as started_at,
                to_char(wished_at at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"') as wished_at,
                to_char(ended_at at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"') as ended_at
            from {}.runs where instance = $1 and job_config = $2
                and (purpose is distinct from 'check' or ended_at is null or outcome <> 'succeeded')
            order by runs.ended_at desc nulls first, id desc limit $3";
        let query = self.place.sql(select).bind(config).bind(limit);
        let rows = bounded(query.fetch_all(&self.place.pool)).await?;
        Ok(rows.iter().map(run_row).collect())
    }

    /// Deletes ended runs beyond the newest of their JobConfig, and old ones. Returns how many. None that ended within
    /// twice [`RECORDED_WITHIN`]: its Job would be taken for one that nobody has recorded.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn prune(&self) -> Result<u64, StoreError> {
        let delete = "delete from {}.runs where instance = $1 and id in (
                select id from (
                    select id, ended_at, purpose, row_number() over
                        (partition by job_config, purpose, action order by ended_at desc) as place
                    from {}.runs where instance = $1 and ended_at is not null) as ended
                where place > case when purpose is null then $2 else $4 end and ended_at < now() - make_interval(secs => $5)
                    or ended_at < now() - make_interval(days => $3::int)
                limit 10000)";
        let query = self.place.sql(delete).bind(RUNS_KEPT).bind(DAYS_KEPT).bind(ONE_OFFS_KEPT);
        // Twice: clocks differ, and a view may wait.
        let query = query.bind(2.0 * RECORDED_WITHIN.as_secs_f64());
        bounded(query.execute(&self.place.pool)).await.map(|done| done.rows_affected())
    }
}

fn loaded_run(row: &PgRow) -> LoadedRun {
    let begun_at_us = row.get::<Option<i64>, _>("begun_at_us");
    LoadedRun {
        name: JobName(row.get("job")),
        slot: slot(row),
        starts: row.get::<Option<i64>, _>("starts").and_then(|starts| u64::try_from(starts).ok()),
        one_off: OneOff::of_record(
            row.get::<Option<&str>, _>("purpose"),
            row.get::<Option<&str>, _>("action"),
            row.get::<Option<i64>, _>("action_number").and_then(|number| u64::try_from(number).ok()),
        ),
        places: Places::default(),
        uid: row.get::<Option<String>, _>("uid").map(Into::into),
        age: Duration::from_secs_f64(row.get::<f64, _>("age").max(0.0)),
        begun_at: begun_at_us.and_then(|us| u64::try_from(us).ok()).map(Duration::from_micros),
    }
}

fn slot(row: &PgRow) -> Slot {
    u32::try_from(row.get::<i64, _>("slot")).unwrap_or(u32::MAX)
}

fn run_row(row: &PgRow) -> RunRow {
    let decision: String = row.get("decision");
    RunRow {
        job: row.get("job"),
        uid: row.get("uid"),
        purpose: row.get("purpose"),
        action: row.get("action"),
        config_hash: row.get("config_hash"),
        decision: serde_json::from_str(&decision).unwrap_or_default(),
        wished_at: row.get("wished_at"),
        started_at: row.get("started_at"),
        ended_at: row.get("ended_at"),
        outcome: row.get("outcome"),
        reason: row.get("reason"),
        exit_code: row.get("exit_code"),
        message: row.get("message"),
        took_nothing: row.get("took_nothing"),
    }
}
