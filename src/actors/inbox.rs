//! What the actor of a queue and that of a service listen to alike: the answers to their effects, the shutdown, and a
//! deadline.

use std::{collections::VecDeque, time::Duration};

use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, instrument::Instrumented};

use crate::{
    clock::{Clock, sleep_until},
    decide::run::event::RunEvent,
};

/// Events that are taken in together.
const EVENTS_AT_ONCE: usize = 64;

type Performing<E> = FuturesUnordered<Instrumented<BoxFuture<'static, Vec<E>>>>;

/// The effects that an actor has in flight, and the events that wait to be taken in. An effect is answered by one event
/// for each name that it carries.
pub struct Inbox<E> {
    performing: Performing<E>,
    arrived: VecDeque<E>,
    shutdown: CancellationToken,
    stopping: bool,
}

impl<E: From<RunEvent>> Inbox<E> {
    /// One without events, until the shutdown is asked for.
    pub fn new(shutdown: CancellationToken) -> Self {
        Self { performing: FuturesUnordered::new(), arrived: VecDeque::new(), shutdown, stopping: false }
    }

    /// Begins to perform an effect.
    pub fn begin(&mut self, performing: BoxFuture<'static, Vec<E>>) {
        self.performing.push(performing.in_current_span());
    }

    /// Puts an event behind those that have arrived.
    pub fn push(&mut self, event: E) {
        self.arrived.push_back(event);
    }

    /// The next event: what has arrived, then the shutdown, once, then the next answer. Waits for ever
    /// where there is nothing more to come. Cancel-safe.
    pub async fn next(&mut self) -> E {
        if let Some(event) = take(&mut self.arrived) {
            return event;
        }
        tokio::select! {
            biased;
            () = self.shutdown.cancelled(), if !self.stopping => {
                self.stopping = true;
                RunEvent::Stop.into()
            }
            event = answer(&mut self.performing, &mut self.arrived) => event,
        }
    }

    /// An event with those that are there already.
    pub fn with_ready(&mut self, first: E) -> Vec<E> {
        let mut events = vec![first];
        while events.len() < EVENTS_AT_ONCE
            && let Some(event) = answer(&mut self.performing, &mut self.arrived).now_or_never()
        {
            events.push(event);
        }
        events
    }
}

async fn answer<E>(performing: &mut Performing<E>, arrived: &mut VecDeque<E>) -> E {
    loop {
        if let Some(event) = take(arrived) {
            return event;
        }
        match performing.next().await {
            Some(answers) => *arrived = answers.into(),
            None => std::future::pending().await,
        }
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

/// Waits until a deadline; for ever where there is none.
pub fn reached(clock: Clock, deadline: Option<Duration>) -> impl Future<Output = ()> {
    sleep_until(clock, deadline.unwrap_or(Duration::MAX))
}
