//! Depth and totals of pg-boss 7 to 12, as their own clients fill the tables.

use std::time::Duration;

use job_chief::{
    decide::queue::{
        event::{DepthRequest, LookPurpose},
        scale::Look,
    },
    pgboss::{depth::DepthReader, error::QueueError, totals::totals},
};

use sqlx::AssertSqlSafe;

use crate::server::{boss, database, pool};

pub(crate) fn all() -> DepthRequest {
    DepthRequest { since_us: None, limit: 100, younger_left: Duration::ZERO, purpose: LookPurpose::Decision }
}

/// One look at one queue.
pub(crate) async fn look(reader: &DepthReader, queue: &str, request: &DepthRequest) -> Result<Look, QueueError> {
    Ok(reader.look(&[(queue.into(), *request)]).await?.remove(0))
}

/// What every version has in common: what waits counts, what is deferred or active does not.
async fn counts_what_can_be_fetched(version: &str) {
    let url = database(&format!("boss_{version}")).await;
    let pool = pool(&url).await;
    let reader = DepthReader::new(pool.clone(), "pgboss");
    assert!(matches!(look(&reader, "mail", &all()).await, Err(QueueError::NoTable { .. })));
    boss(&url, version, &["install"]);
    assert_eq!(look(&reader, "mail", &all()).await.unwrap().old, 0, "a queue that does not exist has depth 0");
    boss(&url, version, &["send", "mail", "3"]);
    boss(&url, version, &["send", "mail", "2", r#"{"startAfter": 3600}"#]);
    boss(&url, version, &["send", "other", "1"]);
    let first = look(&reader, "mail", &all()).await.unwrap();
    assert_eq!((first.old, first.new), (3, 0));

    boss(&url, version, &["send", "mail", "2"]);
    let since = DepthRequest { since_us: Some(first.at_us), ..all() };
    let second = look(&reader, "mail", &since).await.unwrap();
    assert_eq!((second.old, second.new), (3, 2), "two came since the first look");
    let fetched = boss(&url, version, &["fetch", "mail", "1"]);
    assert_eq!(fetched.matches('-').count(), 4, "one id: {fetched}");
    assert_eq!(look(&reader, "mail", &since).await.unwrap().old, 2, "one was taken");

    let bounded = DepthRequest { limit: 1, ..since };
    let cut = look(&reader, "mail", &bounded).await.unwrap();
    assert_eq!((cut.old, cut.new), (1, 1));
    let young = DepthRequest { younger_left: Duration::from_secs(3600), ..all() };
    assert_eq!(look(&reader, "mail", &young).await.unwrap().old, 0);

    let totals = totals(&reader, &pool, &["mail".into(), "nothing".into()]).await.unwrap();
    let mail = totals["mail"];
    assert_eq!((mail.created, mail.active, mail.deferred, mail.all), (6, 1, 2, 7));
    assert_eq!(totals["nothing"].all, 0);
}

#[tokio::test]
async fn pg_boss_7() {
    counts_what_can_be_fetched("7").await;
}

#[tokio::test]
async fn pg_boss_8() {
    counts_what_can_be_fetched("8").await;
}

#[tokio::test]
async fn pg_boss_9() {
    counts_what_can_be_fetched("9").await;
}

#[tokio::test]
async fn pg_boss_10() {
    counts_what_can_be_fetched("10").await;
}

#[tokio::test]
async fn pg_boss_11() {
    counts_what_can_be_fetched("11").await;
}

#[tokio::test]
async fn pg_boss_12() {
    counts_what_can_be_fetched("12").await;
}

/// Counts that pg-boss keeps are taken while they are fresh, and only then.
async fn cached_counts_are_taken_while_they_are_fresh(version: &str) {
    let url = database(&format!("boss_cached_{version}")).await;
    let pool = pool(&url).await;
    let reader = DepthReader::new(pool.clone(), "pgboss");
    boss(&url, version, &["send", "mail", "3"]);
    let counts = "deferred_count = 2, queued_count = 9, active_count = 4, total_count = 20";
    for (age, expected) in [("1 minute", (9, 4, 7, 20)), ("1 hour", (3, 0, 0, 3))] {
        let set =
            format!("update pgboss.queue set {counts}, monitor_on = now() - interval '{age}' where name = 'mail'");
        sqlx::raw_sql(AssertSqlSafe(set)).execute(&pool).await.unwrap();
        let mail = totals(&reader, &pool, &["mail".into()]).await.unwrap()["mail"];
        assert_eq!((mail.created, mail.active, mail.completed, mail.all), expected, "{age} old");
        assert_eq!(mail.gauges().iter().any(|(state, _)| *state == "retry"), !mail.coarse);
    }
}

#[tokio::test]
async fn cached_counts_of_pg_boss_11() {
    cached_counts_are_taken_while_they_are_fresh("11").await;
}

#[tokio::test]
async fn cached_counts_of_pg_boss_12() {
    cached_counts_are_taken_while_they_are_fresh("12").await;
}

#[tokio::test]
async fn a_schema_that_changes_under_us_is_read_anew() {
    let url = database("boss_changes").await;
    let pool = pool(&url).await;
    let reader = DepthReader::new(pool.clone(), "pgboss");
    boss(&url, "9", &["send", "mail", "1"]);
    assert_eq!(look(&reader, "mail", &all()).await.unwrap().old, 1);
    sqlx::raw_sql("drop schema pgboss cascade").execute(&pool).await.unwrap();
    boss(&url, "12", &["send", "mail", "2"]);
    look(&reader, "mail", &all()).await.expect_err("the column has another name now");
    assert_eq!(look(&reader, "mail", &all()).await.unwrap().old, 2);
}

#[tokio::test]
async fn a_queue_that_nobody_made_is_told_from_one_that_is_empty() {
    let url = database("boss_unknown").await;
    let reader = DepthReader::new(pool(&url).await, "pgboss");
    boss(&url, "12", &["queue", "empty"]);
    assert!(!look(&reader, "empty", &all()).await.unwrap().unknown);
    let nobodys = look(&reader, "nobody's", &all()).await.unwrap();
    assert_eq!((nobodys.unknown, nobodys.ready()), (true, 0));
}

#[tokio::test]
async fn a_role_that_may_not_read_is_told_which_grant_is_missing() {
    let url = database("boss_denied").await;
    let owner = pool(&url).await;
    boss(&url, "12", &["send", "mail", "1"]);
    let role = "do $$ begin create role job_chief_denied login password 'denied'; exception when duplicate_object then null; end $$";
    sqlx::raw_sql(role).execute(&owner).await.unwrap();
    let mut denied = url::Url::parse(&url).unwrap();
    denied.set_username("job_chief_denied").unwrap();
    denied.set_password(Some("denied")).unwrap();
    let reader = DepthReader::new(pool(denied.as_str()).await, "pgboss");
    let error = look(&reader, "mail", &all()).await.unwrap_err();
    assert!(error.to_string().contains("job-chief grants"), "{error}");
    sqlx::raw_sql("grant usage on schema pgboss to job_chief_denied; grant select on all tables in schema pgboss to job_chief_denied")
        .execute(&owner)
        .await
        .unwrap();
    assert_eq!(look(&reader, "mail", &all()).await.unwrap().old, 1);
}

#[tokio::test]
async fn another_table_is_refused_by_name() {
    let url = database("boss_other").await;
    let pool = pool(&url).await;
    sqlx::raw_sql("create schema \"odd \"\"name\"; create table \"odd \"\"name\".job (id int)")
        .execute(&pool)
        .await
        .unwrap();
    let error = look(&DepthReader::new(pool, "odd \"name"), "mail", &all()).await.unwrap_err();
    assert!(matches!(error, QueueError::UnknownShape { .. }), "{error}");
    assert!(error.to_string().contains("db.schema"), "{error}");
}
