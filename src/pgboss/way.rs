//! The way to Postgres: whether a connection comes about, keeps its session, and brings notifications.

use std::{io, time::Duration};

use sqlx::{
    Connection, PgConnection, PgPool, Row,
    postgres::{PgConnectOptions, PgListener, PgPoolOptions},
};
use thiserror::Error;

use crate::{
    pgboss::error::{QueueError, bounded},
    sql::Statement,
};

/// How long a connection may take to come up.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a notification of our own may take.
const HEAR_TIMEOUT: Duration = Duration::from_secs(2);

/// How often a connection is asked which backend serves it, while another is busy.
const ROUNDS: usize = 4;

/// Why there is no connection.
#[derive(Debug, Error)]
pub enum Unreached {
    /// No answer.
    #[error("no answer within {CONNECT_TIMEOUT:?}")]
    Timeout,
    /// Nobody listens, or the name is unknown.
    #[error("{0}")]
    Network(String),
    /// The certificates do not fit.
    #[error("{0}")]
    Tls(String),
    /// A file of certificates can't be used, or another setting.
    #[error("{0}")]
    Settings(String),
    /// The server does not let us in.
    #[error("{message}")]
    Refused {
        /// The five characters of `SQLSTATE`.
        code: String,
        /// In its words.
        message: String,
    },
}

/// What becomes of a session between two statements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sessions {
    /// A connection keeps its backend: there is no pooler, or one in session mode.
    Kept,
    /// Another connection was served by the same backend meanwhile: a pooler in transaction mode.
    Shared,
}

impl From<sqlx::Error> for Unreached {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(error) => {
                let code = error.code().unwrap_or_default().into_owned();
                Self::Refused { code, message: error.message().to_owned() }
            }
            sqlx::Error::Io(error) => Self::of(&error),
            sqlx::Error::Tls(error) => Self::Tls(error.to_string()),
            other => Self::Settings(other.to_string()),
        }
    }
}

impl Unreached {
    /// A file that is missing and a certificate that does not fit come the same way as the network's errors.
    fn of(error: &io::Error) -> Self {
        let told = error.to_string();
        match error.kind() {
            io::ErrorKind::InvalidData => Self::Tls(told),
            io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied => Self::Settings(told),
            _ => Self::Network(told),
        }
    }
}

/// Connects once.
///
/// # Errors
/// See [`Unreached`].
pub async fn reach(options: &PgConnectOptions) -> Result<(), Unreached> {
    let connecting = tokio::time::timeout(CONNECT_TIMEOUT, PgConnection::connect_with(options));
    let connection = connecting.await.map_err(|_| Unreached::Timeout)??;
    Ok(connection.close().await?)
}

/// What becomes of a session between two statements: while one connection is open and idle, another one is made
/// busy, and both say which backend serves them.
///
/// # Errors
/// See [`QueueError`]. A pooler that has one backend only, and keeps it from us, is one that does not answer in time.
pub async fn sessions(options: &PgConnectOptions) -> Result<Sessions, QueueError> {
    let (mut idle, mut busy) =
        bounded(async { Ok((PgConnection::connect_with(options).await?, PgConnection::connect_with(options).await?)) })
            .await?;
    let first = backend(&mut idle).await?;
    for _ in 0..ROUNDS {
        bounded(Statement::new("begin read only").execute(&mut busy)).await?;
        let other = backend(&mut busy).await?;
        let shared = other == first;
        bounded(Statement::new("rollback").execute(&mut busy)).await?;
        if shared || backend(&mut idle).await? != first {
            return Ok(Sessions::Shared);
        }
    }
    Ok(Sessions::Kept)
}

async fn backend(connection: &mut PgConnection) -> Result<i32, QueueError> {
    Ok(bounded(Statement::new("select pg_backend_pid() as pid").fetch_one(connection)).await?.get("pid"))
}

/// Whether a notification arrives that is sent on a channel of nobody else's.
///
/// # Errors
/// See [`QueueError`].
pub async fn hears(options: &PgConnectOptions, tell: &PgPool, channel: &str) -> Result<bool, QueueError> {
    let pool = PgPoolOptions::new().max_connections(1).connect_lazy_with(options.clone());
    let mut listener = bounded(PgListener::connect_with(&pool)).await?;
    bounded(listener.listen(channel)).await?;
    bounded(Statement::new("select pg_notify($1, '')").bind(channel).execute(tell)).await?;
    let heard = tokio::time::timeout(HEAR_TIMEOUT, listener.recv()).await;
    Ok(heard.is_ok_and(|heard| heard.is_ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_keeps_us_out_is_told_apart() {
        let of = |kind: io::ErrorKind| Unreached::from(sqlx::Error::Io(io::Error::new(kind, "x")));
        assert!(matches!(of(io::ErrorKind::ConnectionRefused), Unreached::Network(_)));
        assert!(matches!(of(io::ErrorKind::InvalidData), Unreached::Tls(_)));
        assert!(matches!(of(io::ErrorKind::NotFound), Unreached::Settings(_)));
        assert!(matches!(Unreached::from(sqlx::Error::PoolClosed), Unreached::Settings(_)));
    }
}
