//! `doctor` against real servers: what it finds wrong with Postgres, and what it leaves alone.

use std::{collections::BTreeMap, process::Command};

use job_chief::{
    decide::lease::Ask,
    doctor::{
        examine::{Words, examine},
        report::{Check, Name, Report, Verdict},
    },
    store::{leadership::Leadership, migrate::migrate, place::Place},
};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgPool};

use crate::{
    bouncer::Bouncer,
    server::{boss, database, pool},
    store::lead,
};

/// What the role of these tests has for a password.
const PASSWORD: &str = "canary-of-the-doctor";

fn queue(name: &str) -> Value {
    json!({"queueName": name, "podConfig": {"image": "i"}})
}

/// What is found with this way to Postgres, these queues and these settings more.
async fn doctor(url: &str, queues: &[&str], more: &[(&str, String)]) -> Report {
    let folder = tempfile::tempdir().unwrap();
    let jobs = folder.path().join("jobs.json");
    std::fs::write(&jobs, json!(queues.iter().map(|name| queue(name)).collect::<Vec<_>>()).to_string()).unwrap();
    let mut environment: BTreeMap<String, String> = [
        ("DATABASE_URL".to_owned(), url.to_owned()),
        ("APP_JOBS_CONFIG_PATH".to_owned(), jobs.display().to_string()),
        ("APP_INSTANCE_UID".to_owned(), "i".to_owned()),
    ]
    .into();
    environment.extend(more.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    examine(Words { config: None, kubeconfig: None, context: None }, &environment).await
}

fn lines(report: &Report, name: Name) -> Vec<&Check> {
    report.checks.iter().filter(|check| check.name == name).collect()
}

/// The one line of this name has this verdict and these words.
#[track_caller]
fn told(report: &Report, name: Name, verdict: Verdict, words: &[&str]) {
    let lines = lines(report, name);
    assert_eq!(lines.len(), 1, "{report:?}");
    assert_eq!(lines[0].verdict, verdict, "{report:?}");
    let text = format!("{} {}", lines[0].found, lines[0].advice.join(" "));
    words.iter().for_each(|word| assert!(text.contains(word), "{word} in {report:?}"));
}

async fn run(pool: &PgPool, statements: &str) {
    sqlx::raw_sql(AssertSqlSafe(statements.to_owned())).execute(pool).await.unwrap();
}

/// A database with pg-boss 12, and with our schema.
async fn prepared(name: &str) -> (String, PgPool) {
    let url = database(name).await;
    boss(&url, "12", &["queue", "mail"]);
    let pool = pool(&url).await;
    migrate(&mut pool.acquire().await.unwrap(), "chief").await.unwrap();
    (url, pool)
}

/// The URL with another user and password.
fn with_user(url: &str, user: &str) -> String {
    let mut url = url::Url::parse(url).unwrap();
    url.set_username(user).unwrap();
    url.set_password(Some(PASSWORD)).unwrap();
    url.to_string()
}

/// A role that may log in, and nothing else.
async fn role(pool: &PgPool, name: &str) {
    let exists = sqlx::query_scalar::<_, bool>("select exists (select from pg_roles where rolname = $1)").bind(name);
    if !exists.fetch_one(pool).await.unwrap() {
        run(pool, &format!("create role {name}")).await;
    }
    run(pool, &format!("alter role {name} with login password '{PASSWORD}'")).await;
}

#[tokio::test]
async fn where_all_is_well_each_line_says_so() {
    let (url, pool) = prepared("doctor_well").await;
    boss(&url, "12", &["queue", "at-once", r#"{"notify": true}"#]);
    lead(&pool, "i").await;
    let table = Leadership::new(Place::new(&pool, "chief", "i"));
    for member in ["me", "other"] {
        table.note_member(member, "1").await.unwrap();
    }
    let renewing = tokio::spawn(async move {
        loop {
            table.carry_out("me", &Ask::Renew(1)).await.unwrap();
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    });
    let report = doctor(&url, &["mail", "at-once"], &[]).await;
    renewing.abort();
    told(&report, Name::Postgres, Verdict::Ok, &["database doctor_well, as postgres"]);
    told(&report, Name::Pooler, Verdict::Ok, &["none"]);
    told(&report, Name::PostgresClock, Verdict::Ok, &["agree"]);
    told(&report, Name::Grants, Verdict::Ok, &["pgboss, chief"]);
    told(&report, Name::PgBoss, Verdict::Ok, &["pg-boss 12"]);
    told(&report, Name::Queues, Verdict::Ok, &["2 of 2"]);
    told(&report, Name::Listen, Verdict::Ok, &["it works for at-once; polled: mail every 10s", "notify: true"]);
    told(&report, Name::Schema, Verdict::Ok, &["as it should be"]);
    told(&report, Name::Leader, Verdict::Ok, &["me leads", "standing by: other"]);
    // Nobody has said which cluster is meant: all of that is left out, and nothing else.
    told(&report, Name::ApiServer, Verdict::Failed, &["--context NAME"]);
    told(&report, Name::Jobs, Verdict::Skipped, &["API server"]);
}

#[tokio::test]
async fn nothing_is_written() {
    let (url, pool) = prepared("doctor_reads").await;
    lead(&pool, "i").await;
    Leadership::new(Place::new(&pool, "chief", "i")).note_member("me", "1").await.unwrap();
    run(&pool, "alter database doctor_reads set default_transaction_read_only = on").await;
    let report = doctor(&url, &["mail"], &[]).await;
    told(&report, Name::Postgres, Verdict::Failed, &["read only"]);
    told(&report, Name::Leader, Verdict::Failed, &["the lease is me's and is not renewed"]);
    let all = report.checks.iter().filter(|check| check.name < Name::ApiServer);
    let failed: Vec<Name> = all.filter(|check| check.verdict == Verdict::Failed).map(|check| check.name).collect();
    assert_eq!(failed, [Name::Postgres, Name::Leader], "{report:?}");
}

#[tokio::test]
async fn every_version_of_pg_boss_is_known_by_its_tables() {
    let cases = [
        ("7", "7 to 9", Verdict::Skipped),
        ("9", "7 to 9", Verdict::Skipped),
        ("10", "pg-boss 10", Verdict::Ok),
        ("11", "pg-boss 11", Verdict::Ok),
        ("12", "pg-boss 12", Verdict::Ok),
    ];
    for (version, words, queues) in cases {
        let url = database(&format!("doctor_boss_{version}")).await;
        boss(&url, version, &["send", "mail", "1"]);
        let report = doctor(&url, &["mail"], &[]).await;
        told(&report, Name::PgBoss, Verdict::Ok, &[words]);
        told(&report, Name::Queues, queues, &[]);
        let listens = if version == "12" { "no queue sends any" } else { "before 12" };
        told(&report, Name::Listen, Verdict::Ok, &[listens, "mail every 10s"]);
        told(&report, Name::Schema, Verdict::Warning, &["the first start makes it"]);
        told(&report, Name::Leader, Verdict::Skipped, &[]);
    }
}

#[tokio::test]
async fn what_a_role_lacks_is_named_and_mended_by_what_grants_prints() {
    let (url, pool) = prepared("doctor_poor").await;
    role(&pool, "doctor_poor").await;
    run(
        &pool,
        "grant usage on schema pgboss, chief to doctor_poor; grant select on pgboss.job to doctor_poor;
        grant select on all tables in schema chief to doctor_poor; grant update on chief.runs to doctor_poor",
    )
    .await;
    let poor = with_user(&url, "doctor_poor");
    let report = doctor(&poor, &["mail"], &[]).await;
    let lacks =
        ["SELECT on pgboss.queue", "INSERT, DELETE on chief.runs", "INSERT, UPDATE, DELETE on chief.actions, chief."];
    told(&report, Name::Grants, Verdict::Failed, &[&lacks[..], &["job-chief grants doctor_poor"]].concat());
    told(&report, Name::Queues, Verdict::Skipped, &["may not read"]);
    told(&report, Name::Schema, Verdict::Ok, &[]);
    told(&report, Name::Leader, Verdict::Warning, &["Instance i"]);
    run(&pool, "revoke usage on schema pgboss, chief from doctor_poor").await;
    let report = doctor(&poor, &["mail"], &[]).await;
    told(&report, Name::Grants, Verdict::Failed, &["USAGE on schema pgboss", "USAGE on schema chief"]);
    told(&report, Name::Schema, Verdict::Failed, &["can't read"]);
    let mut grants = Command::new(env!("CARGO_BIN_EXE_job-chief"));
    let grants = grants.args(["grants", "doctor_poor"]).output().unwrap();
    run(&pool, &String::from_utf8(grants.stdout).unwrap()).await;
    let report = doctor(&poor, &["mail"], &[]).await;
    told(&report, Name::Grants, Verdict::Ok, &[]);
    told(&report, Name::Queues, Verdict::Ok, &[]);
    let lacking: Vec<String> = sqlx::query_scalar(
        "select relname::text from pg_class where relnamespace = 'chief'::regnamespace and relkind = 'r'
            and relname <> '_sqlx_migrations' and exists (select from unnest(array['INSERT', 'UPDATE', 'DELETE']) as verb
                where not has_table_privilege('doctor_poor', pg_class.oid, verb))",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    assert!(lacking.is_empty(), "grants and doctor know nothing of {lacking:?}");
    assert!(!format!("{report:?}").contains(PASSWORD), "{report:?}");
}

#[tokio::test]
async fn an_older_schema_is_migrated_by_who_may_and_a_newer_one_by_nobody() {
    let (url, pool) = prepared("doctor_versions").await;
    role(&pool, "doctor_runner").await;
    run(
        &pool,
        "grant usage on schema pgboss, chief to doctor_runner; grant select on all tables in schema pgboss to doctor_runner;
        grant all on all tables in schema chief to doctor_runner;
        delete from chief._sqlx_migrations where version = (select max(version) from chief._sqlx_migrations)",
    )
    .await;
    let report = doctor(&url, &["mail"], &[]).await;
    told(&report, Name::Schema, Verdict::Warning, &["next start brings it up to date"]);
    told(&report, Name::Leader, Verdict::Skipped, &["older"]);
    let report = doctor(&with_user(&url, "doctor_runner"), &["mail"], &[]).await;
    told(&report, Name::Schema, Verdict::Failed, &["needs", "job-chief migrate"]);
    let newer = "insert into chief._sqlx_migrations (version, description, success, checksum, execution_time)
        values (9999, 'newer', true, '', 0)";
    run(&pool, newer).await;
    let report = doctor(&url, &["mail"], &[]).await;
    told(&report, Name::Schema, Verdict::Failed, &["version 9999", "a newer one has been here"]);
}

#[tokio::test]
async fn a_queue_that_is_not_there_is_named_with_the_nearest() {
    let (url, _) = prepared("doctor_queues").await;
    let report = doctor(&url, &["mail", "mial", "thumbnails"], &[]).await;
    let told: Vec<_> = lines(&report, Name::Queues).iter().map(|check| (check.verdict, &*check.found)).collect();
    let misspelt = "pg-boss knows no queue \"mial\" (JobConfig mial) (did you mean \"mail\"?)";
    assert_eq!(told[0], (Verdict::Ok, "1 of 3 exist: mail"));
    assert_eq!(told[1], (Verdict::Failed, misspelt));
    assert_eq!(told[2].0, Verdict::Warning);
    let report = doctor(&url, &["mail"], &[("DB_SCHEMA", "elsewhere".to_owned())]).await;
    self::told(&report, Name::PgBoss, Verdict::Failed, &["\"elsewhere\".job", "DB_SCHEMA"]);
    self::told(&report, Name::Queues, Verdict::Skipped, &[]);
}

/// The URL of a database through a pooler.
fn through(bouncer: &Bouncer, url: &str) -> String {
    format!("postgres://postgres:any@127.0.0.1:{}/{}", bouncer.port, url.rsplit('/').next().unwrap())
}

#[tokio::test]
async fn a_pooler_in_transaction_mode_is_seen_and_one_in_session_mode_does_no_harm() {
    let (url, _) = prepared("doctor_pooler").await;
    let bouncer = Bouncer::start(&url, "");
    crate::pooler::connected(&crate::pooler::settings(&bouncer, &url, &[])).await;
    let report = doctor(&through(&bouncer, &url), &["mail"], &[]).await;
    told(&report, Name::Pooler, Verdict::Ok, &["transaction mode"]);
    told(&report, Name::Listen, Verdict::Warning, &["every queue is polled: mail every 10s", "db.host"]);
    told(&report, Name::Grants, Verdict::Ok, &[]);
    told(&report, Name::Queues, Verdict::Ok, &[]);
    let bouncer = Bouncer::start(&url, "pool_mode = session\ndefault_pool_size = 9");
    crate::pooler::connected(&crate::pooler::settings(&bouncer, &url, &[])).await;
    let report = doctor(&through(&bouncer, &url), &["mail"], &[]).await;
    told(&report, Name::Pooler, Verdict::Ok, &["session mode"]);
    told(&report, Name::Listen, Verdict::Ok, &["it works"]);
}

#[tokio::test]
async fn of_tls_it_tells_who_verifies_it_and_until_when_it_is_valid() {
    let (url, _) = prepared("doctor_tls").await;
    let tls =
        "client_tls_sslmode = allow\nclient_tls_key_file = FOLDER/server.key\nclient_tls_cert_file = FOLDER/server.pem";
    let bouncer = Bouncer::start(&url, tls);
    let with = |ca: &str| [("DB_ENABLE_SSL_AUTH", "true".to_owned()), ("DB_CA_PATH", bouncer.path(ca))];
    crate::pooler::connected(&crate::pooler::settings(&bouncer, &url, &with("ca.pem"))).await;
    let report = doctor(&through(&bouncer, &url), &["mail"], &with("ca.pem")).await;
    // What rcgen gives a certificate that says nothing of its end.
    told(&report, Name::Tls, Verdict::Ok, &["verified by", "ca.pem", "ends on 4096-01-01"]);
    let report = doctor(&through(&bouncer, &url), &["mail"], &[]).await;
    told(&report, Name::Tls, Verdict::Ok, &["not verified"]);
    let report = doctor(&through(&bouncer, &url), &["mail"], &with("other.pem")).await;
    told(&report, Name::Postgres, Verdict::Failed, &["certificate", "DB_CA_PATH"]);
    told(&report, Name::Tls, Verdict::Skipped, &["not reached"]);
    let report = doctor(&through(&bouncer, &url), &["mail"], &with("nowhere.pem")).await;
    told(&report, Name::Postgres, Verdict::Failed, &["not reached", "can be read"]);
}

#[tokio::test]
async fn a_clock_that_is_wrong_is_told() {
    let (url, pool) = prepared("doctor_clock").await;
    run(
        &pool,
        "create schema fake; create function fake.clock_timestamp() returns timestamptz language sql
            as $$select pg_catalog.clock_timestamp() + interval '1 hour'$$;
        alter database doctor_clock set search_path = fake, pg_catalog, public",
    )
    .await;
    let report = doctor(&url, &["mail"], &[]).await;
    told(&report, Name::PostgresClock, Verdict::Warning, &["ahead of this machine's", "time server"]);
    let found = &lines(&report, Name::PostgresClock)[0].found;
    assert!(found.contains("3600.") || found.contains("3599.9"), "{found}");
}

#[tokio::test]
async fn whatever_keeps_us_out_is_told_and_stops_what_needs_it() {
    let (url, pool) = prepared("doctor_out").await;
    role(&pool, "doctor_out").await;
    let wrong = with_user(&url, "doctor_out").replace(PASSWORD, "canary-that-is-wrong");
    let elsewhere = url.replace("/doctor_out", "/doctor_nowhere");
    let cases = [
        (wrong.as_str(), "password of the role doctor_out"),
        (&elsewhere, "no database doctor_nowhere"),
        ("postgres://postgres:canary-that-is-wrong@127.0.0.1:1/x", "db.port"),
    ];
    for (url, words) in cases {
        let report = doctor(url, &["mail"], &[]).await;
        told(&report, Name::Postgres, Verdict::Failed, &[words]);
        let skipped = report.checks.iter().filter(|check| check.found == "Postgres was not reached");
        assert_eq!(skipped.count(), 9, "{report:?}");
        assert!(!format!("{report:?}").contains("canary-that-is-wrong"), "{report:?}");
    }
}
