//! The connection that listens is also asked: by looks at few queues, whose plan it keeps.
//!
//! To plan such a look takes Postgres longer than to run it, and a message waits for it. A plan is kept by a session, and who
//! hears notifications has one of its own: behind a pooler in transaction mode none arrive. So the line opens with the first
//! of them. While it is closed, does not answer in time or refuses, the pool is asked, which plans each look anew.

use std::{collections::HashSet, future::pending, sync::Arc, time::Duration};

use sqlx::postgres::{PgListener, PgRow};
use tokio::sync::{mpsc, oneshot, watch};

use crate::sql::Kept;

/// Questions that wait: one task asks, and waits for the answer.
const QUESTIONS_MAX: usize = 1;

/// How long an answer is waited for: longer than Postgres works on it, see [`Kept`], so that it is Postgres that ends it. Past
/// that nothing is known of the connection any more.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// Where the connection is asked that listens. Clones lead to the same.
#[derive(Clone, Debug, Default)]
pub struct Line {
    questions: Arc<watch::Sender<Option<mpsc::Sender<Question>>>>,
}

/// What is asked, and by whom.
#[derive(Debug)]
pub(super) struct Question {
    statement: Kept,
    answer: oneshot::Sender<Vec<PgRow>>,
}

impl Line {
    /// The rows of a statement; `None` where it has to be asked elsewhere.
    pub async fn fetch_all(&self, statement: impl FnOnce() -> Kept) -> Option<Vec<PgRow>> {
        let questions = self.questions.borrow().clone()?;
        let (answer, answered) = oneshot::channel();
        questions.try_send(Question { statement: statement(), answer }).ok()?;
        tokio::time::timeout(ANSWER_TIMEOUT, answered).await.ok()?.ok()
    }
}

/// The other end of a [`Line`], for one connection.
#[derive(Debug)]
pub(super) struct Answering {
    line: Line,
    state: State,
    /// The names of the statements that the session knows: one or two for each shape that pg-boss's tables have had meanwhile.
    known: HashSet<String>,
}

#[derive(Debug)]
enum State {
    /// No notification has come yet.
    Unheard,
    Open(mpsc::Receiver<Question>),
    /// Postgres has refused a statement: what the session knows is not certain any more.
    Refused,
}

impl Answering {
    /// For a connection that is new.
    pub(super) fn new(line: Line) -> Self {
        Self { line, state: State::Unheard, known: HashSet::new() }
    }

    /// A notification has come: the session is ours.
    pub(super) fn heard(&mut self) {
        if matches!(self.state, State::Unheard) {
            let (questions, asked) = mpsc::channel(QUESTIONS_MAX);
            self.line.questions.send_replace(Some(questions));
            self.state = State::Open(asked);
        }
    }

    /// The next question. Cancel-safe.
    pub(super) async fn asked(&mut self) -> Question {
        if let State::Open(asked) = &mut self.state
            && let Some(question) = asked.recv().await
        {
            return question;
        }
        pending().await
    }

    /// Answers a question; without an answer it is asked elsewhere.
    ///
    /// # Errors
    /// Where nothing is known of the connection any more.
    pub(super) async fn answer(&mut self, question: Question, connection: &mut PgListener) -> sqlx::Result<()> {
        let Question { statement, answer } = question;
        if answer.is_closed() {
            return Ok(());
        }
        let is_new = !self.known.contains(statement.name());
        let message = if is_new { statement.prepare_and_execute() } else { statement.execute() };
        let rows = tokio::time::timeout(ANSWER_TIMEOUT, message.fetch_all(connection)).await;
        match rows.unwrap_or(Err(sqlx::Error::PoolTimedOut)) {
            Ok(rows) => {
                if is_new {
                    self.known.insert(statement.name().to_owned());
                }
                if answer.send(rows).is_err() {
                    tracing::debug!("nobody waits for this answer any more");
                }
                Ok(())
            }
            Err(sqlx::Error::Database(error)) => {
                tracing::debug!(%error, "no plans are kept until Postgres is connected to anew");
                self.state = State::Refused;
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}
