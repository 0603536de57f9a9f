//! `RollingReplace`, step by step: what is taken away when, and what is left alone.

use std::time::Duration;

use job_chief::decide::{
    outcome::{JobName, Outcome, Reason},
    pod::observation::Phase,
    run::event::{DeleteAnswer, LoadedRun, LoadedRuns, RunEffect, RunEvent},
    service::{
        desired::DesiredState,
        event::{ServiceEffect, ServiceEvent},
        keep_alive::KeepAlive,
        start_order::WaitsFor,
        state::ServiceState,
    },
};
use serde_json::{Value, json};

use crate::{
    script::{SECOND, ended},
    service::{Service, policy},
};

fn keys(replicas: u32, max: u32) -> Value {
    json!({"replicas": replicas, "checkInterval": "10s", "updateStrategy": {"type": "RollingReplace", "maxUnavailable": max}})
}

/// A service that is up, and then wants another generation.
fn rolled(keys: &Value) -> Service {
    let mut it = Service::begin(keys);
    it.all_run();
    assert_eq!(it.state().0, ServiceState::Running);
    wants(&mut it, keys, "g2");
    it
}

fn wants(it: &mut Service, keys: &Value, generation: &str) {
    it.generation = generation.into();
    it.feed(ServiceEvent::Configured(Box::new(policy(keys, generation))));
}

/// How many Jobs of a generation are there to stay.
fn of(it: &Service, generation: &str) -> usize {
    it.jobs.values().filter(|job| stays(job) && *job.config_hash == *generation).count()
}

fn stays(job: &job_chief::decide::pod::observation::SeenJob) -> bool {
    job.is_live() && job.terminating.is_none()
}

/// Those that end are gone, and those that start run.
fn settle(it: &mut Service) {
    it.gone();
    it.all_run();
}

#[test]
fn the_next_replica_is_replaced_when_the_last_one_has_been_up_for_a_check_interval() {
    let mut it = rolled(&keys(3, 1));
    assert_eq!((of(&it, "g1"), of(&it, "g2")), (2, 0), "{}", it.transcript.join("\n"));
    it.pass(60 * SECOND);
    assert_eq!(of(&it, "g1"), 2, "it ends, and that may take its time");
    it.gone();
    assert_eq!((of(&it, "g1"), of(&it, "g2")), (2, 1));
    it.pass(60 * SECOND);
    assert_eq!(of(&it, "g1"), 2, "the new one is not up");
    for left in [1, 0] {
        it.all_run();
        it.pass(9 * SECOND);
        assert_eq!(of(&it, "g1"), left + 1, "it may fall over yet");
        it.pass(2 * SECOND);
        assert_eq!(of(&it, "g1"), left);
        it.gone();
    }
    settle(&mut it);
    it.pass(60 * SECOND);
    assert_eq!((it.state(), of(&it, "g2")), ((ServiceState::Running, 3), 3));
    assert_eq!(it.life.status(it.now).rollout, None);
}

#[test]
fn as_many_are_away_at_once_as_may_be() {
    let mut it = rolled(&keys(5, 2));
    for left in [3, 1, 0] {
        assert_eq!(of(&it, "g1"), left);
        settle(&mut it);
        it.pass(11 * SECOND);
    }
    assert_eq!((of(&it, "g2"), it.state().1), (5, 5));
}

#[test]
fn recreate_replaces_all_at_once() {
    for keys in [json!({"replicas": 3}), json!({"replicas": 1, "updateStrategy": {"type": "RollingReplace"}})] {
        assert_eq!(of(&rolled(&keys), "g1"), 0);
    }
}

#[test]
fn who_is_away_for_another_reason_counts() {
    let keys = keys(3, 1);
    let mut it = Service::begin(&keys);
    it.all_run();
    // Not ready, and not given up yet.
    it.jobs.values_mut().next().unwrap().address = None;
    it.view();
    wants(&mut it, &keys, "g2");
    assert_eq!(of(&it, "g1"), 3, "{}", it.transcript.join("\n"));
    it.all_run();
    assert_eq!(of(&it, "g1"), 2);
}

#[test]
fn old_ones_that_are_not_up_are_replaced_first_and_never_more_at_once() {
    let keys = keys(3, 1);
    let mut it = Service::begin(&keys);
    it.all_become(&Phase::Running { age: Duration::ZERO }, None);
    assert_eq!(it.state(), (ServiceState::Started, 0));
    wants(&mut it, &keys, "g2");
    for left in [2, 1, 0] {
        assert_eq!(of(&it, "g1"), left, "{}", it.transcript.join("\n"));
        it.gone();
        for job in it.jobs.values_mut().filter(|job| &*job.config_hash == "g2") {
            (job.phase, job.address) = (Phase::Running { age: Duration::ZERO }, Some("10.0.0.1".into()));
        }
        it.view();
        it.pass(11 * SECOND);
    }
    assert_eq!(it.state(), (ServiceState::Running, 3));
}

#[test]
fn a_bad_generation_stops_and_another_one_goes_on() {
    let keys = keys(3, 2);
    for back_to in ["g1", "g3"] {
        let mut it = rolled(&keys);
        assert_eq!(of(&it, "g1"), 1);
        it.gone();
        for _ in 0..20 {
            for job in it.jobs.values_mut().filter(|job| &*job.config_hash == "g2") {
                job.phase = ended(Outcome::Failed, Reason::ExitCode);
            }
            it.view();
            it.pass(60 * SECOND);
            assert_eq!(of(&it, "g1"), 1, "{}", it.transcript.join("\n"));
        }
        let status = it.life.status(it.now);
        let stopped = status.rollout.unwrap().stopped.unwrap();
        assert!(stopped.contains("did not stay up: failed: exit code"), "{stopped}");
        assert!(it.error().starts_with("the rollout has stopped: "), "{}", it.error());
        wants(&mut it, &keys, back_to);
        for _ in 0..12 {
            settle(&mut it);
            it.pass(11 * SECOND);
        }
        it.pass(600 * SECOND);
        settle(&mut it);
        it.pass(11 * SECOND);
        assert_eq!((it.state(), of(&it, back_to)), ((ServiceState::Running, 3), 3), "{}", it.error());
    }
}

#[test]
fn one_that_fell_over_has_to_be_up_for_long_or_somebody_says_start() {
    for told in [false, true] {
        let mut it = rolled(&keys(3, 1));
        it.gone();
        it.all_run();
        it.pass(5 * SECOND);
        for job in it.jobs.values_mut().filter(|job| &*job.config_hash == "g2") {
            (job.phase, job.address) = (ended(Outcome::Failed, Reason::OomKilled), None);
        }
        it.view();
        it.pass(15 * SECOND);
        it.all_run();
        it.pass(60 * SECOND);
        assert_eq!((of(&it, "g1"), of(&it, "g2")), (2, 1), "{}", it.transcript.join("\n"));
        assert!(it.error().starts_with("the rollout has stopped"), "also while all are up: {}", it.error());
        if told {
            it.order(DesiredState { starts: 1, ..DesiredState::default() });
        } else {
            it.pass(600 * SECOND);
        }
        assert_eq!(of(&it, "g1"), 1, "{}", it.transcript.join("\n"));
    }
}

#[test]
fn nothing_is_taken_that_could_not_be_started_again() {
    let keys = keys(3, 1);
    let waits =
        |other: Option<&str>| ServiceEvent::WaitsFor(WaitsFor { start_after: other.map(Into::into), stop_after: None });
    let mut it = Service::begin(&keys);
    it.all_run();
    it.feed(waits(Some("redis")));
    wants(&mut it, &keys, "g2");
    it.pass(60 * SECOND);
    assert_eq!(of(&it, "g1"), 3);
    it.feed(ServiceEvent::Run(RunEvent::ViewStale));
    it.feed(waits(None));
    assert_eq!(of(&it, "g1"), 3);
    it.view();
    assert_eq!(of(&it, "g1"), 2);
}

/// The process before may have taken one away a moment ago, and the views do not show it yet.
#[test]
fn who_takes_over_looks_live_at_the_others_before_it_takes_one() {
    let keys = keys(3, 1);
    let mut before = rolled(&keys);
    let all: Vec<(JobName, u32)> = before.jobs.iter().map(|(name, job)| (name.clone(), job.slot.unwrap())).collect();
    let real = before.jobs.clone();
    before.jobs.values_mut().for_each(|job| job.terminating = None);

    let now = before.now;
    let mut life = KeepAlive::new(crate::script::naming(), policy(&keys, "g2"), 2, now);
    let unfinished = all
        .iter()
        .map(|(name, slot)| LoadedRun {
            name: name.clone(),
            slot: *slot,
            uid: Some(name.0.as_str().into()),
            age: 60 * SECOND,
            begun_at: None,
            starts: Some(0),
            one_off: None,
            places: [].into(),
        })
        .collect();
    life.step(now, [ServiceEvent::DeadlineReached]);
    life.step(now, [ServiceEvent::Run(RunEvent::RunsLoaded(Some(LoadedRuns { unfinished, ..LoadedRuns::default() })))]);
    let mut it = Service::of(life, now);
    it.generation = "g2".into();
    // The view is old, and what is looked at live is not.
    it.jobs = before.jobs;
    let mut effects = it.life.step(
        now,
        [ServiceEvent::Run(RunEvent::Observed(std::sync::Arc::new(job_chief::decide::pod::observation::Observed {
            jobs: it.jobs.clone(),
        })))],
    );
    let (mut looks, mut deletes) = (0, 0);
    while let Some(effect) = effects.pop() {
        let answer = match effect {
            ServiceEffect::Run(RunEffect::GetJob(name)) => {
                looks += 1;
                let found = job_chief::decide::run::event::GetAnswer::Found(Box::new(real[&name].clone()));
                RunEvent::GetAnswered(name, found)
            }
            ServiceEffect::Run(RunEffect::DeleteJob { name, .. }) => {
                deletes += 1;
                RunEvent::DeleteAnswered(name, DeleteAnswer::Accepted)
            }
            other => panic!("{other:?}"),
        };
        effects.extend(it.life.step(now, [ServiceEvent::Run(answer)]));
    }
    assert_eq!((looks, deletes), (3, 0), "one of three is away already");
    it.jobs = real;
    it.pass(30 * SECOND);
    assert_eq!(of(&it, "g1"), 2);
    it.gone();
    it.pass(10 * SECOND);
    settle(&mut it);
    it.pass(11 * SECOND);
    assert_eq!((of(&it, "g1"), of(&it, "g2")), (1, 1), "{}", it.transcript.join("\n"));
}

#[test]
fn each_replica_has_its_account() {
    let mut it = Service::begin(&json!({"replicas": 3}));
    it.all_run();
    for _ in 0..3 {
        let mut second =
            it.jobs.iter().filter(|(_, job)| job.slot == Some(1) && job.is_live()).map(|(name, _)| name.clone());
        let second = second.next_back().unwrap();
        it.jobs.get_mut(&second).unwrap().phase = ended(Outcome::Failed, Reason::OomKilled);
        it.view();
        assert_eq!(it.state().1, 2);
        if it.life.status(it.now).replicas[1].ends_in_a_row < 3 {
            it.pass(100 * SECOND);
            it.all_run();
        }
    }
    let status = it.life.status(it.now);
    let [first, second, _] = &status.replicas[..] else { panic!("{status:?}") };
    let word = |state| serde_json::to_value(state).unwrap();
    assert_eq!((word(first.state), &first.last_end, first.up_since.is_some()), (json!("up"), &None, true));
    assert_eq!((word(second.state), second.job.clone(), second.ends_in_a_row), (json!("waits"), None, 3));
    assert_eq!(second.last_end.as_deref(), Some("failed: oom killed"));
    assert!(second.wait_until.unwrap() > it.now);
    it.order(DesiredState { stopped: true, ..DesiredState::default() });
    let words: Vec<Value> = it.life.status(it.now).replicas.iter().map(|replica| word(replica.state)).collect();
    assert_eq!(words, [json!("ending"), json!("down"), json!("ending")]);
}
