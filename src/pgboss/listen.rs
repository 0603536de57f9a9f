//! Notifications of pg-boss 12 that there is a message, from queues that were made with `notify: true`: a reason to look at once.
//! And those by which the processes of an Instance learn that there is something to read.
//!
//! A hint and no more: the queue is read, the notification never believed, and polling goes on.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
    time::Duration,
};

use sqlx::{
    PgPool,
    postgres::{PgConnectOptions, PgListener, PgNotification, PgPoolOptions},
};
use tokio::{
    sync::{Notify, watch},
    time::error::Elapsed,
};

use crate::{
    clock::sleep,
    decide::backoff::doubled,
    pgboss::line::{Answering, Line, Question},
    sql::short_name,
};

/// How long connecting and LISTEN may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// After so long without a word the connection is asked whether it lives.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// The first wait after a failure; doubled up to [`WAIT_MAX`].
const WAIT_MIN: Duration = Duration::from_millis(500);

/// The longest wait between tries: polling does without.
const WAIT_MAX: Duration = Duration::from_secs(15);

type Waiting = HashMap<Arc<str>, Vec<Weak<Notify>>>;

/// Who waits for notifications of which queue. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Hints {
    waiting: Arc<watch::Sender<Waiting>>,
    own: Arc<Notify>,
}

impl Hints {
    /// Notified when there may be a message in this queue; several in a row are one.
    pub fn of(&self, queue: &Arc<str>) -> Arc<Notify> {
        let hint = Arc::new(Notify::new());
        self.waiting.send_modify(|waiting| {
            let waiters = waiting.entry(queue.clone()).or_insert_with(|| Vec::with_capacity(1));
            waiters.retain(|other| other.strong_count() > 0);
            waiters.push(Arc::downgrade(&hint));
        });
        hint
    }

    /// Notified when a lease was given back or a switch has changed.
    pub fn own(&self) -> Arc<Notify> {
        self.own.clone()
    }

    /// A notification came; those of unknown queues are ignored.
    fn notify(&self, queue: &str) {
        self.waiting
            .borrow()
            .get(queue)
            .into_iter()
            .flatten()
            .filter_map(Weak::upgrade)
            .for_each(|hint| hint.notify_one());
    }

    /// Notifications may have been missed.
    fn tell_all(&self) {
        self.own.notify_one();
        self.waiting.borrow().values().flatten().filter_map(Weak::upgrade).for_each(|hint| hint.notify_one());
    }
}

/// The one connection that listens, and to what.
#[derive(Debug)]
pub struct Listener {
    options: PgConnectOptions,
    channel: String,
    /// Our own channel: a lease was given back, or a switch has changed.
    own: String,
    hints: Hints,
    /// What it is asked meanwhile.
    line: Line,
}

impl Listener {
    /// A listener that has not connected yet.
    pub fn new(options: PgConnectOptions, schema: &str, own: String, hints: Hints, line: Line) -> Self {
        Self { options, channel: short_name("pgboss_", schema), own, hints, line }
    }

    /// Listens for ever. That Postgres is away is reported by those who read; here it is only tried again.
    pub async fn run(self) {
        let mut failures = 0;
        loop {
            let connecting = tokio::time::timeout(CONNECT_TIMEOUT, self.connect());
            match connecting.await.unwrap_or(Err(sqlx::Error::PoolTimedOut)) {
                Ok((pool, listener)) => {
                    failures = 0;
                    // It is registered: whatever comes from here on arrives, and what came before is looked for now.
                    self.hints.tell_all();
                    let error = self.follow(listener).await;
                    tracing::debug!(%error, "the connection that listens is lost");
                    // What does not answer is left behind, until TCP gives it up.
                    drop(tokio::time::timeout(CONNECT_TIMEOUT, pool.close()).await);
                }
                Err(error) => tracing::debug!(%error, "can't listen to pg-boss's notifications"),
            }
            sleep(doubled(WAIT_MIN, WAIT_MAX, failures)).await;
            failures += 1;
        }
    }

    async fn connect(&self) -> Result<(PgPool, PgListener), sqlx::Error> {
        let pool = PgPoolOptions::new().max_connections(1).connect_lazy_with(self.options.clone());
        let mut listener = PgListener::connect_with(&pool).await?;
        // Its loss is told at once: what the session knew is lost with it, and notifications may be.
        listener.eager_reconnect(false);
        listener.listen_all([self.channel.as_str(), &self.own]).await?;
        Ok((pool, listener))
    }

    /// Passes notifications on, and answers what is asked, until the connection is lost.
    async fn follow(&self, mut listener: PgListener) -> sqlx::Error {
        let mut answering = Answering::new(self.line.clone());
        loop {
            // Both arms are cancel-safe: a notification or a question that is not taken up stays where it is.
            let next = tokio::select! {
                biased;
                said = tokio::time::timeout(SILENCE_MAX, listener.try_recv()) => Next::Said(said),
                question = answering.asked() => Next::Asked(question),
            };
            let kept = match next {
                Next::Said(Ok(Ok(Some(notification)))) => {
                    answering.heard();
                    match notification.channel() == self.own {
                        true => self.hints.own.notify_one(),
                        false => self.hints.notify(notification.payload()),
                    }
                    Ok(())
                }
                Next::Said(Ok(Ok(None))) => Err(sqlx::Error::WorkerCrashed),
                Next::Said(Ok(Err(error))) => Err(error),
                Next::Said(Err(_)) => is_alive(&mut listener).await,
                Next::Asked(question) => answering.answer(question, &mut listener).await,
            };
            if let Err(error) = kept {
                return error;
            }
        }
    }
}

/// What comes next to whoever listens.
enum Next {
    /// Something is said on the connection, or nothing for long.
    Said(Result<sqlx::Result<Option<PgNotification>>, Elapsed>),
    /// Something is asked of it.
    Asked(Question),
}

async fn is_alive(listener: &mut PgListener) -> sqlx::Result<()> {
    let alive = tokio::time::timeout(CONNECT_TIMEOUT, sqlx::query("select 1").execute(listener));
    alive.await.unwrap_or(Err(sqlx::Error::PoolTimedOut)).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_channel_is_that_of_pg_boss() {
        // select 'pgboss_' || left(encode(sha224('pgboss'), 'hex'), 24)
        assert_eq!(short_name("pgboss_", "pgboss"), "pgboss_454650302e472074f72063fd");
    }

    #[tokio::test]
    async fn a_hint_is_for_its_queue_and_many_are_one() {
        let hints = Hints::default();
        let (mail, other) = (hints.of(&"mail".into()), hints.of(&"other".into()));
        let is_told = |hint: Arc<Notify>| async move {
            tokio::time::timeout(Duration::from_millis(1), hint.notified()).await.is_ok()
        };
        hints.notify("mail");
        hints.notify("mail");
        hints.notify("nobody's");
        assert!(is_told(mail.clone()).await && !is_told(mail.clone()).await && !is_told(other.clone()).await);
        hints.tell_all();
        assert!(is_told(mail).await && is_told(other).await);
    }
}
