//! One statement for many queues: what its plan is in every version of pg-boss, and through a pooler.

use std::{io::Write, process::Stdio, sync::Arc, time::Duration};

use job_chief::{
    config::settings::DbSettings,
    decide::queue::event::{DepthRequest, LookPurpose},
    pgboss::{
        connect,
        depth::{DepthReader, at_once, question},
        shape::Shape,
    },
    sql::Statement,
};
use serde_json::Value;
use sqlx::{AssertSqlSafe, PgPool, Row};

use crate::{
    bouncer::Bouncer,
    pooler::{connected, settings},
    server::{boss, boss_command, database, pool},
};

/// Queues that are looked at. Version 10 makes a table for each.
const QUEUES: usize = 1_000;

/// Messages that wait in each queue, besides one that is taken.
const WAITING: usize = 5;

/// A database with many queues in which some messages wait. Every statement is dear enough to be compiled there, and a
/// table is read from end to end only where no index can answer.
async fn filled(name: &str, version: &str) -> (String, PgPool) {
    let url = database(name).await;
    boss(&url, version, &["install"]);
    if version.parse::<u32>().unwrap() >= 10 {
        let mut client = boss_command(&url, version, &["play"]);
        let mut client = client.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let mut orders = client.stdin.take().unwrap();
        for number in 0..QUEUES {
            writeln!(orders, "{{\"create\": \"q-{number}\"}}").unwrap();
        }
        drop(orders);
        assert!(client.wait().unwrap().success());
    }
    let fill = format!(
        "insert into pgboss.job (name, state) select 'q-' || n % {QUEUES},
            (case when n < {QUEUES} then 'active' else 'created' end)::pgboss.job_state
        from generate_series(0, {QUEUES} * ({WAITING} + 1) - 1) n; analyze pgboss.job;
        alter database {name} set jit_above_cost = 0; alter database {name} set enable_seqscan = off"
    );
    sqlx::raw_sql(AssertSqlSafe(fill)).execute(&pool(&url).await).await.unwrap();
    // What the database sets counts for who connects from here on.
    let pool = pool(&url).await;
    (url, pool)
}

fn asked() -> Vec<(Arc<str>, DepthRequest)> {
    let purpose = LookPurpose::Routine;
    let request = DepthRequest { since_us: None, limit: 100, younger_left: Duration::ZERO, purpose };
    (0..QUEUES).map(|number| (format!("q-{number}").into(), request)).collect()
}

async fn plan(pool: &PgPool, statement: Statement) -> Value {
    let rows = statement.explained().fetch_all(pool).await.unwrap();
    rows[0].get::<Value, _>(0)[0].clone()
}

/// Every scan of a plan: its type, and the table or index.
pub(crate) fn scans(node: &Value, found: &mut Vec<String>) {
    let kind = node["Node Type"].as_str().unwrap_or_default();
    if let Some(table) = node["Relation Name"].as_str() {
        found.push(format!("{kind} of {table} by {}", node["Index Name"].as_str().unwrap_or("nothing")));
    }
    node["Plans"].as_array().into_iter().flatten().for_each(|below| scans(below, found));
}

async fn many_queues_are_read_by_the_index_and_not_compiled(version: &str) {
    let (_, pool) = filled(&format!("wide_{version}"), version).await;
    let (shape, asked) = (Shape::detect(&pool, "pgboss").await.unwrap(), asked());
    let looks = DepthReader::new(pool.clone(), "pgboss").look(&asked).await.unwrap();
    assert!(looks.iter().all(|look| look.ready() == WAITING as u64), "{looks:?}");

    let asked = &asked[..at_once(&shape).min(QUEUES)];
    let sent = plan(&pool, question(&shape, asked, false)).await;
    assert_eq!(sent["JIT"], Value::Null, "not compiled");
    let mut found = vec![];
    scans(&sent["Plan"], &mut found);
    let of_messages: Vec<&String> = found.iter().filter(|scan| !scan.contains("of queue by")).collect();
    assert!(!of_messages.is_empty());
    assert!(of_messages.len() <= asked.len(), "no table is planned for but those that are asked for: {of_messages:?}");
    for scan in of_messages {
        assert!(!scan.starts_with("Seq Scan"), "messages are read by an index alone: {scan}");
    }
    // Without the setting it would be.
    let compiled = plan(&pool, question(&shape, asked, false).with_jit()).await;
    eprintln!(
        "pg-boss {version}, {} queues: {} ms, planned in {} ms; with JIT {} ms",
        asked.len(),
        sent["Execution Time"],
        sent["Planning Time"],
        compiled["Execution Time"]
    );
    assert_ne!(compiled["JIT"], Value::Null, "{compiled}");
}

#[tokio::test]
async fn pg_boss_7() {
    many_queues_are_read_by_the_index_and_not_compiled("7").await;
}

#[tokio::test]
async fn pg_boss_8() {
    many_queues_are_read_by_the_index_and_not_compiled("8").await;
}

#[tokio::test]
async fn pg_boss_9() {
    many_queues_are_read_by_the_index_and_not_compiled("9").await;
}

#[tokio::test]
async fn pg_boss_10() {
    many_queues_are_read_by_the_index_and_not_compiled("10").await;
}

#[tokio::test]
async fn pg_boss_11() {
    many_queues_are_read_by_the_index_and_not_compiled("11").await;
}

#[tokio::test]
async fn pg_boss_12() {
    many_queues_are_read_by_the_index_and_not_compiled("12").await;
}

#[tokio::test]
async fn through_a_pooler_it_is_not_compiled_either_and_leaves_nothing_behind() {
    let (url, direct) = filled("wide_pooled", "12").await;
    let bouncer = Bouncer::start(&url, "");
    let settings: DbSettings = settings(&bouncer, &url, &[]);
    drop(connected(&settings).await);
    let pool = connect::pool(&settings);
    let (shape, asked) = (Shape::detect(&direct, "pgboss").await.unwrap(), asked());
    for _ in 0..3 {
        assert_eq!(plan(&pool, question(&shape, &asked, false)).await["JIT"], Value::Null);
        // The pool of the server is small: the same connections are asked by others next.
        let others = (0..8).map(|_| Statement::new("show jit").fetch_one(&pool));
        for row in futures::future::join_all(others).await {
            assert_eq!(row.unwrap().get::<String, _>(0), "on", "the setting has ended with its message");
        }
    }
}
