//! The released job-chief and this one side by side, forth as in an update and back as in a rollback, with live work.
//! Whoever migrates does so under a running process of the other.

use std::{collections::BTreeSet, path::Path};

use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use tokio::{
    sync::oneshot::{self, error::TryRecvError},
    task::JoinHandle,
    time::Duration,
};

use crate::{
    deployments::note,
    services::{IDLE, service},
    sharing::{file, pool},
    stage::{Stage, eventually, script, with},
    watched::Watched,
};

/// The same stage for the released job-chief.
fn released(mut stage: Stage) -> Stage {
    let program = std::env::var("JOB_CHIEF_TEST_RELEASED").expect("cargo xtask test says where it is");
    stage.program = program.into();
    stage
}

/// A queue whose workers work on each message for so long.
fn queue(name: &str, work_time: &str) -> Value {
    json!({
        "queueName": name, "queueCheckInterval": "500ms", "jobStartTimeout": "5m", "maxConcurrentJobs": 3,
        "waitTimeAfterSuccessfulRun": "0s",
        "podConfig": {"image": "job-chief.test/worker:dev", "pullPolicy": "Never", "injectPgConfig": true,
            "env": [{"name": "WORK_TIME", "value": work_time}]},
    })
}

/// A worker is given one message and no other, so that each is to have a Job of its own.
async fn one_message_each(stage: &Stage) {
    let statements = "create function pgboss.take_one() returns trigger language plpgsql as $$ begin
            if current_setting('test.took', true) = 'yes' then return null; end if;
            perform set_config('test.took', 'yes', false);
            return new;
        end $$;
        create trigger take_one before update on pgboss.job for each row
            when (old.state < 'active' and new.state = 'active') execute function pgboss.take_one()";
    stage.execute(statements).await;
}

/// Sends to the queue `busy` all the time, as long as few wait.
struct Sender {
    stop: oneshot::Sender<()>,
    sending: JoinHandle<u64>,
}

impl Sender {
    async fn begin(stage: &Stage) -> Self {
        let send = "insert into pgboss.job (name, data, policy) select name, '{}', policy from pgboss.queue where name = 'busy'
            and (select count(*) from pgboss.job where name = 'busy' and state < 'active') < 3";
        stage.boss(&["queue", "busy"]).await;
        let mut connection = PgConnection::connect(&stage.site.database_url(&stage.database())).await.unwrap();
        let (stop, mut stopped) = oneshot::channel();
        let sending = tokio::spawn(async move {
            let mut sent = 0;
            while stopped.try_recv() == Err(TryRecvError::Empty) {
                sent += sqlx::raw_sql(send).execute(&mut connection).await.unwrap().rows_affected();
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            sent
        });
        Self { stop, sending }
    }

    /// How many it has sent.
    async fn end(self) -> u32 {
        self.stop.send(()).unwrap();
        u32::try_from(self.sending.await.unwrap()).unwrap()
    }
}

/// Messages go on becoming Jobs, whoever leads.
async fn goes_on(stage: &Stage) {
    let ended = "select count(*) from chief.runs where job_config = 'busy' and outcome = 'succeeded'";
    let since = stage.count(ended).await;
    eventually(&format!("work to go on\n{}", stage.log()), || async {
        (stage.count(ended).await >= since + 3).then_some(())
    })
    .await;
}

/// The uids of the Jobs of these JobConfigs that have not ended.
async fn live(stage: &Stage, configs: &[&str]) -> BTreeSet<String> {
    let mut uids = BTreeSet::new();
    for config in configs {
        let mut jobs = stage.jobs_of(config).await;
        jobs.retain(|job| job.metadata.deletion_timestamp.is_none());
        jobs.retain(|job| job.status.as_ref().is_none_or(|it| it.conditions.as_ref().is_none_or(Vec::is_empty)));
        uids.extend(jobs.into_iter().map(|job| job.metadata.uid.unwrap()));
    }
    uids
}

/// Waits until so many pods of a JobConfig run, as whoever is asked tells.
async fn run(stage: &Stage, config: &str, count: u32) {
    eventually(&format!("{count} of {config} to run\n{}", stage.log()), || async {
        (stage.json(&format!("/jobs/{config}")).await?["phase"]["running"] == count).then_some(())
    })
    .await;
}

/// Each message had one Job, each Job is on record once and ended well, and nobody has seen any other.
async fn adds_up(stage: &Stage, watched: &Watched, jobs: &[(&str, u32)]) {
    for (config, count) in jobs {
        let runs = format!("select count(*) from chief.runs where job_config = '{config}'");
        eventually(&format!("{count} Jobs of {config} to be seen\n{}", stage.log()), || async {
            (watched.seen().created.get(*config) >= Some(count)).then_some(())
        })
        .await;
        let seen = (watched.seen().created[*config], stage.count(&runs).await);
        assert_eq!(seen, (*count, i64::from(*count)), "of {config}\n{}", stage.log());
    }
    let all = "select count(*) from chief.runs where outcome <> 'succeeded' or took_nothing";
    assert_eq!(stage.count(all).await, 0, "each run ended as it should");
    let known: Vec<&str> = jobs.iter().map(|(config, _)| *config).collect();
    assert!(watched.seen().created.keys().all(|config| known.contains(&config.as_str())), "nobody else had any");
}

/// All that was sent to `busy` has been worked on, and whoever leads knows that nothing is left.
async fn worked_off(leader: &Stage, sent: u32) {
    let completed = "select count(*) from pgboss.job where name = 'busy' and state = 'completed'";
    let unfinished = "select count(*) from chief.runs where job_config = 'busy' and ended_at is null";
    eventually(&format!("{sent} messages to be completed\n{}", leader.log()), || async {
        let is_empty = leader.json("/jobs/busy").await?["decision"]["ready"] == 0;
        (is_empty && leader.count(completed).await == i64::from(sent) && leader.count(unfinished).await == 0)
            .then_some(())
    })
    .await;
}

/// The schema is this version's.
async fn is_migrated(stage: &Stage) -> bool {
    let here = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations")).unwrap().count();
    stage.count("select count(*) from chief._sqlx_migrations").await == i64::try_from(here).unwrap()
}

/// A module with a ConfigMap, a service and a queue, both with these keys.
fn shop(keys: &Value) -> [(&'static str, Value); 3] {
    let config = |name: &str, spec| json!({"apiVersion": "job-chief/v1", "kind": "JobConfig", "metadata": {"name": name}, "spec": with(spec, keys.clone())});
    [
        ("shop/latest/dependencies/note.yaml", note()),
        ("shop/latest/late.yaml", config("late", service("late", IDLE, json!({})))),
        ("shop/latest/mails.yaml", config("mails", queue("mails", "10h"))),
    ]
}

/// The ConfigMap as it was written.
async fn written(stage: &Stage) -> (Option<String>, Option<String>) {
    let maps = stage.api::<ConfigMap>();
    let note = eventually("the note", || async { maps.get_opt("note").await.ok().flatten() }).await;
    (note.metadata.uid, note.metadata.resource_version)
}

#[tokio::test]
async fn an_update_neither_doubles_nor_loses_anything_and_keeps_what_people_said() {
    let mut old = released(Stage::set("versions-update").await.with_token().with_modules(&shop(&json!({}))));
    let services = [service("api", IDLE, json!({"replicas": 2})), service("on", IDLE, json!({"enabled": false}))];
    let jobs = json!([queue("long", "10h"), queue("busy", "1s"), queue("held", "1s"), services[0], services[1]]);
    let (living, up) = (["long", "api", "on", "late", "mails"], ["api", "on", "late"]);
    let watched = Watched::begin(&old, 0).await;
    old.run(jobs.clone()).await;
    old.leads().await;
    one_message_each(&old).await;
    old.command(&["pause", "held", "--why", "the update"]).await;
    old.command(&["service", "enable", "on"]).await;
    old.command(&["deploy", "shop", "--wait"]).await;
    old.send("held", 1).await;
    old.send("long", 2).await;
    old.send("mails", 1).await;
    run(&old, "long", 2).await;
    run(&old, "mails", 1).await;
    for name in up {
        old.in_state(name, "RUNNING").await;
    }
    let sender = Sender::begin(&old).await;
    goes_on(&old).await;
    let (kept, note) = (live(&old, &living).await, written(&old).await);
    assert_eq!(kept.len(), 7);

    let mut new = old.beside().await;
    new.run(jobs).await;
    assert!(is_migrated(&new).await, "it is ready on its own schema");
    goes_on(&new).await;
    assert_eq!(old.terminate().await, Some(0), "{}", old.log());
    new.leads().await;
    goes_on(&new).await;
    let sent = sender.end().await;
    worked_off(&new, sent).await;
    for name in up {
        new.in_state(name, "RUNNING").await;
    }
    new.prints(&["status"], &["paused by ann since ", "(the update)"]).await;
    assert_eq!(new.deployed("shop", "settled").await["revision"], 1, "nobody deployed it again");
    assert_eq!(live(&new, &living).await, kept, "what lives was found and left alone");
    assert_eq!(written(&new).await, note, "nobody wrote it again");
    adds_up(&new, &watched, &[("long", 2), ("busy", sent), ("api", 2), ("on", 1), ("late", 1), ("mails", 1)]).await;
    new.command(&["resume", "held"]).await;
    new.ended("held", 1).await;
}

/// A queue whose Jobs end when the case opens the gate.
fn gated(stage: &Stage) -> Value {
    let keys = json!({"maxConcurrentJobs": 3, "fetchGrace": "1h", "jobTemplate": {"spec": {"template": {"spec": {
        "volumes": [{"name": "gate", "hostPath": {"path": stage.folder.path()}}],
        "containers": [{"name": "worker", "volumeMounts": [{"name": "gate", "mountPath": "/gate", "readOnly": true}]}],
    }}}}});
    with(script("gated", "until [ -e /gate/open ]; do sleep 0.2; done"), keys)
}

/// A pool of five, of which each takes places.
fn shared(jobs: &Value) -> Value {
    let jobs = jobs.as_array().unwrap().iter();
    file(5, jobs.map(|job| with(job.clone(), json!({"pools": ["shared"]}))).collect())
}

/// The places of the pool as whoever leads tells of them: held, and JobConfigs that wait.
async fn places(stage: &Stage, held: u32, waiting: u32) {
    eventually(&format!("{held} places to be held and {waiting} to wait\n{}", stage.log()), || async {
        let told = pool(stage).await?;
        (told["held"] == held && told["waiting"] == waiting).then_some(())
    })
    .await;
}

/// With what the released one does not know, it does not start, and one that runs goes on as it was; both say why. Does
/// nothing where it knows all.
async fn says_what_it_does_not_know(old: &Stage, jobs: &Value, with_pool: &Value, is_older: bool) {
    let mut another = released(old.beside().await);
    another.write_jobs(&with_pool.to_string());
    if !another.beside_it(&["validate"]).await.status.success() {
        old.write_jobs(&with_pool.to_string());
        old.logs("the last valid one stays in force").await;
        assert_eq!(old.get("/readiness").await.unwrap().0, 200);
        does_not_start(&mut another, with_pool, 2, "unknown key \"pools\"").await;
    }
    if is_older {
        does_not_start(&mut another, jobs, 1, "use the newer job-chief").await;
    }
}

async fn does_not_start(stage: &mut Stage, jobs: &Value, code: i32, why: &str) {
    stage.start(jobs);
    let ended = stage.ends().await;
    assert!(ended == Some(code) && stage.log().contains(why), "{ended:?} {}", stage.log());
}

#[tokio::test]
async fn a_rollback_under_a_shared_pool_and_forth_again_leave_what_lives_alone() {
    let modules = shop(&json!({"pools": ["shared"]}));
    let mut old = released(Stage::set("versions-back").await.with_token().with_modules(&modules));
    let jobs = json!([queue("long", "10h"), gated(&old)]);
    let (with_pool, all) = (shared(&jobs), ["long", "gated", "late", "mails"]);
    let watched = Watched::begin(&old, 5).await;
    old.run(jobs.clone()).await;
    old.leads().await;
    let is_older = !is_migrated(&old).await;
    one_message_each(&old).await;
    old.send("long", 1).await;
    run(&old, "long", 1).await;

    // The new one takes over from one that is frozen, and what was there before counts.
    let mut new = old.beside().await;
    new.run(with_pool.clone()).await;
    old.signal("-STOP").await;
    new.leads().await;
    places(&new, 1, 0).await;
    new.command(&["deploy", "shop", "--wait"]).await;
    new.send("mails", 1).await;
    new.send("gated", 2).await;
    places(&new, 5, 0).await;
    run(&new, "gated", 2).await;
    run(&new, "mails", 1).await;
    new.send("long", 1).await;
    places(&new, 5, 1).await;
    let (kept, note) = (live(&new, &all).await, written(&new).await);
    let recorded = "select count(*) from chief.places";
    assert_eq!((kept.len(), new.count(recorded).await), (5, 4), "who was there before has none of its own");

    // It wakes up, and harms nothing.
    old.signal("-CONT").await;
    says_what_it_does_not_know(&old, &jobs, &with_pool, is_older).await;
    assert!(live(&new, &all).await.is_superset(&kept));

    // Back: places are released by whoever ends their runs, and bind nobody else. What the old one can't read of the
    // deployment goes on.
    old.write_jobs(&jobs.to_string());
    assert_eq!(new.terminate().await, Some(0), "{}", new.log());
    old.leads().await;
    run(&old, "long", 2).await;
    assert!(live(&old, &all).await.is_superset(&kept));
    old.execute("update pgboss.job set state = 'completed' where name = 'gated'").await;
    std::fs::write(old.folder.path().join("open"), "").unwrap();
    old.ended("gated", 2).await;
    assert_eq!(old.count(recorded).await, 2, "those of the deployment are left");
    std::fs::remove_file(old.folder.path().join("open")).unwrap();

    // Forth: what the old one has started counts.
    let mut again = old.beside().await;
    again.run(with_pool).await;
    assert_eq!(old.terminate().await, Some(0), "{}", old.log());
    again.leads().await;
    places(&again, 4, 0).await;
    again.send("gated", 2).await;
    places(&again, 5, 1).await;
    run(&again, "gated", 1).await;
    assert_eq!((live(&again, &all).await.len(), watched.seen().most), (5, 6), "the pool binds again");
    again.in_state("late", "RUNNING").await;
    assert_eq!(again.deployed("shop", "settled").await["revision"], 1, "nobody deployed it again");
    assert_eq!(written(&again).await, note, "nobody wrote it again");
    let before = live(&again, &["long", "late", "mails"]).await;
    assert_eq!(kept.difference(&before).count(), 2, "only the two that were let through the gate have ended");
    adds_up(&again, &watched, &[("long", 2), ("gated", 3), ("late", 1), ("mails", 1)]).await;
}

/// Somebody waits for the table of runs in this mode.
async fn waits(stage: &Stage, mode: &str) -> bool {
    let locks = "select count(*) from pg_locks where relation = 'chief.runs'::regclass and not granted";
    stage.count(&format!("{locks} and mode = '{mode}'")).await > 0
}

#[tokio::test]
async fn the_old_leader_is_killed_while_the_new_one_migrates_and_nothing_is_doubled_or_lost() {
    let mut old = released(Stage::set("versions-kill").await);
    let jobs = json!([queue("long", "10h"), queue("busy", "1s"), service("api", IDLE, json!({"replicas": 2}))]);
    let watched = Watched::begin(&old, 0).await;
    old.run(jobs.clone()).await;
    old.leads().await;
    one_message_each(&old).await;
    old.send("long", 2).await;
    run(&old, "long", 2).await;
    old.in_state("api", "RUNNING").await;
    let sender = Sender::begin(&old).await;
    goes_on(&old).await;
    let kept = live(&old, &["long", "api"]).await;

    // Somebody reads, as a backup does: the migration waits, and gives way to the old one.
    let mut reader = PgConnection::connect(&old.site.database_url(&old.database())).await.unwrap();
    let mut reading = reader.begin().await.unwrap();
    sqlx::raw_sql("lock table chief.runs in access share mode").execute(&mut *reading).await.unwrap();
    let mut new = old.beside().await;
    new.start(&jobs);
    let is_older = !is_migrated(&new).await;
    if is_older {
        eventually("it to say what it waits for", || async {
            new.get("/readiness").await?.1.contains("somebody has locked a table").then_some(())
        })
        .await;
        goes_on(&old).await;
    }
    // Nobody writes any more: what the old one writes waits in the server, too, and outlasts it there.
    sqlx::raw_sql("lock table chief.runs in share mode").execute(&mut *reading).await.unwrap();
    eventually("both to wait", || async {
        let migrates = !is_older || waits(&new, "AccessExclusiveLock").await;
        (migrates && waits(&new, "RowExclusiveLock").await).then_some(())
    })
    .await;
    old.kill().await;
    reading.rollback().await.unwrap();
    new.leads().await;
    assert!(is_migrated(&new).await, "who leads has migrated");
    goes_on(&new).await;
    let sent = sender.end().await;
    worked_off(&new, sent).await;
    new.in_state("api", "RUNNING").await;
    assert_eq!(live(&new, &["long", "api"]).await, kept, "what lives was found and left alone");
    adds_up(&new, &watched, &[("long", 2), ("busy", sent), ("api", 2)]).await;
}
