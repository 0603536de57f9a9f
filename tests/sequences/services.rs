//! Services: what happens to their replicas, step by step.

use std::{sync::Arc, time::Duration};

use job_chief::{
    config::entry::Kind,
    decide::{
        outcome::{End, JobName, Outcome, Reason},
        pod::observation::{Phase, SeenJob},
        run::event::{CreateAnswer, LoadedRun, LoadedRuns, RunEffect, RunEvent, WishAnswer},
        service::{
            desired::DesiredState,
            event::{ServiceEffect, ServiceEvent},
            keep_alive::KeepAlive,
            start_order::WaitsFor,
            state::ServiceState,
        },
    },
};
use serde_json::json;

use crate::{
    script::{SECOND, on_record},
    service::{Service, job, policy},
};

#[test]
fn a_service_starts_runs_and_is_started_again_whatever_its_exit_code() {
    let mut it = Service::begin(&json!({}));
    assert_eq!((it.live().len(), it.state()), (1, (ServiceState::Started, 0)));
    it.all_run();
    assert_eq!(it.state(), (ServiceState::Running, 1));
    it.all_end(Outcome::Succeeded, Reason::Completed);
    assert_eq!((it.live().len(), it.state()), (0, (ServiceState::Restart, 0)));
    assert_eq!(it.error(), "ended with exit code 0");
    it.pass(4 * SECOND);
    assert_eq!(it.live().len(), 0, "waitTimeAfterSuccessfulRun");
    it.pass(2 * SECOND);
    assert_eq!((it.live().len(), it.state().0), (1, ServiceState::Started));
    assert_eq!(it.life.status(it.now).restarts, 1);
}

#[test]
fn the_waits_grow_and_ten_minutes_of_being_up_end_them() {
    let mut it = Service::begin(&json!({}));
    for wait in [10, 20, 40, 80, 160, 300, 300] {
        it.all_run();
        it.all_end(Outcome::Failed, Reason::ExitCode);
        it.pass(wait * SECOND - SECOND / 2);
        assert_eq!(it.live().len(), 0, "{wait}");
        it.pass(wait * SECOND / 10 + SECOND);
        assert_eq!(it.live().len(), 1, "{wait}");
    }
    it.all_run();
    it.pass(600 * SECOND);
    it.all_end(Outcome::Failed, Reason::ExitCode);
    assert_eq!(it.live().len(), 1, "at once");
    it.all_run();
    it.all_end(Outcome::Failed, Reason::ExitCode);
    it.pass(9 * SECOND);
    assert_eq!(it.live().len(), 0);
    it.pass(3 * SECOND);
    assert_eq!(it.live().len(), 1, "and from the beginning");
}

#[test]
fn a_wait_counts_from_failed_and_not_from_the_sign_before_and_a_start_ends_it() {
    let sign = Phase::Ended {
        end: End::new(Outcome::Failed, Reason::ExitCode),
        terminal: false,
        explained: true,
        age: Duration::ZERO,
    };
    for told_to_start in [false, true] {
        let mut it = Service::begin(&json!({}));
        it.all_run();
        it.all_become(&sign, None);
        it.pass(8 * SECOND);
        if told_to_start {
            it.order(DesiredState { starts: 1, enabled: true, ..DesiredState::default() });
        }
        it.all_end(Outcome::Failed, Reason::ExitCode);
        it.pass(9 * SECOND);
        assert_eq!(it.live().len(), usize::from(told_to_start), "waitTimeAfterFailedRun");
        it.pass(3 * SECOND);
        assert_eq!(it.live().len(), 1);
    }
}

#[test]
fn a_bad_start_is_failed_while_it_waits_and_says_why() {
    let mut it = Service::begin(&json!({"startTimeout": "20s"}));
    it.all_become(&Phase::Running { age: Duration::ZERO }, None);
    it.pass(19 * SECOND);
    assert_eq!(it.state(), (ServiceState::Started, 0));
    assert_eq!(it.error(), "the pod is not ready");
    it.pass(2 * SECOND);
    it.gone();
    assert_eq!(it.state(), (ServiceState::Failed, 0));
    assert_eq!(it.error(), "start timed out: not ready (the pod is not ready)");
    it.pass(6 * SECOND);
    assert_eq!((it.live().len(), it.state().0), (1, ServiceState::Started));

    let mut it = Service::begin(&json!({}));
    it.refuses = true;
    it.all_end(Outcome::Failed, Reason::ExitCode);
    it.pass(11 * SECOND);
    assert_eq!((it.state().0, it.error()), (ServiceState::Failed, "start error: refused (quota)".into()));
}

#[test]
fn a_lost_replica_is_replaced_and_the_others_are_left_alone() {
    let mut it = Service::begin(&json!({"replicas": 3}));
    it.all_run();
    assert_eq!(it.state(), (ServiceState::Running, 3));
    let lost = JobName(it.live()[1].to_owned());
    let others: Vec<String> = it.live().iter().filter(|name| **name != lost.0).map(|name| (*name).to_owned()).collect();
    it.jobs.remove(&lost);
    it.view();
    it.pass(6 * SECOND);
    assert_eq!(it.live().len(), 3);
    assert!(others.iter().all(|name| it.live().contains(&name.as_str())) && !it.live().contains(&lost.0.as_str()));
    assert_eq!(it.state(), (ServiceState::Started, 2));
}

#[test]
fn a_check_that_fails_often_enough_restarts_it() {
    let mut it = Service::begin(&json!({"ports": [80], "unhealthyThreshold": 3, "checkInterval": "10s"}));
    it.all_run();
    assert_eq!(it.state(), (ServiceState::Started, 0), "ready is not enough");
    it.probed(Err("refused"));
    assert_eq!(it.error(), "refused");
    it.pass(SECOND);
    it.probed(Ok(()));
    assert_eq!(it.state(), (ServiceState::Running, 1));
    for failures in 1..=3 {
        assert_eq!(it.state().0, ServiceState::Running, "{failures}");
        it.pass(10 * SECOND);
        it.probed(Err("refused"));
    }
    assert_eq!((it.live().len(), it.state().0), (0, ServiceState::Restart));
    it.gone();
    it.pass(9 * SECOND);
    assert_eq!(it.live().len(), 0);
    it.pass(2 * SECOND);
    assert_eq!(it.live().len(), 1, "waitTimeAfterFailedRun");
    // One check that passes makes good for those that failed.
    it.all_run();
    it.probed(Ok(()));
    for _ in 0..5 {
        it.pass(10 * SECOND);
        it.probed(Err("refused"));
        it.pass(10 * SECOND);
        it.probed(Ok(()));
    }
    assert_eq!(it.state(), (ServiceState::Running, 1));
}

#[test]
fn a_pod_that_is_not_ready_for_too_long_is_restarted() {
    let mut it = Service::begin(&json!({"unhealthyThreshold": 2, "checkInterval": "10s"}));
    it.all_run();
    it.all_become(&Phase::Running { age: Duration::ZERO }, None);
    it.pass(5 * SECOND);
    it.all_run();
    it.pass(60 * SECOND);
    assert_eq!(it.state(), (ServiceState::Running, 1), "it came back");
    it.all_become(&Phase::Running { age: Duration::ZERO }, None);
    it.pass(21 * SECOND);
    assert_eq!((it.live().len(), it.state().0), (0, ServiceState::Restart));
}

#[test]
fn stop_sticks_and_start_does_not_wait() {
    let mut it = Service::begin(&json!({"replicas": 2}));
    it.all_run();
    let stopped = DesiredState { stopped: true, ..DesiredState::default() };
    it.order(stopped);
    assert_eq!((it.live().len(), it.state()), (0, (ServiceState::NotStarted, 0)));
    it.gone();
    it.pass(3600 * SECOND);
    assert_eq!(it.jobs.len(), 0, "a stopped service is never started");
    it.order(DesiredState { starts: 1, ..DesiredState::default() });
    assert_eq!(it.live().len(), 2);
    it.all_end(Outcome::Failed, Reason::ExitCode);
    it.order(DesiredState { starts: 2, ..DesiredState::default() });
    assert_eq!(it.live().len(), 2, "whoever says start does not want to wait");
    it.order(DesiredState { enabled: false, starts: 2, ..DesiredState::default() });
    assert_eq!((it.live().len(), it.state().0), (0, ServiceState::Disabled));
}

#[test]
fn stop_while_it_starts_and_restart_while_it_stops() {
    let now = 1_000_000 * SECOND;
    let mut life = KeepAlive::new(crate::script::naming(), policy(&json!({}), "g1"), 1, now);
    life.step(now, [ServiceEvent::DeadlineReached]);
    life.step(now, [ServiceEvent::Run(RunEvent::RunsLoaded(Some(LoadedRuns::default())))]);
    let effects = life.step(now, [ServiceEvent::Run(RunEvent::Observed(Arc::default()))]);
    let [ServiceEffect::Run(RunEffect::WriteWishes(wishes))] = &effects[..] else { panic!("{effects:?}") };
    let name = wishes[0].name.clone();
    // Stopped before its Job was asked for: it never is, and the run ends.
    assert_eq!(life.step(now, [ServiceEvent::Desired(DesiredState { stopped: true, ..DesiredState::default() })]), []);
    let effects = life.step(now, [ServiceEvent::Run(RunEvent::WishWritten(name, Some(WishAnswer::Written)))]);
    assert!(
        matches!(&effects[..], [ServiceEffect::Run(RunEffect::WriteEnd(ended))] if ended.end.reason == Reason::Unwanted),
        "{effects:?}"
    );

    let mut it = Service::begin(&json!({}));
    it.all_run();
    it.order(DesiredState { stopped: true, ..DesiredState::default() });
    it.order(DesiredState { starts: 1, restart_before: 1, ..DesiredState::default() });
    it.pass(5 * SECOND);
    assert_eq!(it.live().len(), 0, "not beside the one that ends");
    it.gone();
    assert_eq!(it.live().len(), 1);
    it.all_run();
    assert_eq!(it.state(), (ServiceState::Running, 1), "and that one stays");
}

#[test]
fn a_lost_create_is_settled_before_a_stop_is_done() {
    let now = 1_000_000 * SECOND;
    let mut it = Service::of(KeepAlive::new(crate::script::naming(), policy(&json!({}), "g1"), 1, now), now);
    it.life.step(now, [ServiceEvent::DeadlineReached]);
    it.life.step(now, [ServiceEvent::Run(RunEvent::RunsLoaded(Some(LoadedRuns::default())))]);
    let effects = it.life.step(now, [ServiceEvent::Run(RunEvent::Observed(Arc::default()))]);
    let [ServiceEffect::Run(RunEffect::WriteWishes(wishes))] = &effects[..] else { panic!("{effects:?}") };
    let name = wishes[0].name.clone();
    it.life.step(now, [ServiceEvent::Run(RunEvent::WishWritten(name.clone(), Some(WishAnswer::Written)))]);
    it.order(DesiredState { stopped: true, ..DesiredState::default() });
    it.feed(ServiceEvent::Run(RunEvent::CreateAnswered(name.clone(), CreateAnswer::Unanswered { retry_after: None })));
    it.pass(10 * SECOND);
    assert!(!it.life.status(it.now).live.is_empty(), "it may still come");
    it.jobs.insert(name, job("late", 0, "g1"));
    it.pass(10 * SECOND);
    it.gone();
    it.pass(60 * SECOND);
    assert!(it.jobs.is_empty() && it.life.status(it.now).live.is_empty());
    assert!(!it.transcript.iter().any(|line| line.contains("CreateJob")), "{:#?}", it.transcript);
}

#[test]
fn another_generation_replaces_and_never_two_at_once() {
    let mut it = Service::begin(&json!({"replicas": 2}));
    it.all_run();
    it.generation = "g2".into();
    it.feed(ServiceEvent::Configured(Box::new(policy(&json!({"replicas": 2}), "g2"))));
    assert_eq!((it.live().len(), it.state().0), (0, ServiceState::Restart));
    it.gone();
    assert_eq!(it.live().len(), 2, "at once");
    assert!(it.jobs.values().all(|job| &*job.config_hash == "g2"));
    // Fewer replicas: the last goes. More: one is added.
    it.all_run();
    it.feed(ServiceEvent::Configured(Box::new(policy(&json!({}), "g2"))));
    it.gone();
    assert_eq!((it.live().len(), it.state()), (1, (ServiceState::Running, 1)));
    it.feed(ServiceEvent::Configured(Box::new(policy(&json!({"replicas": 3}), "g2"))));
    assert_eq!((it.live().len(), it.state()), (3, (ServiceState::Started, 1)));
}

#[test]
fn what_lives_is_adopted_after_a_restart() {
    let mut it = Service::begin(&json!({"startTimeout": "20s"}));
    it.all_run();
    it.pass(3600 * SECOND);
    let mut after = Service::of(
        KeepAlive::new(crate::script::naming(), policy(&json!({"startTimeout": "20s"}), "g1"), 2, it.now),
        it.now,
    );
    after.jobs.clone_from(&it.jobs);
    // It is not ready just now.
    after.jobs.values_mut().for_each(|job| job.address = None);
    after.life.step(after.now, [ServiceEvent::DeadlineReached]);
    let name = it.jobs.keys().next().unwrap().clone();
    let unfinished = vec![LoadedRun { name, starts: Some(0), ..on_record("", 0, 3600 * SECOND) }];
    after.feed(ServiceEvent::Run(RunEvent::RunsLoaded(Some(LoadedRuns {
        unfinished,
        restarts: 4,
        ..LoadedRuns::default()
    }))));
    after.view();
    after.pass(10 * SECOND);
    assert_eq!(after.live(), it.live(), "nothing is killed by a restart");
    assert_eq!(after.life.status(after.now).restarts, 4);
    after.all_run();
    assert_eq!(after.state(), (ServiceState::Running, 1));
}

#[test]
fn once_is_once_until_somebody_says_start() {
    let mut it = Service::begin(&json!({"keepAlive": false}));
    it.all_run();
    it.all_end(Outcome::Succeeded, Reason::Completed);
    it.pass(3600 * SECOND);
    assert_eq!((it.live().len(), it.state().0), (0, ServiceState::NotStarted));
    assert!(!it.life.status(it.now).wanted, "it has had its start");
    it.order(DesiredState { starts: 1, ..DesiredState::default() });
    assert_eq!(it.live().len(), 1);
    it.all_end(Outcome::Failed, Reason::ExitCode);
    it.pass(3600 * SECOND);
    assert_eq!((it.live().len(), it.state().0), (0, ServiceState::Failed));

    // A replica that is replaced has not had its start.
    let mut replaced = Service::begin(&json!({"keepAlive": false}));
    replaced.all_run();
    replaced.feed(ServiceEvent::Configured(Box::new(policy(&json!({"keepAlive": false}), "g2"))));
    replaced.generation = "g2".into();
    replaced.gone();
    assert_eq!(replaced.live().len(), 1);

    // Also after a restart.
    let mut after = Service::of(
        KeepAlive::new(crate::script::naming(), policy(&json!({"keepAlive": false}), "g1"), 2, it.now),
        it.now,
    );
    after.life.step(after.now, [ServiceEvent::Desired(DesiredState { starts: 1, ..DesiredState::default() })]);
    after.feed(ServiceEvent::Run(RunEvent::RunsLoaded(Some(LoadedRuns {
        starts: [(0, 1)].into(),
        ..LoadedRuns::default()
    }))));
    after.view();
    after.pass(3600 * SECOND);
    assert_eq!(after.jobs.len(), 0);
}

#[test]
fn it_waits_for_its_turn_to_start_and_to_stop() {
    let mut it = Service::begin(&json!({}));
    it.all_run();
    let turn = |start: Option<&str>, stop: Option<&str>| {
        ServiceEvent::WaitsFor(WaitsFor { start_after: start.map(Into::into), stop_after: stop.map(Into::into) })
    };
    it.feed(turn(Some("redis"), Some("web")));
    assert_eq!(it.state(), (ServiceState::Running, 1), "whom it needs may go away later");
    it.order(DesiredState { stopped: true, ..DesiredState::default() });
    it.pass(60 * SECOND);
    assert_eq!((it.live().len(), it.error()), (1, "stops after web".into()));
    it.feed(turn(Some("redis"), None));
    it.gone();
    it.order(DesiredState { starts: 1, ..DesiredState::default() });
    it.pass(60 * SECOND);
    assert_eq!((it.live().len(), it.error()), (0, "waits for redis".into()));
    it.feed(turn(None, None));
    assert_eq!(it.live().len(), 1);
}

#[test]
fn a_pod_that_does_not_end_is_killed_or_it_is_said_that_it_can_not_be() {
    let mut it = Service::begin(&json!({"stopTimeout": "20s"}));
    it.all_run();
    it.order(DesiredState { stopped: true, ..DesiredState::default() });
    it.pass(29 * SECOND);
    assert!(!it.transcript.iter().any(|line| line.contains("ForceDeletePods")), "its grace is not over");
    it.pass(2 * SECOND);
    assert_eq!(it.state().0, ServiceState::Failed);
    assert!(it.error().starts_with("could not halt"), "{}", it.error());
    it.order(DesiredState { starts: 1, ..DesiredState::default() });
    it.pass(60 * SECOND);
    assert_eq!(it.jobs.len(), 1, "never started beside it");
    let kills = it.transcript.iter().filter(|line| line.contains("ForceDeletePods")).count();
    assert!(kills > 1, "it is tried again");
    it.gone();
    it.all_run();
    assert_eq!(it.state(), (ServiceState::Running, 1));

    it.order(DesiredState { stopped: true, halted: true, starts: 1, ..DesiredState::default() });
    it.pass(SECOND);
    let later = it.transcript.iter().filter(|line| line.contains("ForceDeletePods")).count();
    assert!(later > kills, "halt waits for nothing");
}

#[test]
fn what_has_left_the_file_is_stopped_and_then_done() {
    let mut it = Service::begin(&json!({"replicas": 2}));
    it.all_run();
    it.feed(ServiceEvent::Run(RunEvent::Drain));
    assert!(it.live().is_empty() && !it.life.is_done());
    it.gone();
    it.pass(SECOND);
    assert!(it.life.is_done());
}

#[test]
fn the_jobs_of_a_queue_of_the_same_name_run_to_their_end() {
    let now = 1_000_000 * SECOND;
    let mut it = Service::of(KeepAlive::new(crate::script::naming(), policy(&json!({}), "g1"), 1, now), now);
    it.jobs.insert(JobName("old".into()), SeenJob { kind: Kind::Queue, ..job("old", 0, "other") });
    it.life.step(now, [ServiceEvent::DeadlineReached]);
    let unfinished = vec![on_record("old", 0, SECOND)];
    it.feed(ServiceEvent::Run(RunEvent::RunsLoaded(Some(LoadedRuns { unfinished, ..LoadedRuns::default() }))));
    it.all_run();
    it.pass(3600 * SECOND);
    assert_eq!(it.live(), ["old"]);
    it.all_end(Outcome::Succeeded, Reason::Completed);
    it.pass(60 * SECOND);
    assert_eq!(it.live().len(), 1, "and then the service starts");
}

#[test]
fn an_end_is_told_in_words() {
    let mut it = Service::begin(&json!({}));
    it.all_run();
    let end = End {
        exit_code: Some(137),
        message: Some("killed\nmore".into()),
        ..End::new(Outcome::Failed, Reason::OomKilled)
    };
    it.all_become(&Phase::Ended { end, terminal: true, explained: true, age: Duration::ZERO }, None);
    assert_eq!(it.error(), "failed: oom killed 137 (killed)");
}
