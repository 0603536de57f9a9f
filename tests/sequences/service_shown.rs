//! What people, metrics and other services see of a service.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use job_chief::{
    config::entry::Kind,
    decide::{
        decision::{Decision, DecisionReason},
        outcome::{JobName, Outcome, Reason},
        pod::observation::{Observed, Phase, SeenJob},
        run::{
            event::{LoadedRun, LoadedRuns, RunEffect, RunEvent},
            milestone::Milestone,
        },
        service::{
            desired::DesiredState,
            event::{ServiceEffect, ServiceEvent},
            keep_alive::KeepAlive,
            start_order::{PeerStatus, WaitsFor},
            state::ServiceState,
            status::ServiceStatus,
        },
    },
};
use serde_json::json;

use crate::{
    script::{SECOND, ended, on_record},
    service::{Service, job, policy},
};

fn turn(start: Option<&str>, stop: Option<&str>) -> ServiceEvent {
    ServiceEvent::WaitsFor(WaitsFor { start_after: start.map(Into::into), stop_after: stop.map(Into::into) })
}

fn stopped() -> DesiredState {
    DesiredState { stopped: true, ..DesiredState::default() }
}

#[test]
fn who_does_not_lead_tells_what_the_watches_show() {
    let seen =
        |phase: Phase, address: Option<&str>| SeenJob { address: address.map(Into::into), phase, ..job("a", 0, "g1") };
    let running = || Phase::Running { age: Duration::ZERO };
    let status = |jobs: Vec<SeenJob>, replicas| {
        let name = |(number, job)| (JobName(format!("job-{number}")), job);
        ServiceStatus::of_view(&Observed { jobs: jobs.into_iter().enumerate().map(name).collect() }, replicas)
    };
    assert_eq!(status(vec![], 1), ServiceStatus::default());
    let over = status(vec![seen(ended(Outcome::Failed, Reason::ExitCode), Some("10.0.0.1"))], 1);
    assert_eq!((over.state, over.ready), (ServiceState::NotStarted, 0));
    let starts = status(vec![seen(running(), None), seen(running(), Some("10.0.0.1"))], 2);
    assert_eq!((starts.state, starts.ready, starts.live.len()), (ServiceState::Started, 1, 2));
    assert_eq!(starts.phases.running, 2);
    assert_eq!(status(vec![seen(running(), Some("10.0.0.1"))], 1).state, ServiceState::Running);
}

#[test]
fn others_see_whether_it_has_begun_runs_and_ends() {
    let known = PeerStatus { priority: 7, wanted: true, depends_on: vec!["db".into()], ..PeerStatus::default() };
    let told = |it: &Service| {
        let peer = it.life.peer_status(&known);
        assert_eq!((peer.priority, peer.wanted, &peer.depends_on), (7, true, &known.depends_on));
        (peer.begun, peer.running, peer.ending)
    };
    let mut it = Service::of(KeepAlive::new(crate::script::naming(), policy(&json!({}), "g1"), 1, SECOND), SECOND);
    assert_eq!(told(&it), (false, false, false));
    it = Service::begin(&json!({"stopTimeout": "1s"}));
    assert_eq!(told(&it), (true, false, true));
    it.all_run();
    assert_eq!(told(&it), (true, true, true));
    it.all_end(Outcome::Failed, Reason::ExitCode);
    assert_eq!(told(&it), (true, false, false), "it waits, and has begun");
    it.pass(15 * SECOND);
    it.all_run();
    it.order(stopped());
    assert_eq!(told(&it), (true, false, true));
    it.pass(15 * SECOND);
    assert_eq!(told(&it), (true, false, false), "nobody waits for a pod that does not end");
}

#[test]
fn a_wait_is_told_until_it_is_over_to_the_nanosecond() {
    let mut it = Service::begin(&json!({}));
    it.all_end(Outcome::Failed, Reason::ExitCode);
    let until = it.life.status(it.now).wait_until.expect("it waits");
    assert_eq!((it.state().0, it.error()), (ServiceState::Failed, "failed: exit code".into()));
    it.feed(turn(Some("redis"), None));
    it.pass(until - it.now);
    assert_eq!((it.state().0, it.error()), (ServiceState::Restart, "waits for redis".into()));
    assert_eq!(it.life.status(it.now).wait_until, None);
}

#[test]
fn who_has_stopped_waits_for_nobody() {
    let mut it = Service::begin(&json!({}));
    it.feed(turn(None, Some("web")));
    it.order(stopped());
    assert_eq!((it.live().len(), it.error()), (1, "stops after web".into()));
    it.all_end(Outcome::Succeeded, Reason::Completed);
    it.pass(10 * SECOND);
    assert_eq!((it.live().len(), it.error()), (0, String::new()));
}

#[test]
fn the_same_order_once_more_ends_no_wait() {
    let mut it = Service::begin(&json!({}));
    it.all_end(Outcome::Failed, Reason::ExitCode);
    it.order(DesiredState::default());
    assert!(it.live().is_empty());
}

#[test]
fn failures_before_a_restart_make_the_first_wait_longer_and_are_read_once() {
    let now = 1_000_000 * SECOND;
    let loaded = |failed_in_a_row| {
        ServiceEvent::Run(RunEvent::RunsLoaded(Some(LoadedRuns { failed_in_a_row, ..LoadedRuns::default() })))
    };
    let mut it = Service::of(KeepAlive::new(crate::script::naming(), policy(&json!({}), "g1"), 1, now), now);
    it.life.step(now, [ServiceEvent::DeadlineReached]);
    it.feed(loaded(3));
    it.view();
    it.all_end(Outcome::Failed, Reason::ExitCode);
    let wait = it.life.status(it.now).wait_until.expect("it waits") - it.now;
    assert!(wait >= 80 * SECOND && wait < 90 * SECOND, "{wait:?}");
    it.feed(loaded(0));
    it.pass(100 * SECOND);
    it.all_end(Outcome::Failed, Reason::ExitCode);
    let wait = it.life.status(it.now).wait_until.expect("it waits") - it.now;
    assert!(wait >= 160 * SECOND, "{wait:?}");
}

#[test]
fn a_start_and_an_end_are_counted_once() {
    let mut it = Service::begin(&json!({}));
    for job in it.jobs.values_mut() {
        (job.age, job.ran) = (3 * SECOND, Some(SECOND));
    }
    it.all_run();
    it.all_end(Outcome::Failed, Reason::ExitCode);
    let started = Milestone::Started { took: 2 * SECOND };
    let failed = Milestone::Ended { outcome: Outcome::Failed, reason: Reason::ExitCode };
    assert_eq!(it.life.take_milestones(), [started, failed]);
    assert_eq!(it.life.take_milestones(), []);
}

#[test]
fn it_drains_until_it_is_in_the_file_again() {
    let mut it = Service::begin(&json!({}));
    assert!(!it.life.is_draining());
    it.feed(ServiceEvent::Run(RunEvent::Drain));
    assert!(it.life.is_draining());
    it.feed(ServiceEvent::Configured(Box::new(policy(&json!({}), "g1"))));
    assert!(!it.life.is_draining());
}

#[test]
fn a_pod_that_does_not_end_is_killed_when_its_grace_is_over_and_no_later() {
    let mut it = Service::begin(&json!({"stopTimeout": "20s"}));
    it.all_run();
    it.order(stopped());
    let begun = it.now;
    while !it.transcript.iter().any(|line| line.contains("ForceDeletePods")) {
        let next = it.life.deadline().expect("it comes back by itself");
        it.go_on_to(it.now.max(next));
        it.feed(ServiceEvent::DeadlineReached);
    }
    assert_eq!(it.now - begun, 30 * SECOND);
}

#[test]
fn a_replica_too_many_that_ends_is_no_restart() {
    let mut it = Service::begin(&json!({"replicas": 2}));
    it.feed(ServiceEvent::Configured(Box::new(policy(&json!({}), "g1"))));
    assert_eq!((it.live().len(), it.state().0), (1, ServiceState::Started));
}

#[test]
fn the_job_of_a_queue_that_had_this_name_is_no_replica() {
    let now = 1_000_000 * SECOND;
    let mut it = Service::of(KeepAlive::new(crate::script::naming(), policy(&json!({}), "g1"), 1, now), now);
    let old = JobName("old".into());
    it.jobs = BTreeMap::from([(old.clone(), SeenJob { kind: Kind::Queue, ..job("old", 1, "other") })]);
    it.life.step(now, [ServiceEvent::DeadlineReached]);
    let unfinished = vec![on_record("old", 1, SECOND)];
    it.feed(ServiceEvent::Run(RunEvent::RunsLoaded(Some(LoadedRuns { unfinished, ..LoadedRuns::default() }))));
    it.feed(turn(Some("redis"), None));
    it.all_run();
    assert_eq!((it.live(), it.state().1), (vec!["old"], 0));
}

#[test]
fn the_record_of_a_replica_says_what_it_is_for() {
    let now = 1_000_000 * SECOND;
    let mut life = KeepAlive::new(crate::script::naming(), policy(&json!({}), "g1"), 1, now);
    life.step(now, [ServiceEvent::DeadlineReached]);
    life.step(now, [ServiceEvent::Run(RunEvent::RunsLoaded(Some(LoadedRuns::default())))]);
    let effects = life.step(now, [ServiceEvent::Run(RunEvent::Observed(Arc::default()))]);
    let [ServiceEffect::Run(RunEffect::WriteWishes(wishes))] = &effects[..] else { panic!("{effects:?}") };
    let decision = Decision { why: DecisionReason::KeptUp, jobs: 1, ..Decision::default() };
    assert_eq!((wishes.len(), wishes[0].decision, wishes[0].starts), (1, decision, Some(0)));
}

#[test]
fn a_restart_that_was_said_while_nobody_led_is_carried_out() {
    let mut it = Service::begin(&json!({}));
    it.all_run();
    let mut after = Service::of(KeepAlive::new(crate::script::naming(), policy(&json!({}), "g1"), 2, it.now), it.now);
    after.jobs.clone_from(&it.jobs);
    let desired = DesiredState { starts: 1, restart_before: 1, ..DesiredState::default() };
    after.life.step(after.now, [ServiceEvent::Desired(desired)]);
    let name = it.jobs.keys().next().unwrap().clone();
    let unfinished = vec![LoadedRun { name, starts: Some(0), ..on_record("", 0, 60 * SECOND) }];
    after.feed(ServiceEvent::Run(RunEvent::RunsLoaded(Some(LoadedRuns { unfinished, ..LoadedRuns::default() }))));
    after.view();
    assert!(after.live().is_empty());
    after.gone();
    after.pass(20 * SECOND);
    assert_eq!(after.live().len(), 1);
    assert!(!it.jobs.contains_key(&JobName(after.live()[0].to_owned())));
}
