//! What may happen to the database under a running job-chief: its clock jumps, a newer version migrates the schema.

use serde_json::json;

use crate::{
    replicas::{both, goes_on},
    stage::{Stage, eventually, script, with},
};

/// A clock that everybody in the case's database goes by, and that can be set.
async fn own_clock(stage: &Stage) {
    let database = stage.database();
    let statements = format!(
        "create schema fake;
        create table fake.clock (ahead interval not null);
        insert into fake.clock values ('0 s');
        create function fake.now() returns timestamptz language sql stable
            as 'select pg_catalog.now() + ahead from fake.clock';
        alter database {database} set search_path = fake, pg_catalog, public"
    );
    stage.execute(&statements).await;
}

#[tokio::test]
async fn the_databases_clock_jumps_ahead_and_back_and_nothing_is_doubled_or_lost() {
    let mut stage = Stage::set("database-clock").await;
    own_clock(&stage).await;
    // As a worker would take it.
    let take = "update pgboss.job set state = 'completed' where id = (select id from pgboss.job where name = 'busy'
        and state < 'active' limit 1)";
    let busy = with(script("busy", "sleep 1"), json!({"maxConcurrentJobs": 3}));
    stage
        .run(json!([with(script("long", "sleep 36000"), json!({"maxConcurrentJobs": 2, "fetchGrace": "1h"})), busy]))
        .await;
    stage.leads().await;
    stage.send("long", 1).await;
    let begun = "select count(*) from chief.runs where job_config = 'busy'";
    let unfinished = "select count(*) from chief.runs where job_config = 'busy' and ended_at is null";
    for ahead in ["0 s", "1 hour", "1 year", "-1 hour", "0 s"] {
        stage.execute(&format!("update fake.clock set ahead = '{ahead}'")).await;
        let before = stage.count(begun).await;
        stage.send("busy", 1).await;
        eventually("a Job for the message", || async { (stage.count(begun).await > before).then_some(()) }).await;
        stage.execute(take).await;
        // Where its Job had ended before it was taken, there is another; none comes once the queue is seen to be empty.
        eventually("its Jobs to end, and the queue to be empty", || async {
            let is_empty = stage.json("/jobs/busy").await?["decision"]["ready"] == 0;
            (is_empty && stage.count(unfinished).await == 0).then_some(())
        })
        .await;
    }
    assert_eq!(
        stage.count("select count(*) from chief.runs where job_config = 'long'").await,
        1,
        "it runs, and is not doubled"
    );
    for from in ["30 minutes", "360 days"] {
        let ahead = format!("select count(*) from chief.runs where wished_at > pg_catalog.now() + interval '{from}'");
        assert!(stage.count(&ahead).await >= 1, "it went by that clock");
    }
    assert_eq!(stage.count("select term from chief.leadership").await, 1, "no time stands in the lease");
    eventually("readiness", || async { (stage.get("/readiness").await?.0 == 200).then_some(()) }).await;
}

#[tokio::test]
async fn a_newer_version_migrates_the_schema_and_those_that_run_go_on() {
    let (mut first, second) = both("database-newer").await;
    // What a migration may do: add.
    let newer = "alter table chief.runs add column newer text default 'x';
        alter table chief.leadership add column newer text;
        alter table chief.switches add column newer text;
        alter table chief.decisions add column newer text;
        create table chief.newer (it text);
        insert into chief._sqlx_migrations (version, description, success, checksum, execution_time)
            values (9999, 'newer', true, '', 0)";
    first.execute(newer).await;
    goes_on(&first).await;
    first.kill().await;
    goes_on(&second).await;
    let mut third = second.beside().await;
    third.start(&json!([script("busy", "true")]));
    let code = third.ends().await;
    assert!(code != Some(0) && third.log().contains("use the newer job-chief"), "{code:?} {}", third.log());
    goes_on(&second).await;
}
