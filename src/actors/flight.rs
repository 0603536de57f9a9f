//! What an actor has on its way, and what has come of it: the same for a queue and for a service.

use std::collections::VecDeque;

use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use tracing::Instrument;

use crate::decide::event::Event;

/// What an effect is answered with; one event for each name it carries.
pub type Answers = Vec<Event>;

/// Events that are taken in together.
const EVENTS_AT_ONCE: usize = 64;

/// Effects that are being performed, and events that wait to be taken in.
#[derive(Default)]
pub struct Flight {
    in_flight: FuturesUnordered<BoxFuture<'static, Answers>>,
    arrived: VecDeque<Event>,
}

impl Flight {
    /// Begins to perform an effect.
    pub fn send(&mut self, performing: impl Future<Output = Answers> + Send + 'static) {
        self.in_flight.push(performing.in_current_span().boxed());
    }

    /// An event that is taken in after those that have arrived.
    pub fn put(&mut self, event: Event) {
        self.arrived.push_back(event);
    }

    /// The event that has arrived first and was not taken in.
    pub fn arrived(&mut self) -> Option<Event> {
        self.arrived.pop_front()
    }

    /// Something is on its way.
    pub fn is_under_way(&self) -> bool {
        !self.in_flight.is_empty()
    }

    /// The next answer, where [`Self::is_under_way`]. Cancel-safe.
    pub async fn answer(&mut self) -> Event {
        let answers = self.in_flight.next().await;
        self.take(answers)
    }

    /// An event with those that are there already.
    pub fn with_ready(&mut self, first: Event) -> Vec<Event> {
        let mut events = vec![first];
        while events.len() < EVENTS_AT_ONCE
            && let Some(event) = self.ready()
        {
            events.push(event);
        }
        events
    }

    fn ready(&mut self) -> Option<Event> {
        self.arrived().or_else(|| {
            let answers = self.in_flight.next().now_or_never().flatten()?;
            Some(self.take(Some(answers)))
        })
    }

    fn take(&mut self, answers: Option<Answers>) -> Event {
        self.arrived.extend(answers.into_iter().flatten());
        self.arrived().unwrap_or(Event::DeadlineReached)
    }
}
