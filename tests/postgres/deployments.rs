//! What is deployed: all or nothing, owned by one, and recorded in the current term only.

use job_chief::{
    decide::{
        deployment::record::{
            Applied, Change, DeploymentState, Known, NewDeployment, NewObject, ObjectState, body_hash,
        },
        lease::{Answer, Ask, Record},
    },
    modules::object::{Object, ObjectId, ObjectKind},
    store::{
        deployments::{DeploymentTable, NoteRow, Written},
        error::StoreError,
        leadership::Leadership,
        migrate::migrate,
        place::Place,
    },
};
use serde_json::{Map, json};
use sqlx::PgPool;

use crate::{
    server::{database, pool},
    store::lead,
};

async fn table(name: &str) -> (PgPool, DeploymentTable, Leadership) {
    let pool = pool(&database(name).await).await;
    migrate(&mut pool.acquire().await.unwrap(), "chief").await.unwrap();
    let place = Place::new(&pool, "chief", "aaaaaa");
    lead(&pool, "aaaaaa").await;
    (pool, DeploymentTable::new(place.clone()), Leadership::new(place))
}

fn id(kind: ObjectKind, name: &str) -> ObjectId {
    ObjectId { kind, name: name.into() }
}

fn new(name: &str, ids: &[ObjectId]) -> NewDeployment {
    let object = |id: &ObjectId| {
        let body =
            json!({"kind": id.kind.as_str(), "spec": {"it's": "$1 \"quoted\" \\ {}"}}).as_object().unwrap().clone();
        let object = Object { id: id.clone(), body, file: "redis.yaml".into(), line: 7 };
        NewObject { dependency: id.kind == ObjectKind::Secret, object }
    };
    NewDeployment {
        name: name.into(),
        module: "redis".into(),
        version: "latest".into(),
        config: Map::from_iter([("image".to_owned(), json!("redis:8"))]),
        force: false,
        reconcile: true,
        objects: ids.iter().map(object).collect(),
        who: "ann".into(),
        why: "cache".into(),
    }
}

fn in_force(hash: &str) -> Known {
    let applied = Some(Applied { hash: hash.into(), ..Applied::default() });
    Known { state: ObjectState::Applied, result: Some(Change::Created), applied, ..Known::default() }
}

async fn note(
    table: &DeploymentTable,
    term: u64,
    id: &ObjectId,
    revision: i64,
    known: &Known,
) -> Result<(), StoreError> {
    let fleet = id.kind == ObjectKind::JobConfig;
    table.note(&NoteRow { term, deployment: "cache", id, revision, known, fleet }).await
}

#[tokio::test]
async fn a_deployment_comes_back_as_it_was_written_and_each_write_is_a_revision() {
    let (_, table, leadership) = table("deployments_write").await;
    let (secret, config) = (id(ObjectKind::Secret, "redis"), id(ObjectKind::JobConfig, "redis"));
    let both = new("cache", &[secret.clone(), config.clone()]);
    assert_eq!(table.deploy(&both, 0).await.unwrap(), Written::Revision(1));
    let snapshot = table.read().await.unwrap();
    assert_eq!(snapshot.deployed, 1, "whoever renews learns of it");
    let record = &snapshot.deployments[0];
    assert_eq!((record.state(), record.revision), (DeploymentState::Applying, 1));
    assert!(both.is_on_record(record) && !new("cache", std::slice::from_ref(&config)).is_on_record(record));
    let told = record.objects.iter().zip(&both.objects);
    assert!(told.clone().count() == 2 && told.clone().all(|(kept, new)| kept.object == new.object));
    assert!(
        told.clone().all(|(kept, new)| (kept.dependency, &kept.hash) == (new.dependency, &body_hash(&new.object.body)))
    );
    let one = new("cache", std::slice::from_ref(&config));
    assert_eq!(table.deploy(&one, 0).await.unwrap(), Written::Stale, "it was judged by what is no longer so");
    assert_eq!(table.deploy(&one, 1).await.unwrap(), Written::Revision(2));
    let record = table.one("cache").await.unwrap().unwrap();
    let wanted: Vec<_> = record.objects.iter().map(|it| (it.object.id.clone(), it.wanted, it.revision)).collect();
    assert_eq!(wanted, [(config, true, 2), (secret, false, 2)]);
    let renewed = leadership.carry_out("me", &Ask::Renew(1)).await.unwrap();
    assert_eq!(renewed.deployed, 2);
    assert_eq!(table.one("other").await.unwrap(), None);
}

#[tokio::test]
async fn no_two_deployments_own_one_object_and_who_comes_second_writes_nothing() {
    let (_, table, _) = table("deployments_owner").await;
    let (shared, own) = (id(ObjectKind::JobConfig, "redis"), id(ObjectKind::JobConfig, "own"));
    table.deploy(&new("cache", std::slice::from_ref(&shared)), 0).await.unwrap();
    assert_eq!(table.deploy(&new("mail", &[own, shared.clone()]), 1).await.unwrap(), Written::Taken);
    let snapshot = table.read().await.unwrap();
    assert_eq!((snapshot.deployed, snapshot.deployments.len()), (1, 1), "all or nothing");
    let kept = id(ObjectKind::Job, "redis");
    assert_eq!(table.deploy(&new("mail", &[kept]), 1).await.unwrap(), Written::Revision(1), "of another kind");
    // Of two that write at the same time one is judged anew.
    let (one, other) = (new("one", &[id(ObjectKind::Job, "one")]), new("other", &[id(ObjectKind::Job, "other")]));
    let (one, other) = tokio::join!(table.deploy(&one, 2), table.deploy(&other, 2));
    let mut both = [one.unwrap(), other.unwrap()];
    both.sort_by_key(|it| *it == Written::Stale);
    assert_eq!(both, [Written::Revision(1), Written::Stale]);
}

#[tokio::test]
async fn what_is_in_force_is_known_to_all_and_changes_only_when_it_is_recorded() {
    let (_, table, _) = table("deployments_force").await;
    let config = id(ObjectKind::JobConfig, "redis");
    let first = new("cache", std::slice::from_ref(&config));
    table.deploy(&first, 0).await.unwrap();
    let deployed = table.in_force().await.unwrap();
    assert_eq!((deployed.revisions["cache"], deployed.in_force.len()), (1, 0));
    let hash = body_hash(&first.objects[0].object.body);
    note(&table, 1, &config, 1, &in_force(&hash)).await.unwrap();
    let deployed = table.in_force().await.unwrap();
    assert_eq!(deployed.in_force[0].object, first.objects[0].object);
    assert_eq!(table.read().await.unwrap().deployed, 2, "others learn of it");
    let mut second = first.clone();
    second.objects[0].object.body.insert("spec".into(), json!({"replicas": 2}));
    table.deploy(&second, 2).await.unwrap();
    let still = table.in_force().await.unwrap().in_force;
    assert_eq!(still[0].object.body, first.objects[0].object.body, "its turn has not come");
    // A note of the revision before changes neither what is in force nor how far the new one is.
    note(&table, 1, &config, 1, &in_force(&hash)).await.unwrap();
    let record = table.one("cache").await.unwrap().unwrap();
    assert_eq!(record.objects[0].known.state, ObjectState::Waiting);
    assert_eq!(table.in_force().await.unwrap().in_force[0].object.body, first.objects[0].object.body);
    note(&table, 1, &config, 2, &in_force(&body_hash(&second.objects[0].object.body))).await.unwrap();
    assert_eq!(table.in_force().await.unwrap().in_force[0].object.body, second.objects[0].object.body);
    note(&table, 1, &config, 2, &Known { state: ObjectState::Removing, ..Known::default() }).await.unwrap();
    assert!(table.in_force().await.unwrap().in_force.is_empty());
}

#[tokio::test]
async fn who_leads_no_longer_records_nothing() {
    let (_, table, leadership) = table("deployments_term").await;
    let job = id(ObjectKind::Job, "seed");
    table.deploy(&new("cache", std::slice::from_ref(&job)), 0).await.unwrap();
    let asked = Known { state: ObjectState::Applying, asked: true, ..Known::default() };
    note(&table, 1, &job, 1, &asked).await.unwrap();
    let seen = Record { holder: Some("me".into()), term: 1, renewals: 0 };
    let taken = leadership.carry_out("other", &Ask::Take(seen)).await.unwrap();
    assert!(matches!(taken.answer, Answer::Done(Record { term: 2, .. })));
    let over = |result: Result<(), StoreError>| assert!(matches!(result, Err(StoreError::TermOver)), "{result:?}");
    over(note(&table, 1, &job, 1, &Known::default()).await);
    table.undeploy("cache", &[], ("ann", "gone"), 1).await.unwrap();
    over(table.object_gone(1, "cache", &job, 2).await);
    over(table.gone(1, "cache", 2).await);
    let record = table.one("cache").await.unwrap().unwrap();
    assert!(record.objects[0].known.asked, "the request of the term before may still arrive");
    table.gone(2, "cache", 2).await.unwrap();
    assert!(table.one("cache").await.unwrap().is_some(), "an object is left");
    table.object_gone(2, "cache", &job, 2).await.unwrap();
    table.gone(2, "cache", 2).await.unwrap();
    assert_eq!(table.one("cache").await.unwrap(), None);
}

#[tokio::test]
async fn what_is_known_of_an_object_comes_back() {
    let (_, table, _) = table("deployments_known").await;
    let job = id(ObjectKind::Job, "seed");
    table.deploy(&new("cache", std::slice::from_ref(&job)), 0).await.unwrap();
    let applied = Some(Applied { hash: "h".into(), uid: "u".into(), completed: true });
    let message = Some("it's \\ '; drop table x".to_owned());
    for state in job_chief::decide::deployment::record::OBJECT_STATES {
        let known = Known {
            state,
            result: Some(Change::Replaced),
            message: message.clone(),
            asked: false,
            applied: applied.clone(),
        };
        note(&table, 1, &job, 1, &known).await.unwrap();
        assert_eq!(table.one("cache").await.unwrap().unwrap().objects[0].known, known);
    }
    assert_eq!(table.read().await.unwrap().deployed, 1, "what concerns no JobConfig is nobody else's business");
}
