//! Services that run elsewhere: checked, and repaired.

use job_chief::decide::{
    one_off::OneOff,
    outcome::{Outcome, Reason, Slot},
    run::{event::LoadedRuns, milestone::Milestone},
    service::{desired::DesiredState, state::ServiceState},
};
use serde_json::{Value, json};

use crate::{script::SECOND, service::Service};

use crate::one_offs::MINUTE;

fn external(keys: Value) -> Service {
    let mut all = json!({
        "podConfig": null, "check": {"tcp": {"host": "db", "port": 5432}}, "checkInterval": "10s", "unhealthyThreshold": 2,
    });
    all.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
    Service::begin(&all)
}

fn repaired(keys: Value) -> (Service, Slot) {
    let mut all = json!({"repair": {"podConfig": {"image": "r"}}});
    all.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
    (external(all), OneOff::Repair.slot())
}

#[test]
fn what_runs_elsewhere_is_checked_and_never_started() {
    let mut it = external(json!({}));
    assert_eq!(it.state(), (ServiceState::NotStarted, 0));
    it.targets_answer(Err("tcp db:5432: refused"));
    assert_eq!((it.state().0, it.error()), (ServiceState::Started, "tcp db:5432: refused".into()));
    it.pass(11 * SECOND);
    it.targets_answer(Err("tcp db:5432: refused"));
    assert_eq!(it.state().0, ServiceState::Failed);
    it.pass(11 * SECOND);
    it.targets_answer(Ok(()));
    assert_eq!((it.state(), it.error()), ((ServiceState::Running, 1), String::new()));
    it.pass(11 * SECOND);
    it.targets_answer(Err("tcp db:5432: refused"));
    assert_eq!(it.state().0, ServiceState::Running, "one is no proof");
    it.order(DesiredState { stopped: true, ..DesiredState::default() });
    it.pass(MINUTE);
    assert_eq!((it.targets_answer(Ok(())), it.state()), (0, (ServiceState::NotStarted, 0)));
    it.order(DesiredState { enabled: false, ..DesiredState::default() });
    assert_eq!(it.state().0, ServiceState::Disabled);
    assert_eq!((it.wishes(), it.jobs.len()), (0, 0));
}

#[test]
fn it_is_repaired_once_for_each_row_of_failed_checks_with_growing_waits() {
    let (mut it, repair) = repaired(json!({"waitTimeAfterSuccessfulRun": "30s"}));
    it.targets_answer(Err("down"));
    assert!(it.in_slot(repair).is_empty());
    it.pass(11 * SECOND);
    it.targets_answer(Err("down"));
    assert_eq!((it.in_slot(repair).len(), it.state().0), (1, ServiceState::Restart));
    it.pass(MINUTE);
    assert_eq!((it.targets_answer(Ok(())), it.wishes()), (0, 1), "nothing is asked meanwhile");
    it.ends_in(repair, Outcome::Succeeded, Reason::Completed);
    assert_eq!(it.targets_answer(Err("down")), 1, "it is asked at once");
    it.pass(11 * SECOND);
    it.targets_answer(Err("down"));
    assert_eq!((it.in_slot(repair).len(), it.state().0), (0, ServiceState::Failed), "the next one waits");
    it.pass(22 * SECOND);
    assert_eq!(it.in_slot(repair).len(), 1);
    it.targets_answer(Err("down"));
    it.ends_in(repair, Outcome::Failed, Reason::ExitCode);
    assert_eq!(it.error(), "repair: failed: exit code");
    it.targets_answer(Ok(()));
    assert_eq!((it.state().0, it.error()), (ServiceState::Running, String::new()));
    let told = it.life.take_milestones();
    let repairs =
        |outcome| told.iter().filter(|it| **it == Milestone::OneOffEnded { purpose: "repair", outcome }).count();
    assert_eq!((repairs(Outcome::Succeeded), repairs(Outcome::Failed), told.len()), (1, 1, 2));
}

#[test]
fn a_job_may_check_what_runs_elsewhere() {
    let (mut it, repair) = repaired(json!({"check": {"job": {"podConfig": {"image": "c"}}}, "unhealthyThreshold": 1}));
    let check = OneOff::Check.slot();
    it.ends_in(check, Outcome::Failed, Reason::ExitCode);
    assert_eq!((it.in_slot(repair).len(), it.in_slot(check).len()), (1, 0));
    it.pass(MINUTE);
    it.ends_in(repair, Outcome::Succeeded, Reason::Completed);
    it.pass(11 * SECOND);
    it.ends_in(check, Outcome::Succeeded, Reason::Completed);
    assert_eq!(it.state().0, ServiceState::Running);
}

#[test]
fn a_repair_that_another_process_began_is_not_doubled_and_the_next_waits() {
    let (mut it, repair) = repaired(json!({"waitTimeAfterFailedRun": "40s", "unhealthyThreshold": 1}));
    it.targets_answer(Err("down"));
    let keys = json!({
        "podConfig": null, "check": {"tcp": {"host": "db", "port": 5432}}, "unhealthyThreshold": 1,
        "waitTimeAfterFailedRun": "40s", "repair": {"podConfig": {"image": "r"}},
    });
    let unfinished = vec![it.on_record(&OneOff::Repair)];
    let mut after = it.taken_over(&keys, LoadedRuns { unfinished, ..LoadedRuns::default() });
    after.view();
    after.targets_answer(Err("down"));
    after.pass(MINUTE);
    assert_eq!((after.in_slot(repair).len(), after.wishes()), (1, 0));
    it.ends_in(repair, Outcome::Succeeded, Reason::Completed);
    let mut later = it.taken_over(&keys, LoadedRuns { repaired: Some(10 * SECOND), ..LoadedRuns::default() });
    later.view();
    later.targets_answer(Err("down"));
    later.pass(29 * SECOND);
    assert!(later.in_slot(repair).is_empty());
    later.pass(2 * SECOND);
    assert_eq!(later.in_slot(repair).len(), 1);
}

// --- actions
