//! Who leads, and what people switch: what Postgres carries out, and what it refuses.

use job_chief::{
    config::entry::Kind,
    decide::{
        lease::{Answer, Ask, Record},
        outcome::{JobName, Outcome, Reason},
    },
    store::{
        error::StoreError,
        leadership::Leadership,
        migrate::migrate,
        place::Place,
        runs::Runs,
        switches::{RUNS_ASKED_MAX, Saying, SwitchTable},
    },
};
use sqlx::PgPool;

use crate::{
    server::{database, pool},
    store::{ended, lead, row, wish},
};

async fn prepared(name: &str) -> (String, PgPool) {
    let url = database(name).await;
    let pool = pool(&url).await;
    migrate(&mut pool.acquire().await.unwrap(), "chief").await.unwrap();
    (url, pool)
}

fn of(pool: &PgPool) -> Leadership {
    Leadership::new(Place::new(pool, "chief", "i"))
}

async fn ask(table: &Leadership, me: &str, ask: Ask) -> Answer {
    table.carry_out(me, &ask).await.unwrap().answer
}

fn record(holder: Option<&str>, term: u64, renewals: u64) -> Record {
    Record { holder: holder.map(Into::into), term, renewals }
}

#[tokio::test]
async fn a_lease_is_taken_as_it_was_seen_renewed_by_its_holder_and_given_back() {
    let (_, pool) = prepared("lease").await;
    let table = of(&pool);
    assert_eq!(ask(&table, "a", Ask::Look).await, Answer::Done(Record::default()));
    assert_eq!(ask(&table, "a", Ask::Take(Record::default())).await, Answer::Done(record(Some("a"), 1, 0)));
    let first = record(Some("a"), 1, 0);
    assert_eq!(ask(&table, "b", Ask::Take(Record::default())).await, Answer::Refused(first.clone()));
    assert_eq!(ask(&table, "b", Ask::Renew(1)).await, Answer::Refused(first.clone()));
    let renewed = record(Some("a"), 1, 1);
    assert_eq!(ask(&table, "a", Ask::Renew(1)).await, Answer::Done(renewed.clone()));
    assert_eq!(ask(&table, "b", Ask::Take(first)).await, Answer::Refused(renewed.clone()), "it was renewed meanwhile");
    let taken = record(Some("b"), 2, 0);
    assert_eq!(ask(&table, "b", Ask::Take(renewed)).await, Answer::Done(taken.clone()));
    assert_eq!(ask(&table, "a", Ask::Renew(1)).await, Answer::Refused(taken.clone()));
    assert_eq!(ask(&table, "a", Ask::Release(1)).await, Answer::Refused(taken));
    let free = record(None, 2, 0);
    assert_eq!(ask(&table, "b", Ask::Release(2)).await, Answer::Done(free.clone()));
    assert_eq!(ask(&table, "a", Ask::Take(free)).await, Answer::Done(record(Some("a"), 3, 0)));
    sqlx::raw_sql("delete from chief.leadership").execute(&pool).await.unwrap();
    for gone in [Ask::Renew(3), Ask::Release(3)] {
        assert_eq!(ask(&table, "a", gone).await, Answer::Refused(Record::default()), "nobody leads without a row");
    }
    // Another Instance has nothing to do with it.
    let other = Leadership::new(Place::new(&pool, "chief", "other"));
    assert_eq!(ask(&other, "b", Ask::Take(Record::default())).await, Answer::Done(record(Some("b"), 1, 0)));
}

#[tokio::test]
async fn of_many_that_take_at_once_one_does() {
    let (_, pool) = prepared("lease_race").await;
    let table = of(&pool);
    for seen in [Record::default(), record(Some("none of them"), 7, 3)] {
        if seen.term > 0 {
            sqlx::raw_sql("update chief.leadership set holder = 'none of them', term = 7, renewals = 3")
                .execute(&pool)
                .await
                .unwrap();
        }
        let all = (0..10).map(|number| {
            let (table, seen) = (table.clone(), seen.clone());
            async move { ask(&table, &format!("p{number}"), Ask::Take(seen)).await }
        });
        let answers = futures::future::join_all(all).await;
        assert_eq!(answers.iter().filter(|answer| matches!(answer, Answer::Done(_))).count(), 1, "{answers:?}");
    }
}

#[tokio::test]
async fn whoever_does_not_lead_any_more_writes_neither_wishes_nor_ends() {
    let (_, pool) = prepared("lease_terms").await;
    lead(&pool, "i").await;
    let runs = Runs::new(Place::new(&pool, "chief", "i"));
    runs.write_wishes(&[row(wish("a", 0))]).await.unwrap();
    assert!(matches!(ask(&of(&pool), "other", Ask::Take(record(Some("me"), 1, 0))).await, Answer::Done(_)));
    runs.write_wishes(&[row(wish("b", 1))]).await.unwrap();
    let refused = runs.write_ends(&[ended("a", Outcome::Succeeded, Reason::Completed)]).await;
    assert!(matches!(refused, Err(StoreError::TermOver)), "{refused:?}");
    let unfinished: Vec<JobName> =
        runs.load(Kind::Queue, "mail").await.unwrap().unfinished.into_iter().map(|run| run.name).collect();
    assert_eq!(unfinished, [JobName("a".into())]);
}

#[tokio::test]
async fn a_clock_that_jumps_in_the_database_moves_no_lease() {
    let (_, pool) = prepared("lease_clock").await;
    let times = "select count(*) from information_schema.columns
        where table_schema = 'chief' and table_name = 'leadership' and data_type like 'time%'";
    let times: i64 = sqlx::query_scalar(times).fetch_one(&pool).await.unwrap();
    assert_eq!(times, 0, "nothing of it is a time");
}

#[tokio::test]
async fn what_is_switched_is_kept_and_told_to_whoever_renews() {
    let (_, pool) = prepared("switches").await;
    lead(&pool, "i").await;
    let (table, switches) = (of(&pool), SwitchTable::new(Place::new(&pool, "chief", "i")));
    let switched = async || table.carry_out("me", &Ask::Renew(1)).await.unwrap().switched;
    let before = switched().await;
    let saying = Saying { paused: true, file_paused: false, who: "ann", why: "deploy" };
    switches.say(Some("mail"), saying).await.unwrap();
    assert_eq!(switched().await, before + 1);
    let told = switches.load().await.unwrap();
    let paused = told.paused("mail", false);
    let said = paused.said.unwrap();
    assert_eq!((paused.paused, said.who.as_str(), said.why.as_str(), said.at.len()), (true, "ann", "deploy", 20));
    switches.unsay(Kind::Queue, "mail", false).await.unwrap();
    assert!(switches.load().await.unwrap().paused("mail", false).paused, "the file says what it said then");
    switches.unsay(Kind::Queue, "mail", true).await.unwrap();
    assert_eq!(switches.load().await.unwrap().paused("mail", false), Default::default());
    switches.say(None, saying).await.unwrap();
    assert!(switches.load().await.unwrap().paused("other", false).paused);
}

#[tokio::test]
async fn a_job_that_was_asked_for_by_hand_is_served_once() {
    let (_, pool) = prepared("by_hand").await;
    lead(&pool, "i").await;
    let (switches, runs) =
        (SwitchTable::new(Place::new(&pool, "chief", "i")), Runs::new(Place::new(&pool, "chief", "i")));
    let names = ["mail".to_owned(), "other".to_owned()];
    assert_eq!(switches.ask_runs(&names, ("ann", "a look")).await.unwrap(), 2);
    assert_eq!(switches.load().await.unwrap().asked("mail").count, 1);
    let by_hand = |name: &str, slot| job_chief::decide::decision::Wish { serves: Some(1), ..wish(name, slot) };
    let answers = runs.write_wishes(&[row(by_hand("a", 0))]).await.unwrap();
    assert_eq!(answers.len(), 1);
    let again = runs.write_wishes(&[row(by_hand("b", 1))]).await.unwrap();
    assert_eq!(again[&JobName("b".into())], job_chief::decide::run::event::WishAnswer::SlotTaken);
    assert_eq!(runs.load(Kind::Queue, "mail").await.unwrap().served, 1);
    for _ in 0..RUNS_ASKED_MAX {
        assert_eq!(switches.ask_runs(&names[..1], ("ann", "a look")).await.unwrap(), 1);
    }
    assert_eq!(switches.ask_runs(&names[..1], ("ann", "a look")).await.unwrap(), 0, "too many wait already");
}

#[tokio::test]
async fn members_are_who_was_seen_in_the_last_minute() {
    let (_, pool) = prepared("members").await;
    lead(&pool, "i").await;
    let table = of(&pool);
    table.note_member("me", "1.0.0").await.unwrap();
    table.note_member("other", "1.1.0").await.unwrap();
    let names = async || table.members().await.unwrap().into_iter().map(|it| (it.member, it.leads)).collect::<Vec<_>>();
    assert_eq!(names().await, [("me".to_owned(), true), ("other".to_owned(), false)]);
    sqlx::raw_sql("update chief.members set seen_at = now() - interval '2 minutes' where member = 'me'")
        .execute(&pool)
        .await
        .unwrap();
    table.note_member("other", "1.1.0").await.unwrap();
    assert_eq!(names().await, [("other".to_owned(), false)]);
    let rows: i64 = sqlx::query_scalar("select count(*) from chief.members").fetch_one(&pool).await.unwrap();
    assert_eq!(rows, 1, "who is gone is forgotten");
    table.forget_member("other").await.unwrap();
    assert_eq!(names().await, []);
}
