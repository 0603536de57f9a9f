//! Jobs that run once beside a service, in our own tables: what is served once, and what whoever takes over learns.

use std::time::Duration;

use job_chief::{
    config::entry::Kind,
    decide::{
        decision::Wish,
        one_off::OneOff,
        outcome::{JobName, Outcome, Reason},
        run::event::{LoadedAction, WishAnswer},
    },
    store::{
        migrate::migrate,
        place::Place,
        rows::WishRow,
        runs::Runs,
        switches::{RUNS_ASKED_MAX, SwitchTable},
    },
};

use crate::{
    server::{database, pool},
    store::{ended, lead, wish},
};

async fn tables(name: &str) -> (Runs, SwitchTable) {
    let pool = pool(&database(name).await).await;
    migrate(&mut pool.acquire().await.unwrap(), "chief").await.unwrap();
    lead(&pool, "aaaaaa").await;
    let place = Place::new(&pool, "chief", "aaaaaa");
    (Runs::new(place.clone()), SwitchTable::new(place))
}

fn action(number: Option<u64>) -> OneOff {
    OneOff::Action { name: "backup".into(), number }
}

fn row(name: &str, one_off: OneOff) -> WishRow {
    let wish = Wish { slot: one_off.slot(), one_off: Some(one_off), ..wish(name, 0) };
    WishRow { kind: Kind::Service, config: "redis".into(), config_hash: "h".into(), term: 1, wish }
}

async fn write(runs: &Runs, row: WishRow) -> WishAnswer {
    let name = row.wish.name.clone();
    runs.write_wishes(&[row]).await.unwrap()[&name]
}

#[tokio::test]
async fn an_action_that_is_asked_for_is_served_once_and_waits_in_a_bounded_row() {
    let (runs, switches) = tables("one_offs_served").await;
    for _ in 0..RUNS_ASKED_MAX {
        assert!(switches.ask_action("redis", "backup", ("ann", "why")).await.unwrap());
    }
    assert!(!switches.ask_action("redis", "backup", ("ann", "why")).await.unwrap(), "enough wait already");
    let asked = switches.load().await.unwrap().actions("redis");
    let backup = &asked["backup"];
    assert_eq!((backup.count, backup.who.as_str(), backup.why.as_str()), (100, "ann", "why"));
    assert_eq!(write(&runs, row("a", action(Some(1)))).await, WishAnswer::Written);
    assert_eq!(write(&runs, row("b", action(Some(2)))).await, WishAnswer::SlotTaken, "one at a time");
    runs.write_ends(&[ended("a", Outcome::Succeeded, Reason::Completed)]).await.unwrap();
    assert_eq!(write(&runs, row("c", action(Some(1)))).await, WishAnswer::SlotTaken, "it was served");
    assert!(switches.ask_action("redis", "backup", ("ann", "")).await.unwrap(), "one less waits");
    assert_eq!(switches.load().await.unwrap().asked("redis").count, 0, "they are no runs of a queue");
}

#[tokio::test]
async fn who_takes_over_learns_what_runs_and_what_does_not_count_as_a_restart() {
    let (runs, _) = tables("one_offs_loaded").await;
    for (name, one_off) in [("c", OneOff::Check), ("r", OneOff::Repair), ("a", action(None))] {
        assert_eq!(write(&runs, row(name, one_off)).await, WishAnswer::Written);
    }
    let loaded = runs.load(Kind::Service, "redis").await.unwrap();
    let known: Vec<_> =
        loaded.unfinished.iter().map(|run| (run.name.0.as_str(), run.one_off.clone().unwrap())).collect();
    assert_eq!(known, [("c", OneOff::Check), ("r", OneOff::Repair), ("a", action(None))]);
    let LoadedAction { served, begun } = loaded.actions["backup"];
    assert!(served == 0 && begun.is_some_and(|age| age < Duration::from_secs(60)), "{begun:?}");
    assert_eq!(loaded.repaired, None);
    for name in ["c", "r", "a"] {
        runs.write_ends(&[ended(name, Outcome::Failed, Reason::ExitCode)]).await.unwrap();
    }
    assert_eq!(write(&runs, row("by-hand", action(Some(1)))).await, WishAnswer::Written);
    let loaded = runs.load(Kind::Service, "redis").await.unwrap();
    assert_eq!((loaded.restarts, loaded.failed_in_a_row, loaded.starts.len()), (0, 0, 0));
    assert_eq!(loaded.actions["backup"].served, 1);
    assert_eq!(loaded.unfinished[0].one_off, Some(action(Some(1))));
    assert!(loaded.repaired.is_some());
    let shown = runs.recent("redis", 10).await.unwrap();
    let told: Vec<_> =
        shown.iter().map(|run| (run.job.as_str(), run.purpose.as_deref(), run.action.as_deref())).collect();
    assert!(told.contains(&("c", Some("check"), None)) && told.contains(&("by-hand", Some("action"), Some("backup"))));
    assert_eq!(shown[0].job, JobName("by-hand".into()).0);
}
