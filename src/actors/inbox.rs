//! What the actor of a queue and that of a service listen to alike: the answers to their effects, and a deadline.

use std::{collections::VecDeque, time::Duration};

use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};

use crate::clock::{Clock, sleep_until};

/// Events that are taken in together.
const EVENTS_AT_ONCE: usize = 64;

/// An effect that is being performed.
type Performing<E> = BoxFuture<'static, Vec<E>>;

/// The effects that an actor has in flight, and the events that wait to be taken in. An effect is answered by one event
/// for each name that it carries.
pub struct Inbox<E> {
    /// `None` while nothing is in flight: even an empty set has something on the heap, and there is an inbox for each
    /// JobConfig.
    in_flight: Option<FuturesUnordered<Performing<E>>>,
    arrived: VecDeque<E>,
}

impl<E> Default for Inbox<E> {
    fn default() -> Self {
        Self { in_flight: None, arrived: VecDeque::new() }
    }
}

impl<E> Inbox<E> {
    /// Begins to perform an effect.
    pub fn begin(&mut self, performing: Performing<E>) {
        self.in_flight.get_or_insert_default().push(performing);
    }

    /// Puts an event behind those that have arrived.
    pub fn push(&mut self, event: E) {
        self.arrived.push_back(event);
    }

    /// The next event: what has arrived, then the next answer. Waits for ever where there is nothing more to come.
    /// Cancel-safe.
    pub async fn next(&mut self) -> E {
        loop {
            if let Some(event) = take(&mut self.arrived) {
                return event;
            }
            let Some(in_flight) = &mut self.in_flight else { return std::future::pending().await };
            match in_flight.next().await {
                Some(answers) => self.arrived = answers.into(),
                None => self.in_flight = None,
            }
        }
    }

    /// An event with those that are there already.
    pub fn with_ready(&mut self, first: E) -> Vec<E> {
        let mut events = vec![first];
        while events.len() < EVENTS_AT_ONCE
            && let Some(event) = self.next().now_or_never()
        {
            events.push(event);
        }
        events
    }
}

/// The first that has arrived. What held the last one is given back: there is an inbox for each JobConfig.
fn take<E>(arrived: &mut VecDeque<E>) -> Option<E> {
    let event = arrived.pop_front()?;
    if arrived.is_empty() {
        *arrived = VecDeque::new();
    }
    Some(event)
}

/// Waits until a deadline; for ever where there is none. Boxed: an actor that rests has none, and a timer takes room.
pub fn reached(clock: Clock, deadline: Option<Duration>) -> BoxFuture<'static, ()> {
    match deadline {
        Some(deadline) => sleep_until(clock, deadline).boxed(),
        None => std::future::pending().boxed(),
    }
}
