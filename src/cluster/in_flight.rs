//! The requests that are in flight to the API server: as many at once as its window has places.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::{Semaphore, SemaphorePermit};
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
    book: Mutex<Book>,
    clock: Clock,
    metrics: Arc<Metrics>,
}

#[derive(Debug)]
struct Book {
    window: Window,
    /// Places of the semaphore, taken or free: where the window has narrowed, those go that become free.
    made: usize,
    /// Fewer are sent than at first.
    is_narrow: bool,
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
        Self { places: Semaphore::new(made), book: Mutex::new(Book { window, made, is_narrow: false }), clock, metrics }
    }

    /// Waits for a place, and for as long as the API server asked to be left alone.
    pub(super) async fn place(&self) -> Place<'_> {
        let permit = self.places.acquire().await.expect("never closed");
        loop {
            let until = self.book().window.paused_until();
            let now = self.clock.now();
            if until <= now {
                return Place { of: self, permit, sent: now };
            }
            clock::sleep_until(self.clock, until).await;
        }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    /// One line for each change, not for each answer.
    fn log_change(&mut self, load: Load, said: &str) {
        let places = self.window.places();
        let is_narrow = places < window::START.into();
        if is_narrow == self.is_narrow {
            return;
        }
        self.is_narrow = is_narrow;
        match load {
            Load::Well if !is_narrow => info!(places, "the API server answers well again"),
            Load::Well => warn!(places, "the API server answers slowly: fewer requests are sent at once"),
            Load::Overloaded(_) => warn!(places, said, "the API server has trouble: fewer requests are sent at once"),
        }
    }
}

impl Place<'_> {
    /// Gives the place back, and learns from the answer; how long it took. What was said is for the log.
    pub(super) fn answered(self, verb: &'static str, load: Load, said: &str) -> Duration {
        let Self { of, permit, sent } = self;
        let came = of.clock.now();
        let full = of.places.available_permits() == 0;
        let mut book = of.book();
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
        of.metrics.note_kube_places(book.made);
        book.log_change(load, said);
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
                let place = it.place().await;
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
        it.place().await.answered("create", Load::Overloaded(Some(Duration::from_secs(2))), "later");
        it.place().await.answered("get", Load::Well, "");
        assert_eq!(it.clock.now().saturating_sub(begun), Duration::from_secs(2));
    }
}
