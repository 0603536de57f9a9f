//! Whether what is to be deployed, or removed, goes with all the rest.

use std::sync::Arc;

use job_chief::{
    config::{
        entry::Entry,
        in_file::InFile,
        sharing::{Limits, Pool, Sharing},
    },
    decide::deployment::{
        admission::{Judge, Refusal},
        fleet::{Deployed, Fleet, InForce},
        record::{DeployedObject, Deployment, Known, NewDeployment, NewObject, body_hash},
    },
    modules::object::{Object, ObjectId, ObjectKind},
};
use serde_json::{Map, Value, json};

pub(crate) fn service(name: &str, needs: &[&str]) -> Object {
    let spec = json!({"type": "service", "name": name, "podConfig": {"image": "i"}, "dependsOn": needs});
    made(ObjectKind::JobConfig, name, &json!({"spec": spec}))
}

pub(crate) fn made(kind: ObjectKind, name: &str, body: &Value) -> Object {
    let body = body.as_object().unwrap().clone();
    Object { id: ObjectId { kind, name: name.into() }, body, file: "app.yaml".into(), line: 3 }
}

pub(crate) fn read(object: &Object) -> Result<Entry, String> {
    let service = serde_json::from_value(object.body["spec"].clone()).map_err(|error| error.to_string())?;
    Ok(Entry::Service(Arc::new(service)))
}

pub(crate) fn of_file(name: &str, needs: &[&str]) -> Entry {
    read(&service(name, needs)).unwrap()
}

fn in_file(entries: &[Entry]) -> InFile {
    InFile::new(entries.to_vec(), Sharing::default())
}

/// A service of two replicas that takes places in a pool.
fn pooled(name: &str, pool: &str) -> Object {
    let spec = json!({"type": "service", "name": name, "podConfig": {"image": "i"}, "replicas": 2, "pools": [pool]});
    made(ObjectKind::JobConfig, name, &json!({"spec": spec}))
}

/// Nothing but a pool of so many places.
fn with_pool(name: &str, jobs: u32) -> InFile {
    let pools = [(name.to_owned(), Pool { jobs, creates_per_minute: None })].into();
    InFile::new(vec![], Sharing { limits: None, pools })
}

pub(crate) fn record(name: &str, objects: Vec<Object>) -> Deployment {
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

pub(crate) fn new(name: &str, objects: Vec<Object>) -> NewDeployment {
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
    let file = in_file(&[of_file("mail", &[])]);
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
    let mut going = deployments.clone();
    (going[0].gone, going[0].objects[0].wanted) = (true, false);
    let judge = Judge { deployments: &going[..1], file: &file, read };
    let told = judge.deploy(&new("web", vec![service("web", &["redis"])])).unwrap_err();
    assert!(told.text().contains("there is no service \"redis\""), "it is about to go: {told:?}");
    assert_eq!(judge.deploy(&new("web", vec![service("web", &[])])), Ok(()));
}

#[test]
fn what_is_deployed_is_bounded_by_its_size_and_in_its_names() {
    let large = |name: &str| made(ObjectKind::ConfigMap, name, &json!({"data": {"a": "x".repeat(1_000_000)}}));
    let many: Vec<Deployment> = (0..33).map(|at| record(&format!("d{at}"), vec![large(&format!("c{at}"))])).collect();
    let file = in_file(&[]);
    let judge = Judge { deployments: &many, file: &file, read };
    let told = judge.deploy(&new("web", vec![large("web")])).unwrap_err();
    assert!(told.text().contains("all deployments would have 34000"), "{told:?}");
    assert_eq!(judge.deploy(&new("web", vec![config_map("web")])), Ok(()));
    assert_eq!(judge.deploy(&new("d7", vec![large("c7")])), Ok(()), "it takes its own place");
    let empty = Judge { deployments: &[], file: &file, read };
    let longest = "a".repeat(40);
    for name in ["", "-a", "a-", "A", "a.b", "a/b", &format!("{longest}a")] {
        let told = empty.deploy(&new(name, vec![])).unwrap_err();
        assert!(matches!(&told, Refusal::Wrong(text) if text.contains("at most 40")), "{told:?}");
    }
    for name in ["a", "0", "a-b", &longest] {
        assert_eq!(empty.deploy(&new(name, vec![])), Ok(()));
    }
}

#[test]
fn what_others_need_stays_and_volumes_go_by_name_only() {
    let claim = made(ObjectKind::PersistentVolumeClaim, "data", &json!({}));
    let mut deployments =
        vec![record("cache", vec![service("redis", &[]), claim]), record("api", vec![service("api", &["redis"])])];
    let text = |all: &[Deployment], file: &[Entry], name: &str, volumes: &[String]| {
        let judge = Judge { deployments: all, file: &in_file(file), read };
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
    let judge = Judge { deployments: &deployments, file: &in_file(&[]), read };
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
    let fleet = Fleet::join(&in_file(&[of_file("mail", &[])]), &deployed, read);
    assert_eq!(fleet.entries.iter().map(Entry::name).collect::<Vec<_>>(), ["mail", "redis", "web"]);
    assert_eq!(fleet.deployments.get("redis").map(|name| &**name), Some("cache"));
    let left: Vec<_> =
        fleet.left_out.iter().map(|(name, deployment, _)| (name.as_str(), deployment.as_str())).collect();
    assert_eq!(left, [("broken", "old"), ("mail", "other")]);
    assert!(!fleet.deployments.contains_key("mail"));
    let alone = ["broken", "mail", "web", "none"].map(|name| fleet.leaves_alone(name));
    assert_eq!(alone, [true, false, false, false], "what another version has started goes on");
}

#[test]
fn what_names_a_pool_that_jobs_json_lacks_is_not_deployed() {
    let deploy = |file: &InFile, deployments: &[Deployment]| {
        let judge = Judge { deployments, file, read };
        judge.deploy(&new("cache", vec![pooled("redis", "memory")])).map_err(|refusal| refusal.text().to_owned())
    };
    assert_eq!(deploy(&with_pool("memory", 2), &[]), Ok(()));
    let told = deploy(&with_pool("memories", 2), &[]).unwrap_err();
    assert_eq!(
        told,
        "\"redis\" of deployment cache would not work: jobs.json has no pool \"memory\" (did you mean \"memories\"?): \
         add it to \"pools\" there, or remove it here"
    );
    let known = [record("cache", vec![pooled("redis", "memory")])];
    assert!(deploy(&in_file(&[]), &known).is_err(), "it is so already, and is no better for that");
    let told = deploy(&with_pool("memory", 1), &[]).unwrap_err();
    assert!(told.contains("it has 2 replicas, and pools.memory.jobs is 1"), "{told}");
    let gone = in_file(&[]);
    let judge = Judge { deployments: &known, file: &gone, read };
    assert_eq!(judge.undeploy("cache", &[]), Ok(()), "it may go");
    assert_eq!(judge.deploy(&new("web", vec![service("web", &[])])), Ok(()), "others are not held up by it");
}

#[test]
fn a_pool_that_jobs_json_loses_leaves_out_who_names_it_and_comes_back_with_it() {
    let object = pooled("redis", "memory");
    let deployed = Deployed { in_force: vec![InForce { deployment: "cache".into(), object }], ..Deployed::default() };
    let names = |fleet: &Fleet| fleet.entries.iter().map(|entry| entry.name().to_owned()).collect::<Vec<_>>();
    let fleet = Fleet::join(&with_pool("memory", 2), &deployed, read);
    assert_eq!((names(&fleet), fleet.sharing.pools["memory"].jobs), (vec!["redis".to_owned()], 2));
    assert!(fleet.left_out.is_empty() && !fleet.leaves_alone("redis"));
    for file in [in_file(&[]), with_pool("memory", 1)] {
        let fleet = Fleet::join(&file, &deployed, read);
        let [(name, deployment, why)] = &fleet.left_out[..] else { panic!("{fleet:?}") };
        assert!(
            fleet.entries.is_empty() && name == "redis" && deployment == "cache" && why.contains("memory"),
            "{why}"
        );
        assert!(fleet.leaves_alone("redis"), "what lives of it goes on");
    }
    let limits = Limits { jobs: Some(1), creates_per_minute: None };
    let limited = Sharing { limits: Some(limits), ..(*with_pool("memory", 2).sharing).clone() };
    let fleet = Fleet::join(&InFile::new(vec![], limited), &deployed, read);
    assert!(fleet.left_out[0].2.contains("limits.jobs is 1"), "{fleet:?}");
}

pub(crate) fn config_map(name: &str) -> Object {
    made(ObjectKind::ConfigMap, name, &json!({"data": {}}))
}
