//! The requests that are in flight to the API server: as many at once as its window has places.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::{Mutex as Turn, Semaphore, SemaphorePermit};
use tracing::{info, warn};

use crate::{
    clock::{self, Clock},
    cluster::window::{self, Answered, Load, Window},
    metrics::Metrics,
};

/// The places of the process. Who waits longest is served first.
#[derive(Debug)]
pub(super) struct InFlight {
    places: Semaphore,
    /// The turn of whoever is no JobConfig.
    pub(super) others: Turn<()>,
    book: Mutex<Book>,
    clock: Clock,
    metrics: Arc<Metrics>,
}

#[derive(Debug)]
struct Book {
    window: Window,
    /// Places of the semaphore, taken or free: where the window has narrowed, those go that become free.
    made: usize,
    /// When the last place was taken.
    full_at: Duration,
    /// The log has it that there is trouble.
    is_troubled: bool,
}

/// A request may be sent.
#[derive(Debug)]
pub(super) struct Place<'a> {
    of: &'a InFlight,
    permit: SemaphorePermit<'a>,
    sent: Duration,
}

impl InFlight {
    pub(super) fn new(clock: Clock, metrics: Arc<Metrics>) -> Self {
        let window = Window::new();
        let made = window.places();
        metrics.note_kube_places(made);
        let book = Book { window, made, full_at: Duration::ZERO, is_troubled: false };
        Self { places: Semaphore::new(made), others: Turn::default(), book: Mutex::new(book), clock, metrics }
    }

    /// Waits for a place, and for as long as the API server asked to be left alone. Of those who share a turn one waits at
    /// a time: the places go round among the turns.
    pub(super) async fn place(&self, turn: &Turn<()>) -> Place<'_> {
        let _turn = turn.lock().await;
        let permit = self.places.acquire().await.expect("never closed");
        loop {
            let now = self.clock.now();
            let until = self.book().sends(now, self.places.available_permits() == 0);
            let Some(until) = until else { return Place { of: self, permit, sent: now } };
            clock::sleep_until(self.clock, until).await;
        }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    /// A request is sent now, unless there is a pause; until when then.
    fn sends(&mut self, now: Duration, is_full: bool) -> Option<Duration> {
        let until = Some(self.window.paused_until()).filter(|until| now < *until);
        if until.is_none() && is_full {
            self.full_at = now;
        }
        until
    }

    /// Whether trouble began (`true`) or is over: one line for each change, not for each answer.
    fn turned(&mut self, now: Duration) -> Option<bool> {
        let is_troubled = match self.is_troubled {
            false => self.window.places() < window::START.into(),
            true => !self.window.is_untroubled(now),
        };
        let turned = (is_troubled != self.is_troubled).then_some(is_troubled);
        self.is_troubled = is_troubled;
        turned
    }
}

impl Place<'_> {
    /// Gives the place back, and learns from the answer; how long it took. What was said is for the log.
    pub(super) fn answered(self, verb: &'static str, load: Load, said: &str) -> Duration {
        let Self { of, permit, sent } = self;
        let came = of.clock.now();
        let mut book = of.book();
        let full = book.full_at >= sent;
        book.window.answered(Answered { verb, sent, came, full, load });
        let wanted = book.window.places();
        if book.made < wanted {
            of.places.add_permits(wanted - book.made);
            book.made = wanted;
        } else if book.made > wanted {
            permit.forget();
            book.made -= 1;
            book.made -= of.places.forget_permits(book.made - wanted);
        }
        let (places, turned) = (book.made, book.turned(came));
        drop(book);
        of.metrics.note_kube_places(places);
        match turned {
            Some(true) => warn!(places, said, "the API server has trouble: fewer requests are sent at once"),
            Some(false) => info!(places, "the API server answers well again"),
            None => {}
        }
        came.saturating_sub(sent)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures::{StreamExt, stream};

    use super::*;

    const ROUND_TRIP: Duration = Duration::from_millis(10);

    fn in_flight() -> InFlight {
        InFlight::new(Clock::start(), Arc::new(Metrics::new().expect("a page")))
    }

    /// Asks so often as fast as it may; how many there were at once at most.
    async fn ask(it: &InFlight, times: usize, load: Load) -> usize {
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        stream::iter(0..times)
            .for_each_concurrent(None, async |_| {
                let place = it.place(&Turn::default()).await;
                most.fetch_max(now.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
                clock::sleep(ROUND_TRIP).await;
                now.fetch_sub(1, Ordering::Relaxed);
                place.answered("create", load, "");
            })
            .await;
        most.into_inner()
    }

    #[tokio::test(start_paused = true)]
    async fn as_many_are_sent_at_once_as_the_window_has_places() {
        let it = in_flight();
        assert_eq!(ask(&it, 16, Load::Well).await, 16);
        assert_eq!(ask(&it, 500, Load::Well).await, 64, "many answers that are well widen it");
        assert_eq!(ask(&it, 1, Load::Overloaded(None)).await, 1);
        assert_eq!(it.metrics.kube_places(), 32, "places that nobody has go, too");
        assert_eq!(ask(&it, 32, Load::Overloaded(None)).await, 32);
        assert_eq!(it.metrics.kube_places(), 16, "once a round");
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_is_served_while_the_api_server_asks_to_be_left_alone() {
        let it = in_flight();
        let begun = it.clock.now();
        it.place(&it.others).await.answered("create", Load::Overloaded(Some(Duration::from_secs(2))), "later");
        it.place(&it.others).await.answered("get", Load::Well, "");
        assert_eq!(it.clock.now().saturating_sub(begun), Duration::from_secs(2));
    }
}
