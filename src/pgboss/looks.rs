//! One reader for all actors: looks that are due together go out as one statement.
//!
//! It reads one statement at a time; what is asked for meanwhile goes into the next one. While Postgres is away there
//! is one try at a time, with growing waits between them, which answers all who ask meanwhile.

use std::{sync::Arc, time::Duration};

use tokio::sync::{mpsc, oneshot};
#[cfg(test)]
use tokio_util::task::TaskTracker;

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

/// Queues in one statement: a thousand that hold little take some milliseconds. As many again at the most, where some of
/// them are asked for together.
pub const QUEUES_AT_ONCE: usize = 1_000;

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

/// Looks that are answered together.
type Asked = Vec<(Arc<str>, DepthRequest)>;

/// What looks are answered with, in their order.
type Answer = Result<Vec<Look>, Arc<QueueError>>;

struct Order {
    asked: Asked,
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

    /// One look at each of these queues, no more than [`QUEUES_AT_ONCE`]; in their order.
    ///
    /// # Errors
    /// See [`QueueError`].
    pub async fn look(&self, asked: Asked) -> Answer {
        let (answer, answered) = oneshot::channel();
        let asked = async {
            let gone = || Arc::new(QueueError::ReaderGone);
            self.orders.send(Order { asked, answer }).await.map_err(|_| gone())?;
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
            let mut requests = orders.iter().flat_map(|order| &order.asked);
            if requests.all(|(_, request)| request.purpose != LookPurpose::Decision) {
                // Whoever was woken by the same beat asks before the statement goes out.
                sleep(GATHERED_WITHIN).await;
            }
            let mut queues: usize = orders.iter().map(|order| order.asked.len()).sum();
            while queues < QUEUES_AT_ONCE
                && let Ok(order) = self.orders.try_recv()
            {
                queues += order.asked.len();
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
        let asked = shared_out(orders.iter().flat_map(|order| order.asked.iter().cloned()).collect());
        let result = self.reader.look(&asked).await.map_err(Arc::new);
        let works = result.is_ok();
        give_out(result, orders.drain(..));
        works
    }
}

/// Gives each order as many looks as it has asked for; they are in the order of the orders.
fn give_out(result: Answer, orders: impl Iterator<Item = Order>) {
    let mut looks = result.map(Vec::into_iter);
    for Order { asked, answer } in orders {
        let answers = looks.as_mut().map(|looks| looks.take(asked.len()).collect()).map_err(|error| error.clone());
        if answer.send(answers).is_err() {
            tracing::debug!("nobody waits for this look any more");
        }
    }
}

#[cfg(test)]
impl Looks {
    /// Answered by this alone; nothing is an answer that does not come.
    pub fn answered_by(answer: impl Fn(&[(Arc<str>, DepthRequest)]) -> Option<Vec<Look>> + Send + 'static) -> Self {
        let (orders, mut behind) = mpsc::channel::<Order>(ORDERS_MAX);
        TaskTracker::new().spawn(async move {
            while let Some(order) = behind.recv().await {
                let looks = answer(&order.asked).ok_or_else(|| Arc::new(QueueError::Timeout));
                drop(order.answer.send(looks));
            }
        });
        Self { orders }
    }
}

/// Looks for the gauges alone share what they may count: nothing is decided by them, and others wait for them.
fn shared_out(mut asked: Asked) -> Asked {
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
    fn each_order_has_the_looks_that_it_has_asked_for() {
        let request = |limit| {
            let purpose = LookPurpose::Routine;
            DepthRequest { since_us: None, limit, younger_left: Duration::ZERO, purpose }
        };
        let order = |limits: &[u64]| {
            let (answer, answered) = oneshot::channel();
            (Order { asked: limits.iter().map(|limit| ("q".into(), request(*limit))).collect(), answer }, answered)
        };
        let asked: [&[u64]; 4] = [&[1], &[2, 3, 4], &[], &[5]];
        let (orders, answers): (Vec<_>, Vec<_>) = asked.map(order).into_iter().unzip();
        let looks = (1..=5).map(|limit| Look { limit, ..Look::default() }).collect();
        give_out(Ok(looks), orders.into_iter());
        for (asked, mut answer) in asked.into_iter().zip(answers) {
            let found = answer.try_recv().expect("an answer").expect("looks");
            assert_eq!(found.iter().map(|look| look.limit).collect::<Vec<_>>(), asked);
        }
        let (orders, answers): (Vec<_>, Vec<_>) = asked.map(order).into_iter().unzip();
        give_out(Err(Arc::new(QueueError::Timeout)), orders.into_iter());
        assert!(answers.into_iter().all(|mut answer| answer.try_recv().expect("an answer").is_err()));
    }

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
