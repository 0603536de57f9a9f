//! The end of the lease, as requests are held against it: what is decided under a lease is not sent after it.
//!
//! A fence belongs to one term. It is open until the end of the lease as last renewed in that term, and a process that
//! was frozen finds it closed when it goes on, before it has learnt anything else.

use std::time::Duration;

use tokio::sync::watch;

use crate::clock::Clock;

/// Tells whether a term's lease still lasts. Clones belong to the same term.
#[derive(Clone, Debug)]
pub struct Fence {
    until: watch::Receiver<Duration>,
    clock: Clock,
}

/// The other side, which gets the lease as it is renewed.
#[derive(Debug)]
pub struct Gate {
    until: watch::Sender<Duration>,
    clock: Clock,
}

impl Gate {
    /// A gate that closes at this time of the clock, unless it gets a later one.
    pub fn until(until: Duration, clock: Clock) -> Self {
        Self { until: watch::Sender::new(until), clock }
    }

    /// The lease was renewed.
    pub fn set(&self, until: Duration) {
        self.until.send_replace(until);
    }

    /// What requests are held against.
    pub fn fence(&self) -> Fence {
        Fence { until: self.until.subscribe(), clock: self.clock }
    }
}

/// A gate that is gone is closed.
impl Drop for Gate {
    fn drop(&mut self) {
        self.set(Duration::ZERO);
    }
}

impl Fence {
    /// The lease still lasts.
    pub fn is_open(&self) -> bool {
        self.clock.now() < *self.until.borrow()
    }

    /// Waits until the lease lasts again. For ever, if the term is over.
    pub async fn opened(&self) {
        let mut until = self.until.clone();
        let clock = self.clock;
        if until.wait_for(|until| clock.now() < *until).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_fence_closes_by_itself_and_opens_when_the_lease_is_renewed() {
        let clock = Clock::start();
        let second = Duration::from_secs(1);
        let gate = Gate::until(clock.now() + second, clock);
        let fence = gate.fence();
        assert!(fence.is_open());
        tokio::time::advance(second).await;
        assert!(!fence.is_open(), "nobody has opened it");
        let renewed = async {
            tokio::task::yield_now().await;
            gate.set(clock.now() + second);
        };
        tokio::join!(fence.opened(), renewed);
        assert!(fence.is_open());
        drop(gate);
        assert!(!fence.is_open(), "the term is over");
    }
}
