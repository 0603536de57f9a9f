//! Through PgBouncer in transaction mode, in the clear and over TLS.

use std::time::Duration;

use job_chief::{
    config::{entry::Kind, settings::DbSettings, sources},
    decide::{decision::Wish, outcome::JobName},
    pgboss::{connect, depth::DepthReader, looks::Looks},
    store::{migrate::migrate, place::Place, rows::WishRow, runs::Runs, stored::Stored, writer::Writer},
};
use sqlx::{Connection, PgConnection};

use crate::{
    bouncer::Bouncer,
    queue::all,
    server::{boss, database},
};

/// What the service's settings say of it.
pub(crate) fn settings(bouncer: &Bouncer, url: &str, more: &[(&str, String)]) -> DbSettings {
    let database = url.rsplit('/').next().unwrap();
    let through = format!("postgres://postgres:any@127.0.0.1:{}/{database}", bouncer.port);
    let mut environment: std::collections::BTreeMap<String, String> = [("DATABASE_URL".to_owned(), through)].into();
    environment.extend(more.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    sources::load(None, &environment).unwrap().settings.db
}

/// Connects once it listens.
pub(crate) async fn connected(settings: &DbSettings) -> PgConnection {
    let end = std::time::Instant::now() + Duration::from_secs(300);
    loop {
        match PgConnection::connect_with(&connect::options(settings)).await {
            Ok(connection) => return connection,
            Err(error) => assert!(std::time::Instant::now() < end, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn everything_works_through_a_pooler_in_transaction_mode() {
    let url = database("pooler").await;
    boss(&url, "12", &["send", "mail", "3"]);
    let bouncer = Bouncer::start(&url, "");
    let settings = settings(&bouncer, &url, &[]);
    let pool = connect::pool(&settings);
    migrate(&mut connected(&settings).await, "chief").await.unwrap();
    crate::store::lead(&pool, "i").await;
    let runs = Runs::new(Place::new(&pool, "chief", "i"));
    let (writer, task) = Writer::new(Stored::new(Place::new(&pool, "chief", "i")));
    let (looks, reading) = Looks::new(DepthReader::new(pool, "pgboss"));
    let tasks = [tokio::spawn(task.run()), tokio::spawn(reading.run(1))];
    // Several at once, so that statements of one connection go to different ones of the server.
    let all_at_once = (0..40).map(|number| {
        let (looks, writer) = (looks.clone(), writer.clone());
        async move {
            assert_eq!(looks.look(vec![("mail".into(), all())]).await.unwrap()[0].old, 3);
            let wish = Wish { slot: number, ..Wish::example(JobName(format!("job-{number}"))) };
            let row = WishRow { kind: Kind::Queue, config: "mail".into(), config_hash: "h".into(), term: 1, wish };
            let answers = writer.wishes(vec![row]).await.unwrap();
            assert!(answers.contains_key(&JobName(format!("job-{number}"))));
        }
    });
    futures::future::join_all(all_at_once).await;
    assert_eq!(runs.load(Kind::Queue, "mail").await.unwrap().unfinished.len(), 40);
    tasks.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn tls_is_checked_against_the_authority_that_is_named() {
    let url = database("pooler_tls").await;
    let tls = "client_tls_sslmode = require\nclient_tls_key_file = FOLDER/server.key\nclient_tls_cert_file = FOLDER/server.pem";
    let bouncer = Bouncer::start(&url, tls);
    let with = |ca: &str| {
        settings(&bouncer, &url, &[("DB_ENABLE_SSL_AUTH", "true".to_owned()), ("DB_CA_PATH", bouncer.path(ca))])
    };
    let mut right = connected(&with("ca.pem")).await;
    let one: i32 = sqlx::query_scalar("select 1").persistent(false).fetch_one(&mut right).await.unwrap();
    assert_eq!(one, 1);
    let wrong = PgConnection::connect_with(&connect::options(&with("other.pem"))).await.unwrap_err();
    let told = job_chief::telemetry::with_causes(&wrong);
    assert!(told.contains("certificate"), "{told}");
}
