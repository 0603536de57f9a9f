//! The newest of what one task tells, for those who follow it: [`tokio::sync::watch`] with its words, in a fourth of its
//! room.
//!
//! That one spreads those who wait over eight lists, which pays where hundreds follow one value. A JobConfig has three
//! such values with a follower or none each, and there may be ten thousand JobConfigs.

use std::sync::{
    Arc, PoisonError, RwLock, RwLockReadGuard,
    atomic::{AtomicU64, Ordering},
};

use tokio::sync::Notify;

#[derive(Debug, Default)]
struct Shared<T> {
    value: RwLock<T>,
    /// Raised with each new value, while that is locked.
    version: AtomicU64,
    told: Notify,
}

impl<T> Shared<T> {
    /// What a panic has left is what it has written.
    fn read(&self) -> RwLockReadGuard<'_, T> {
        self.value.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }
}

/// Tells the newest value. Clones tell the same.
#[derive(Clone, Debug, Default)]
pub struct Sender<T>(Arc<Shared<T>>);

/// Follows the newest value.
#[derive(Clone, Debug)]
pub struct Receiver<T> {
    shared: Arc<Shared<T>>,
    /// The version that was seen.
    seen: u64,
}

impl<T> Sender<T> {
    /// Tells this first.
    pub fn new(value: T) -> Self {
        Self(Arc::new(Shared { value: RwLock::new(value), version: AtomicU64::new(0), told: Notify::new() }))
    }

    /// Follows it; the value of now is no news.
    pub fn subscribe(&self) -> Receiver<T> {
        Receiver { shared: self.0.clone(), seen: self.0.version() }
    }

    /// The newest value, which does not change meanwhile.
    pub fn borrow(&self) -> RwLockReadGuard<'_, T> {
        self.0.read()
    }

    /// Tells another value.
    pub fn send_replace(&self, mut value: T) {
        // The one before goes with this call, when nobody has to wait for it.
        self.send_modify(|before| std::mem::swap(before, &mut value));
    }

    /// Tells what is made of the value.
    pub fn send_modify(&self, change: impl FnOnce(&mut T)) {
        self.send_if_modified(|value| {
            change(value);
            true
        });
    }

    /// Tells what is made of the value, if that is said to be another.
    pub fn send_if_modified(&self, change: impl FnOnce(&mut T) -> bool) {
        {
            let mut value = self.0.value.write().unwrap_or_else(PoisonError::into_inner);
            if !change(&mut value) {
                return;
            }
            self.0.version.fetch_add(1, Ordering::Release);
        }
        self.0.told.notify_waiters();
    }

    /// Nobody else has it any more, to follow it or to tell it.
    pub fn is_alone(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }
}

impl<T> Receiver<T> {
    /// The newest value, which does not change meanwhile; it stays news.
    pub fn borrow(&self) -> RwLockReadGuard<'_, T> {
        self.shared.read()
    }

    /// The newest value, which does not change meanwhile and is no news any more.
    pub fn borrow_and_update(&mut self) -> RwLockReadGuard<'_, T> {
        let value = self.shared.read();
        self.seen = self.shared.version();
        value
    }

    /// What is there now is news.
    pub fn mark_changed(&mut self) {
        self.seen = self.shared.version().wrapping_sub(1);
    }

    /// Waits for another value than was seen, for ever if nobody tells one; then it is no news any more. Cancel-safe.
    pub async fn changed(&mut self) {
        loop {
            // Before the version is read: it hears of all that is told from here on.
            let told = self.shared.told.notified();
            let version = self.shared.version();
            if self.seen != version {
                self.seen = version;
                return;
            }
            told.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use tokio_util::task::TaskTracker;

    #[test]
    fn what_is_told_is_news_once() {
        let sender = Sender::new(1);
        let mut receiver = sender.subscribe();
        let is_news = |receiver: &mut Receiver<i32>| receiver.changed().now_or_never().is_some();
        assert!(!is_news(&mut receiver));
        sender.send_replace(2);
        sender.send_modify(|value| *value += 1);
        assert!(is_news(&mut receiver) && !is_news(&mut receiver));
        receiver.mark_changed();
        assert_eq!(*receiver.borrow(), 3);
        assert!(is_news(&mut receiver));
        sender.send_replace(4);
        assert_eq!(*receiver.borrow_and_update(), 4);
        assert!(!is_news(&mut receiver));
    }

    #[tokio::test]
    async fn whoever_waits_is_woken_by_another_value_and_by_nothing_else() {
        let sender = Sender::new(1);
        let wait = |mut receiver: Receiver<i32>| async move {
            receiver.changed().await;
            *receiver.borrow()
        };
        let tasks = TaskTracker::new();
        let waiting = [tasks.spawn(wait(sender.subscribe())), tasks.spawn(wait(sender.subscribe()))];
        tokio::task::yield_now().await;
        sender.send_if_modified(|_| false);
        tokio::task::yield_now().await;
        assert!(waiting.iter().all(|one| !one.is_finished()));
        sender.send_if_modified(|value| std::mem::replace(value, 2) == 1);
        for one in waiting {
            assert_eq!(one.await.expect("no panic"), 2);
        }
    }

    #[test]
    fn who_is_alone_knows_it_and_a_value_is_small() {
        let sender = Sender::new(1_u64);
        let receiver = sender.subscribe();
        assert!(!sender.is_alone());
        drop(receiver);
        assert!(sender.is_alone());
        assert!(size_of::<Shared<u64>>() <= 72, "{}: there are thirty thousand of them", size_of::<Shared<u64>>());
    }
}
