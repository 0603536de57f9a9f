//! Keeps our own tables: brings the schema up to date before anything else, then prunes old runs.

use std::time::Duration;

use sqlx::PgPool;

use crate::{
    clock::sleep,
    decide::backoff::doubled,
    health::{Component, Health},
    store::{
        error::StoreError,
        migrate::{SchemaError, migrate},
        runs::DAYS_KEPT,
        stored::Stored,
    },
    telemetry::with_causes,
};

/// The first wait after a failed try; doubled up to [`WAIT_MAX`].
const WAIT_MIN: Duration = Duration::from_millis(500);

/// The longest wait between tries.
const WAIT_MAX: Duration = Duration::from_secs(15);

/// How long one try may take.
const MIGRATE_TIMEOUT: Duration = Duration::from_secs(60);

/// How often old runs and decisions are pruned, and places that no run holds.
const PRUNE_EVERY: Duration = Duration::from_secs(600);

/// Tries until the schema is there.
///
/// # Errors
/// [`SchemaError::Newer`]: trying again would not help.
pub async fn wait_for_schema(pool: &PgPool, schema: &str, health: &Health) -> Result<(), SchemaError> {
    let mut tries = 0;
    loop {
        let why = match tokio::time::timeout(MIGRATE_TIMEOUT, try_migrate(pool, schema)).await {
            Ok(Ok(())) => {
                health.set(Component::Schema, Ok(()));
                return Ok(());
            }
            Ok(Err(error @ SchemaError::Newer { .. })) => return Err(error),
            Ok(Err(error)) => with_causes(&error),
            Err(_) => format!("no answer within {MIGRATE_TIMEOUT:?}"),
        };
        health.set(Component::Schema, Err(why));
        sleep(doubled(WAIT_MIN, WAIT_MAX, tries)).await;
        tries += 1;
    }
}

async fn try_migrate(pool: &PgPool, schema: &str) -> Result<(), SchemaError> {
    let mut connection = pool.acquire().await.map_err(SchemaError::Connection)?;
    migrate(&mut connection, schema).await
}

/// Prunes for ever.
pub async fn prune(Stored { runs, decisions, .. }: Stored) {
    let all = async || {
        let old = (runs.prune().await?, decisions.prune(DAYS_KEPT).await?);
        Ok::<_, StoreError>((old, runs.release_orphaned().await?))
    };
    loop {
        match all().await {
            Ok(((0, 0), 0)) => {}
            Ok(((runs, decisions), places)) => tracing::info!(runs, decisions, places, "pruned what is old"),
            Err(error) => tracing::debug!(error = with_causes(&error), "could not prune; trying again later"),
        }
        sleep(PRUNE_EVERY).await;
    }
}
