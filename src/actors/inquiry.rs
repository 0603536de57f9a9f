//! Questions to the Broker, from whoever shows how things are.

use std::{sync::Arc, time::Duration};

use tokio::sync::{mpsc, oneshot, watch};

use crate::decide::share::{
    account::Account,
    usage::{MemberWait, PoolUsage},
};

/// Questions that wait: each page asks one, and pages are made a few at a time.
const QUESTIONS_MAX: usize = 64;

/// An answer is some microseconds of work; a page does not wait for longer.
const ANSWER_WAIT: Duration = Duration::from_secs(1);

/// What is asked, and where the answer goes.
#[derive(Debug)]
pub enum Question {
    /// How all pools are.
    Usage(oneshot::Sender<Usage>),
    /// How a JobConfig stands; nothing of one that shares nothing.
    Account(Arc<str>, oneshot::Sender<Option<Account>>),
}

/// How all pools are used.
#[derive(Debug, Default)]
pub struct Usage {
    /// Each pool.
    pub pools: Vec<PoolUsage>,
    /// For each of them the first of those who wait, in the order in which it is their turn.
    pub next: Vec<Vec<Arc<str>>>,
    /// Everybody who shares something.
    pub waits: Vec<MemberWait>,
}

/// The Broker gave no answer in time: it has begun just now, or Postgres does not say what is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("who holds which place is not known yet")]
pub struct NotKnown;

/// Where the Broker is asked, while there is one. Clones ask the same.
#[derive(Clone, Debug, Default)]
pub struct Inquiry(watch::Sender<Option<mpsc::Sender<Question>>>);

impl Inquiry {
    /// Another Broker is asked from here on. It hears the questions here.
    pub(super) fn open(&self) -> mpsc::Receiver<Question> {
        let (ask, questions) = mpsc::channel(QUESTIONS_MAX);
        self.0.send_replace(Some(ask));
        questions
    }

    /// There is none any more.
    pub(super) fn close(&self) {
        self.0.send_replace(None);
    }

    /// How all pools are; `None` where nothing is shared, or another process leads.
    ///
    /// # Errors
    /// [`NotKnown`].
    pub async fn usage(&self) -> Result<Option<Usage>, NotKnown> {
        self.ask(Question::Usage).await
    }

    /// How a JobConfig stands; `None` where it shares nothing, or another process leads.
    ///
    /// # Errors
    /// [`NotKnown`].
    pub async fn account(&self, name: &str) -> Result<Option<Account>, NotKnown> {
        let account = self.ask(|answer| Question::Account(name.into(), answer)).await?;
        Ok(account.flatten())
    }

    async fn ask<T>(&self, question: impl FnOnce(oneshot::Sender<T>) -> Question) -> Result<Option<T>, NotKnown> {
        let Some(broker) = self.0.borrow().clone() else { return Ok(None) };
        let (answer, answered) = oneshot::channel();
        broker.try_send(question(answer)).map_err(|_| NotKnown)?;
        match tokio::time::timeout(ANSWER_WAIT, answered).await {
            Ok(Ok(answer)) => Ok(Some(answer)),
            _ => Err(NotKnown),
        }
    }
}
