//! Why pg-boss's tables can't be read, and how long a statement on them may take.

use std::time::Duration;

use thiserror::Error;

/// How long a look may take. Past it the connection is closed, for nothing is known of its state.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a queue could not be looked at.
#[derive(Debug, Error)]
pub enum QueueError {
    /// Postgres refused the statement or was not reached.
    #[error(
        "the statement on pg-boss's table failed: the role needs USAGE on the schema and SELECT on its tables (`job-chief grants`)"
    )]
    Statement(#[source] sqlx::Error),
    /// No answer in time.
    #[error("the statement on pg-boss's table took longer than {STATEMENT_TIMEOUT:?}")]
    Timeout,
    /// There is too much to be read.
    #[error(
        "what pg-boss remembers of these queues could not be read within {0:?}: name one JobConfig, so that fewer queues are read"
    )]
    TooMuch(Duration),
    /// pg-boss has not been here yet, or `db.schema` is wrong.
    #[error("there is no table \"{schema}\".job: is db.schema right, and has pg-boss been started once?")]
    NoTable {
        /// The schema that was looked in.
        schema: String,
    },
    /// Fewer rows than queues.
    #[error("the statement on pg-boss's table did not answer for every queue")]
    Incomplete,
    /// The task that reads has ended.
    #[error("nobody reads pg-boss's table any more")]
    ReaderGone,
    /// Something else than pg-boss.
    #[error("the table \"{schema}\".job does not match the tables of pg-boss 7 to 12: check db.schema")]
    UnknownShape {
        /// The schema that was looked in.
        schema: String,
    },
}

/// A statement with its time limit.
pub(crate) async fn bounded<T>(statement: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, QueueError> {
    match tokio::time::timeout(STATEMENT_TIMEOUT, statement).await {
        Ok(result) => result.map_err(QueueError::Statement),
        Err(_) => Err(QueueError::Timeout),
    }
}
