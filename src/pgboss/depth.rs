//! How many messages could be fetched now: bounded counts, as far as a decision needs them.

use std::{collections::HashSet, sync::Arc, time::Duration};

use sqlx::{PgPool, Row, postgres::PgRow};
use tokio::sync::RwLock;

use crate::{
    decide::queue::{event::DepthRequest, scale::Look},
    pgboss::{
        error::{QueueError, bounded},
        line::Line,
        shape::Shape,
    },
    sql::Statement,
};

/// Reads pg-boss's tables.
#[derive(Clone, Debug)]
pub struct DepthReader {
    pool: PgPool,
    line: Line,
    schema: Arc<str>,
    shape: Arc<RwLock<Option<Shape>>>,
    /// Queues that were seen to have a policy that counts by key.
    keyed: Arc<RwLock<HashSet<Arc<str>>>>,
}

impl DepthReader {
    /// A reader that has read nothing yet.
    pub fn new(pool: PgPool, schema: &str) -> Self {
        Self::with_line(pool, Line::default(), schema)
    }

    /// The same for a process that also listens.
    pub fn with_line(pool: PgPool, line: Line, schema: &str) -> Self {
        Self { pool, line, schema: schema.into(), shape: Arc::default(), keyed: Arc::default() }
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

    /// Looks at queues, in one statement however many they are (where each has a table of its own: one for every
    /// hundred); a look for each, in their order.
    ///
    /// # Errors
    /// See [`QueueError`]. A queue that does not exist has depth 0.
    pub async fn look(&self, asked: &[(Arc<str>, DepthRequest)]) -> Result<Vec<Look>, QueueError> {
        // What has failed is asked of the pool first, which says why.
        let line = self.shape.read().await.is_some().then_some(&self.line);
        let shape = self.shape().await?;
        let mut looks = Vec::with_capacity(asked.len());
        for part in asked.chunks(at_once(&shape)) {
            match self.read(&shape, line, part).await {
                Ok(of_part) => looks.extend(of_part),
                Err(error) => {
                    // pg-boss may have migrated its schema under us.
                    *self.shape.write().await = None;
                    return Err(error);
                }
            }
        }
        Ok(looks)
    }

    async fn read(
        &self,
        shape: &Shape,
        line: Option<&Line>,
        asked: &[(Arc<str>, DepthRequest)],
    ) -> Result<Vec<Look>, QueueError> {
        let by_key = {
            let keyed = self.keyed.read().await;
            asked.iter().any(|(queue, _)| keyed.contains(queue))
        };
        let mut rows = self.rows(shape, line, asked, by_key).await?;
        let found: Vec<_> =
            rows.iter().zip(asked).filter(|(row, _)| row.get("keyed")).map(|(_, (queue, _))| queue.clone()).collect();
        if !by_key && !found.is_empty() {
            // Once for each queue that is new to us: what was counted by name is too much.
            rows = self.rows(shape, line, asked, true).await?;
            self.keyed.write().await.extend(found);
        }
        Ok(rows.iter().zip(asked).map(|(row, (_, request))| look_of(row, request.limit)).collect())
    }

    async fn rows(
        &self,
        shape: &Shape,
        line: Option<&Line>,
        asked: &[(Arc<str>, DepthRequest)],
        by_key: bool,
    ) -> Result<Vec<PgRow>, QueueError> {
        let question = question(shape, asked, by_key);
        let rows = bounded(async {
            if let Some(line) = line
                && asked.len() <= KEPT_QUEUES_MAX
                && !shape.table_per_queue
                && let Some(rows) = line.fetch_all(|| question.kept(&TYPES)).await
            {
                return Ok(rows);
            }
            question.fetch_all(&self.pool).await
        });
        let rows = rows.await?;
        if rows.len() == asked.len() { Ok(rows) } else { Err(QueueError::Incomplete) }
    }
}

/// Queues that one statement looks at, where each has a table of its own: Postgres plans some 0.1 ms for each of them.
const TABLES_AT_ONCE: usize = 100;

/// Queues that one statement looks at.
pub fn at_once(shape: &Shape) -> usize {
    if shape.table_per_queue { TABLES_AT_ONCE } else { usize::MAX }
}

/// The statement that looks at these queues, with its values. `by_key`: queues whose policy counts by key are counted so.
pub fn question(shape: &Shape, asked: &[(Arc<str>, DepthRequest)], by_key: bool) -> Statement {
    let requests = asked.iter().map(|(_, request)| request);
    let number = |value: u128| i64::try_from(value).unwrap_or(i64::MAX);
    let statement = Statement::new(statement(shape, asked.len(), by_key))
        .without_jit()
        .bind(asked.iter().map(|(queue, _)| queue.to_string()).collect::<Vec<String>>())
        .bind(requests.clone().map(|request| request.since_us).collect::<Vec<Option<i64>>>())
        .bind(requests.clone().map(|request| number(request.younger_left.as_micros())).collect::<Vec<i64>>())
        .bind(requests.clone().map(|request| number(request.limit.into())).collect::<Vec<i64>>());
    let named = if shape.table_per_queue { asked } else { &[] };
    named.iter().fold(statement, |statement, (queue, _)| statement.bind(&**queue))
}

/// Values of a look's statement before the names that stand alone, by their types.
pub const TYPES: [&str; 4] = ["text[]", "bigint[]", "bigint[]", "bigint[]"];

/// Queues of a look whose plan is kept: what a notification, or the end of a Job, asks for.
const KEPT_QUEUES_MAX: usize = 4;

/// Policies under which at most one message of a key can be fetched, and none while another of that key is active.
pub(super) const KEYED: &str = "'singleton', 'stately', 'key_strict_fifo'";

/// Messages that are read of a queue with such a policy: where many share a key, few of them count.
const KEYED_READ_MIN: u64 = 1_000;

/// The statement for all queues. Of each it reads the messages that can be fetched first, by the fetch index alone,
/// and no more of them than its limit asks for: those of both counts, and the next one.
///
/// Younger messages are left out of what is new only: what an earlier look has counted stays counted, or it would
/// seem to have been taken.
///
/// `by_key` says whether queues whose policy counts by key are counted so; most installations have none.
fn statement(shape: &Shape, queues_asked: usize, by_key: bool) -> String {
    let (join, unknown, is_keyed) = match &shape.queues {
        None => (String::new(), "false", "false".to_owned()),
        Some(queues) => (
            format!("left join {queues} q on q.name = asked.queue"),
            "q.name is null",
            format!("coalesce(q.policy in ({KEYED}), false)"),
        ),
    };
    let by_key = (by_key && shape.queues.is_some()).then_some(is_keyed.as_str());
    let messages = if shape.table_per_queue {
        tables(shape, queues_asked, by_key)
    } else {
        messages(shape, "asked.queue", by_key)
    };
    format!(
        "with asked as (
            select place, queue, most, horizon,
                case when since_us is null then most else 2 * most end + 1 as reads,
                coalesce('epoch'::timestamptz + since_us * interval '1 microsecond', horizon) as since
            from unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[])
                with ordinality as a(queue, since_us, younger_us, most, place),
            lateral (select now() - younger_us * interval '1 microsecond' as horizon) as h)
        select (extract(epoch from horizon) * 1000000)::bigint as at_us, found.old, found.new, {unknown} as unknown, {is_keyed} as keyed,
            {is_keyed} and found.read > greatest(2 * most, {KEYED_READ_MIN}) as cut,
            (extract(epoch from next - horizon) * 1000000)::bigint as next_us,
            (extract(epoch from now() - oldest) * 1000000)::bigint as oldest_us,
            (extract(epoch from now() - oldest_new) * 1000000)::bigint as oldest_new_us
        from asked {join}
        cross join lateral (
            select count(*) filter (where free and at <= since) as old,
                count(*) filter (where free and at > since and at <= horizon) as new,
                min(at) filter (where free and at <= greatest(since, horizon)) as oldest,
                min(at) filter (where free and at > since and at <= horizon) as oldest_new,
                min(at) filter (where at > horizon and at > since) as next,
                count(*) as read
            from ({messages}) as message) as found
        order by place"
    )
}

/// The messages of each queue from its own table. A name that stands in the statement's text tells the planner which
/// table it is; one that comes with a row has it plan for all tables that there are (100 ms for a thousand).
fn tables(shape: &Shape, queues_asked: usize, by_key: Option<&str>) -> String {
    let of_place = |place: usize| {
        let messages = messages(shape, &format!("${}", TYPES.len() + place), by_key);
        format!("(select * from ({messages}) as m where asked.place = {place})")
    };
    (1..=queues_asked).map(of_place).collect::<Vec<_>>().join(" union all ")
}

/// The messages of one queue that can be fetched first. `by_key` is the condition under which a queue's policy counts by key.
fn messages(shape: &Shape, queue: &str, by_key: Option<&str>) -> String {
    let Shape { table, start_after, .. } = shape;
    let fetchable = shape.fetchable();
    let plain = format!(
        "select {start_after} as at, true as free from {table}
            where name = {queue} and {fetchable} order by {start_after} limit asked.reads"
    );
    let Some(is_keyed) = by_key else { return plain };
    format!(
        "(select * from ({plain}) as p where not {is_keyed})
        union all
        (select * from ({}) as k where {is_keyed})",
        keyed(shape, queue)
    )
}

/// The messages of a queue whose policy counts by key; one that is not the first of its key, or whose key is taken,
/// can't be fetched. Each condition on the other message of the key is that of a unique index of pg-boss.
fn keyed(shape: &Shape, queue: &str) -> String {
    let Shape { table, start_after, .. } = shape;
    let fetchable = shape.fetchable();
    let no_other = |policy: &str, key: &str, states: &str| {
        format!(
            "not exists (select 1 from {table} o where o.name = {queue} and o.policy = '{policy}'
                and {key} = m.key and {states})"
        )
    };
    let (any_key, active) = ("coalesce(o.singleton_key, '')", "o.state = 'active'");
    let singleton = no_other("singleton", any_key, active);
    let stately = no_other("stately", any_key, active);
    // A message that failed, or waits to be tried again, holds back those behind it.
    let holds = format!("o.state in ('active', 'retry', 'failed') and (o.state <> 'retry' or o.{start_after} > now())");
    let strict = no_other("key_strict_fifo", "o.singleton_key", &holds);
    format!(
        "select at, turn = 1 and {singleton} and {stately} and {strict} as free
        from (select {start_after} as at, coalesce(singleton_key, '') as key,
                row_number() over (partition by coalesce(singleton_key, '') order by {start_after}) as turn
            from (select {start_after}, singleton_key from {table} where name = {queue} and {fetchable}
                order by {start_after} limit greatest(2 * asked.most, {KEYED_READ_MIN}) + 1) as first) as m"
    )
}

fn look_of(row: &PgRow, limit: u64) -> Look {
    let count = |name| u64::try_from(row.get::<i64, _>(name)).unwrap_or_default();
    let time =
        |name| row.get::<Option<i64>, _>(name).map(|us| Duration::from_micros(u64::try_from(us).unwrap_or_default()));
    let (old, new) = (count("old"), count("new"));
    Look {
        old: old.min(limit),
        new: new.min(limit),
        // What was cut off may have held more: whatever was counted is a lower bound.
        limit: if row.get("cut") { limit.min(old.max(new)) } else { limit },
        at_us: row.get("at_us"),
        next_in: time("next_us"),
        oldest_age: time("oldest_us"),
        oldest_new_age: time("oldest_new_us"),
        unknown: row.get("unknown"),
    }
}
