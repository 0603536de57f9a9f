//! Looks over the connection that listens, and the plans that it keeps.

use std::time::Duration;

use futures::FutureExt;
use job_chief::{
    decide::queue::event::DepthRequest,
    pgboss::{
        connect,
        depth::{DepthReader, TYPES, question},
        line::Line,
        listen::{Hints, Listener},
        shape::Shape,
    },
    sql::Statement,
};
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool, Row, postgres::PgConnectOptions};
use tokio::task::JoinHandle;

use crate::{
    bouncer::Bouncer,
    pooler::{connected, settings},
    queue::{all, look},
    server::{boss, database, pool},
    wide::scans,
};

/// A connection that listens, and is asked.
pub(crate) struct Listening {
    pub(crate) line: Line,
    hints: Hints,
    task: JoinHandle<()>,
}

impl Listening {
    pub(crate) async fn begin(options: PgConnectOptions, pool: &PgPool) -> Self {
        let (line, hints) = (Line::default(), Hints::default());
        let listener = Listener::new(options, "pgboss", "own".into(), hints.clone(), line.clone());
        let it = Self { line, hints, task: tokio::spawn(listener.run()) };
        it.opened(pool).await;
        it
    }

    /// Waits until it listens, again, and has heard something.
    async fn opened(&self, pool: &PgPool) {
        self.hears().await;
        notify(pool).await;
        self.hears().await;
    }

    async fn hears(&self) {
        tokio::time::timeout(Duration::from_secs(60), self.hints.own().notified()).await.unwrap();
    }
}

async fn notify(pool: &PgPool) {
    sqlx::raw_sql("select pg_notify('own', '')").execute(pool).await.unwrap();
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The backends of this database that ran a plan which they keep as the last thing.
async fn keeping(pool: &PgPool) -> Vec<i32> {
    let sql = "select pid from pg_stat_activity where datname = current_database() and query like 'set local%execute job_chief_%'";
    sqlx::query_scalar(sql).persistent(false).fetch_all(pool).await.unwrap()
}

async fn sees_what_the_pool_sees(version: &str, keeps: bool) {
    let url = database(&format!("line_{version}")).await;
    let pool = pool(&url).await;
    boss(&url, version, &["send", "mail", "3"]);
    boss(&url, version, &["send", "mail", "2", r#"{"startAfter": 3600}"#]);
    let listening = Listening::begin(url.parse().unwrap(), &pool).await;
    let (plain, kept) = (
        DepthReader::new(pool.clone(), "pgboss"),
        DepthReader::with_line(pool.clone(), listening.line.clone(), "pgboss"),
    );
    let mut since = look(&plain, "mail", &all()).await.unwrap().at_us;
    for round in 0..3 {
        boss(&url, version, &["send", "mail", "1"]);
        let young = DepthRequest { younger_left: Duration::from_secs(3600), ..all() };
        for request in
            [all(), DepthRequest { since_us: Some(since), ..all() }, DepthRequest { limit: 2, ..all() }, young]
        {
            for queue in ["mail", "nothing"] {
                let (by_pool, by_line) =
                    (look(&plain, queue, &request).await.unwrap(), look(&kept, queue, &request).await.unwrap());
                let counts = |it: job_chief::decide::queue::scale::Look| {
                    (it.old, it.new, it.limit, it.unknown, it.next_in.is_some())
                };
                assert_eq!(counts(by_line), counts(by_pool), "pg-boss {version}, {queue}, {request:?}, round {round}");
                since = by_line.at_us;
            }
        }
    }
    assert_eq!(keeping(&pool).await.len(), usize::from(keeps));
}

#[tokio::test]
async fn pg_boss_7() {
    sees_what_the_pool_sees("7", true).await;
}

#[tokio::test]
async fn pg_boss_8() {
    sees_what_the_pool_sees("8", true).await;
}

#[tokio::test]
async fn pg_boss_9() {
    sees_what_the_pool_sees("9", true).await;
}

/// Each queue has a table of its own, which the statement has to name: there is no one plan.
#[tokio::test]
async fn pg_boss_10() {
    sees_what_the_pool_sees("10", false).await;
}

#[tokio::test]
async fn pg_boss_11() {
    sees_what_the_pool_sees("11", true).await;
}

#[tokio::test]
async fn pg_boss_12() {
    sees_what_the_pool_sees("12", true).await;
}

#[tokio::test]
async fn a_plan_that_was_made_for_an_empty_table_reads_by_the_index_what_has_come_since() {
    for (version, index) in [("9", "job_fetch"), ("11", "_i5"), ("12", "_i5")] {
        let url = database(&format!("line_grows_{version}")).await;
        let pool = pool(&url).await;
        boss(&url, version, &["install"]);
        let shape = Shape::detect(&pool, "pgboss").await.unwrap();
        let kept = question(&shape, &[("mail".into(), all())], false).kept(&TYPES);
        let mut connection = PgConnection::connect(&url).await.unwrap();
        kept.prepare_and_execute().fetch_all(&mut connection).await.unwrap();
        let fill = "insert into pgboss.job (name) select 'mail' from generate_series(1, 20000)";
        boss(&url, version, &["send", "mail", "1"]);
        sqlx::raw_sql(fill).execute(&pool).await.unwrap();
        let explained = format!(
            "set plan_cache_mode = force_generic_plan; explain (verbose, format json) execute {}('{{mail}}', '{{null}}', '{{0}}', '{{100}}')",
            kept.name()
        );
        let rows = sqlx::raw_sql(AssertSqlSafe(explained)).fetch_all(&mut connection).await.unwrap();
        let plan = rows[0].get::<Value, _>(0)[0]["Plan"].clone();
        assert!(plan.to_string().contains("$1"), "it is the plan that was kept: {plan}");
        let mut found = vec![];
        scans(&plan, &mut found);
        let of_messages: Vec<&String> = found.iter().filter(|scan| !scan.contains("of queue by")).collect();
        // The fetch index is the one that has their order: no more of them are read than the look asks for.
        assert!(
            !of_messages.is_empty() && of_messages.iter().all(|scan| scan.starts_with("Index") && scan.contains(index)),
            "{found:?}"
        );
    }
}

#[tokio::test]
async fn who_asks_is_answered_by_the_pool_while_the_connection_is_lost_and_by_a_new_one_after() {
    let url = database("line_lost").await;
    let pool = pool(&url).await;
    boss(&url, "12", &["send", "mail", "3"]);
    let listening = Listening::begin(url.parse().unwrap(), &pool).await;
    let reader = DepthReader::with_line(pool.clone(), listening.line.clone(), "pgboss");
    let mut before = vec![];
    for _ in 0..2 {
        // By the pool, for nothing is known of the tables; with a plan that is made; and with that plan.
        for _ in 0..3 {
            assert_eq!(look(&reader, "mail", &all()).await.unwrap().old, 3);
        }
        let now = keeping(&pool).await;
        assert!(now.len() == 1 && now != before, "{before:?} {now:?}");
        let end = format!("select pg_terminate_backend({})", now[0]);
        sqlx::raw_sql(AssertSqlSafe(end)).execute(&pool).await.unwrap();
        assert_eq!(look(&reader, "mail", &all()).await.unwrap().old, 3, "at once, by the pool");
        before = now;
        listening.opened(&pool).await;
    }
}

#[tokio::test]
async fn a_plan_is_made_once_for_a_session() {
    let url = database("line_once").await;
    let pool = pool(&url).await;
    boss(&url, "12", &["send", "mail", "3"]);
    let listening = Listening::begin(url.parse().unwrap(), &pool).await;
    let reader = DepthReader::with_line(pool.clone(), listening.line.clone(), "pgboss");
    let plans = || {
        Statement::new("select generic_plans + custom_plans, name from pg_prepared_statements where name <> $1")
            .bind("")
            .kept(&["text"])
    };
    for looks in 0..5 {
        look(&reader, "mail", &all()).await.unwrap();
        let rows = listening.line.fetch_all(plans).await.unwrap();
        // The first look was by the pool, for nothing was known of the tables.
        let of_looks: Vec<i64> =
            rows.iter().filter(|row| row.get::<&str, _>(1) != plans().name()).map(|row| row.get(0)).collect();
        assert_eq!(of_looks, if looks == 0 { vec![] } else { vec![looks] });
    }
}

#[tokio::test]
async fn who_is_not_answered_asks_elsewhere_and_notifications_go_on() {
    let url = database("line_refused").await;
    let pool = pool(&url).await;
    let listening = Listening::begin(url.parse().unwrap(), &pool).await;
    let one = || Statement::new("select $1").bind("x").kept(&["text"]);
    assert!(listening.line.fetch_all(one).await.is_some());
    let slow = || Statement::new("select pg_sleep($1)").bind(30.0).kept(&["float8"]);
    let asked = tokio::time::timeout(Duration::from_secs(20), listening.line.fetch_all(slow));
    assert!(asked.await.unwrap().is_none(), "Postgres has ended it");
    assert!(listening.line.fetch_all(one).await.is_none(), "what the session knows is not certain any more");
    notify(&pool).await;
    listening.hears().await;
    assert!(listening.line.fetch_all(one).await.is_none());
}

#[tokio::test]
async fn behind_a_pooler_that_gives_each_transaction_another_connection_nothing_is_kept() {
    let url = database("line_pooler").await;
    let pool = pool(&url).await;
    let bouncer = Bouncer::start(&url, "");
    let through = settings(&bouncer, &url, &[]);
    drop(connected(&through).await);
    let (line, hints) = (Line::default(), Hints::default());
    let listener = Listener::new(connect::options(&through), "pgboss", "own".into(), hints.clone(), line.clone());
    let task = tokio::spawn(listener.run());
    tokio::time::timeout(Duration::from_secs(60), hints.own().notified()).await.unwrap();
    let (silent, one) = (hints.own(), || Statement::new("select $1").bind("x").kept(&["text"]));
    for _ in 0..20 {
        notify(&pool).await;
        assert!(line.fetch_all(one).await.is_none());
    }
    assert!(silent.notified().now_or_never().is_none(), "none has come");
    task.abort();
}
