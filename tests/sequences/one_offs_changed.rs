//! What runs once beside the replicas of a service, when its entry changes, replicas are rolled or runs are read anew.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use job_chief::decide::{
    one_off::{OneOff, action_slot},
    outcome::{Outcome, Reason},
    pod::observation::Phase,
    run::event::{LoadedRuns, RunEffect, RunEvent, WishAnswer},
    service::{
        event::{ServiceEffect, ServiceEvent},
        keep_alive::KeepAlive,
        state::ServiceState,
    },
};
use serde_json::{Value, json};

use crate::{
    script::SECOND,
    service::{Service, policy},
};

const MINUTE: Duration = Duration::from_secs(60);

/// What was read may be older than a wish that is on its way.
#[test]
fn an_action_that_began_while_others_were_read_is_not_begun_again() {
    let keys = json!({"actions": {"backup": {"podConfig": {"image": "a"}, "every": "1h"}}});
    let now = 1_000_000 * SECOND;
    let mut life = KeepAlive::new(crate::script::naming(), policy(&keys, "g1"), 1, now);
    let load = || ServiceEvent::Run(RunEvent::RunsLoaded(Some(LoadedRuns::default())));
    let wished = |effects: Vec<ServiceEffect>| match &effects[..] {
        [ServiceEffect::Run(RunEffect::WriteWishes(wishes))] => wishes[0].name.clone(),
        other => panic!("{other:?}"),
    };
    life.step(now, [ServiceEvent::DeadlineReached, load()]);
    life.step(now, [load()]);
    let replica = wished(life.step(now, [ServiceEvent::Run(RunEvent::Observed(Arc::default()))]));
    let asked = BTreeMap::from([("backup".into(), 1)]);
    let action = wished(life.step(now, [ServiceEvent::ActionsAsked(asked)]));
    life.step(now, [ServiceEvent::Run(RunEvent::WishWritten(replica, None))]);
    let later = now + SECOND;
    assert_eq!(life.step(later, [ServiceEvent::DeadlineReached]), [ServiceEffect::Run(RunEffect::LoadRuns)]);
    let effects = life.step(later, [load()]);
    let mut it = Service::of(life, later);
    effects.into_iter().for_each(|effect| it.answer(effect));
    it.feed(ServiceEvent::Run(RunEvent::WishWritten(action, Some(WishAnswer::Written))));
    it.replica_runs();
    it.ends_in(action_slot("backup"), Outcome::Succeeded, Reason::Completed);
    it.pass(MINUTE);
    let again: Vec<&String> =
        it.transcript.iter().filter(|line| line.contains("WriteWishes([") && line.contains("backup")).collect();
    assert!(again.is_empty(), "{again:?}");
}

/// What the Job finds wrong is the fault of the replica that is new, and the others stay.
#[test]
fn a_check_that_fails_while_replicas_are_rolled_takes_no_good_one() {
    let keys = json!({
        "checkInterval": "10s", "check": {"job": {"podConfig": {"image": "c"}}}, "replicas": 2, "unhealthyThreshold": 2,
        "updateStrategy": {"type": "RollingReplace"},
    });
    let replicas_run = |it: &mut Service| {
        for slot in [0, 1] {
            it.become_in(slot, &Phase::Running { age: Duration::ZERO }, Some("10.0.0.1"));
        }
    };
    let mut it = Service::begin(&keys);
    replicas_run(&mut it);
    // The first was about one of them alone.
    it.ends_in(OneOff::Check.slot(), Outcome::Succeeded, Reason::Completed);
    it.pass(10 * SECOND);
    it.ends_in(OneOff::Check.slot(), Outcome::Succeeded, Reason::Completed);
    assert_eq!(it.state(), (ServiceState::Running, 2));
    it.generation = "g2".into();
    it.feed(ServiceEvent::Configured(Box::new(policy(&keys, "g2"))));
    it.gone();
    replicas_run(&mut it);
    for _ in 0..60 {
        it.pass(10 * SECOND);
        replicas_run(&mut it);
        let of = |it: &Service, slot| it.in_slot(slot).pop().map(|name| it.jobs[&name].config_hash.to_string());
        if it.in_slot(OneOff::Check.slot()).len() == 1 {
            let well = of(&it, 0).is_none_or(|generation| generation == "g1");
            let (outcome, reason) =
                if well { (Outcome::Succeeded, Reason::Completed) } else { (Outcome::Failed, Reason::ExitCode) };
            it.ends_in(OneOff::Check.slot(), outcome, reason);
        }
        it.gone();
        assert_eq!(of(&it, 1).as_deref(), Some("g1"), "{}", it.transcript.join("\n"));
    }
    assert!(it.error().starts_with("the rollout has stopped"), "{}", it.error());
}

// --- jobs.json changes

#[test]
fn what_another_entry_found_out_says_nothing_of_this_one() {
    let elsewhere = json!({"podConfig": null, "check": {"tcp": {"host": "db", "port": 5432}}, "unhealthyThreshold": 1});
    let configured = |keys: &Value| ServiceEvent::Configured(Box::new(policy(keys, "g1")));
    let mut it = Service::begin(&elsewhere);
    it.targets_answer(Err("tcp db:5432: refused"));
    assert_eq!(it.error(), "tcp db:5432: refused");
    it.feed(configured(&json!({})));
    assert_eq!((it.state().0, it.error()), (ServiceState::Started, String::new()));
    it.feed(configured(&elsewhere));
    it.gone();
    assert_eq!(it.state().0, ServiceState::NotStarted, "nobody has asked it since");
    it.targets_answer(Ok(()));
    assert_eq!(it.state().0, ServiceState::Running);
    it.feed(configured(&json!({})));
    it.feed(configured(&elsewhere));
    it.gone();
    assert_eq!(it.state().0, ServiceState::NotStarted);
}

#[test]
fn other_requirements_are_asked_at_once_and_the_answers_of_the_old_ones_do_not_count() {
    let requires = |host: &str| json!({"requirements": [{"tcp": {"host": host, "port": 5432}}]});
    let configured = |host: &str| ServiceEvent::Configured(Box::new(policy(&requires(host), "g1")));
    let mut it = Service::begin(&requires("db"));
    it.targets_answer(Err("tcp db:5432: refused"));
    assert_eq!(it.life.status(it.now).replicas[0].problem.as_deref(), Some("requires tcp db:5432: refused"));
    it.feed(configured("other"));
    it.feed(configured("db"));
    assert_eq!((it.targets_answer(Ok(())), it.replicas()), (1, 0), "the other one has answered");
    assert_eq!((it.targets_answer(Ok(())), it.replicas()), (1, 1));
    let mut it = Service::begin(&requires("db"));
    it.targets_answer(Err("tcp db:5432: refused"));
    it.feed(ServiceEvent::Configured(Box::new(policy(&json!({}), "g1"))));
    assert_eq!((it.replicas(), it.state().0, it.error()), (1, ServiceState::Started, String::new()));
}

#[test]
fn no_replica_is_replaced_that_could_not_be_started_again() {
    let keys = json!({
        "replicas": 2, "updateStrategy": {"type": "RollingReplace"}, "requirements": [{"tcp": {"host": "db", "port": 5432}}],
        "waitTimeAfterError": "10s",
    });
    let mut it = Service::begin(&keys);
    it.targets_answer(Ok(()));
    it.all_run();
    it.pass(MINUTE);
    it.generation = "g2".into();
    it.feed(ServiceEvent::Configured(Box::new(policy(&keys, "g2"))));
    assert_eq!((it.targets_answer(Err("tcp db:5432: refused")), it.replicas()), (1, 2));
    it.pass(9 * SECOND);
    assert_eq!((it.targets_answer(Ok(())), it.state().0), (0, ServiceState::Running), "it waits before it asks again");
    assert_eq!(it.error(), "the rollout waits: requires tcp db:5432: refused");
    it.pass(2 * SECOND);
    assert_eq!(it.targets_answer(Ok(())), 1);
    let ending = it.jobs.values().filter(|job| job.terminating.is_some()).count();
    assert_eq!((ending, it.error()), (1, String::new()));
}
