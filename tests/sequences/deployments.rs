//! Deployments: what may be written, which JobConfigs are in force, and what is done next about one.

use std::{sync::Arc, time::Duration};

use job_chief::{
    config::entry::Entry,
    decide::{
        deployment::{
            admission::{Judge, Refusal},
            application::Application,
            fleet::{Deployed, Fleet, InForce},
            record::{
                Applied, Change, DeployedObject, Deployment, Known, NewDeployment, NewObject, ObjectState, body_hash,
            },
            step::{Answer, Facts, Live, Looked, Next, Step},
        },
        live::{owner::Ownership, readiness::Readiness},
    },
    modules::object::{Object, ObjectId, ObjectKind},
};
use serde_json::{Map, Value, json};

fn service(name: &str, needs: &[&str]) -> Object {
    let spec = json!({"type": "service", "name": name, "podConfig": {"image": "i"}, "dependsOn": needs});
    made(ObjectKind::JobConfig, name, &json!({"spec": spec}))
}

fn made(kind: ObjectKind, name: &str, body: &Value) -> Object {
    let body = body.as_object().unwrap().clone();
    Object { id: ObjectId { kind, name: name.into() }, body, file: "app.yaml".into(), line: 3 }
}

fn read(object: &Object) -> Result<Entry, String> {
    let service = serde_json::from_value(object.body["spec"].clone()).map_err(|error| error.to_string())?;
    Ok(Entry::Service(Arc::new(service)))
}

fn of_file(name: &str, needs: &[&str]) -> Entry {
    read(&service(name, needs)).unwrap()
}

fn record(name: &str, objects: Vec<Object>) -> Deployment {
    let kept = |object: Object| DeployedObject {
        dependency: object.id.name.starts_with("dep"),
        hash: body_hash(&object.body),
        object,
        revision: 1,
        wanted: true,
        known: Known::default(),
        changed_at: String::new(),
    };
    Deployment {
        name: name.into(),
        module: "m".into(),
        version: "v".into(),
        config: Map::new(),
        rendered_hash: String::new(),
        force: false,
        reconcile: false,
        revision: 1,
        gone: false,
        volumes: vec![],
        who: String::new(),
        why: String::new(),
        written_at: String::new(),
        objects: objects.into_iter().map(kept).collect(),
    }
}

fn new(name: &str, objects: Vec<Object>) -> NewDeployment {
    NewDeployment {
        name: name.into(),
        module: "m".into(),
        version: "v".into(),
        config: Map::new(),
        force: false,
        reconcile: false,
        objects: objects.into_iter().map(|object| NewObject { dependency: false, object }).collect(),
        who: String::new(),
        why: String::new(),
    }
}

#[test]
fn what_does_not_go_with_the_rest_is_refused_with_the_reason() {
    let claim = made(ObjectKind::PersistentVolumeClaim, "data", &json!({}));
    let deployments =
        [record("cache", vec![service("redis", &[]), claim]), record("api", vec![service("api", &["redis"])])];
    let file = [of_file("mail", &[])];
    let judge = Judge { deployments: &deployments, file: &file, read };
    let refused = |objects: Vec<Object>| judge.deploy(&new("web", objects)).unwrap_err().text().to_owned();
    assert_eq!(judge.deploy(&new("web", vec![service("web", &["redis", "mail"])])), Ok(()));
    assert_eq!(refused(vec![service("redis", &[])]), "app.yaml:3: JobConfig/redis is owned by deployment cache");
    assert_eq!(refused(vec![service("mail", &[])]), "app.yaml:3: jobs.json has an entry \"mail\"");
    let missing = refused(vec![service("web", &["rediss"])]);
    assert!(missing.contains("there is no service \"rediss\" (did you mean \"redis\"?)"), "{missing}");
    assert!(refused(vec![service("web", &[]), service("web", &[])]).contains("stands in the module twice"));
    assert!(matches!(
        judge.deploy(&new("web", vec![made(ObjectKind::JobConfig, "x", &json!({"spec": 3}))])),
        Err(Refusal::Wrong(_))
    ));
    let circle = judge.deploy(&new("cache", vec![service("redis", &["api"])])).unwrap_err();
    assert!(circle.text().contains("api → redis → api"), "{circle:?}");
    let dropped = judge.deploy(&new("cache", vec![])).unwrap_err();
    assert!(
        matches!(&dropped, Refusal::Conflict(text) if text.starts_with("\"api\" of deployment api would not work"))
    );
    let many: Vec<Deployment> = (0..200).map(|at| record(&format!("d{at}"), vec![])).collect();
    let full = Judge { deployments: &many, file: &file, read };
    assert!(full.deploy(&new("web", vec![])).is_err() && full.deploy(&new("d7", vec![])).is_ok());
}

#[test]
fn what_others_need_stays_and_volumes_go_by_name_only() {
    let claim = made(ObjectKind::PersistentVolumeClaim, "data", &json!({}));
    let mut deployments =
        vec![record("cache", vec![service("redis", &[]), claim]), record("api", vec![service("api", &["redis"])])];
    let text = |all: &[Deployment], file: &[Entry], name: &str, volumes: &[String]| {
        let judge = Judge { deployments: all, file, read };
        judge.undeploy(name, volumes).map_err(|refusal| refusal.text().to_owned())
    };
    assert!(text(&deployments, &[], "cache", &[]).unwrap_err().contains("\"api\" of deployment api"));
    assert_eq!(text(&deployments, &[], "api", &[]), Ok(()));
    assert_eq!(
        text(&deployments, &[], "cach", &[]).unwrap_err(),
        "there is no deployment \"cach\" (did you mean \"cache\"?)"
    );
    deployments.pop();
    assert_eq!(text(&deployments, &[], "cache", &["data".to_owned()]), Ok(()));
    assert!(text(&deployments, &[], "cache", &["date".to_owned()]).unwrap_err().contains("did you mean \"data\"?"));
    assert!(text(&deployments, &[of_file("web", &["redis"])], "cache", &[]).unwrap_err().contains("of jobs.json"));
    deployments[0].gone = true;
    let judge = Judge { deployments: &deployments, file: &[], read };
    assert!(judge.deploy(&new("cache", vec![])).unwrap_err().text().contains("is being removed"));
}

#[test]
fn a_name_that_jobs_json_has_counts_there_and_what_cannot_be_read_is_named() {
    let in_force = |deployment: &str, object| InForce { deployment: deployment.into(), object };
    let deployed = Deployed {
        in_force: vec![
            in_force("web", service("web", &[])),
            in_force("cache", service("redis", &[])),
            in_force("old", made(ObjectKind::JobConfig, "broken", &json!({"spec": 1}))),
            in_force("other", service("mail", &[])),
        ],
        ..Deployed::default()
    };
    let fleet = Fleet::join(&[of_file("mail", &[])], &deployed, read);
    assert_eq!(fleet.entries.iter().map(Entry::name).collect::<Vec<_>>(), ["mail", "redis", "web"]);
    assert_eq!(fleet.deployments.get("redis").map(|name| &**name), Some("cache"));
    let left: Vec<_> =
        fleet.left_out.iter().map(|(name, deployment, _)| (name.as_str(), deployment.as_str())).collect();
    assert_eq!(left, [("broken", "old"), ("mail", "other")]);
    assert!(!fleet.deployments.contains_key("mail"));
}

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

fn config_map(name: &str) -> Object {
    made(ObjectKind::ConfigMap, name, &json!({"data": {}}))
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
