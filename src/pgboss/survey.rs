//! What a server, its role and pg-boss's schema are like: read for people, needed by no decision.

use sqlx::{PgPool, Row};

use crate::{
    clock::{Ahead, Clock},
    pgboss::{
        error::{QueueError, bounded},
        shape::{Shape, columns},
    },
    sql::Statement,
};

/// Queues that are read: far more than anybody has, for the nearest name of one that is missing.
const QUEUES_MAX: i64 = 20_000;

/// What a server says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Such as `16.2`.
    pub version: String,
    /// Whom it takes us for.
    pub role: String,
    /// It follows another server, and can't be written to.
    pub standby: bool,
    /// Its transactions are read only unless they say otherwise.
    pub read_only: bool,
    /// Its clock.
    pub ahead: Ahead,
}

/// What the role may do with pg-boss's schema.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BossAccess {
    /// There is such a schema.
    pub exists: bool,
    /// USAGE on it.
    pub usage: bool,
    /// The tables that we read, each with whether the role may; those that there are.
    pub select: Vec<(String, bool)>,
}

/// A queue that pg-boss knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queue {
    /// Its name.
    pub name: String,
    /// A message in it is told of at once (12, where the queue was made so).
    pub notify: bool,
}

/// pg-boss's queues, as far as they can be known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Queues {
    /// 7 to 9: a queue is whatever name a message has.
    Unlisted,
    /// 10 and later.
    Listed {
        /// All of them.
        queues: Vec<Queue>,
        /// The tables know of notifications (12).
        can_notify: bool,
    },
}

/// What the server says of itself.
///
/// # Errors
/// See [`QueueError`].
pub async fn server(pool: &PgPool, clock: Clock) -> Result<Server, QueueError> {
    let select = "select split_part(current_setting('server_version'), ' ', 1) as version, current_user::text as role,
        pg_is_in_recovery() as standby, current_setting('default_transaction_read_only')::boolean as read_only,
        (extract(epoch from clock_timestamp()) * 1000)::bigint as millis";
    // The connection is made before the time is taken.
    let mut connection = bounded(pool.acquire()).await?;
    let sent = clock.now();
    let row = bounded(Statement::new(select).fetch_one(&mut *connection)).await?;
    Ok(Server {
        version: row.get("version"),
        role: row.get("role"),
        standby: row.get("standby"),
        read_only: row.get("read_only"),
        ahead: Ahead::of(sent, clock.now(), row.get("millis")),
    })
}

/// What the role may do with pg-boss's schema. The catalogue tells everybody.
///
/// # Errors
/// See [`QueueError`].
pub async fn access(pool: &PgPool, schema: &str) -> Result<BossAccess, QueueError> {
    let select = "select has_schema_privilege(n.oid, 'usage') as usage, c.relname::text as name,
            has_table_privilege(c.oid, 'select') as may
        from pg_namespace n left join pg_class c
            on c.relnamespace = n.oid and c.relname in ('job', 'queue') and c.relkind in ('r', 'p')
        where n.nspname = $1 order by name";
    let rows = bounded(Statement::new(select).bind(schema).fetch_all(pool)).await?;
    let table = |row: &sqlx::postgres::PgRow| Some((row.get::<Option<String>, _>("name")?, row.get("may")));
    Ok(BossAccess {
        exists: !rows.is_empty(),
        usage: rows.first().is_some_and(|row| row.get("usage")),
        select: rows.iter().filter_map(table).collect(),
    })
}

/// pg-boss's queues by name.
///
/// # Errors
/// See [`QueueError`].
pub async fn queues(pool: &PgPool, shape: &Shape) -> Result<Queues, QueueError> {
    let Some(table) = &shape.queues else { return Ok(Queues::Unlisted) };
    let can_notify = columns(pool, table).await?.iter().any(|column| column == "notify");
    let notify = if can_notify { "notify" } else { "false" };
    let select = format!("select name::text as name, {notify} as notify from {table} order by 1 limit {QUEUES_MAX}");
    let rows = bounded(Statement::new(select).fetch_all(pool)).await?;
    let queues = rows.iter().map(|row| Queue { name: row.get("name"), notify: row.get("notify") }).collect();
    Ok(Queues::Listed { queues, can_notify })
}
