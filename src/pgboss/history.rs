//! The messages that pg-boss remembers, for forecasts: read rarely, once for all queues, and never by what decides.
//!
//! No index leads to messages that are over, so all rows of a queue are read: within a time limit that the server holds,
//! too, and no more of them are told than a bound.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use futures::TryStreamExt;
use sqlx::{PgPool, Row, postgres::PgRow};

use crate::{
    decide::forecast::history::{Message, QueueHistory, Span},
    pgboss::{
        depth::KEYED,
        error::{QueueError, bounded},
        shape::{Shape, columns},
    },
    sql::{Statement, quoted},
};

/// Messages of all queues of a forecast: two replays of them take some seconds of a core, and 40 MB at their most.
pub const MESSAGES_MAX: usize = 100_000;

/// How long reading them may take; [`Statement::for_long`] has the server end it then, too.
const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// Reads what pg-boss remembers.
#[derive(Clone, Debug)]
pub struct HistoryReader {
    pool: PgPool,
    schema: String,
}

/// What pg-boss remembers of a span of time.
#[derive(Clone, Debug, Default)]
pub struct Remembered {
    /// The span: up to now, and no longer than the messages allow.
    pub span: Span,
    /// There were more than [`MESSAGES_MAX`] messages. Where some of them were taken, the span was to begin earlier.
    pub cut: bool,
    /// By queue; nothing of those that it does not know.
    pub queues: BTreeMap<String, QueueHistory>,
}

/// Messages as they are read.
#[derive(Debug, Default)]
struct Found {
    queues: BTreeMap<String, Vec<Message>>,
    count: usize,
    /// The first one that is too many.
    left_out: Option<Message>,
}

/// How a table of messages names what a forecast needs.
#[derive(Clone, Copy, Debug)]
struct Names {
    sent: &'static str,
    taken: &'static str,
    done: &'static str,
}

/// pg-boss 10 and later.
const NEW_NAMES: Names = Names { sent: "created_on", taken: "started_on", done: "completed_on" };

/// Before.
const OLD_NAMES: Names = Names { sent: "createdon", taken: "startedon", done: "completedon" };

impl HistoryReader {
    /// A reader of the tables in a schema.
    pub fn new(pool: &PgPool, schema: &str) -> Self {
        Self { pool: pool.clone(), schema: schema.to_owned() }
    }

    /// The messages of these queues that were taken within the last so long, and those that can be fetched now.
    ///
    /// # Errors
    /// See [`QueueError`].
    pub async fn read(&self, queues: &BTreeSet<String>, last: Duration) -> Result<Remembered, QueueError> {
        let shape = Shape::detect(&self.pool, &self.schema).await?;
        let statement = self.statement(&shape, queues, last).await?;
        let reading = statement.fetch(&self.pool).try_fold(Found::default(), async |found, row| Ok(found.with(&row)));
        let found = tokio::time::timeout(READ_TIMEOUT, reading).await;
        let found = found.map_err(|_| QueueError::TooMuch(READ_TIMEOUT))?.map_err(QueueError::Statement)?;
        let mut remembered = self.remembered(found, last).await?;
        self.note_policies(&shape, &mut remembered.queues).await?;
        Ok(remembered)
    }

    /// Those that were taken last come first, so that what is left out is what is furthest away; then those that wait
    /// longest: however many wait in one queue, what was taken of the others is not left out for them.
    async fn statement(
        &self,
        shape: &Shape,
        queues: &BTreeSet<String>,
        last: Duration,
    ) -> Result<Statement, QueueError> {
        let messages = columns(&self.pool, &shape.table).await?;
        let archive = format!("{}.archive", quoted(&self.schema));
        let archived = columns(&self.pool, &archive).await?;
        let all = |names: Names, found: &[String]| {
            [names.sent, names.taken, names.done, shape.start_after, "name", "state", "priority"]
                .iter()
                .all(|name| found.iter().any(|column| column == name))
        };
        let unknown = || QueueError::UnknownShape { schema: self.schema.clone() };
        let names = [NEW_NAMES, OLD_NAMES].into_iter().find(|names| all(*names, &messages)).ok_or_else(unknown)?;
        let waiting = format!("{} and {} <= now()", shape.fetchable(), shape.start_after);
        let mut parts =
            vec![part(shape, names, &shape.table, &format!("({waiting} or state >= 'active' and {TAKEN})"))];
        if all(names, &archived) {
            // What has left the queue unread is not waited for any more.
            parts.push(part(shape, names, &archive, &format!("state >= 'active' and {TAKEN}")));
        }
        let parts =
            parts.join(" union all ").replace(TAKEN, &format!("{} >= now() - $2 * interval '1 second'", names.taken));
        let text = format!(
            "select * from ({parts}) as message order by taken_us desc nulls last, at_us limit {}",
            MESSAGES_MAX + 1
        );
        let queues: Vec<&str> = queues.iter().map(String::as_str).collect();
        Ok(Statement::new(text).for_long().bind(queues).bind(last.as_secs_f64()))
    }

    async fn remembered(&self, found: Found, last: Duration) -> Result<Remembered, QueueError> {
        let now = "select (extract(epoch from now()) * 1000000)::bigint as now_us";
        let row = bounded(Statement::new(now).fetch_one(&self.pool)).await?;
        let to = time(row.get("now_us"));
        let mut span = Span { from: to.saturating_sub(last), to };
        if let Some(taken_at) = found.left_out.and_then(|message| message.taken_at) {
            span.from = taken_at.max(span.from);
        }
        let of = |(queue, messages)| (queue, QueueHistory::of(messages));
        Ok(Remembered { span, cut: found.left_out.is_some(), queues: found.queues.into_iter().map(of).collect() })
    }

    /// What pg-boss says of the queues themselves, where it has a list of them.
    async fn note_policies(
        &self,
        shape: &Shape,
        queues: &mut BTreeMap<String, QueueHistory>,
    ) -> Result<(), QueueError> {
        let Some(table) = &shape.queues else { return Ok(()) };
        let notifies = columns(&self.pool, table).await?.iter().any(|column| column == "notify");
        let notifies = if notifies { "notify" } else { "false" };
        let text = format!(
            "select name, {notifies} as notifies, coalesce(policy in ({}), false) as keyed from {table} where name = any($1::text[])",
            KEYED
        );
        let names: Vec<&str> = queues.keys().map(String::as_str).collect();
        for row in bounded(Statement::new(text).bind(names).fetch_all(&self.pool)).await? {
            if let Some(history) = queues.get_mut(row.get::<&str, _>("name")) {
                (history.notifies, history.keyed) = (row.get("notifies"), row.get("keyed"));
            }
        }
        Ok(())
    }
}

/// Stands for the condition that a message was taken within the span.
const TAKEN: &str = "{taken}";

/// The messages of one table that fulfil a condition.
fn part(shape: &Shape, Names { sent, taken, done }: Names, table: &str, condition: &str) -> String {
    let start_after = shape.start_after;
    let us = |column: &str| format!("(extract(epoch from {column}) * 1000000)::bigint");
    // One that is tried again has been taken before, and waits now.
    let since_active = |column: &str| us(&format!("case when state >= 'active' then {column} end"));
    format!(
        "select name, priority, {} as at_us, {} as sent_us, {} as taken_us, {} as done_us
            from {table} where name = any($1::text[]) and {condition}",
        us(&format!("greatest({start_after}, {sent})")),
        us(sent),
        since_active(taken),
        since_active(done),
    )
}

impl Found {
    fn with(mut self, row: &PgRow) -> Self {
        let (queue, message) = (row.get::<&str, _>("name"), message(row));
        if self.count == MESSAGES_MAX {
            self.left_out = Some(message);
            return self;
        }
        self.count += 1;
        match self.queues.get_mut(queue) {
            Some(messages) => messages.push(message),
            None => drop(self.queues.insert(queue.to_owned(), vec![message])),
        }
        self
    }
}

fn message(row: &PgRow) -> Message {
    let known = |name| row.get::<Option<i64>, _>(name).map(time);
    Message {
        at: time(row.get("at_us")),
        sent_at: time(row.get("sent_us")),
        priority: row.get("priority"),
        taken_at: known("taken_us"),
        done_at: known("done_us"),
    }
}

/// Microseconds since 1970.
fn time(us: i64) -> Duration {
    Duration::from_micros(u64::try_from(us).unwrap_or_default())
}
