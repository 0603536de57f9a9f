//! The two Postgres servers of the run: which one is the primary, and how the other one takes over.
//!
//! What clients reach is an address that leads to the primary, as an operator has it.

use std::{sync::Arc, time::Duration};

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::sync::{Mutex, watch};

use crate::{
    RETRY,
    acts::{cluster, try_cluster},
    proxy::Wire,
    stage::Site,
};

/// Them among the cluster's processes.
const NAMES: [&str; 2] = ["postgres-one", "postgres-two"];

/// How long a standby may take to be the primary, in seconds.
const PROMOTED_WITHIN: u32 = 60;

/// Both.
pub(crate) struct Pair {
    ports: [u16; 2],
    /// Where pods reach them, and the harness.
    host: String,
    password: String,
    /// The primary: held while something is done to it.
    primary: Mutex<usize>,
    /// Held while a standby is made.
    rebuilding: Mutex<()>,
    near: watch::Sender<String>,
    far: watch::Sender<String>,
    /// The address of the primary.
    address: Wire,
}

impl Pair {
    /// The servers that xtask has started; the site is changed so that its Postgres is the primary.
    pub(crate) async fn at(site: &mut Site) -> Arc<Self> {
        let ports: [u16; 2] = serde_json::from_value(site.state["pairPorts"].clone()).expect("xtask starts them");
        let (host, password) = (site.text("postgresHost").to_owned(), site.text("postgresPassword").to_owned());
        let [near, far] = ["127.0.0.1", &host].map(|host| watch::Sender::new(format!("{host}:{}", ports[0])));
        let address = Wire::between(&host, far.subscribe()).await;
        site.state["postgresPort"] = address.port.into();
        let (primary, rebuilding) = (Mutex::new(0), Mutex::new(()));
        Arc::new(Self { ports, host, password, primary, rebuilding, near, far, address })
    }

    /// A wire for a replica, which comes to the server from loopback.
    pub(crate) async fn wire(&self) -> Wire {
        Wire::between("127.0.0.1", self.near.subscribe()).await
    }

    /// The primary is killed and comes back.
    pub(crate) async fn restart(&self, away: Duration) {
        let primary = self.primary.lock().await;
        cluster(&["kill", NAMES[*primary]]).await;
        tokio::time::sleep(away).await;
        // One that is killed while it starts may leave memory behind in which the next one can't begin.
        while !self.ask(*primary, "select true").await.unwrap_or_default() {
            cluster(&["revive", NAMES[*primary]]).await;
            tokio::time::sleep(RETRY).await;
        }
    }

    /// The primary is killed, and the standby takes over after a while; `false` where none has all that the primary has.
    pub(crate) async fn fail_over(self: &Arc<Self>, away: Duration) -> bool {
        let mut primary = self.primary.lock().await;
        let (old, new) = (*primary, 1 - *primary);
        if !self.stands_by(old).await.unwrap_or_default() {
            return false;
        }
        cluster(&["kill", NAMES[old]]).await;
        tokio::time::sleep(away).await;
        while !self.promoted(new).await.unwrap_or_default() {
            tokio::time::sleep(RETRY).await;
        }
        *primary = new;
        for (way, host) in [(&self.near, "127.0.0.1"), (&self.far, &*self.host)] {
            way.send_replace(format!("{host}:{}", self.ports[new]));
        }
        tokio::spawn(self.clone().rebuild(NAMES[old]));
        true
    }

    /// Waits until no standby is being made.
    pub(crate) async fn settles(&self) {
        drop(self.rebuilding.lock().await);
    }

    /// A standby is made of the old primary; the new one may be killed meanwhile.
    async fn rebuild(self: Arc<Self>, name: &str) {
        let _held = self.rebuilding.lock().await;
        while !try_cluster(&["stand-by", name]).await {
            tokio::time::sleep(RETRY).await;
        }
    }

    /// Whether a primary waits for a standby that is there.
    async fn stands_by(&self, server: usize) -> Result<bool, sqlx::Error> {
        self.ask(
            server,
            "select exists (select from pg_stat_replication where state = 'streaming' and sync_state = 'sync')",
        )
        .await
    }

    async fn promoted(&self, server: usize) -> Result<bool, sqlx::Error> {
        let sql = format!("select not pg_is_in_recovery() or pg_promote(true, {PROMOTED_WITHIN})");
        self.ask(server, &sql).await
    }

    async fn ask(&self, server: usize, sql: &str) -> Result<bool, sqlx::Error> {
        let (password, port) = (&self.password, self.ports[server]);
        let url = format!("postgres://postgres:{password}@127.0.0.1:{port}/postgres");
        let mut connection = PgConnection::connect(&url).await?;
        sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(&mut connection).await
    }
}
