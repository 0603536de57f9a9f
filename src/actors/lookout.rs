//! How queues are looked at, whoever asks: what was found is told the gauges, and whether Postgres answers.

use std::sync::Arc;

use crate::{
    clock::Clock,
    decide::queue::{event::DepthRequest, scale::Look},
    health::{Component, Health},
    metrics::{Metrics, queue_gauges::QueueGauge},
    pgboss::looks::Looks,
    telemetry::with_causes,
};

/// A question: a queue, where it is shown, and how it is to be counted.
pub type Question = (Arc<str>, QueueGauge, DepthRequest);

/// Looks, and tells what was found.
#[derive(Clone, Debug)]
pub struct Lookout {
    /// pg-boss's tables.
    pub looks: Looks,
    /// The time.
    pub clock: Clock,
    /// Whether they can be read.
    pub health: Health,
    /// The gauges.
    pub metrics: Arc<Metrics>,
}

impl Lookout {
    /// A look for each of these questions, of which there are at most [`crate::pgboss::looks::QUEUES_AT_ONCE`], in their
    /// order; `None` where Postgres did not answer.
    pub async fn look(&self, questions: Vec<Question>) -> Option<Vec<Look>> {
        let Self { looks, clock, health, metrics } = self;
        let begun = clock.now();
        let (gauges, asked): (Vec<_>, _) =
            questions.into_iter().map(|(queue, gauge, request)| (gauge, (queue, request))).unzip();
        let result = looks.look(asked).await;
        let now = clock.now();
        metrics.queues.note_reads(gauges.len(), now.saturating_sub(begun), result.is_ok());
        match result {
            Ok(looks) => {
                health.set(Component::Queue, Ok(()));
                metrics.queues.note_looks(&looks, now);
                gauges.iter().zip(&looks).for_each(|(gauge, look)| gauge.note_look(look, now));
                Some(looks)
            }
            Err(error) => {
                health.set(Component::Queue, Err(with_causes(&error)));
                None
            }
        }
    }
}
