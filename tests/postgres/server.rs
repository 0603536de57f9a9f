//! A database for each case, and pg-boss' own client.

use std::{path::PathBuf, process::Command};

use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool, postgres::PgPoolOptions};

fn base() -> String {
    std::env::var("JOB_CHIEF_TEST_DATABASE").expect("these tests need servers: run `cargo xtask test --yes`")
}

/// The URL of a fresh database of this name.
pub(crate) async fn database(name: &str) -> String {
    let base = base();
    let mut connection = PgConnection::connect(&base).await.unwrap();
    for statement in [format!("drop database if exists {name} with (force)"), format!("create database {name}")] {
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
    }
    let (server, _) = base.rsplit_once('/').unwrap();
    format!("{server}/{name}")
}

pub(crate) async fn pool(url: &str) -> PgPool {
    PgPoolOptions::new().max_connections(3).connect(url).await.unwrap()
}

/// pg-boss' client of one version, not started yet.
pub(crate) fn boss_command(url: &str, version: &str, words: &[&str]) -> Command {
    let state = PathBuf::from(std::env::var("JOB_CHIEF_TEST_STATE").unwrap());
    let mut node = Command::new("node");
    node.arg("boss.mjs").arg(version).args(words).current_dir(state.parent().unwrap().join("npm"));
    node.env("DATABASE_URL", url);
    node
}

/// What pg-boss' client of one version says to an action.
pub(crate) fn boss(url: &str, version: &str, words: &[&str]) -> String {
    let output = boss_command(url, version, words).output().unwrap();
    assert!(output.status.success(), "pg-boss {version} {words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
