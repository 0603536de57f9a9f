//! Places in pools: each is held by one unfinished run, whoever leads, or believes that it does.

use std::{sync::Arc, time::Duration};

use job_chief::{
    config::entry::Kind,
    decide::{
        decision::Wish,
        lease::{Answer, Ask, Record},
        one_off::OneOff,
        outcome::{JobName, Outcome, Reason},
        place::{Place, Places},
        run::event::WishAnswer,
    },
    pgboss::connect,
    store::{
        leadership::Leadership, migrate::migrate, place::Place as Tables, rows::WishRow, runs::Runs, stored::Stored,
        switches::SwitchTable, writer::Writer,
    },
};
use sqlx::{AssertSqlSafe, PgPool};

use crate::{
    bouncer::Bouncer,
    pooler::{connected, settings},
    server::{database, pool},
    store::{ended, lead, row, wish},
};

/// A database, its URL, and the runs as one process sees them.
async fn prepared(name: &str) -> (String, PgPool, Runs) {
    let url = database(name).await;
    let pool = pool(&url).await;
    migrate(&mut pool.acquire().await.unwrap(), "chief").await.unwrap();
    lead(&pool, "i").await;
    (url, pool.clone(), of(&pool))
}

fn of(pool: &PgPool) -> Runs {
    Runs::new(Tables::new(pool, "chief", "i"))
}

fn places(all: &[(&str, u32)]) -> Places {
    all.iter().map(|(pool, number)| Place { pool: (*pool).into(), number: *number }).collect()
}

fn with(name: &str, slot: u32, held: &[(&str, u32)]) -> WishRow {
    row(Wish { places: places(held), ..wish(name, slot) })
}

async fn write(runs: &Runs, row: WishRow) -> WishAnswer {
    let name = row.wish.name.clone();
    runs.write_wishes(&[row]).await.unwrap()[&name]
}

/// Every place that is held, with its run.
async fn held(pool: &PgPool) -> Vec<(String, String)> {
    let select = "select pool || ':' || number, job from chief.places order by pool, number";
    sqlx::query_as(select).fetch_all(pool).await.unwrap()
}

async fn run(pool: &PgPool, statements: &str) {
    sqlx::raw_sql(AssertSqlSafe(statements.to_owned())).execute(pool).await.unwrap();
}

fn pairs(all: &[(&str, &str)]) -> Vec<(String, String)> {
    all.iter().map(|(place, job)| ((*place).to_owned(), (*job).to_owned())).collect()
}

async fn ends(runs: &Runs, name: &str) {
    runs.write_ends(&[ended(name, Outcome::Succeeded, Reason::Completed)]).await.unwrap();
}

#[tokio::test]
async fn a_run_gets_all_of_its_places_or_is_not_written_and_holds_none() {
    let (_, pool, runs) = prepared("places_all").await;
    assert_eq!(write(&runs, with("a", 0, &[("gpu", 0), ("limits", 0)])).await, WishAnswer::Written);
    assert_eq!(write(&runs, with("b", 1, &[("gpu", 0), ("limits", 1)])).await, WishAnswer::SlotTaken);
    assert_eq!(held(&pool).await, pairs(&[("gpu:0", "a"), ("limits:0", "a")]));
    let unfinished = runs.load(Kind::Queue, "mail").await.unwrap().unfinished;
    assert_eq!(unfinished.len(), 1, "the refused one is not on record");
    assert_eq!(write(&runs, with("c", 0, &[("limits", 1)])).await, WishAnswer::SlotTaken, "its slot is taken");
    assert_eq!(write(&runs, with("d", 1, &[("limits", 1)])).await, WishAnswer::Written, "neither holds it");
    // Another Instance has pools of its own.
    lead(&pool, "other").await;
    let other = Runs::new(Tables::new(&pool, "chief", "other"));
    assert_eq!(write(&other, with("e", 0, &[("gpu", 0), ("limits", 0)])).await, WishAnswer::Written);
}

/// Of two in one statement that want the same, the first gets it.
#[tokio::test]
async fn of_many_wishes_in_one_statement_only_those_are_refused_whose_places_are_taken() {
    let (_, pool, runs) = prepared("places_many").await;
    write(&runs, with("a", 0, &[("gpu", 0)])).await;
    let rows = [
        with("taken", 1, &[("gpu", 0), ("limits", 1)]),
        with("free", 2, &[("gpu", 1), ("limits", 2)]),
        with("none", 3, &[]),
        with("slot", 0, &[("gpu", 3)]),
        with("twice", 4, &[("gpu", 1), ("limits", 4)]),
        WishRow { term: 7, ..with("term", 5, &[("gpu", 5)]) },
    ];
    let answers = runs.write_wishes(&rows).await.unwrap();
    let answer = |name: &str| answers[&JobName(name.into())];
    assert_eq!((answer("free"), answer("none")), (WishAnswer::Written, WishAnswer::Written));
    for name in ["taken", "slot", "twice", "term"] {
        assert_eq!(answer(name), WishAnswer::SlotTaken, "{name}");
    }
    assert_eq!(held(&pool).await, pairs(&[("gpu:0", "a"), ("gpu:1", "free"), ("limits:2", "free")]));
}

#[tokio::test]
async fn wishes_of_every_kind_go_together_and_each_is_followed_by_what_it_serves() {
    let (_, pool, runs) = prepared("places_mixed").await;
    let switches = SwitchTable::new(Tables::new(&pool, "chief", "i"));
    assert_eq!(switches.ask_runs(&["mail".to_owned()], ("ann", "a look")).await.unwrap(), 1);
    assert!(switches.ask_action("redis", "backup", ("ann", "why")).await.unwrap());
    let one_off = OneOff::Action { name: "backup".into(), number: Some(1) };
    let action = Wish { slot: one_off.slot(), one_off: Some(one_off), ..wish("action", 0) };
    let action = WishRow { kind: Kind::Service, config: "redis".into(), ..row(action) };
    let by_hand = row(Wish { serves: Some(1), ..wish("by-hand", 1) });
    let all = [row(wish("plain", 0)), by_hand, action, with("placed", 2, &[("gpu", 1)])];
    let answers = runs.write_wishes(&all).await.unwrap();
    assert!(answers.len() == 4 && answers.values().all(|answer| *answer == WishAnswer::Written), "{answers:?}");
    assert_eq!(runs.load(Kind::Queue, "mail").await.unwrap().served, 1);
    assert_eq!(runs.load(Kind::Service, "redis").await.unwrap().actions["backup"].served, 1);
    assert_eq!(held(&pool).await, [("gpu:1".to_owned(), "placed".to_owned())]);
}

#[tokio::test]
async fn a_wish_that_is_repeated_keeps_its_places_until_it_has_ended_and_takes_none_then() {
    let (_, pool, runs) = prepared("places_again").await;
    let again = || with("a", 0, &[("gpu", 0), ("limits", 0)]);
    for _ in 0..3 {
        assert_eq!(write(&runs, again()).await, WishAnswer::Written, "the answer was lost, the same is asked again");
    }
    assert_eq!(held(&pool).await, pairs(&[("gpu:0", "a"), ("limits:0", "a")]));
    ends(&runs, "a").await;
    assert_eq!(write(&runs, again()).await, WishAnswer::Ended);
    assert_eq!(held(&pool).await, []);
}

#[tokio::test]
async fn the_end_of_a_run_releases_its_places_and_so_does_its_deletion() {
    let (_, pool, runs) = prepared("places_end").await;
    let rows = [with("a", 0, &[("gpu", 0), ("limits", 0)]), with("b", 1, &[("gpu", 1)]), with("c", 2, &[("gpu", 2)])];
    runs.write_wishes(&rows).await.unwrap();
    ends(&runs, "a").await;
    assert_eq!(held(&pool).await, pairs(&[("gpu:1", "b"), ("gpu:2", "c")]));
    assert_eq!(write(&runs, with("d", 0, &[("gpu", 0)])).await, WishAnswer::Written);
    // Its places are another's now: that its first end is kept, and that it is pruned, changes nothing for that one.
    ends(&runs, "a").await;
    run(&pool, "update chief.runs set ended_at = now() - interval '30 days' where job = 'a'").await;
    assert_eq!(runs.prune().await.unwrap(), 1);
    assert_eq!(held(&pool).await, pairs(&[("gpu:0", "d"), ("gpu:1", "b"), ("gpu:2", "c")]));
    run(&pool, "delete from chief.runs where job = 'b'").await;
    assert_eq!(held(&pool).await, pairs(&[("gpu:0", "d"), ("gpu:2", "c")]));
}

/// What a version from before there were places writes, with the rights that it needed.
#[tokio::test]
async fn an_older_process_that_knows_nothing_of_places_writes_runs_and_releases_those_of_others() {
    let (url, pool, runs) = prepared("places_older").await;
    runs.write_wishes(&[with("a", 0, &[("gpu", 0)]), with("b", 1, &[("gpu", 1)])]).await.unwrap();
    run(
        &pool,
        "drop role if exists places_older; create role places_older login password 'x';
        grant usage on schema chief to places_older; grant select on all tables in schema chief to places_older;
        grant insert, update, delete on chief.runs to places_older; revoke all on chief.places from places_older",
    )
    .await;
    let older = self::pool(&url.replace("postgres:job-chief-test", "places_older:x")).await;
    let refused = sqlx::raw_sql("delete from chief.places").execute(&older).await;
    assert!(refused.is_err(), "it has no right to do so itself");
    run(&older, "insert into chief.runs (instance, job_config, config_hash, job, slot, decision) values ('i', 'mail', 'h', 'c', 2, '{}')").await;
    run(
        &older,
        "update chief.runs set ended_at = now(), outcome = 'failed', reason = 'exit_code' where job in ('a', 'c')",
    )
    .await;
    assert_eq!(held(&pool).await, pairs(&[("gpu:1", "b")]));
    run(&older, "delete from chief.runs where job = 'b'").await;
    assert_eq!(held(&pool).await, []);
    // The right to release is not to be had by a trigger on a table of one's own.
    let own = "create temp table mine (instance text, job text);
        create trigger mine after delete on mine for each row execute function chief.release_places()";
    let refused = sqlx::raw_sql(own).execute(&older).await.unwrap_err();
    assert!(refused.to_string().contains("permission denied"), "{refused}");
    run(&pool, "drop owned by places_older; drop role places_older").await;
}

#[tokio::test]
async fn what_is_on_record_is_loaded_sorted_and_of_all_job_configs_at_once() {
    let (_, pool, runs) = prepared("places_loaded").await;
    let of = |config: &str, row: WishRow| WishRow { config: config.into(), ..row };
    let rows = [
        of("mail", with("m-1", 0, &[("limits", 0), ("gpu", 3)])),
        of("mail", with("m-2", 1, &[])),
        of("scan", with("s-1", 0, &[("limits", 1)])),
        of("scan", with("s-2", 1, &[("limits", 2)])),
        of("plain", with("p-1", 0, &[])),
    ];
    runs.write_wishes(&rows).await.unwrap();
    let loaded = runs.load(Kind::Queue, "mail").await.unwrap().unfinished;
    let known: Vec<(&str, &Places)> = loaded.iter().map(|run| (run.name.0.as_str(), &run.places)).collect();
    assert_eq!(known, [("m-1", &places(&[("gpu", 3), ("limits", 0)])), ("m-2", &Places::default())]);
    let recorded: Vec<(Arc<str>, Vec<Places>)> = runs.recorded_places().await.unwrap().into_iter().collect();
    let expected: [(Arc<str>, Vec<Places>); 2] = [
        ("mail".into(), vec![places(&[("gpu", 3), ("limits", 0)])]),
        ("scan".into(), vec![places(&[("limits", 1)]), places(&[("limits", 2)])]),
    ];
    assert_eq!(recorded, expected);
    ends(&runs, "s-1").await;
    assert_eq!(runs.recorded_places().await.unwrap()["scan"], [places(&[("limits", 2)])]);
    lead(&pool, "other").await;
    let other = Runs::new(Tables::new(&pool, "chief", "other"));
    assert!(other.recorded_places().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_place_that_no_run_holds_is_found_and_released() {
    let (_, pool, runs) = prepared("places_orphaned").await;
    runs.write_wishes(&[with("a", 0, &[("gpu", 0)]), with("b", 1, &[("gpu", 1)])]).await.unwrap();
    // As a copy of the tables is restored: no trigger fires.
    run(&pool, "set session_replication_role = replica; delete from chief.runs where job = 'a'; reset session_replication_role")
        .await;
    assert_eq!(runs.recorded_places().await.unwrap()["mail"], [places(&[("gpu", 1)])]);
    assert_eq!(runs.release_orphaned().await.unwrap(), 1);
    assert_eq!(held(&pool).await, pairs(&[("gpu:1", "b")]));
    assert_eq!(write(&runs, with("c", 0, &[("gpu", 0)])).await, WishAnswer::Written);
}

/// Both want all places at once, in many statements and in orders that are not the same: one of both gets each.
#[tokio::test]
async fn two_processes_never_hold_the_same_place() {
    const PLACES: u32 = 60;
    let (url, pool, one) = prepared("places_race").await;
    let other = of(&self::pool(&url).await);
    let wishes = |who: &'static str, first: u32| {
        let row = move |at| with(&format!("{who}-{at}"), first + at, &[("limits", at), ("gpu", at * 7 % PLACES)]);
        (0..PLACES).map(row).collect::<Vec<_>>()
    };
    let (mut ones, mut others) = (wishes("one", 0), wishes("other", PLACES));
    others.reverse();
    ones.rotate_left(20);
    let all = |runs: Runs, rows: Vec<WishRow>| async move {
        let each = rows.chunks(7).map(|rows| async { runs.write_wishes(rows).await.unwrap() }).collect::<Vec<_>>();
        futures::future::join_all(each).await.into_iter().flatten().collect::<Vec<_>>()
    };
    let (ones, others) = tokio::join!(all(one.clone(), ones), all(other, others));
    let all = ones.iter().chain(&others);
    let written: Vec<&str> = all.filter(|it| it.1 == WishAnswer::Written).map(|it| it.0.0.as_str()).collect();
    assert_eq!((ones.len() + others.len(), written.len()), (120, 60), "{written:?}");
    let held = held(&pool).await;
    let mut holders: Vec<&str> = held.iter().map(|(_, job)| job.as_str()).collect();
    let mut twice = [&written[..], &written[..]].concat();
    holders.sort_unstable();
    twice.sort_unstable();
    assert_eq!(holders, twice, "who is written holds both of its places, and nobody else any");
    assert_eq!(one.load(Kind::Queue, "mail").await.unwrap().unfinished.len(), 60);
}

/// Lets nothing of the run `old` into a table before the lock is given back.
async fn hold_back(pool: &PgPool, table: &str) -> PgPool {
    let statements = format!(
        "create function chief.hold_back() returns trigger language plpgsql as
            $$ begin perform pg_advisory_xact_lock(7); return new; end $$;
        create trigger hold_back before insert on chief.{table} for each row when (new.job = 'old')
            execute function chief.hold_back()"
    );
    run(pool, &statements).await;
    // One connection, which has the lock until it is closed.
    let lock = sqlx::postgres::PgPoolOptions::new().max_connections(1).connect_with((*pool.connect_options()).clone());
    let lock = lock.await.unwrap();
    run(&lock, "select pg_advisory_lock(7)").await;
    lock
}

/// As many statements wait for a lock of any kind.
async fn waiting(pool: &PgPool, many: i64) {
    let end = std::time::Instant::now() + Duration::from_secs(300);
    let select =
        "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    while sqlx::query_scalar::<_, i64>(select).fetch_one(pool).await.unwrap() != many {
        assert!(std::time::Instant::now() < end, "no {many} statements wait");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn takes_over(pool: &PgPool) {
    let seen = Record { holder: Some("me".into()), term: 1, renewals: 0 };
    let answer = Leadership::new(Tables::new(pool, "chief", "i")).carry_out("other", &Ask::Take(seen)).await;
    assert!(matches!(answer.unwrap().answer, Answer::Done(Record { term: 2, .. })));
}

fn of_term_2(row: WishRow) -> WishRow {
    WishRow { term: 2, ..row }
}

/// The old leader's statement has taken the place and is not through yet; the new one reads that nothing is held.
#[tokio::test]
async fn a_place_that_an_old_term_is_about_to_take_is_not_given_twice() {
    let (url, pool, old) = prepared("places_takeover").await;
    let lock = hold_back(&pool, "runs").await;
    let late = tokio::spawn(async move { write(&old, with("old", 0, &[("gpu", 0), ("limits", 0)])).await });
    waiting(&pool, 1).await;
    takes_over(&pool).await;
    let new = of(&self::pool(&url).await);
    assert!(new.recorded_places().await.unwrap().is_empty());
    let both =
        [("fresh", 1, 0), ("beside", 2, 1)].map(|(name, slot, gpu)| of_term_2(with(name, slot, &[("gpu", gpu)])));
    let fresh = tokio::spawn({
        let new = new.clone();
        async move { new.write_wishes(&both).await.unwrap() }
    });
    waiting(&pool, 2).await;
    lock.close().await;
    assert_eq!(late.await.unwrap(), WishAnswer::Written, "it began before the term was over");
    let answers = fresh.await.unwrap();
    assert_eq!(answers[&JobName("fresh".into())], WishAnswer::SlotTaken);
    assert_eq!(answers[&JobName("beside".into())], WishAnswer::Written);
    assert_eq!(held(&pool).await, pairs(&[("gpu:0", "old"), ("gpu:1", "beside"), ("limits:0", "old")]));
    // Who is refused loads anew, and knows then.
    let runs = new.load(Kind::Queue, "mail").await.unwrap().unfinished;
    let known: Vec<&str> = runs.iter().map(|run| run.name.0.as_str()).collect();
    assert_eq!(known, ["old", "beside"]);
    assert_eq!(runs[0].places, places(&[("gpu", 0), ("limits", 0)]));
}

/// The old leader's statement has begun, and the new one is first.
#[tokio::test]
async fn a_statement_of_an_old_term_that_comes_late_finds_the_place_taken() {
    let (url, pool, old) = prepared("places_late").await;
    let lock = hold_back(&pool, "places").await;
    let late = tokio::spawn(async move { write(&old, with("old", 0, &[("gpu", 0), ("limits", 0)])).await });
    waiting(&pool, 1).await;
    takes_over(&pool).await;
    let new = of(&self::pool(&url).await);
    assert_eq!(write(&new, of_term_2(with("fresh", 1, &[("gpu", 0)]))).await, WishAnswer::Written);
    lock.close().await;
    assert_eq!(late.await.unwrap(), WishAnswer::SlotTaken);
    assert_eq!(held(&pool).await, pairs(&[("gpu:0", "fresh")]));
    let runs = new.load(Kind::Queue, "mail").await.unwrap().unfinished;
    assert_eq!(runs.len(), 1, "the late one is not on record");
}

/// Without places the statement is the one that it was: a process whose role has no rights on them yet goes on.
#[tokio::test]
async fn wishes_without_places_and_loading_do_without_the_table() {
    let (_, pool, runs) = prepared("places_without").await;
    run(&pool, "alter table chief.places rename to elsewhere").await;
    assert_eq!(write(&runs, with("a", 0, &[])).await, WishAnswer::Written);
    assert_eq!(runs.load(Kind::Queue, "mail").await.unwrap().unfinished[0].places, Places::default());
    ends(&runs, "a").await;
    run(&pool, "delete from chief.runs").await;
}

#[tokio::test]
async fn places_are_taken_through_a_pooler_in_transaction_mode_by_the_orders_of_one_writer() {
    let (url, direct, _) = prepared("places_pooled").await;
    let bouncer = Bouncer::start(&url, "");
    let settings = settings(&bouncer, &url, &[]);
    drop(connected(&settings).await);
    let (writer, task) = Writer::new(Stored::new(Tables::new(&connect::pool(&settings), "chief", "i")));
    let task = tokio::spawn(task.run());
    // Of three that want a place one gets it, and the others are refused and no error.
    let wishes = (0..60).map(|slot| {
        let (writer, name) = (writer.clone(), format!("run-{slot}"));
        async move { writer.wishes(vec![with(&name, slot, &[("limits", slot % 20)])]).await.unwrap()[&JobName(name)] }
    });
    let answers = futures::future::join_all(wishes).await;
    assert_eq!(answers.iter().filter(|answer| **answer == WishAnswer::Written).count(), 20, "{answers:?}");
    let holders = held(&direct).await;
    assert_eq!(holders.len(), 20);
    futures::future::join_all(holders.iter().map(|(_, job)| async {
        writer.end(ended(job, Outcome::Succeeded, Reason::Completed)).await.unwrap();
    }))
    .await;
    assert_eq!(held(&direct).await, []);
    task.abort();
}
