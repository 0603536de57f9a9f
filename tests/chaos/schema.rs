//! pg-boss' schema, which another version of pg-boss migrates underneath, or has rolled back.

use std::{path::PathBuf, process::Stdio, time::Duration};

use sqlx::{Connection, PgConnection};
use tokio::{process::Command, time::Instant};

use crate::{RETRY, schedule::next_schema};

/// The version of pg-boss that makes the first schema; 12 migrates it.
pub(crate) const FIRST_BOSS: &str = "11";

/// How long a migration may take, whatever happens to Postgres meanwhile.
const MIGRATED_WITHIN: Duration = Duration::from_secs(120);

/// Where it is, and what migrates it.
pub(crate) struct Schema {
    pub(crate) database_url: String,
    /// The folder of pg-boss.
    pub(crate) npm: PathBuf,
}

impl Schema {
    /// Migrates it to the next version.
    ///
    /// # Errors
    /// What pg-boss says where it does not come to an end.
    pub(crate) async fn migrate(&self, pick: u64) -> Result<(), String> {
        let begun = Instant::now();
        let mut wanted = None;
        loop {
            let told = match (self.version().await, wanted) {
                (Ok(now), None) => {
                    wanted = Some(next_schema(now, pick));
                    continue;
                }
                (Ok(now), Some(wanted)) if now == wanted => return Ok(()),
                (Ok(_), Some(wanted)) => self.to(wanted).await,
                (Err(error), _) => error.to_string(),
            };
            if begun.elapsed() > MIGRATED_WITHIN {
                return Err(format!("pg-boss was not migrated to {wanted:?}: {told}"));
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    async fn version(&self) -> Result<i32, sqlx::Error> {
        let mut connection = PgConnection::connect(&self.database_url).await?;
        sqlx::query_scalar("select version from pgboss.version").fetch_one(&mut connection).await
    }

    /// What pg-boss says.
    async fn to(&self, version: i32) -> String {
        let mut node = Command::new("node");
        node.args(["boss.mjs", "12", "schema", &version.to_string()]).current_dir(&self.npm).stdin(Stdio::null());
        let output = node.env("DATABASE_URL", &self.database_url).output().await.unwrap();
        String::from_utf8_lossy(&output.stderr).into_owned()
    }
}
