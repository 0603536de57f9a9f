//! Why a statement on our own tables gives no result, and how long it may take.

use std::time::Duration;

use thiserror::Error;

/// How long a statement may take. Past it the connection is closed, for nothing is known of its state.
pub const STATEMENT_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a statement gave no result; nothing is known of whether it was carried out.
#[derive(Debug, Error)]
pub enum StoreError {
    /// Postgres refused it or was not reached.
    #[error("a statement on our own tables failed: `job-chief grants ROLE` prints what the role needs")]
    Statement(#[source] sqlx::Error),
    /// No answer within [`STATEMENT_TIMEOUT`], or the second that a lease waits.
    #[error("a statement on our own tables was not answered in time")]
    Timeout,
    /// Another process leads.
    #[error("the term is over: another process leads")]
    TermOver,
    /// The process is about to end.
    #[error("the writer of our tables has ended")]
    WriterGone,
}

impl StoreError {
    /// Postgres has read the statement and does not want it as it is.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Statement(sqlx::Error::Database(_)))
    }
}

/// A statement with its time limit.
pub(super) async fn bounded<T>(statement: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, StoreError> {
    match tokio::time::timeout(STATEMENT_TIMEOUT, statement).await {
        Ok(result) => result.map_err(StoreError::Statement),
        Err(_) => Err(StoreError::Timeout),
    }
}
