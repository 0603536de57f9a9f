//! Between who sees changes and who follows them: bounded, and whoever is too slow is cut off.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast, watch};

/// Listeners at once: each costs a connection and, while it is slow, the changes that it has not read yet.
pub const LISTENERS_MAX: usize = 64;

/// Changes that a listener may be behind. Whoever is further behind is cut off, and begins anew with a snapshot.
const BEHIND_MAX: usize = 1024;

/// Something that has changed, as it is sent.
#[derive(Debug)]
pub struct Message {
    /// Counts on by one in a process.
    pub number: u64,
    /// The name of the event.
    pub event: &'static str,
    /// JSON.
    pub data: String,
}

/// Where changes are told. Clones share it.
#[derive(Clone, Debug)]
pub struct Channel {
    messages: broadcast::Sender<Arc<Message>>,
    places: Arc<Semaphore>,
    /// Somebody listens, and everything that changes from now on is told.
    followed: watch::Sender<bool>,
    arrived: watch::Sender<()>,
}

/// A place among the listeners.
pub struct Listener {
    /// What changes; an error says that this listener was too slow.
    pub messages: broadcast::Receiver<Arc<Message>>,
    /// Held for as long as it listens.
    pub place: OwnedSemaphorePermit,
}

impl Default for Channel {
    fn default() -> Self {
        Self {
            messages: broadcast::Sender::new(BEHIND_MAX),
            places: Arc::new(Semaphore::new(LISTENERS_MAX)),
            followed: watch::Sender::new(false),
            arrived: watch::Sender::default(),
        }
    }
}

impl Channel {
    /// A place, once everything that changes is told; `None` where there is none.
    pub async fn listen(&self) -> Option<Listener> {
        let place = self.places.clone().try_acquire_owned().ok()?;
        let messages = self.messages.subscribe();
        self.arrived.send_replace(());
        self.followed.subscribe().wait_for(|followed| *followed).await.ok()?;
        Some(Listener { messages, place })
    }

    /// Tells all listeners.
    pub fn tell(&self, message: Message) {
        // An error says that there are none.
        drop(self.messages.send(Arc::new(message)));
    }

    /// Somebody listens.
    pub fn is_followed(&self) -> bool {
        self.messages.receiver_count() > 0
    }

    /// Nobody listens, and whoever comes waits for `follow`.
    pub fn pause(&self) -> bool {
        if self.is_followed() {
            return false;
        }
        self.followed.send_replace(false);
        // Somebody may have come just before that, and does not wait.
        let came = self.is_followed();
        self.followed.send_replace(came);
        !came
    }

    /// Waits until somebody listens.
    pub async fn arrival(&self) {
        let mut arrived = self.arrived.subscribe();
        while !self.is_followed() && arrived.changed().await.is_ok() {}
    }

    /// Everything that changes from now on is told.
    pub fn follow(&self) {
        self.followed.send_replace(true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(number: u64) -> Message {
        Message { number, event: "job", data: "{}".into() }
    }

    #[tokio::test]
    async fn whoever_comes_first_waits_until_changes_are_followed() {
        let channel = Channel::default();
        assert!(channel.pause());
        let other = channel.clone();
        let following = async {
            other.arrival().await;
            other.follow();
            other.tell(message(1));
        };
        let (listener, ()) = tokio::join!(channel.listen(), following);
        assert_eq!(listener.expect("a place").messages.recv().await.expect("told").number, 1);
        assert!(channel.pause(), "it has gone");
    }

    #[tokio::test]
    async fn there_are_no_more_listeners_than_places_and_whoever_is_slow_is_cut_off() {
        let channel = Channel::default();
        channel.follow();
        let mut listeners = vec![];
        for _ in 0..LISTENERS_MAX {
            listeners.push(channel.listen().await.expect("a place"));
        }
        assert!(channel.listen().await.is_none());
        (0..=BEHIND_MAX as u64).for_each(|number| channel.tell(message(number)));
        let mut slow = listeners.pop().expect("one");
        assert!(matches!(slow.messages.recv().await, Err(broadcast::error::RecvError::Lagged(_))));
        drop(slow);
        assert!(channel.listen().await.is_some(), "its place is free");
    }
}
