//! The schema of our own, made and brought up to date.

use std::borrow::Cow;

use sqlx::{
    Connection, PgConnection, Row,
    migrate::{Migrate, MigrateError, Migrator},
};
use thiserror::Error;

use crate::sql::{Statement, quoted};

/// The migrations that this binary knows; `{{schema}}` in them stands for the quoted name.
static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// One process migrates at a time: a number of our own for `pg_advisory_xact_lock`.
const LOCK: i64 = 0x6a6f_6263_6869_6566;

/// How long a migration waits for a table that somebody else has locked. Everybody else waits behind it meanwhile, and
/// who leads has to renew its lease.
const LOCK_WAIT: &str = "1s";

/// Postgres' code for a lock that was not there in time.
const LOCK_NOT_AVAILABLE: &str = "55P03";

/// Why the schema is not as it should be.
#[derive(Debug, Error)]
pub enum SchemaError {
    /// Postgres did not answer, or refused; likely the role may not create the schema.
    #[error("could not migrate the schema: run `job-chief migrate` as a role that may create it")]
    Migrate(#[source] MigrateError),
    /// Somebody reads or writes one of the tables for long, such as a backup.
    #[error(
        "could not migrate the schema: somebody has locked a table of it, as a backup does; it is tried again when that has ended"
    )]
    Locked(#[source] MigrateError),
    /// Postgres did not answer.
    #[error("could not reach Postgres to migrate the schema")]
    Connection(#[source] sqlx::Error),
    /// A newer version has been here.
    #[error("the schema is newer (version {found}) than this job-chief knows ({known}): use the newer job-chief")]
    Newer {
        /// The version in the database.
        found: i64,
        /// The newest that we know.
        known: i64,
    },
}

/// The version of the schema that this binary makes.
pub fn newest() -> i64 {
    MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or_default()
}

/// Brings the schema up to date. All in one transaction, so that it also works through a pooler.
///
/// # Errors
/// See [`SchemaError`].
pub async fn migrate(connection: &mut PgConnection, schema: &str) -> Result<(), SchemaError> {
    let table = format!("{}._sqlx_migrations", quoted(schema));
    let mut transaction = connection.begin().await.map_err(SchemaError::Connection)?;
    if is_current(&mut transaction, &table).await? {
        return transaction.rollback().await.map_err(SchemaError::Connection);
    }
    let lock = Statement::new("select pg_advisory_xact_lock($1)").bind(LOCK).execute(&mut *transaction);
    lock.await.map_err(SchemaError::Connection)?;
    let impatient = Statement::new(format!("set local lock_timeout = '{LOCK_WAIT}'")).execute(&mut *transaction);
    impatient.await.map_err(SchemaError::Connection)?;
    let mut migrator = Migrator::with_migrations(migrations(schema));
    migrator.dangerous_set_table_name(table);
    migrator.create_schema(Cow::Owned(quoted(schema)));
    migrator.set_locking(false);
    migrator.run(&mut *transaction).await.map_err(not_migrated)?;
    transaction.commit().await.map_err(SchemaError::Connection)
}

fn not_migrated(error: MigrateError) -> SchemaError {
    let (MigrateError::Execute(cause) | MigrateError::ExecuteMigration(cause, _)) = &error else {
        return SchemaError::Migrate(error);
    };
    let code = cause.as_database_error().and_then(|told| told.code());
    if code.as_deref() == Some(LOCK_NOT_AVAILABLE) { SchemaError::Locked(error) } else { SchemaError::Migrate(error) }
}

/// Whether nothing is to be done, which needs no right but to read.
async fn is_current(connection: &mut PgConnection, table: &str) -> Result<bool, SchemaError> {
    let known = newest();
    let there = Statement::new("select to_regclass($1) is not null as there").bind(table).fetch_one(&mut *connection);
    if !there.await.map_err(SchemaError::Connection)?.get::<bool, _>("there") {
        return Ok(false);
    }
    let applied = connection.list_applied_migrations(table).await.map_err(SchemaError::Migrate)?;
    let found = applied.iter().map(|migration| migration.version).max().unwrap_or_default();
    if found > known {
        return Err(SchemaError::Newer { found, known });
    }
    Ok(found == known)
}

fn migrations(schema: &str) -> Vec<sqlx::migrate::Migration> {
    let filled = MIGRATIONS.iter().map(|migration| {
        let sql = migration.sql.as_str().replace("{{schema}}", &quoted(schema));
        let mut filled = migration.clone();
        filled.sql = sqlx::SqlSafeStr::into_sql_str(sqlx::AssertSqlSafe(sql));
        filled
    });
    filled.collect()
}
