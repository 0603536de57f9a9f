//! Our own tables: what is written once, and what is refused.

use std::time::Duration;

use job_chief::{
    config::entry::Kind,
    decide::{
        decision::{Decision, DecisionReason, Origin, Wish},
        lease::{Answer, Ask, Record},
        outcome::{End, JobName, Outcome, Reason},
        queue::event::LogEntry,
        run::event::{Course, Ended, WishAnswer},
    },
    sql::Statement,
    store::{
        decisions::Decisions,
        leadership::Leadership,
        migrate::{SchemaError, migrate},
        place::Place,
        rows::{EndRow, NoteRow, WishRow},
        runs::Runs,
        stored::Stored,
        writer::Writer,
    },
};
use sqlx::{PgPool, Row};
use tokio_util::task::TaskTracker;

use crate::server::{database, pool};

async fn runs(name: &str) -> (PgPool, Runs) {
    let pool = pool(&database(name).await).await;
    migrate(&mut pool.acquire().await.unwrap(), "chief").await.unwrap();
    lead(&pool, "aaaaaa").await;
    (pool.clone(), Runs::new(Place::new(&pool, "chief", "aaaaaa")))
}

/// This process leads in the first term.
pub(crate) async fn lead(pool: &PgPool, instance: &str) {
    let taken =
        Leadership::new(Place::new(pool, "chief", instance)).carry_out("me", &Ask::Take(Record::default())).await;
    assert!(matches!(taken.unwrap().answer, Answer::Done(Record { term: 1, .. })));
}

pub(crate) fn wish(name: &str, slot: u32) -> Wish {
    Wish { slot, decision: Decision { ready: 3, ..Decision::default() }, ..Wish::example(JobName(name.into())) }
}

pub(crate) fn ended(name: &str, outcome: Outcome, reason: Reason) -> EndRow {
    ended_before(name, outcome, reason, Duration::from_secs(5))
}

fn ended_before(name: &str, outcome: Outcome, reason: Reason, age: Duration) -> EndRow {
    let end = End { exit_code: Some(7), message: Some("why".into()), ..End::new(outcome, reason) };
    let ended = Ended {
        name: JobName(name.into()),
        uid: Some("uid".into()),
        end,
        age,
        started_age: None,
        course: Course::default(),
    };
    EndRow { term: 1, ended }
}

pub(crate) fn row(wish: Wish) -> WishRow {
    WishRow { kind: Kind::Queue, config: "mail".into(), config_hash: "hash".into(), term: 1, wish }
}

async fn answer(runs: &Runs, wish: Wish) -> WishAnswer {
    let name = wish.name.clone();
    runs.write_wishes(&[row(wish)]).await.unwrap().remove(&name).unwrap()
}

#[tokio::test]
async fn a_slot_has_one_unfinished_run_and_a_name_serves_once() {
    let (_, runs) = runs("store_slots").await;
    let both = runs.write_wishes(&[row(wish("a", 0)), row(wish("b", 1))]).await.unwrap();
    assert!(both.values().all(|answer| *answer == WishAnswer::Written));
    assert_eq!(answer(&runs, wish("a", 0)).await, WishAnswer::Written, "the answer was lost, the same is asked again");
    assert_eq!(answer(&runs, wish("c", 0)).await, WishAnswer::SlotTaken);
    runs.write_ends(&[ended("a", Outcome::Succeeded, Reason::Completed)]).await.unwrap();
    assert_eq!(answer(&runs, wish("c", 0)).await, WishAnswer::Written);
    assert_eq!(answer(&runs, wish("a", 5)).await, WishAnswer::Ended);
    let loaded = runs.load(Kind::Queue, "mail").await.unwrap();
    let names: Vec<_> = loaded.unfinished.iter().map(|run| (run.name.0.as_str(), run.slot)).collect();
    assert_eq!(names, [("b", 1), ("c", 0)]);
    assert!(runs.load(Kind::Queue, "other").await.unwrap().unfinished.is_empty());
}

#[tokio::test]
async fn a_run_keeps_its_first_end() {
    let (_, runs) = runs("store_ends").await;
    answer(&runs, wish("a", 0)).await;
    runs.write_ends(&[ended("a", Outcome::Failed, Reason::OomKilled)]).await.unwrap();
    runs.write_ends(&[ended("a", Outcome::Vanished, Reason::Deleted)]).await.unwrap();
    let row = runs.recent("mail", 10).await.unwrap().remove(0);
    assert_eq!(
        (row.outcome.as_deref(), row.reason.as_deref(), row.exit_code),
        (Some("failed"), Some("oom_killed"), Some(7))
    );
    assert_eq!(
        (row.message.as_deref(), row.uid.as_deref(), row.decision["ready"].as_u64()),
        (Some("why"), Some("uid"), Some(3))
    );
}

#[tokio::test]
async fn failures_since_the_last_success_are_counted() {
    let (_, runs) = runs("store_failures").await;
    let history = [
        (Outcome::Failed, Reason::ExitCode),
        (Outcome::Succeeded, Reason::Completed),
        (Outcome::Failed, Reason::ExitCode),
        (Outcome::Failed, Reason::Disrupted),
        (Outcome::Failed, Reason::OomKilled),
    ];
    for (at, (outcome, reason)) in history.into_iter().enumerate() {
        let name = format!("run-{at}");
        answer(&runs, wish(&name, 0)).await;
        runs.write_ends(&[ended_before(&name, outcome, reason, Duration::from_secs(100 - at as u64))]).await.unwrap();
    }
    assert_eq!(runs.load(Kind::Queue, "mail").await.unwrap().failed_in_a_row, 2, "evictions are nobody's fault");
}

#[tokio::test]
async fn successes_that_took_nothing_count_like_failures() {
    let (pool, runs) = runs("store_nothing").await;
    let decisions = Decisions::new(Place::new(&pool, "chief", "aaaaaa"));
    for at in 0..3 {
        let name = format!("run-{at}");
        answer(&runs, wish(&name, 0)).await;
        runs.write_ends(&[ended_before(&name, Outcome::Succeeded, Reason::Completed, Duration::from_secs(10 - at))])
            .await
            .unwrap();
    }
    assert_eq!(runs.load(Kind::Queue, "mail").await.unwrap().failed_in_a_row, 0);
    let marks = ["run-1", "run-2"].map(|name| note(LogEntry::TookNothing(JobName(name.into()))));
    decisions.write_notes(&marks).await.unwrap();
    assert_eq!(runs.load(Kind::Queue, "mail").await.unwrap().failed_in_a_row, 2);
    let marked: Vec<bool> = runs.recent("mail", 10).await.unwrap().iter().map(|row| row.took_nothing).collect();
    assert_eq!(marked, [true, true, false]);
}

fn note(note: LogEntry) -> NoteRow {
    NoteRow { config: "mail".into(), age: Duration::from_secs(3), note }
}

#[tokio::test]
async fn what_comes_while_a_statement_is_under_way_goes_into_the_next_one() {
    let (pool, _) = runs("store_writer").await;
    let decisions = Decisions::new(Place::new(&pool, "chief", "aaaaaa"));
    let (writer, task) = Writer::new(Stored::new(Place::new(&pool, "chief", "aaaaaa")));
    sqlx::raw_sql(
        "create table chief.statements (n int); create function chief.count() returns trigger language plpgsql as
            $$ begin insert into chief.statements values (1); return null; end $$;
        create trigger count after insert or update on chief.runs for each statement execute function chief.count()",
    )
    .execute(&pool)
    .await
    .unwrap();
    let behind = TaskTracker::new();
    behind.spawn(task.run());
    behind.close();
    let wishes = (0..50).map(|at| writer.wishes(vec![row(wish(&format!("run-{at}"), at))]));
    for (at, answers) in futures::future::join_all(wishes).await.into_iter().enumerate() {
        assert_eq!(answers.unwrap()[&JobName(format!("run-{at}"))], WishAnswer::Written);
    }
    let ends = (0..50).map(|at| writer.end(ended(&format!("run-{at}"), Outcome::Succeeded, Reason::Completed)));
    futures::future::join_all(ends).await.into_iter().for_each(|ended| assert!(ended.is_ok()));
    let statements: i64 = sqlx::query_scalar("select count(*) from chief.statements").fetch_one(&pool).await.unwrap();
    assert!(statements <= 6, "fifty wishes and fifty ends took {statements} statements");
    let decided = LogEntry::Decided {
        at: Duration::ZERO,
        decision: Decision { why: DecisionReason::Full, jobs: 2, ..Decision::default() },
    };
    writer.notes(vec![note(decided)]).await.unwrap();
    let shown = decisions.recent("mail", 10).await.unwrap();
    assert_eq!((shown.len(), &shown[0].decision["why"], &shown[0].decision["jobs"]), (1, &"full".into(), &2.into()));
    drop(writer);
    behind.wait().await;
}

#[tokio::test]
async fn a_row_that_postgres_refuses_spoils_no_other() {
    let (pool, _) = runs("store_refused").await;
    let (writer, task) = Writer::new(Stored::new(Place::new(&pool, "chief", "aaaaaa")));
    let behind = TaskTracker::new();
    behind.spawn(task.run());
    behind.close();
    // Longer than an index takes, and of a kind that nothing makes shorter.
    let long: String = (0..2_000_u64).map(|n| format!("{:x}", n.wrapping_mul(0x9E37_79B9_7F4A_7C15))).collect();
    let (good, bad) = (writer.wishes(vec![row(wish("good", 0))]), writer.wishes(vec![row(wish(&long, 1))]));
    let (good, bad) = tokio::join!(good, bad);
    assert_eq!(good.unwrap()[&JobName("good".into())], WishAnswer::Written);
    assert!(bad.unwrap_err().is_refusal());
    drop(writer);
    behind.wait().await;
}

#[tokio::test]
async fn when_a_run_has_begun_is_known_to_whoever_takes_over_to_the_microsecond() {
    let (pool, runs) = runs("store_begun").await;
    // Nanoseconds are cut off: rounded, a trace would begin after its first span.
    let begun_at = Duration::new(1_790_000_000, 123_456_999);
    let origin = Origin { begun_at, looked_at: None, decided_at: begun_at + Duration::from_secs(1) };
    let row = row(Wish { origin, ..wish("a", 0) });
    runs.write_wishes(&[row]).await.unwrap();
    let loaded = runs.load(Kind::Queue, "mail").await.unwrap().unfinished.remove(0);
    assert_eq!(loaded.begun_at, Some(Duration::from_micros(1_790_000_000_123_456)));
    // An older process of the Instance writes none.
    sqlx::query("update chief.runs set begun_at = null").execute(&pool).await.unwrap();
    assert_eq!(runs.load(Kind::Queue, "mail").await.unwrap().unfinished[0].begun_at, None);
}

#[tokio::test]
async fn old_runs_are_pruned_and_unfinished_ones_stay() {
    let (pool, runs) = runs("store_prune").await;
    for (slot, name) in ["old", "new", "unfinished"].into_iter().enumerate() {
        assert_eq!(answer(&runs, wish(name, u32::try_from(slot).unwrap())).await, WishAnswer::Written);
    }
    runs.write_ends(&[ended_before("old", Outcome::Succeeded, Reason::Completed, Duration::from_secs(15 * 24 * 3600))])
        .await
        .unwrap();
    runs.write_ends(&[ended("new", Outcome::Succeeded, Reason::Completed)]).await.unwrap();
    sqlx::raw_sql("update chief.runs set wished_at = now() - interval '30 days'").execute(&pool).await.unwrap();
    assert_eq!(runs.prune().await.unwrap(), 1);
    assert_eq!(runs.unfinished_configs().await.unwrap(), [(Kind::Queue, "mail".to_owned())]);
    let left: Vec<String> = runs.recent("mail", 10).await.unwrap().into_iter().map(|row| row.job).collect();
    assert_eq!(left, ["unfinished", "new"]);
}

#[tokio::test]
async fn what_ended_lately_is_kept_however_much_there_is() {
    let (pool, runs) = runs("store_prune_many").await;
    let many = "insert into chief.runs (instance, job_config, slot, job, config_hash, decision, ended_at, outcome, reason)
        select 'aaaaaa', 'mail', n, n, '', '{}', now() - interval '15 minutes', 'failed', 'job_failed' from generate_series(1, 1005) as n";
    sqlx::raw_sql(many).execute(&pool).await.unwrap();
    assert_eq!(runs.prune().await.unwrap(), 0, "their Jobs may still be there, and would be recorded once more");
    sqlx::raw_sql("update chief.runs set ended_at = now() - interval '25 minutes'").execute(&pool).await.unwrap();
    assert_eq!(runs.prune().await.unwrap(), 5);
}

#[tokio::test]
async fn a_wish_that_is_written_while_the_runs_are_loaded_is_never_served_without_being_there() {
    let (pool, runs) = runs("store_load_order").await;
    sqlx::raw_sql("insert into chief.switches (instance, job_config, run_asked) values ('aaaaaa', 'mail', 1)")
        .execute(&pool)
        .await
        .unwrap();
    // Whoever reads what is served waits until the wish is there.
    let mut writing = pool.begin().await.unwrap();
    let written = "lock table chief.switches in access exclusive mode;
        insert into chief.runs (instance, job_config, slot, job, config_hash, decision, serves)
            values ('aaaaaa', 'mail', 0, 'a', '', '{}', 1);
        update chief.switches set run_served = 1";
    sqlx::raw_sql(written).execute(&mut *writing).await.unwrap();
    let loading = tokio::spawn(async move { runs.load(Kind::Queue, "mail").await });
    let waits = "select exists (select from pg_locks where not granted and database =
        (select oid from pg_database where datname = current_database()))";
    while !sqlx::query_scalar::<_, bool>(waits).fetch_one(&mut *writing).await.unwrap() {
        tokio::task::yield_now().await;
    }
    writing.commit().await.unwrap();
    let loaded = loading.await.unwrap().unwrap();
    assert_eq!((loaded.served, loaded.unfinished.len()), (1, 1));
}

#[tokio::test]
async fn the_schema_is_made_once_and_a_newer_one_is_left_alone() {
    let pool = pool(&database("store_schema").await).await;
    let mut connection = pool.acquire().await.unwrap();
    migrate(&mut connection, "my \"chief").await.unwrap();
    migrate(&mut connection, "my \"chief").await.unwrap();
    sqlx::raw_sql("update \"my \"\"chief\"._sqlx_migrations set version = 999 where version = 2")
        .execute(&pool)
        .await
        .unwrap();
    let error = migrate(&mut connection, "my \"chief").await.unwrap_err();
    assert!(matches!(error, SchemaError::Newer { found: 999, .. }), "{error}");
}

#[tokio::test]
async fn many_processes_migrate_at_once() {
    let pool = pool(&database("store_race").await).await;
    let all = (0..3).map(|_| async {
        let mut connection = pool.acquire().await.unwrap();
        migrate(&mut connection, "chief").await
    });
    for done in futures::future::join_all(all).await {
        done.unwrap();
    }
}

#[tokio::test]
async fn a_role_without_rights_is_told_what_to_do() {
    let url = database("store_rights").await;
    let owner = pool(&url).await;
    sqlx::raw_sql("drop role if exists nobody_at_all; create role nobody_at_all login password 'x'")
        .execute(&owner)
        .await
        .unwrap();
    let limited = url.replace("postgres:job-chief-test", "nobody_at_all:x");
    let pool = pool(&limited).await;
    let error = migrate(&mut pool.acquire().await.unwrap(), "chief").await.unwrap_err();
    assert!(error.to_string().contains("job-chief migrate"), "{error}");
}

#[tokio::test]
async fn a_value_comes_back_as_it_was_and_ends_no_statement() {
    let pool = pool(&database("store_values").await).await;
    let nasty = ["", "'", "''", "\\", "\\'", "'; select 1; --", "$1", "\"$1\"", "é\u{1F600}\n\t", "{a,\"b\"}", "NULL"];
    for value in nasty {
        let query =
            Statement::new("select $1 as it, ($2::text[])[1] as first, $3::float8 as number, $4::bigint as none");
        let row =
            query.bind(value).bind(vec![value, "x"]).bind(-1.5e300).bind(None::<i64>).fetch_one(&pool).await.unwrap();
        assert_eq!(row.get::<String, _>("it"), value);
        assert_eq!(row.get::<String, _>("first"), value);
        assert_eq!((row.get::<f64, _>("number"), row.get::<Option<i64>, _>("none")), (-1.5e300, None));
    }
    let empty = Statement::new("select cardinality($1::text[]) as length, $2 as smallest").bind(Vec::<String>::new());
    let row = empty.bind(i64::MIN).fetch_one(&pool).await.unwrap();
    assert_eq!((row.get::<i32, _>("length"), row.get::<i64, _>("smallest")), (0, i64::MIN));
}
