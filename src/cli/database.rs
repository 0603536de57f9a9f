//! The commands about Postgres.

use anyhow::Context;
use serde_json::json;
use sqlx::Connection;

use crate::{
    cli::{
        globals::Globals,
        output::{Output, print},
    },
    pgboss::connect,
    sql::quoted,
    store::migrate,
};

/// Creates or updates our own schema.
pub(super) async fn migrate(globals: &Globals) -> anyhow::Result<()> {
    let db = globals.settings()?.db;
    let mut connection =
        sqlx::PgConnection::connect_with(&connect::options(&db)).await.context("can't reach Postgres")?;
    migrate::migrate(&mut connection, &db.manager_schema).await?;
    print(&format!("schema {} is up to date", db.manager_schema))
}

/// Prints what the running role needs: for people as SQL, ready for `psql`.
pub(super) fn grants(globals: &Globals, role: &str, output: Output) -> anyhow::Result<()> {
    let db = globals.settings()?.db;
    let (boss, own, role) = (quoted(&db.schema), quoted(&db.manager_schema), quoted(role));
    let statements = [
        format!("GRANT USAGE ON SCHEMA {boss} TO {role};"),
        format!("GRANT SELECT ON ALL TABLES IN SCHEMA {boss} TO {role};"),
        format!("ALTER DEFAULT PRIVILEGES IN SCHEMA {boss} GRANT SELECT ON TABLES TO {role};"),
        format!("GRANT USAGE ON SCHEMA {own} TO {role};"),
        format!("GRANT SELECT ON ALL TABLES IN SCHEMA {own} TO {role};"),
        format!(
            "GRANT INSERT, UPDATE, DELETE ON {own}.runs, {own}.places, {own}.decisions, {own}.leadership, {own}.members, {own}.switches, {own}.actions, {own}.deployments, {own}.deployment_objects TO {role};"
        ),
    ];
    output.print(&json!({ "statements": statements }), || statements.join("\n"))
}
