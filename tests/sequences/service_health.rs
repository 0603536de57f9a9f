//! Whether a replica does well: what readiness and checks say of it, and when.

use std::time::Duration;

use job_chief::decide::{pod::observation::Phase, run::event::RunEvent, service::event::ServiceEvent};
use serde_json::{Value, json};

use crate::{script::SECOND, service::Service};

impl Service {
    fn none_ready(&mut self) {
        self.all_become(&Phase::Running { age: Duration::ZERO }, None);
    }

    fn checks(&self) -> usize {
        self.transcript.iter().filter(|line| line.contains("CheckHealth")).count()
    }
}

/// It is up since now, and is ended by so many checks in a row, of which there is one in ten seconds.
fn up(threshold: u32) -> Service {
    let mut it = Service::begin(&json!({"checkInterval": "10s", "unhealthyThreshold": threshold}));
    it.all_run();
    it
}

fn checked(keys: Value) -> Service {
    let mut all = json!({"ports": [80], "checkInterval": "10s"});
    all.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
    let mut it = Service::begin(&all);
    it.all_run();
    it.probed(Ok(()));
    it
}

#[test]
fn what_happens_in_between_does_not_put_off_the_look_at_whether_it_is_ready() {
    let mut it = up(1);
    it.pass(9 * SECOND);
    it.none_ready();
    it.pass(2 * SECOND);
    assert!(it.live().is_empty(), "it is looked at ten seconds after it was up");
}

#[test]
fn the_wait_after_an_unhealthy_replica_does_not_begin_anew_when_its_pod_is_gone() {
    let mut it =
        Service::begin(&json!({"checkInterval": "10s", "unhealthyThreshold": 1, "waitTimeAfterFailedRun": "20s"}));
    it.all_run();
    it.none_ready();
    it.pass(11 * SECOND);
    assert!(it.live().is_empty(), "it is being deleted");
    it.pass(30 * SECOND);
    it.gone();
    it.pass(SECOND);
    assert_eq!(it.live().len(), 1, "the wait was over before its pod was gone");
}

#[test]
fn a_pod_that_was_ready_at_the_last_look_has_a_whole_interval() {
    let mut it = up(1);
    it.pass(15 * SECOND);
    it.none_ready();
    it.pass(5 * SECOND);
    assert_eq!(it.live().len(), 1);
    it.pass(6 * SECOND);
    assert!(it.live().is_empty());
}

#[test]
fn ready_for_a_moment_makes_good_for_what_was_counted() {
    let mut it = up(2);
    it.pass(9 * SECOND);
    it.none_ready();
    it.pass(3 * SECOND);
    it.all_run();
    it.pass(SECOND);
    it.none_ready();
    it.pass(10 * SECOND);
    assert_eq!(it.live().len(), 1, "one look in a row has found it not ready");
    it.pass(10 * SECOND);
    assert!(it.live().is_empty());
}

#[test]
fn a_gap_between_two_looks_is_not_seen() {
    let mut it = up(1);
    it.pass(5 * SECOND);
    it.none_ready();
    it.pass(SECOND);
    it.all_run();
    it.pass(3 * SECOND);
    it.none_ready();
    it.pass(2 * SECOND);
    assert!(it.live().is_empty(), "and moves no look");
}

#[test]
fn who_is_ready_again_is_asked_at_once() {
    let mut it = checked(json!({}));
    it.none_ready();
    it.pass(12 * SECOND);
    let asked = it.checks();
    it.all_run();
    assert_eq!(it.checks(), asked + 1);
}

#[test]
fn a_check_that_passes_says_nothing_of_a_pod_that_is_not_ready_any_more() {
    let mut it = Service::begin(&json!({"ports": [80]}));
    it.all_run();
    it.none_ready();
    it.probed(Ok(()));
    assert_eq!((it.state().1, it.error()), (0, "the pod is not ready".into()));
}

#[test]
fn who_stops_asks_nothing_and_waits_for_what_was_asked() {
    let mut it = checked(json!({}));
    it.pass(11 * SECOND);
    it.feed(ServiceEvent::Run(RunEvent::Stop));
    assert!(!it.life.is_done(), "a check waits for its answer");
    let asked = it.checks();
    it.probed(Err("refused"));
    assert!(it.life.is_done());
    it.pass(60 * SECOND);
    assert_eq!(it.checks(), asked);
}
