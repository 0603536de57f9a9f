//! Through PgBouncer in transaction mode, in the clear and over TLS.

use std::{
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use job_chief::{
    config::{settings::DbSettings, sources},
    decide::{
        event::{Decision, Wish},
        run::JobName,
    },
    queue::{connect, depth::DepthReader, looks::Looks},
    store::{
        migrate::migrate,
        place::Place,
        runs::Runs,
        stored::Stored,
        writer::{WishRow, Writer},
    },
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, KeyUsagePurpose};
use sqlx::{Connection, PgConnection};
use tempfile::TempDir;

use crate::{
    queue::all,
    server::{boss, database},
};

/// A PgBouncer of its own in front of the tests' Postgres.
struct Bouncer {
    child: Child,
    folder: TempDir,
    port: u16,
}

impl Bouncer {
    fn start(url: &str, more: &str) -> Self {
        let url = url::Url::parse(url).unwrap();
        let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().display();
        let (host, server_port) = (url.host_str().unwrap(), url.port().unwrap());
        let (user, password) = (url.username(), url.password().unwrap());
        let more = more.replace("FOLDER", &place.to_string());
        let config = format!(
            "[databases]\n* = host={host} port={server_port} user={user} password={password}\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n\
             pool_mode = transaction\ndefault_pool_size = 2\nlogfile =\npidfile =\n{more}\n"
        );
        std::fs::write(folder.path().join("pgbouncer.ini"), config).unwrap();
        certificates(folder.path());
        // It refuses to be root, and then has to be able to read what is here.
        assert!(Command::new("chmod").args(["-R", "a+rX"]).arg(folder.path()).status().unwrap().success());
        let program = ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer"].into_iter().find(|it| Path::new(it).exists());
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]);
        if Command::new("id").arg("-u").output().unwrap().stdout == b"0\n" {
            command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]);
        }
        command.arg(program.expect("cargo xtask test installs pgbouncer")).arg(folder.path().join("pgbouncer.ini"));
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        Self { child, folder, port }
    }

    /// What the service's settings say of it.
    fn settings(&self, url: &str, more: &[(&str, String)]) -> DbSettings {
        let database = url.rsplit('/').next().unwrap();
        let through = format!("postgres://postgres:any@127.0.0.1:{}/{database}", self.port);
        let mut environment: std::collections::BTreeMap<String, String> = [("DATABASE_URL".to_owned(), through)].into();
        environment.extend(more.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        sources::load(None, &environment).unwrap().settings.db
    }

    fn path(&self, file: &str) -> String {
        self.folder.path().join(file).display().to_string()
    }
}

impl Drop for Bouncer {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// `ca.pem` with the server's `server.pem` and `server.key`, and `other.pem` that has signed nothing.
fn certificates(folder: &Path) {
    let authority = || {
        let mut ca = CertificateParams::new(vec![]).unwrap();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        ca.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        CertifiedIssuer::self_signed(ca, KeyPair::generate().unwrap()).unwrap()
    };
    let (ca, other, key) = (authority(), authority(), KeyPair::generate().unwrap());
    let server = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().signed_by(&key, &ca).unwrap();
    let files = [
        ("ca.pem", ca.pem()),
        ("other.pem", other.pem()),
        ("server.pem", server.pem()),
        ("server.key", key.serialize_pem()),
    ];
    for (name, text) in files {
        std::fs::write(folder.join(name), text).unwrap();
    }
}

/// Connects once it listens.
async fn connected(settings: &DbSettings) -> PgConnection {
    let end = std::time::Instant::now() + Duration::from_secs(20);
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
    let settings = bouncer.settings(&url, &[]);
    let pool = connect::pool(&settings);
    migrate(&mut connected(&settings).await, "chief").await.unwrap();
    crate::store::lead(&pool, "i").await;
    let runs = Runs::new(Place::new(&pool, "chief", "i"));
    let (writer, desk) = Writer::new(Stored::new(Place::new(&pool, "chief", "i")));
    let (looks, reading) = Looks::new(DepthReader::new(pool, "pgboss"));
    let tasks = [tokio::spawn(desk.run()), tokio::spawn(reading.run(1))];
    // Several at once, so that statements of one connection go to different ones of the server.
    let all_at_once = (0..40).map(|number| {
        let (looks, writer) = (looks.clone(), writer.clone());
        async move {
            assert_eq!(looks.look("mail".into(), all()).await.unwrap().old, 3);
            let wish = Wish {
                name: JobName(format!("job-{number}")),
                slot: number,
                decision: Decision::default(),
                adopted: None,
                serves: None,
            };
            let row = WishRow { config: "mail".into(), config_hash: "h".into(), term: 1, wish };
            let answers = writer.wishes(vec![row]).await.unwrap();
            assert!(answers.contains_key(&JobName(format!("job-{number}"))));
        }
    });
    futures::future::join_all(all_at_once).await;
    assert_eq!(runs.load("mail").await.unwrap().unfinished.len(), 40);
    tasks.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn tls_is_checked_against_the_authority_that_is_named() {
    let url = database("pooler_tls").await;
    let tls = "client_tls_sslmode = require\nclient_tls_key_file = FOLDER/server.key\nclient_tls_cert_file = FOLDER/server.pem";
    let bouncer = Bouncer::start(&url, tls);
    let with = |ca: &str| {
        bouncer.settings(&url, &[("DB_ENABLE_SSL_AUTH", "true".to_owned()), ("DB_CA_PATH", bouncer.path(ca))])
    };
    let mut right = connected(&with("ca.pem")).await;
    let one: i32 = sqlx::query_scalar("select 1").persistent(false).fetch_one(&mut right).await.unwrap();
    assert_eq!(one, 1);
    let wrong = PgConnection::connect_with(&connect::options(&with("other.pem"))).await.unwrap_err();
    let told = job_chief::telemetry::with_causes(&wrong);
    assert!(told.contains("certificate"), "{told}");
}
