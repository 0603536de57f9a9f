//! JobConfigs that share places: never more Jobs than there are, and each its share, whoever leads.

use std::collections::BTreeMap;

use k8s_openapi::api::batch::v1::Job;
use kube::api::DeleteParams;
use serde_json::{Value, json};

use crate::{
    stage::{Stage, eventually, script, with},
    watched::{Seen, Watched},
};

/// Messages that a Job takes.
const MESSAGES_PER_JOB: u32 = 4;

/// A queue of which each Job takes four messages while it runs.
fn queue(name: &str, keys: Value) -> Value {
    let short = json!({"pools": ["shared"], "maxConcurrentJobs": 12, "messagesPerJob": MESSAGES_PER_JOB, "fetchGrace": "10m",
        "waitTimeAfterSuccessfulRun": "0s"});
    with(with(script(name, "sleep 2"), short), keys)
}

pub(crate) fn file(places: u32, jobs: Vec<Value>) -> Value {
    json!({"pools": {"shared": {"jobs": places}}, "jobs": jobs})
}

/// What a worker does, done by the database as a run is begun: messages are taken in its name, each once.
async fn take_messages(stage: &Stage) {
    let statements = format!(
        "create function chief.take() returns trigger language plpgsql as $$ begin
            update pgboss.job set state = 'completed' where id in (select id from pgboss.job
                where name = new.job_config and state < 'active' order by created_on limit {MESSAGES_PER_JOB} for update skip locked);
            return new;
        end $$;
        create trigger take after update on chief.runs for each row
            when (old.outcome is null and new.outcome = 'succeeded') execute function chief.take()"
    );
    stage.execute(&statements).await;
}

/// So many messages in each of these queues.
async fn send(stage: &Stage, queues: &[String], count: u32) {
    for queue in queues {
        stage.boss(&["queue", queue]).await;
    }
    let names = queues.iter().map(|queue| format!("'{queue}'")).collect::<Vec<_>>().join(", ");
    let insert = format!(
        "insert into pgboss.job (name, data, policy) select name, '{{}}', policy from pgboss.queue, generate_series(1, {count})
            where name in ({names})"
    );
    stage.execute(&insert).await;
}

async fn taken(stage: &Stage, count: i64) {
    let completed = "select count(*) from pgboss.job where state = 'completed'";
    eventually(&format!("{count} messages to be taken\n{}", stage.log()), || async {
        (stage.count(completed).await == count).then_some(())
    })
    .await;
}

/// The pool as a process tells of it.
pub(crate) async fn pool(stage: &Stage) -> Option<Value> {
    Some(stage.json("/pools").await?["pools"].as_array()?.first()?.clone())
}

#[tokio::test]
async fn thirty_queues_share_twelve_places_by_their_weights() {
    let mut stage = Stage::set("sharing-weights").await;
    let watched = Watched::begin(&stage, 12).await;
    let names: Vec<String> = (0..30).map(|number| format!("q{number:02}")).collect();
    let weight = |number: usize| u32::try_from(number % 3).unwrap() + 1;
    let mut jobs: Vec<Value> =
        names.iter().enumerate().map(|(number, name)| queue(name, json!({"weight": weight(number)}))).collect();
    jobs.push(with(queue("plug", json!({"messagesPerJob": 1})), json!({"podConfig": {"command": ["sleep", "36000"]}})));
    stage.run(file(12, jobs)).await;
    stage.leads().await;
    take_messages(&stage).await;
    // Nobody gets anything before all of them wait.
    send(&stage, &["plug".into()], 12).await;
    eventually("the pool to be full", || async { (watched.seen().live.len() == 12).then_some(()) }).await;
    send(&stage, &names, 20).await;
    eventually(&format!("all to wait\n{}", stage.log()), || async {
        (pool(&stage).await?["waiting"] == 30).then_some(())
    })
    .await;
    looked_at(&stage).await;
    stage.execute("update pgboss.job set state = 'completed' where name = 'plug'").await;
    let plugs = stage.api::<Job>();
    for job in stage.jobs_of("plug").await {
        let name = job.metadata.name.unwrap();
        eventually("a Job to be deleted", || async { plugs.delete(&name, &DeleteParams::background()).await.ok() })
            .await;
    }
    taken(&stage, 612).await;
    let seen = watched.seen();
    assert_eq!(seen.restarts, 0, "everything was seen");
    assert_eq!(seen.most, 12, "never more than there are places, and as many");
    shared_by_weight(&seen, &names, weight);
}

/// At each moment at which the pool was full and all still waited, any two had their share, within a Job of each.
fn shared_by_weight(seen: &Seen, names: &[String], weight: impl Fn(usize) -> u32) {
    let count =
        |created: &BTreeMap<String, u32>, number: usize| created.get(&names[number]).copied().unwrap_or_default();
    // Five Jobs take all messages of a queue.
    let waited = seen.full.iter().filter(|created| (0..30).all(|number| count(created, number) < 5));
    let moments: Vec<_> = waited.filter(|created| created.len() > 1).collect();
    assert!(!moments.is_empty(), "the pool was full at least once: {:?}", seen.created);
    for created in moments {
        for (one, other) in (0..30).flat_map(|one| (0..30).map(move |other| (one, other))) {
            let share = |number: usize, more: u32| f64::from(count(created, number) + more) / f64::from(weight(number));
            assert!(
                share(one, 0) <= share(other, 1) + 1.0 / f64::from(weight(one)),
                "{one} against {other}: {created:?}"
            );
        }
    }
}

/// While all wait, whoever asks is told why, in words and in numbers.
async fn looked_at(stage: &Stage) {
    let held = ["shared is full, 12 of 12 places are held by plug 12"];
    stage.prints(&["why", "q07"], &held).await;
    stage.prints(&["pools"], &["shared", "12/12", "plug 12", "and 25 more"]).await;
    for line in [
        "job_chief_pool_jobs{pool=\"shared\"} 12",
        "job_chief_pool_limit{pool=\"shared\"} 12",
        "job_chief_waiting_for_place_seconds{job_config=\"q07\"} ",
    ] {
        stage.shows(line).await;
    }
    let told = stage.json("/jobs/q07").await.unwrap();
    assert_eq!((&told["decision"]["why"], &told["pools"]), (&json!("no_place"), &json!(["shared"])), "{told}");
}

#[tokio::test]
async fn the_leader_is_killed_while_the_pool_is_full_and_whoever_follows_exceeds_it_as_little() {
    let mut first = Stage::set("sharing-kill").await;
    let watched = Watched::begin(&first, 4).await;
    let names = ["one".to_owned(), "two".to_owned(), "three".to_owned()];
    let jobs = file(4, names.iter().map(|name| queue(name, json!({}))).collect());
    first.run(jobs.clone()).await;
    first.leads().await;
    take_messages(&first).await;
    let mut second = first.beside().await;
    second.run(jobs).await;
    // A leader that was starved for three seconds meanwhile is the one that follows.
    let first_leads = eventually("one of the two to lead", || async {
        let first_leads = first.is_leading().await;
        (first_leads != second.is_leading().await).then_some(first_leads)
    })
    .await;
    let (mut first, second) = if first_leads { (first, second) } else { (second, first) };
    let told = eventually("an answer", || second.json("/pools")).await;
    assert!(told["leads"] == true || told == json!({"leads": false, "pools": []}), "only who leads knows: {told}");
    send(&first, &names, 40).await;
    eventually("the pool to be full", || async { (watched.seen().live.len() == 4).then_some(()) }).await;
    first.kill().await;
    second.leads().await;
    taken(&second, 120).await;
    let seen = watched.seen();
    assert_eq!((seen.restarts, seen.most), (0, 4), "{:?}", seen.created);
    let kept = "select count(*) from chief.places";
    eventually("all places to be free", || async { (second.count(kept).await == 0).then_some(()) }).await;
    eventually("nobody to hold any", || async { (pool(&second).await?["held"] == 0).then_some(()) }).await;
}

#[tokio::test]
async fn a_reload_that_brings_a_pool_counts_what_lives_and_one_that_takes_it_away_limits_nothing() {
    let mut stage = Stage::set("sharing-reload").await;
    let watched = Watched::begin(&stage, 3).await;
    let long = |name: &str, pools: &[&str]| {
        with(script(name, "sleep 36000"), json!({"pools": pools, "maxConcurrentJobs": 5, "fetchGrace": "1h"}))
    };
    let alone = json!([long("old", &[]), long("new", &[])]);
    stage.run(alone.clone()).await;
    stage.leads().await;
    assert_eq!(stage.json("/pools").await.unwrap()["pools"], json!([]), "nothing is shared");
    stage.send("old", 2).await;
    eventually("both to live", || async { (watched.seen().live.len() == 2).then_some(()) }).await;
    stage.write_jobs(&file(3, vec![long("old", &["shared"]), long("new", &["shared"])]).to_string());
    eventually("those that live to count", || async { (pool(&stage).await?["held"] == 2).then_some(()) }).await;
    stage.send("new", 4).await;
    eventually("the last place to be given", || async {
        let pool = pool(&stage).await?;
        (pool["held"] == 3 && pool["waiting"] == 1).then_some(())
    })
    .await;
    let told = stage.prints(&["why", "new"], &["shared is full, 3 of 3 places are held by"]).await;
    assert!(told.contains("old 2") && told.contains("new 1"), "{told}");
    // A place is held before its Job is created.
    eventually("the Job in the last place", || async { (watched.seen().live.len() == 3).then_some(()) }).await;
    assert_eq!(watched.seen().most, 3);
    stage.write_jobs(&alone.to_string());
    eventually("each message to have its Job", || async { (watched.seen().live.len() == 6).then_some(()) }).await;
    assert_eq!(stage.json("/pools").await.unwrap()["pools"], json!([]), "nothing is shared any more");
    assert!(!stage.get("/metrics").await.unwrap().1.contains("job_chief_pool_jobs{"), "no gauge stands still");
}

#[tokio::test]
async fn who_has_missed_its_target_goes_before_a_higher_priority() {
    let mut stage = Stage::set("sharing-target").await;
    let watched = Watched::begin(&stage, 2).await;
    let hungry = queue("hungry", json!({"priority": 10, "messagesPerJob": 1}));
    let patient = queue("patient", json!({"targetAge": "3s", "messagesPerJob": 1}));
    stage.run(file(2, vec![hungry, patient])).await;
    stage.leads().await;
    send(&stage, &["hungry".into()], 30).await;
    eventually("the pool to be full", || async { (watched.seen().live.len() == 2).then_some(()) }).await;
    send(&stage, &["patient".into()], 3).await;
    stage.shows("job_chief_target_age_missed{job_config=\"patient\"} 1").await;
    let missed = watched.seen();
    eventually("the target to be kept again", || async {
        (watched.seen().created.get("patient") == Some(&3)).then_some(())
    })
    .await;
    let seen = watched.seen();
    let created = |of: &Seen, name: &str| of.created.get(name).copied().unwrap_or_default();
    // Grants that were on their way, one for each place.
    assert!(
        created(&seen, "hungry") <= created(&missed, "hungry") + 2,
        "{:?}, then {:?}",
        missed.created,
        seen.created
    );
    assert_eq!(seen.most, 2);
    stage.execute("update pgboss.job set state = 'completed' where name = 'patient'").await;
    stage.shows("job_chief_target_age_missed{job_config=\"patient\"} 0").await;
}
