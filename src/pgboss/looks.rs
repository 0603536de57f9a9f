//! One reader for all actors: looks that are due together go out as one statement.
//!
//! It reads one statement at a time; what is asked for meanwhile goes into the next one. While Postgres is away there
//! is one try at a time, with growing waits between them, which answers all who ask meanwhile.

use std::{sync::Arc, time::Duration};

use tokio::sync::{mpsc, oneshot};

use crate::{
    clock::sleep,
    decide::{
        backoff::doubled,
        queue::{
            event::{DepthRequest, LookPurpose},
            scale::Look,
        },
    },
    pgboss::{depth::DepthReader, error::QueueError},
};

/// Looks that wait; who asks for more waits.
const ORDERS_MAX: usize = 4096;

/// Queues in one statement: a thousand that hold little take some milliseconds.
const QUEUES_AT_ONCE: usize = 1_000;

/// Messages that one statement counts for gauges alone, however many of its queues are deep: an index gives a million a
/// second or so, and a look that decides may wait for it.
const GAUGE_MESSAGES_AT_ONCE: u64 = 20_000;

/// How long a routine look waits for others that are due together with it.
const GATHERED_WITHIN: Duration = Duration::from_millis(2);

/// How long a look may take from the question to the answer.
const LOOK_TIMEOUT: Duration = Duration::from_secs(10);

/// The first wait after a failed statement; doubled up to [`WAIT_MAX`].
const WAIT_MIN: Duration = Duration::from_millis(250);

/// The longest wait: what Postgres' return costs at most.
const WAIT_MAX: Duration = Duration::from_secs(2);

/// What a look is answered with.
pub type Answer = Result<Look, Arc<QueueError>>;

struct Order {
    queue: Arc<str>,
    request: DepthRequest,
    answer: oneshot::Sender<Answer>,
}

/// Where looks are asked for. Clones lead to the same reader.
#[derive(Clone, Debug)]
pub struct Looks {
    orders: mpsc::Sender<Order>,
}

/// The task behind [`Looks`].
pub struct LookTask {
    reader: DepthReader,
    orders: mpsc::Receiver<Order>,
}

impl Looks {
    /// Where looks are asked for, and the task that needs to be run.
    pub fn new(reader: DepthReader) -> (Self, LookTask) {
        let (orders, behind) = mpsc::channel(ORDERS_MAX);
        (Self { orders }, LookTask { reader, orders: behind })
    }

    /// One look at one queue.
    ///
    /// # Errors
    /// See [`QueueError`].
    pub async fn look(&self, queue: Arc<str>, request: DepthRequest) -> Answer {
        let (answer, answered) = oneshot::channel();
        let asked = async {
            let gone = || Arc::new(QueueError::ReaderGone);
            self.orders.send(Order { queue, request, answer }).await.map_err(|_| gone())?;
            answered.await.map_err(|_| gone())?
        };
        tokio::time::timeout(LOOK_TIMEOUT, asked).await.unwrap_or_else(|_| Err(Arc::new(QueueError::Timeout)))
    }
}

impl LookTask {
    /// Reads until every [`Looks`] is gone. `salt` makes its waits its own.
    pub async fn run(mut self, salt: u64) {
        let mut failures: u32 = 0;
        let mut orders = vec![];
        while self.orders.recv_many(&mut orders, QUEUES_AT_ONCE).await > 0 {
            if orders.iter().all(|order| order.request.purpose != LookPurpose::Decision) {
                // Whoever was woken by the same beat asks before the statement goes out.
                sleep(GATHERED_WITHIN).await;
            }
            while orders.len() < QUEUES_AT_ONCE
                && let Ok(order) = self.orders.try_recv()
            {
                orders.push(order);
            }
            orders.retain(|order| !order.answer.is_closed());
            if orders.is_empty() {
                continue;
            }
            if self.answer(&mut orders).await {
                failures = 0;
                continue;
            }
            let wait = doubled(WAIT_MIN, WAIT_MAX, failures);
            failures = failures.saturating_add(1);
            let shorter =
                wait.saturating_mul(u32::try_from((salt >> failures.min(32)) % 500).unwrap_or_default()) / 1000;
            sleep(wait - shorter).await;
        }
    }

    /// Answers all orders by one statement; false if that failed.
    async fn answer(&self, orders: &mut Vec<Order>) -> bool {
        let asked = shared_out(orders.iter().map(|order| (order.queue.clone(), order.request)).collect());
        let (works, answers) = match self.reader.look(&asked).await {
            Ok(looks) => (true, looks.into_iter().map(Ok).collect::<Vec<Answer>>()),
            Err(error) => {
                let error = Arc::new(error);
                (false, asked.iter().map(|_| Err(error.clone())).collect())
            }
        };
        for (order, answer) in orders.drain(..).zip(answers) {
            if order.answer.send(answer).is_err() {
                tracing::debug!("nobody waits for this look any more");
            }
        }
        works
    }
}

/// Looks for the gauges alone share what they may count: nothing is decided by them, and others wait for them.
fn shared_out(mut asked: Vec<(Arc<str>, DepthRequest)>) -> Vec<(Arc<str>, DepthRequest)> {
    let is_for_gauges = |(_, request): &&mut (Arc<str>, DepthRequest)| request.purpose == LookPurpose::Gauges;
    let count = asked.iter_mut().filter(is_for_gauges).count();
    let share = GAUGE_MESSAGES_AT_ONCE / u64::try_from(count.max(1)).unwrap_or(u64::MAX);
    asked.iter_mut().filter(is_for_gauges).for_each(|(_, request)| request.limit = request.limit.min(share));
    asked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gauges_of_many_deep_queues_cost_no_more_than_those_of_a_few_and_decisions_count_as_far_as_they_must() {
        let request = |purpose| DepthRequest { since_us: None, limit: 10_000, younger_left: Duration::ZERO, purpose };
        for gauges in [1_usize, 3, 999] {
            let mut asked = vec![("q".into(), request(LookPurpose::Routine))];
            asked.extend((0..gauges).map(|_| ("q".into(), request(LookPurpose::Gauges))));
            let asked = shared_out(asked);
            assert_eq!(asked[0].1.limit, 10_000);
            let counted: u64 = asked[1..].iter().map(|(_, request)| request.limit).sum();
            assert!(counted <= GAUGE_MESSAGES_AT_ONCE && asked[gauges].1.limit >= 20, "{gauges}: {counted}");
        }
    }
}
