//! The connections to Postgres: few, with limits, and able to go through a pooler.

use std::time::Duration;

use secrecy::ExposeSecret;
use sqlx::{
    ConnectOptions, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions, PgSslMode},
};

use crate::config::settings::DbSettings;

/// Connections of one process; LISTEN takes a third one of its own.
const CONNECTIONS_MAX: u32 = 2;

/// How long a statement waits for a connection before it counts as failed.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// An idle connection is given back after so long.
const IDLE_TIMEOUT: Duration = Duration::from_secs(600);

/// How Postgres is reached, without connecting.
pub fn options(db: &DbSettings) -> PgConnectOptions {
    let options = PgConnectOptions::new_without_pgpass()
        .host(&db.host)
        .port(db.port)
        .username(&db.user)
        .password(db.password.expose_secret())
        .database(&db.database)
        .application_name("job-chief")
        // Named statements do not survive a pooler in transaction mode; sqlx gives none a name.
        .statement_cache_capacity(0)
        // Statements hold their values, and those of Secrets are among them.
        .disable_statement_logging()
        // Nor does it take start-up options.
        .extra_float_digits(None);
    if !db.enable_ssl_auth {
        return options.ssl_mode(PgSslMode::Prefer);
    }
    let options = options.ssl_mode(PgSslMode::VerifyFull).ssl_root_cert(&db.ssl_paths.ca);
    if db.ssl_paths.cert.is_empty() {
        return options;
    }
    options.ssl_client_cert(&db.ssl_paths.cert).ssl_client_key(&db.ssl_paths.key)
}

/// A pool that connects when it is first used.
pub fn pool(db: &DbSettings) -> PgPool {
    PgPoolOptions::new()
        .max_connections(CONNECTIONS_MAX)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        // A ping before every statement would double their number; a dead connection shows in the statement itself.
        .test_before_acquire(false)
        .idle_timeout(IDLE_TIMEOUT)
        .connect_lazy_with(options(db))
}
