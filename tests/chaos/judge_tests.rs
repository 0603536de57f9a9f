//! The judge finds what it is there to find, and nothing where nothing is wrong.

use std::time::Duration;

use crate::{
    judge::Judge,
    seen::{Allowed, Seen, Shown, Verdict},
};

const fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn allowed(of_config: usize, pool: usize, limit: usize) -> Seen {
    let entries = [("work", of_config), ("other", 9), ("web", 2)].map(|(name, most)| (name.to_owned(), most));
    let members = vec!["work".to_owned(), "other".to_owned()];
    Seen::Allowed(Allowed { entries: entries.into(), members, pool, limit })
}

fn shown(name: &str, config: &str) -> Shown {
    Shown {
        uid: format!("uid of {name}"),
        name: name.into(),
        config: config.into(),
        is_service: config == "web",
        slot: "0".into(),
        verdict: None,
        sign: None,
        terminating: false,
    }
}

fn job(name: &str) -> Seen {
    Seen::Job(shown(name, "work"))
}

fn over(name: &str, verdict: Verdict) -> Seen {
    Seen::Job(Shown { verdict: Some(verdict), ..shown(name, "work") })
}

fn gone(name: &str) -> Seen {
    Seen::Gone(format!("uid of {name}"))
}

fn wished(name: &str, config: &str, seconds: u64) -> Seen {
    Seen::Wished { job: name.into(), config: config.into(), at: at(seconds) }
}

fn ended(name: &str, outcome: &str) -> Seen {
    Seen::Ended { job: name.into(), outcome: outcome.into() }
}

fn message(id: &str, state: &str, by: &str) -> Seen {
    Seen::Message { id: id.into(), queue: "work".into(), state: state.into(), by: by.into() }
}

/// Plays what was seen, one a second from 100 s on, and tells what is wrong in the end.
fn wrong(all: Vec<Seen>) -> Vec<String> {
    let mut judge = Judge::default();
    let mut found = vec![];
    for (second, seen) in (100..).zip(all) {
        found.extend(judge.note(at(second), seen));
        found.extend(judge.settle(at(second), at(60)));
    }
    found.extend(judge.close(at(1_000)));
    found.into_iter().map(|violation| violation.what).collect()
}

/// There is one thing wrong, and these words are in it.
#[track_caller]
fn one(all: Vec<Seen>, words: &[&str]) {
    let found = wrong(all);
    assert!(found.len() == 1 && words.iter().all(|word| found[0].contains(word)), "{found:?}");
}

/// A Job from wish to end.
fn whole(name: &str) -> Vec<Seen> {
    vec![wished(name, "work", 100), job(name), over(name, Verdict::Complete), ended(name, "succeeded"), gone(name)]
}

#[test]
fn nothing_is_wrong_where_all_is_well() {
    let mut all = vec![allowed(1, 1, 1), message("m", "created", "chaos")];
    all.extend(whole("a"));
    all.extend([message("m", "active", "a"), message("m", "completed", "a")]);
    all.extend(whole("b"));
    assert_eq!(wrong(all), Vec::<String>::new());
}

#[test]
fn more_jobs_than_allowed_are_found() {
    let two = |most| {
        let begun = vec![allowed(most, 9, 9), wished("a", "work", 100), wished("b", "work", 100), job("a"), job("b")];
        let ends = ["a", "b"].map(|name| [over(name, Verdict::Complete), ended(name, "succeeded")]);
        begun.into_iter().chain(ends.into_iter().flatten()).collect::<Vec<_>>()
    };
    assert_eq!(wrong(two(2)), Vec::<String>::new());
    one(two(1), &["2 Jobs of work live, allowed are 1"]);
}

#[test]
fn more_jobs_than_the_pool_or_the_limits_have_places_are_found() {
    let two = |pool, limit| {
        let mut all = vec![allowed(1, pool, limit), wished("a", "work", 100), wished("b", "other", 100)];
        all.extend([job("a"), Seen::Job(shown("b", "other"))]);
        let b = Shown { verdict: Some(Verdict::Failed), ..shown("b", "other") };
        all.extend([over("a", Verdict::Complete), Seen::Job(b), ended("a", "succeeded"), ended("b", "failed")]);
        all
    };
    assert_eq!(wrong(two(2, 2)), Vec::<String>::new());
    one(two(1, 2), &["2 Jobs in the pool shared live, allowed are 1"]);
    one(two(2, 1), &["2 Jobs in limits live, allowed are 1"]);
}

#[test]
fn a_limit_that_was_lowered_counts_for_what_was_wished_for_afterwards() {
    let lowered = |wished_at| {
        let mut judge = Judge::default();
        let seen = [
            (0, allowed(2, 9, 9)),
            (50, allowed(1, 9, 9)),
            (200, wished("a", "work", 10)),
            (200, job("a")),
            (200, wished("b", "work", wished_at)),
            (201, job("b")),
        ];
        let mut found: Vec<_> = seen.into_iter().flat_map(|(second, seen)| judge.note(at(second), seen)).collect();
        for name in ["a", "b"] {
            found.extend(judge.note(at(300), over(name, Verdict::Complete)));
            found.extend(judge.note(at(300), ended(name, "succeeded")));
        }
        found.extend(judge.close(at(400)));
        found.len()
    };
    assert_eq!(lowered(60), 0, "the file may not have been read yet, or the answer was lost since");
    assert_eq!(lowered(90), 1);
}

#[test]
fn a_job_that_was_recorded_twice_never_or_otherwise_than_it_ended_is_found() {
    let recorded = |ends: &[&str]| {
        let mut all = vec![allowed(1, 1, 1), wished("a", "work", 100), job("a"), over("a", Verdict::Complete)];
        all.extend(ends.iter().map(|outcome| ended("a", outcome)));
        all
    };
    one(recorded(&["succeeded", "succeeded"]), &["recorded 2 times"]);
    one(recorded(&["failed"]), &["ended as failed", "Complete"]);
    let never = wrong(recorded(&[]));
    assert!(never[0].contains("its run has not ended"), "{never:?}");
    one(vec![allowed(1, 1, 1), job("a"), over("a", Verdict::Complete)], &["no run is on record"]);
}

#[test]
fn a_name_that_is_used_twice_is_found() {
    let again = Seen::Job(Shown { uid: "another".into(), verdict: Some(Verdict::Complete), ..shown("a", "work") });
    let mut all = vec![allowed(1, 1, 1)];
    all.extend(whole("a"));
    all.push(again);
    one(all, &["a was made twice"]);
}

#[test]
fn a_job_that_vanished_is_well_only_if_somebody_deleted_it() {
    let mut all = vec![allowed(1, 1, 1), wished("a", "work", 100), job("a"), gone("a"), ended("a", "vanished")];
    one(all.clone(), &["ended as vanished"]);
    all.insert(3, Seen::DeletedByHand("uid of a".into()));
    assert_eq!(wrong(all), Vec::<String>::new());
}

#[test]
fn a_job_that_is_deleted_while_it_works_is_found_and_one_that_never_started_is_not() {
    let deleted = |works: bool| {
        let mut all = vec![allowed(1, 1, 1), wished("a", "work", 100), job("a"), Seen::Works("a".into(), works)];
        all.extend((0..5).map(|_| allowed(1, 1, 1)));
        all.extend([Seen::DeleteAsked("a".into()), ended("a", "start_timed_out"), gone("a")]);
        all
    };
    assert_eq!(wrong(deleted(false)), Vec::<String>::new());
    one(deleted(true), &["had worked for"]);
}

#[test]
fn a_delete_that_was_refused_is_none() {
    let mut all = vec![allowed(1, 1, 1), wished("a", "work", 100), job("a"), Seen::Works("a".into(), true)];
    all.extend((0..5).map(|_| allowed(1, 1, 1)));
    all.extend(["a"].map(|name| Seen::DeleteAsked(name.into())));
    all.push(Seen::DeleteRefused("a".into()));
    all.extend([over("a", Verdict::Complete), ended("a", "succeeded")]);
    assert_eq!(wrong(all), Vec::<String>::new());
}

#[test]
fn a_job_that_was_deleted_before_it_was_seen_may_be_asked_for_once_more() {
    let mut all = vec![allowed(1, 1, 1), wished("a", "work", 100), job("a"), Seen::DeletedByHand("uid of a".into())];
    all.extend([gone("a"), Seen::Job(Shown { uid: "another".into(), ..shown("a", "work") })]);
    let verdict = Some(Verdict::Complete);
    all.extend([Seen::Job(Shown { uid: "another".into(), verdict, ..shown("a", "work") }), ended("a", "succeeded")]);
    assert_eq!(wrong(all), Vec::<String>::new());
}

#[test]
fn two_of_one_replica_are_found() {
    let live = |slot: &str| {
        let b = Seen::Job(Shown { slot: slot.into(), ..shown("b", "web") });
        vec![wished("a", "web", 100), wished("b", "web", 100), Seen::Job(shown("a", "web")), b]
    };
    assert_eq!(wrong(live("1")), Vec::<String>::new());
    one(live("0"), &["a and b are one replica of web"]);
}

#[test]
fn what_the_watch_did_not_see_is_not_held_against_anybody() {
    let b = Shown { verdict: None, ..shown("b", "work") };
    let mut all = vec![allowed(1, 1, 1), wished("a", "work", 100), job("a"), wished("b", "work", 100)];
    // One went and the other came while nobody looked.
    all.extend([Seen::Listed(vec![b]), ended("a", "failed"), over("b", Verdict::Complete), ended("b", "succeeded")]);
    assert_eq!(wrong(all), Vec::<String>::new());
}

#[test]
fn messages_that_are_lost_doubled_or_taken_by_another_are_found() {
    let with = |messages: Vec<Seen>| {
        let mut all = vec![allowed(1, 1, 1), message("m", "created", "chaos")];
        all.extend(whole("a"));
        all.extend(messages);
        all
    };
    one(with(vec![]), &["message m of work", "was lost"]);
    let twice = vec![message("m", "active", "a"), message("m", "active", "a"), message("m", "completed", "a")];
    one(with(twice), &["was handed to a while a had it"]);
    let back = ["active", "retry", "active", "completed"].map(|state| message("m", state, "a"));
    assert_eq!(wrong(with(back.into())), Vec::<String>::new());
    let foreign = vec![message("m", "active", "nobody"), message("m", "completed", "nobody")];
    one(with(foreign), &["taken by nobody, of which no run is on record"]);
    let other = wrong(with(vec![message("m", "active", "a"), message("m", "completed", "b")]));
    assert!(other[0].contains("was completed by b"), "{other:?}");
}

#[test]
fn a_process_that_ends_by_itself_is_found() {
    one(vec![Seen::Exited { replica: 1, code: 101 }], &["replica 1 ended by itself with 101"]);
}

#[test]
fn a_commit_that_is_lost_is_found() {
    one(vec![Seen::Forgotten(7)], &["what was committed is lost: row 7"]);
}
