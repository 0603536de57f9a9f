//! Jobs that run once beside the replicas of a service, and what is asked before a start.

use std::{collections::BTreeMap, time::Duration};

use job_chief::decide::{
    decision::DecisionReason,
    one_off::{OneOff, action_slot, is_one_off},
    outcome::{JobName, Outcome, Reason, Slot},
    pod::observation::Phase,
    run::event::{LoadedAction, LoadedRun, LoadedRuns, RunEvent},
    service::{desired::DesiredState, event::ServiceEvent, keep_alive::KeepAlive, state::ServiceState},
};
use serde_json::{Value, json};

use crate::{
    script::{SECOND, ended},
    service::{Service, policy},
};

pub(crate) const MINUTE: Duration = Duration::from_secs(60);

impl Service {
    /// Live Jobs in a slot.
    pub(crate) fn in_slot(&self, slot: Slot) -> Vec<JobName> {
        let live = self.jobs.iter().filter(|(_, job)| job.is_live() && job.terminating.is_none());
        live.filter(|(_, job)| job.slot == Some(slot)).map(|(name, _)| name.clone()).collect()
    }

    pub(crate) fn replicas(&self) -> usize {
        self.jobs.values().filter(|job| job.is_live() && !job.slot.is_some_and(is_one_off)).count()
    }

    /// The live Job of a slot becomes this.
    pub(crate) fn become_in(&mut self, slot: Slot, phase: &Phase, address: Option<&str>) {
        for name in self.in_slot(slot) {
            let job = self.jobs.get_mut(&name).unwrap();
            (job.phase, job.address) = (phase.clone(), address.map(Into::into));
        }
        self.view();
    }

    pub(crate) fn ends_in(&mut self, slot: Slot, outcome: Outcome, reason: Reason) {
        assert_eq!(self.in_slot(slot).len(), 1, "{}", self.transcript.join("\n"));
        self.become_in(slot, &ended(outcome, reason), None);
    }

    pub(crate) fn replica_runs(&mut self) {
        self.become_in(0, &Phase::Running { age: Duration::ZERO }, Some("10.0.0.1"));
    }

    pub(crate) fn ask(&mut self, action: &str, count: u64) {
        self.feed(ServiceEvent::ActionsAsked(BTreeMap::from([(action.into(), count)])));
    }

    pub(crate) fn wishes(&self) -> usize {
        self.transcript.iter().filter(|line| line.contains("WriteWishes")).count()
    }

    /// Another process takes over, with these runs on record.
    pub(crate) fn taken_over(&self, keys: &Value, loaded: LoadedRuns) -> Self {
        let mut after = Self::of(KeepAlive::new(crate::script::naming(), policy(keys, "g1"), 2, self.now), self.now);
        after.jobs.clone_from(&self.jobs);
        after.jobs.retain(|_, job| job.is_live());
        after.loaded = loaded;
        after.feed(ServiceEvent::DeadlineReached);
        after
    }

    pub(crate) fn on_record(&self, one_off: &OneOff) -> LoadedRun {
        let name = self.in_slot(one_off.slot()).pop().unwrap();
        LoadedRun {
            name,
            slot: one_off.slot(),
            uid: None,
            age: SECOND,
            begun_at: None,
            starts: None,
            one_off: Some(one_off.clone()),
            places: [].into(),
        }
    }
}

// --- requirements

#[test]
fn a_start_waits_for_what_it_requires_with_growing_waits_and_says_which() {
    let keys = json!({"requirements": [{"tcp": {"host": "db", "port": 5432}}], "waitTimeAfterError": "10s"});
    let mut it = Service::begin(&keys);
    assert_eq!((it.replicas(), it.state().0), (0, ServiceState::NotStarted), "it is asked first");
    assert_eq!(it.targets_answer(Err("tcp db:5432: refused")), 1);
    assert_eq!((it.replicas(), it.state().0), (0, ServiceState::Failed));
    assert_eq!(it.error(), "requires tcp db:5432: refused");
    assert_eq!(it.life.status(it.now).replicas[0].problem.as_deref(), Some("requires tcp db:5432: refused"));
    it.pass(9 * SECOND);
    assert_eq!(it.targets_answer(Ok(())), 0, "it waits before it asks again");
    it.pass(2 * SECOND);
    assert_eq!(it.targets_answer(Err("tcp db:5432: refused")), 1);
    it.pass(19 * SECOND);
    assert_eq!(it.targets_answer(Ok(())), 0, "the wait has doubled");
    it.pass(3 * SECOND);
    assert_eq!(it.targets_answer(Ok(())), 1);
    assert_eq!((it.replicas(), it.state().0, it.error()), (1, ServiceState::Started, String::new()));
}

#[test]
fn what_is_required_is_asked_before_each_start_and_for_all_replicas_at_once() {
    let keys = json!({"requirements": [{"http": {"url": "http://db/health"}}], "replicas": 3});
    let mut it = Service::begin(&keys);
    assert_eq!(it.targets_answer(Ok(())), 1);
    assert_eq!(it.replicas(), 3);
    it.all_run();
    it.pass(MINUTE);
    assert_eq!(it.targets_answer(Ok(())), 0, "nobody asks while all are up");
    it.all_end(Outcome::Failed, Reason::ExitCode);
    it.pass(12 * SECOND);
    assert_eq!((it.replicas(), it.targets_answer(Err("down"))), (0, 1), "an old answer is none");
    it.order(DesiredState { stopped: true, ..DesiredState::default() });
    it.pass(MINUTE);
    assert_eq!((it.targets_answer(Ok(())), it.error()), (0, String::new()));
    it.order(DesiredState { starts: 1, ..DesiredState::default() });
    assert_eq!(it.targets_answer(Ok(())), 1, "whoever starts it does not want to wait");
    assert_eq!(it.replicas(), 3);
}

#[test]
fn an_answer_to_a_process_that_stops_is_waited_for_and_starts_nothing() {
    let mut it = Service::begin(&json!({"requirements": [{"tcp": {"host": "db", "port": 1}}]}));
    it.feed(ServiceEvent::Run(RunEvent::Stop));
    assert!(!it.life.is_done());
    it.targets_answer(Ok(()));
    assert!(it.life.is_done() && it.replicas() == 0);
}

// --- checks that are Jobs

fn checked_by_job(keys: Value) -> (Service, Slot) {
    let mut all = json!({"checkInterval": "10s", "check": {"job": {"podConfig": {"image": "c"}}}});
    all.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
    let mut it = Service::begin(&all);
    it.replica_runs();
    (it, OneOff::Check.slot())
}

#[test]
fn the_exit_code_of_a_job_says_whether_it_is_up_and_there_is_one_at_a_time() {
    let (mut it, check) = checked_by_job(json!({"unhealthyThreshold": 2}));
    assert_eq!((it.in_slot(check).len(), it.state()), (1, (ServiceState::Started, 0)));
    it.pass(MINUTE);
    assert_eq!(it.wishes(), 2, "a replica and its check, however long that takes");
    it.ends_in(check, Outcome::Succeeded, Reason::Completed);
    assert_eq!(it.state(), (ServiceState::Running, 1));
    it.pass(9 * SECOND);
    assert!(it.in_slot(check).is_empty());
    it.pass(2 * SECOND);
    it.ends_in(check, Outcome::Failed, Reason::ExitCode);
    assert_eq!(it.state().0, ServiceState::Running, "one is no proof");
    it.pass(11 * SECOND);
    it.ends_in(check, Outcome::Failed, Reason::ExitCode);
    assert_eq!(it.state().0, ServiceState::Restart, "{}", it.error());
    it.pass(10 * SECOND);
    it.gone();
    it.pass(10 * SECOND);
    assert_eq!(it.replicas(), 1, "and is started anew");
}

#[test]
fn one_job_checks_all_replicas_that_wait_for_it() {
    let mut it = Service::begin(&json!({"replicas": 2, "check": {"job": {"podConfig": {"image": "c"}}}}));
    it.become_in(0, &Phase::Running { age: Duration::ZERO }, Some("10.0.0.1"));
    let check = OneOff::Check.slot();
    it.become_in(1, &Phase::Running { age: Duration::ZERO }, Some("10.0.0.2"));
    it.ends_in(check, Outcome::Succeeded, Reason::Completed);
    assert_eq!(it.state().1, 1, "the second was not there when it was begun");
    it.pass(11 * SECOND);
    it.ends_in(check, Outcome::Succeeded, Reason::Completed);
    assert_eq!(it.state(), (ServiceState::Running, 2));
}

#[test]
fn a_check_that_never_ran_says_nothing() {
    let (mut it, check) = checked_by_job(json!({"unhealthyThreshold": 1, "waitTimeAfterError": "20s"}));
    it.ends_in(check, Outcome::Succeeded, Reason::Completed);
    it.pass(11 * SECOND);
    it.become_in(check, &crate::script::problem(Reason::ImagePull, "InvalidImageName"), None);
    assert_eq!((it.state(), it.replicas()), ((ServiceState::Running, 1), 1));
    it.gone();
    it.pass(10 * SECOND);
    assert!(it.in_slot(check).is_empty(), "it waits as after a start error");
    it.pass(11 * SECOND);
    assert_eq!(it.in_slot(check).len(), 1);
}

#[test]
fn a_check_that_another_process_began_is_not_doubled_and_is_about_nobody() {
    let keys =
        json!({"checkInterval": "10s", "unhealthyThreshold": 1, "check": {"job": {"podConfig": {"image": "c"}}}});
    let (it, check) = checked_by_job(json!({"unhealthyThreshold": 1}));
    let replica = LoadedRun {
        starts: Some(0),
        slot: 0,
        one_off: None,
        name: it.in_slot(0)[0].clone(),
        ..it.on_record(&OneOff::Check)
    };
    let unfinished = vec![it.on_record(&OneOff::Check), replica];
    let mut after = it.taken_over(&keys, LoadedRuns { unfinished, ..LoadedRuns::default() });
    after.view();
    after.pass(MINUTE);
    assert_eq!((after.in_slot(check), after.wishes()), (it.in_slot(check), 0));
    after.ends_in(check, Outcome::Failed, Reason::ExitCode);
    assert_eq!(after.replicas(), 1);
    after.pass(11 * SECOND);
    after.ends_in(check, Outcome::Succeeded, Reason::Completed);
    assert_eq!(after.state(), (ServiceState::Running, 1));
}

#[test]
fn a_process_that_stops_leaves_the_check_alone() {
    let (mut it, check) = checked_by_job(json!({}));
    it.feed(ServiceEvent::Run(RunEvent::Stop));
    assert!(it.life.is_done() && it.in_slot(check).len() == 1);
}

// --- services that run elsewhere

#[test]
fn an_action_that_is_asked_for_runs_once_each_time_one_after_another() {
    let keys = json!({"actions": {"backup": {"podConfig": {"image": "b"}}, "vacuum": {"podConfig": {"image": "v"}}}});
    let mut it = Service::begin(&keys);
    it.replica_runs();
    let backup = action_slot("backup");
    it.ask("backup", 2);
    assert_eq!((it.in_slot(backup).len(), it.in_slot(action_slot("vacuum")).len()), (1, 0));
    it.ask("backup", 2);
    it.pass(MINUTE);
    assert_eq!(it.in_slot(backup).len(), 1);
    it.ends_in(backup, Outcome::Failed, Reason::ExitCode);
    assert_eq!(it.in_slot(backup).len(), 1, "the second");
    it.ends_in(backup, Outcome::Succeeded, Reason::Completed);
    it.pass(MINUTE);
    assert!(it.in_slot(backup).is_empty());
    assert_eq!((it.state(), it.replicas()), ((ServiceState::Running, 1), 1), "the service is left alone");
    let served =
        [1, 2].map(|number| it.transcript.iter().any(|line| line.contains(&format!("number: Some({number})"))));
    assert_eq!(served, [true, true]);
}

#[test]
fn an_action_by_hand_runs_also_while_its_service_is_down_and_one_in_time_does_not() {
    let keys = json!({"enabled": false, "actions": {"a": {"podConfig": {"image": "a"}, "every": "1m"}}});
    let mut it = Service::begin(&keys);
    it.pass(10 * MINUTE);
    assert_eq!(it.wishes(), 0);
    it.ask("a", 1);
    it.ends_in(action_slot("a"), Outcome::Succeeded, Reason::Completed);
    it.pass(10 * MINUTE);
    assert_eq!((it.wishes(), it.state().0), (1, ServiceState::Disabled));
}

#[test]
fn an_action_runs_every_so_often_while_its_service_does_and_never_twice_at_once() {
    let keys = json!({"actions": {"a": {"podConfig": {"image": "a"}, "every": "1m"}}});
    let mut it = Service::begin(&keys);
    let slot = action_slot("a");
    it.pass(MINUTE);
    assert!(it.in_slot(slot).is_empty(), "not before it is up");
    it.replica_runs();
    assert_eq!(it.in_slot(slot).len(), 1, "at once the first time");
    it.become_in(slot, &Phase::Running { age: Duration::ZERO }, None);
    it.pass(5 * MINUTE);
    assert_eq!(it.wishes(), 2, "what is missed is not made up for");
    it.ends_in(slot, Outcome::Succeeded, Reason::Completed);
    assert_eq!(it.in_slot(slot).len(), 1, "its time has come");
    it.ends_in(slot, Outcome::Failed, Reason::ExitCode);
    it.pass(59 * SECOND);
    assert!(it.in_slot(slot).is_empty(), "a failure is not tried again before its time");
    it.pass(2 * SECOND);
    assert_eq!(it.in_slot(slot).len(), 1);
}

#[test]
fn who_takes_over_knows_which_action_runs_which_was_served_and_when_it_began() {
    let keys = json!({"actions": {"a": {"podConfig": {"image": "a"}, "every": "10m"}}});
    let mut it = Service::begin(&keys);
    it.replica_runs();
    it.ask("a", 1);
    let one_off = OneOff::Action { name: "a".into(), number: Some(1) };
    it.ends_in(action_slot("a"), Outcome::Succeeded, Reason::Completed);
    assert_eq!(it.in_slot(action_slot("a")).len(), 1, "that by hand, after the one in time");
    let actions = |served, begun| BTreeMap::from([("a".into(), LoadedAction { served, begun: Some(begun) })]);
    let replica =
        LoadedRun { starts: Some(0), slot: 0, one_off: None, name: it.in_slot(0)[0].clone(), ..it.on_record(&one_off) };
    let unfinished = vec![it.on_record(&one_off), replica];
    let loaded = LoadedRuns { unfinished, actions: actions(1, SECOND), ..LoadedRuns::default() };
    let mut after = it.taken_over(&keys, loaded);
    after.ask("a", 1);
    after.view();
    after.become_in(action_slot("a"), &Phase::Running { age: Duration::ZERO }, None);
    after.pass(5 * MINUTE);
    assert_eq!((after.in_slot(action_slot("a")).len(), after.wishes()), (1, 0));
    after.ends_in(action_slot("a"), Outcome::Succeeded, Reason::Completed);
    after.pass(4 * MINUTE);
    assert!(after.in_slot(action_slot("a")).is_empty());
    after.pass(MINUTE);
    assert_eq!((after.in_slot(action_slot("a")).len(), after.wishes()), (1, 1), "ten minutes after it began");
}

#[test]
fn an_action_that_jobs_json_does_not_have_waits_until_it_does() {
    let mut it = Service::begin(&json!({}));
    it.ask("a", 1);
    it.pass(MINUTE);
    assert_eq!(it.wishes(), 1);
    it.feed(ServiceEvent::Configured(Box::new(policy(
        &json!({"actions": {"a": {"podConfig": {"image": "a"}}}}),
        "g1",
    ))));
    assert_eq!(it.in_slot(action_slot("a")).len(), 1);
    let status = it.life.status(it.now);
    assert_eq!((status.actions.len(), status.actions[0].running, status.actions[0].waiting), (1, true, 0));
    assert!(it.transcript.iter().any(|line| line.contains(&format!("{:?}", DecisionReason::Asked))));
}

#[test]
fn an_entry_that_leaves_the_file_sees_its_action_to_the_end() {
    let mut it = Service::begin(&json!({"actions": {"a": {"podConfig": {"image": "a"}}}}));
    it.replica_runs();
    it.ask("a", 1);
    it.feed(ServiceEvent::Run(RunEvent::Drain));
    it.gone();
    it.pass(MINUTE);
    assert_eq!((it.in_slot(action_slot("a")).len(), it.replicas()), (1, 0));
    assert!(!it.life.is_done());
    it.ends_in(action_slot("a"), Outcome::Succeeded, Reason::Completed);
    it.pass(MINUTE);
    assert!(it.life.is_done());
}
