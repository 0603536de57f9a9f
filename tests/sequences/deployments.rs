//! Deployments: what may be written, which JobConfigs are in force, and what is done next about one.

use std::time::Duration;

use crate::admission::{config_map, made, record, service};
use job_chief::{
    decide::{
        deployment::{
            application::Application,
            record::{Applied, Change, DeployedObject, Deployment, Known, ObjectState},
            step::{Answer, Facts, Live, Looked, Next, Step},
        },
        live::{owner::Ownership, readiness::Readiness},
        service::{
            account::{ReplicaAccount, ReplicaState},
            state::ServiceState,
            status::ServiceStatus,
        },
    },
    modules::object::ObjectKind,
};
use serde_json::json;

/// A deployment that is worked on, second by second.
struct Script {
    application: Application,
    now: Duration,
    facts: Facts,
}

impl Script {
    fn of(record: &Deployment) -> Self {
        let now = Duration::from_secs(1_000);
        Self { application: Application::new(record, now), now, facts: Facts::default() }
    }

    fn next(&mut self) -> Next {
        self.application.next(self.now, &self.facts)
    }

    /// The next step as people would tell it, which is then answered so.
    fn step(&mut self, answer: Answer) -> String {
        let Next::Do(step) = self.next() else { return "waits".to_owned() };
        let told = match &step {
            Step::Note { id, known, .. } => format!("{id} {}", known.state.as_str()),
            Step::Look(id) => format!("look {}", id.name),
            Step::Apply(id) => format!("apply {}", id.name),
            Step::Delete(id, uid) => format!("delete {} {uid}", id.name),
            Step::ObjectGone(id) => format!("gone {}", id.name),
            Step::Gone => "gone".to_owned(),
        };
        let answer = match step {
            Step::Note { .. } | Step::ObjectGone(_) | Step::Gone => Answer::Noted,
            _ => answer,
        };
        self.application.answered(self.now, &step, answer);
        told
    }

    fn later(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
    }
}

fn found(whose: Ownership, ready: Readiness, changed: Option<&str>) -> Answer {
    let changed = changed.map(str::to_owned);
    Answer::Looked(Looked::Found(Live { uid: "u".into(), whose, terminating: false, ready, changed }))
}

fn absent() -> Answer {
    Answer::Looked(Looked::Absent)
}

#[test]
fn a_request_is_on_record_before_it_is_sent_and_a_dependency_is_waited_for() {
    let mut script = Script::of(&record("cache", vec![config_map("dep"), config_map("app")]));
    assert_eq!(script.step(absent()), "look dep");
    assert_eq!(script.step(absent()), "ConfigMap/dep applying");
    assert_eq!(script.step(Answer::Applied(Change::Created, "u".into())), "apply dep");
    assert_eq!(script.step(absent()), "ConfigMap/dep applied");
    let not_yet = || found(Ownership::Ours, Readiness::NotYet("1 of 2".into()), None);
    assert_eq!(script.step(not_yet()), "look dep");
    assert_eq!(script.step(absent()), "waits");
    script.later(2);
    assert_eq!(script.step(found(Ownership::Ours, Readiness::Ready, None)), "look dep");
    assert_eq!(script.step(absent()), "ConfigMap/dep ready");
    assert_eq!(script.step(absent()), "look app");
}

#[test]
fn one_that_is_not_ready_in_time_is_in_error_and_is_still_looked_at() {
    let mut script = Script::of(&record("cache", vec![config_map("dep")]));
    script.step(absent());
    script.step(absent());
    script.step(Answer::Applied(Change::Created, "u".into()));
    script.step(absent());
    let not_yet = || found(Ownership::Ours, Readiness::NotYet("1 of 2".into()), None);
    script.step(not_yet());
    script.later(601);
    assert_eq!(script.step(not_yet()), "look dep");
    assert_eq!(script.step(not_yet()), "ConfigMap/dep error");
    let told = script.application.objects().next().unwrap().known().message.clone();
    assert_eq!(told.as_deref(), Some("not ready within 10 minutes: 1 of 2"));
    assert_eq!(script.step(not_yet()), "waits");
    script.later(301);
    assert_eq!(script.step(found(Ownership::Ours, Readiness::Ready, None)), "look dep");
    assert_eq!(script.step(absent()), "ConfigMap/dep ready");
}

#[test]
fn an_answer_that_is_lost_is_waited_for_before_anything_else_is_asked() {
    let mut script = Script::of(&record("cache", vec![config_map("dep")]));
    script.step(absent());
    script.step(absent());
    assert_eq!(script.step(Answer::Unanswered), "apply dep");
    assert_eq!(script.step(absent()), "waits");
    script.later(14);
    assert_eq!(script.step(absent()), "waits");
    script.later(1);
    assert_eq!(script.step(absent()), "look dep");
    // Who takes over a record of a request waits as long from then on.
    let mut taken = record("cache", vec![config_map("dep")]);
    taken.objects[0].known = Known { state: ObjectState::Applying, asked: true, ..Known::default() };
    let mut script = Script::of(&taken);
    assert_eq!(script.next(), Next::Wait(Some(script.now + Duration::from_secs(15))));
}

#[test]
fn an_error_stops_those_after_it_and_waits_longer_each_time() {
    let mut script = Script::of(&record("cache", vec![config_map("a"), config_map("b")]));
    assert_eq!(script.step(found(Ownership::Foreign, Readiness::Ready, None)), "look a");
    assert_eq!(script.step(absent()), "ConfigMap/a error");
    let mut waits = vec![];
    for _ in 0..8 {
        let Next::Wait(Some(until)) = script.next() else { panic!("it waits") };
        waits.push((until - script.now).as_secs());
        script.now = until;
        assert_eq!(script.step(found(Ownership::Foreign, Readiness::Ready, None)), "look a");
        assert_eq!(script.step(absent()), "waits", "the same is not recorded again");
    }
    assert_eq!(waits, [5, 10, 20, 40, 80, 160, 300, 300]);
}

fn applied(object: &mut DeployedObject) {
    let applied = Some(Applied { hash: object.hash.clone(), uid: "u".into(), completed: false });
    object.known = Known { state: ObjectState::Ready, applied, ..Known::default() };
}

#[test]
fn what_is_changed_by_hand_is_noted_and_put_back_only_where_that_is_wanted() {
    for reconcile in [false, true] {
        let mut record = record("cache", vec![config_map("a")]);
        record.reconcile = reconcile;
        applied(&mut record.objects[0]);
        let mut script = Script::of(&record);
        assert_eq!(script.step(absent()), "waits");
        let id = script.application.checkable().remove(0);
        script.application.check(&id);
        assert_eq!(script.step(found(Ownership::Ours, Readiness::Ready, Some("ann has changed data.x"))), "look a");
        assert_eq!(script.step(absent()), "ConfigMap/a drifted");
        let after = script.step(found(Ownership::Ours, Readiness::Ready, Some("ann has changed data.x")));
        assert_eq!(after, if reconcile { "look a" } else { "waits" });
        if reconcile {
            assert_eq!(script.step(absent()), "ConfigMap/a applying");
            continue;
        }
        script.later(60);
        script.application.check(&id);
        assert_eq!(script.step(absent()), "look a");
        assert_eq!(script.step(absent()), "ConfigMap/a missing");
    }
}

#[test]
fn what_is_to_go_goes_in_reverse_order_by_its_uid_and_volumes_stay() {
    let claim = |name| made(ObjectKind::PersistentVolumeClaim, name, &json!({}));
    let mut record = record("cache", vec![config_map("a"), claim("kept"), claim("named"), service("redis", &[])]);
    (record.gone, record.volumes) = (true, vec!["named".into()]);
    record.objects.iter_mut().for_each(applied);
    record.objects.iter_mut().for_each(|it| it.wanted = false);
    let mut script = Script::of(&record);
    script.facts.present.insert("redis".into());
    assert_eq!(script.step(absent()), "JobConfig/redis removing", "out of force first");
    assert_eq!(script.step(absent()), "waits", "its Jobs are seen to their end");
    script.facts.present.clear();
    assert_eq!(script.step(absent()), "gone redis");
    assert_eq!(script.step(found(Ownership::Ours, Readiness::Ready, None)), "look named");
    assert_eq!(script.step(absent()), "PersistentVolumeClaim/named removing");
    assert_eq!(script.step(Answer::Deleted), "delete named u");
    assert_eq!(script.step(absent()), "PersistentVolumeClaim/named removing");
    assert_eq!(script.step(absent()), "look named");
    assert_eq!(script.step(absent()), "gone named");
    assert_eq!(script.step(absent()), "gone kept", "it is let go, and not deleted");
    let other = Ownership::OfDeployment { instance: "i".into(), deployment: "mail".into() };
    assert_eq!(script.step(found(other, Readiness::Ready, None)), "look a");
    assert_eq!(script.step(absent()), "gone a", "another's by now: it is left alone");
    assert_eq!(script.step(absent()), "gone");
    assert_eq!(script.next(), Next::Over);
}

#[test]
fn a_service_comes_into_force_is_waited_for_and_yields_to_jobs_json() {
    let mut script = Script::of(&record("cache", vec![service("dep", &[]), config_map("app")]));
    assert_eq!(script.step(absent()), "JobConfig/dep applied");
    assert_eq!(script.step(absent()), "waits");
    script.facts.in_file.insert("dep".into());
    assert_eq!(script.step(absent()), "JobConfig/dep error");
    assert_eq!(script.step(absent()), "waits");
    script.facts.in_file.clear();
    script.facts.running.insert("dep".into());
    assert_eq!(script.step(absent()), "JobConfig/dep ready");
    assert_eq!(script.step(absent()), "look app");
}

#[test]
fn what_an_admission_plugin_changes_is_applied_once_and_put_back_no_more_often_than_it_is_compared() {
    let mut record = record("cache", vec![config_map("a")]);
    record.reconcile = true;
    let changed = || found(Ownership::Ours, Readiness::Ready, Some("mirror has changed data.image"));
    let mut script = Script::of(&record);
    for first in [absent(), changed()] {
        assert_eq!(script.step(first), "look a");
        assert_eq!(script.step(absent()), "ConfigMap/a applying");
        assert_eq!(script.step(Answer::Applied(Change::Configured, "u".into())), "apply a");
        assert_eq!(script.step(absent()), "ConfigMap/a applied");
        assert_eq!(script.step(changed()), "look a");
        assert_eq!(script.step(absent()), "ConfigMap/a ready");
        assert_eq!(script.step(absent()), "waits");
        script.later(60);
        let id = script.application.checkable().remove(0);
        script.application.check(&id);
        assert_eq!(script.step(changed()), "look a");
        assert_eq!(script.step(absent()), "ConfigMap/a drifted");
    }
}

#[test]
fn a_service_is_up_as_it_is_wanted_whatever_its_files_hold_and_not_as_it_was_before() {
    let replica = |outdated| ReplicaAccount {
        replica: 0,
        state: ReplicaState::Up,
        job: None,
        generation: None,
        outdated,
        up_since: None,
        wait_until: None,
        problem: None,
        last_end: None,
        ends_in_a_row: 0,
    };
    let running = |generation: &str, outdated| ServiceStatus {
        state: ServiceState::Running,
        generation: generation.into(),
        replicas: vec![replica(outdated)],
        ..ServiceStatus::default()
    };
    assert!(running("v1-a", false).is_up_as("v1-a"));
    assert!(running("v1-a.files", false).is_up_as("v1-a"));
    assert!(!running("v1-b.files", false).is_up_as("v1-a"));
    assert!(!running("v1-a", true).is_up_as("v1-a"));
    assert!(!ServiceStatus { state: ServiceState::Started, ..running("v1-a", false) }.is_up_as("v1-a"));
    assert!(ServiceStatus { state: ServiceState::Disabled, ..running("v1-a", false) }.is_up_as("v1-a"));
}

#[test]
fn a_request_that_does_not_work_yet_says_why_and_waits_longer_each_time() {
    let mut script = Script::of(&record("cache", vec![config_map("a")]));
    let mut waits = vec![];
    for at in 0..5 {
        assert_eq!(script.step(absent()), "look a");
        assert_eq!(script.step(absent()), "ConfigMap/a applying");
        let message = script.application.objects().next().unwrap().known().message.clone();
        assert_eq!(message.as_deref(), (at > 0).then_some("the webhook is not there"));
        assert_eq!(script.step(Answer::Later("the webhook is not there".into())), "apply a");
        let Next::Wait(Some(until)) = script.next() else { panic!("it waits") };
        waits.push((until - script.now).as_secs());
        script.now = until;
    }
    assert_eq!(waits, [15, 15, 20, 40, 60]);
}

#[test]
fn an_api_server_that_is_back_is_asked_soon() {
    let mut script = Script::of(&record("cache", vec![config_map("a")]));
    let mut waits = vec![];
    for _ in 0..4 {
        assert_eq!(script.step(Answer::Unanswered), "look a");
        let Next::Wait(Some(until)) = script.next() else { panic!("it waits") };
        waits.push((until - script.now).as_secs());
        script.now = until;
    }
    assert_eq!(waits, [5, 10, 15, 15]);
}

#[test]
fn what_was_never_made_goes_without_a_look_and_what_may_have_been_made_with_one() {
    let mut record = record("cache", vec![config_map("a")]);
    (record.gone, record.objects[0].wanted) = (true, false);
    let mut script = Script::of(&record);
    assert_eq!(script.step(absent()), "gone a", "for a look we may have no right");
    assert_eq!(script.step(absent()), "gone");
    record.objects[0].known.asked = true;
    let mut script = Script::of(&record);
    assert_eq!(script.step(absent()), "waits");
    script.later(15);
    assert_eq!(script.step(Answer::Refused("forbidden".into())), "look a");
    assert_eq!(script.step(absent()), "ConfigMap/a error");
    assert!(script.application.objects().next().unwrap().known().asked, "it may be there");
    script.later(5);
    assert_eq!(script.step(found(Ownership::Ours, Readiness::Ready, None)), "look a");
    assert_eq!(script.step(absent()), "ConfigMap/a removing");
    assert_eq!(script.step(Answer::Deleted), "delete a u");
}
