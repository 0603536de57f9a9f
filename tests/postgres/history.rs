//! What pg-boss and our own tables remember for forecasts, as the clients of each version leave it.

use std::{collections::BTreeSet, time::Duration};

use job_chief::{
    decide::{
        forecast::history::{Message, Span},
        outcome::{Outcome, Reason},
    },
    pgboss::{
        error::QueueError,
        history::{HistoryReader, Remembered},
    },
    store::{migrate::migrate, place::Place, run_history::RunHistories, runs::Runs},
};
use serde_json::json;
use sqlx::PgPool;

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
            from generate_series(1, 200010) as n) as made";
    sqlx::raw_sql(fill).execute(&pool).await.unwrap();
    let remembered = read(&pool, &["mail"]).await;
    assert!(remembered.cut);
    assert_eq!(remembered.queues["mail"].messages.len(), 200_000);
    assert!(remembered.span.to - remembered.span.from < HOUR, "the span begins where the messages do");
}

#[tokio::test]
async fn runs_of_the_span_are_remembered_in_their_order() {
    let pool = pool(&database("store_run_history").await).await;
    migrate(&mut pool.acquire().await.unwrap(), "chief").await.unwrap();
    lead(&pool, "aaaaaa").await;
    let place = Place::new(&pool, "chief", "aaaaaa");
    let runs = Runs::new(place.clone());
    for (slot, name) in (0..).zip(["a", "b", "c"]) {
        runs.write_wishes(&[row(wish(name, slot))]).await.unwrap();
    }
    runs.write_ends(&[ended("b", Outcome::Failed, Reason::ExitCode)]).await.unwrap();
    let old = "update chief.runs set wished_at = now() - interval '2 hours' where job = 'a'";
    sqlx::raw_sql(old).execute(&pool).await.unwrap();
    let span = read_span(&pool).await;
    let histories = RunHistories::new(place).read(&["mail", "other"], span).await.unwrap();
    let mail = &histories["mail"];
    assert!(!mail.cut && histories.len() == 1);
    let outcomes: Vec<_> = mail.runs.iter().map(|run| run.outcome).collect();
    assert_eq!(outcomes, [Some(Outcome::Failed), None], "the first one was wished before the span");
    assert!(mail.runs[0].wished_at <= mail.runs[1].wished_at && mail.runs[1].ended_at.is_none());
}

/// The last hour by the clock of the database.
async fn read_span(pool: &PgPool) -> Span {
    let now: f64 = sqlx::query_scalar("select extract(epoch from now())::float8").fetch_one(pool).await.unwrap();
    let to = Duration::from_secs_f64(now);
    Span { from: to - HOUR, to }
}
