//! The effects that an actor has in flight, and the events that have arrived: the same for a queue and for a service.

use std::collections::VecDeque;

use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use tracing::Instrument;

/// Events that are taken in together.
const EVENTS_AT_ONCE: usize = 64;

/// Effects that are being performed, and events that wait to be taken in. An effect is answered by one event for each
/// name that it carries.
pub struct InFlight<E> {
    performing: FuturesUnordered<BoxFuture<'static, Vec<E>>>,
    arrived: VecDeque<E>,
}

impl<E> Default for InFlight<E> {
    fn default() -> Self {
        Self { performing: FuturesUnordered::new(), arrived: VecDeque::new() }
    }
}

impl<E> InFlight<E> {
    /// Begins to perform an effect.
    pub fn begin(&mut self, performing: impl Future<Output = Vec<E>> + Send + 'static) {
        self.performing.push(performing.in_current_span().boxed());
    }

    /// Puts an event behind those that have arrived.
    pub fn push(&mut self, event: E) {
        self.arrived.push_back(event);
    }

    /// The event that arrived first and was not taken in.
    pub fn pop(&mut self) -> Option<E> {
        self.arrived.pop_front()
    }

    /// The next answer; waits for ever where nothing is in flight. Cancel-safe.
    pub async fn answer(&mut self) -> E {
        loop {
            if let Some(event) = self.pop() {
                return event;
            }
            match self.performing.next().await {
                Some(answers) => self.arrived.extend(answers),
                None => std::future::pending().await,
            }
        }
    }

    /// An event with those that are there already.
    pub fn with_ready(&mut self, first: E) -> Vec<E> {
        let mut events = vec![first];
        while events.len() < EVENTS_AT_ONCE
            && let Some(event) = self.ready()
        {
            events.push(event);
        }
        events
    }

    fn ready(&mut self) -> Option<E> {
        self.answer().now_or_never()
    }
}
