//! What pg-boss and our own tables remember for forecasts, as the clients of each version leave it.

use std::{collections::BTreeSet, time::Duration};

use job_chief::{
    decide::{
        forecast::history::{Message, Span},
        outcome::{Outcome, Reason},
    },
    pgboss::{
        error::QueueError,
        history::{HistoryReader, MESSAGES_MAX, Remembered},
    },
    store::{
        migrate::migrate,
        place::Place,
        run_history::{RUNS_MAX, RunHistories},
        runs::Runs,
    },
};
use serde_json::json;
use sqlx::{AssertSqlSafe, PgPool};

use crate::{
    policies::Client,
    server::{boss, database, pool},
    store::{ended, lead, row, wish},
};

const HOUR: Duration = Duration::from_secs(3_600);

async fn read(pool: &PgPool, queues: &[&str]) -> Remembered {
    let queues: BTreeSet<String> = queues.iter().map(|queue| (*queue).to_owned()).collect();
    HistoryReader::new(pool, "pgboss").read(&queues, HOUR).await.unwrap()
}

/// Three that are done, tried again and taken; one waits, one is deferred.
async fn remembers_what_was_taken_and_what_waits(version: &str) {
    let url = database(&format!("boss_history_{version}")).await;
    let pool = pool(&url).await;
    let nothing = HistoryReader::new(&pool, "pgboss").read(&BTreeSet::new(), HOUR).await;
    assert!(matches!(nothing, Err(QueueError::NoTable { .. })));
    {
        let mut client = Client::start(&url, version);
        client.ask(&json!({"create": "mail"}));
        for _ in 0..4 {
            client.ask(&json!({"send": "mail", "options": {"retryLimit": 3, "retryDelay": 0}}));
        }
        client.ask(&json!({"send": "mail", "options": {"startAfter": 3600}}));
        let taken = client.fetch("mail", 3);
        assert_eq!(taken.len(), 3);
        client.ask(&json!({"complete": "mail", "id": taken[0]}));
        client.ask(&json!({"fail": "mail", "id": taken[1]}));
    }
    let remembered = read(&pool, &["mail", "nobody's"]).await;
    assert_eq!(remembered.queues.len(), 1, "of a queue that nobody made nothing is known");
    let mail = &remembered.queues["mail"];
    assert!(!mail.notifies && !mail.keyed && !remembered.cut);
    check(&mail.messages, &remembered);
    if ["7", "8", "9", "10"].contains(&version) {
        let archive = "with done as (delete from pgboss.job where state = 'completed' returning *)
            insert into pgboss.archive select * from done";
        sqlx::raw_sql(archive).execute(&pool).await.unwrap();
        assert_eq!(read(&pool, &["mail"]).await.queues["mail"], *mail, "the archive is read, too");
    }
    let none = HistoryReader::new(&pool, "pgboss").read(&BTreeSet::from(["mail".to_owned()]), Duration::ZERO).await;
    let none = &none.unwrap().queues["mail"].messages;
    assert!(none.iter().all(|message| message.taken_at.is_none()), "it was taken before: {none:?}");
}

fn check(messages: &[Message], remembered: &Remembered) {
    let count = |of: fn(&&Message) -> bool| messages.iter().filter(of).count();
    assert_eq!(messages.len(), 4, "the deferred one can't be fetched yet: {messages:?}");
    assert_eq!(count(|it| it.done_at.is_some()), 1, "one is done: {messages:?}");
    assert_eq!(count(|it| it.taken_at.is_some() && it.done_at.is_none()), 1, "one is worked on");
    assert_eq!(count(|it| it.taken_at.is_none()), 2, "one is tried again, and one was never taken");
    for message in messages {
        assert!(message.sent_at <= message.at && message.at <= remembered.span.to, "{message:?}");
        assert!(message.taken_at.is_none_or(|taken| taken >= message.at && taken <= remembered.span.to));
        assert!(message.done_at.is_none_or(|done| Some(done) >= message.taken_at));
    }
    assert!(messages.is_sorted_by_key(|message| message.at));
    assert_eq!(remembered.span.to - remembered.span.from, HOUR);
}

#[tokio::test]
async fn of_pg_boss_7() {
    remembers_what_was_taken_and_what_waits("7").await;
}

#[tokio::test]
async fn of_pg_boss_8() {
    remembers_what_was_taken_and_what_waits("8").await;
}

#[tokio::test]
async fn of_pg_boss_9() {
    remembers_what_was_taken_and_what_waits("9").await;
}

#[tokio::test]
async fn of_pg_boss_10() {
    remembers_what_was_taken_and_what_waits("10").await;
}

#[tokio::test]
async fn of_pg_boss_11() {
    remembers_what_was_taken_and_what_waits("11").await;
}

#[tokio::test]
async fn of_pg_boss_12() {
    remembers_what_was_taken_and_what_waits("12").await;
}

#[tokio::test]
async fn what_a_queue_says_of_itself_is_remembered() {
    let url = database("boss_history_queue").await;
    let pool = pool(&url).await;
    boss(&url, "12", &["queue", "told", r#"{"notify": true}"#]);
    boss(&url, "12", &["queue", "keyed", r#"{"policy": "singleton"}"#]);
    for queue in ["told", "keyed"] {
        boss(&url, "12", &["send", queue, "1"]);
    }
    let remembered = read(&pool, &["told", "keyed"]).await;
    let told = |queue: &str| (remembered.queues[queue].notifies, remembered.queues[queue].keyed);
    assert_eq!((told("told"), told("keyed")), ((true, false), (false, true)));
}

#[tokio::test]
async fn the_newest_messages_are_kept_where_there_are_very_many() {
    let url = database("boss_history_cut").await;
    let pool = pool(&url).await;
    boss(&url, "12", &["queue", "mail"]);
    let fill = "insert into pgboss.job (name, state, created_on, start_after, started_on, completed_on)
        select 'mail', 'completed', at, at, at + interval '1 second', at + interval '2 seconds'
        from (select now() - interval '30 minutes' + n * interval '1 millisecond' as at
            from generate_series(1, 100010) as n) as made";
    sqlx::raw_sql(fill).execute(&pool).await.unwrap();
    let remembered = read(&pool, &["mail"]).await;
    assert!(remembered.cut);
    assert_eq!(remembered.queues["mail"].messages.len(), MESSAGES_MAX);
    assert!(remembered.span.to - remembered.span.from < HOUR, "the span begins where the messages do");
}

#[tokio::test]
async fn however_many_wait_what_was_taken_is_remembered() {
    let url = database("boss_history_waiting").await;
    let pool = pool(&url).await;
    for queue in ["mail", "full"] {
        boss(&url, "12", &["queue", queue]);
    }
    let fill = "insert into pgboss.job (name, state, created_on, start_after, started_on, completed_on)
        select 'mail', 'completed', at, at, at + interval '1 second', at + interval '2 seconds'
        from (select now() - interval '50 minutes' + n * interval '1 millisecond' as at
            from generate_series(1, 10) as n) as made;
        insert into pgboss.job (name, created_on, start_after)
        select 'full', at, at from (select now() - n * interval '1 millisecond' as at
            from generate_series(1, 100010) as n) as made";
    sqlx::raw_sql(fill).execute(&pool).await.unwrap();
    let remembered = read(&pool, &["mail", "full"]).await;
    let count = |queue: &str| remembered.queues[queue].messages.len();
    assert_eq!((count("mail"), count("full")), (10, MESSAGES_MAX - 10));
    assert!(remembered.cut);
    assert_eq!(remembered.span.to - remembered.span.from, HOUR, "none of those that were taken is left out");
}

#[tokio::test]
async fn where_there_are_too_many_runs_those_of_each_are_said_not_to_be_all() {
    let pool = pool(&database("store_run_history_many").await).await;
    migrate(&mut pool.acquire().await.unwrap(), "chief").await.unwrap();
    let fill = format!(
        "insert into chief.runs (instance, job_config, slot, job, config_hash, decision, ended_at, outcome, reason)
        select 'aaaaaa', 'config-' || n % 100, 0, 'job-' || n, '', '{{}}', now(), 'succeeded', 'completed'
        from generate_series(1, {RUNS_MAX}) as n"
    );
    sqlx::raw_sql(AssertSqlSafe(fill)).execute(&pool).await.unwrap();
    let histories = RunHistories::new(Place::new(&pool, "chief", "aaaaaa"));
    let names: Vec<String> = (0..100).map(|number| format!("config-{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let span = read_span(&pool).await;
    let all = histories.read(&names, span).await.unwrap();
    assert!(all.len() == 100 && all.values().all(|it| it.cut), "nobody knows which of them have more");
    let half = histories.read(&names[..50], span).await.unwrap();
    assert!(half.len() == 50 && half.values().all(|it| !it.cut));
}

#[tokio::test]
async fn runs_of_the_span_are_remembered_in_their_order() {
    let pool = pool(&database("store_run_history").await).await;
    migrate(&mut pool.acquire().await.unwrap(), "chief").await.unwrap();
    lead(&pool, "aaaaaa").await;
    let place = Place::new(&pool, "chief", "aaaaaa");
    let runs = Runs::new(place.clone());
    for (slot, name) in (0..).zip(["lives", "over", "b", "c"]) {
        runs.write_wishes(&[row(wish(name, slot))]).await.unwrap();
    }
    runs.write_ends(&[ended("over", Outcome::Succeeded, Reason::Completed)]).await.unwrap();
    runs.write_ends(&[ended("b", Outcome::Failed, Reason::ExitCode)]).await.unwrap();
    let old = "update chief.runs set wished_at = now() - interval '3 hours' where job in ('lives', 'over');
        update chief.runs set ended_at = now() - interval '2 hours' where job = 'over'";
    sqlx::raw_sql(old).execute(&pool).await.unwrap();
    let span = read_span(&pool).await;
    let histories = RunHistories::new(place).read(&["mail", "other"], span).await.unwrap();
    let mail = &histories["mail"];
    assert!(!mail.cut && histories.len() == 1);
    let outcomes: Vec<_> = mail.runs.iter().map(|run| run.outcome).collect();
    assert_eq!(
        outcomes,
        [None, Some(Outcome::Failed), None],
        "one has lived since before the span, one was over by then"
    );
    assert!(mail.runs[0].wished_at < span.from && mail.runs[2].ended_at.is_none());
    assert!(mail.runs.is_sorted_by_key(|run| run.wished_at));
}

/// The last hour by the clock of the database.
async fn read_span(pool: &PgPool) -> Span {
    let now: f64 = sqlx::query_scalar("select extract(epoch from now())::float8").fetch_one(pool).await.unwrap();
    let to = Duration::from_secs_f64(now);
    Span { from: to - HOUR, to }
}
