//! A list and a watch of one kind, for ever: whatever ends it, it begins again with a full list.

use std::{convert::Infallible, fmt::Debug, pin::pin, time::Duration};

use futures::{Stream, StreamExt};
use kube::{
    Api, Resource,
    api::{ListParams, WatchParams},
    core::WatchEvent,
};
use serde::de::DeserializeOwned;
use tokio::sync::{mpsc, watch};

use crate::{
    clock::sleep,
    decide::{backoff::doubled, run::policy::REQUEST_TIMEOUT},
    telemetry::with_causes,
};

/// Objects of one page of a list.
const PAGE: u32 = 100;

/// A watch call ends by itself after so many seconds; the API server allows at most five minutes.
const WATCH_SECONDS: u32 = 290;

/// Without an event or bookmark for so long a watch is taken for dead; bookmarks come about every minute.
const SILENCE_MAX: Duration = Duration::from_secs(300);

/// How long one page of a list may take, and a watch to begin. A term waits for its first lists, and the connection of one
/// may be dead.
const LIST_TIMEOUT: Duration = REQUEST_TIMEOUT;

/// The first wait after a failure; doubled up to [`WAIT_MAX`].
const WAIT_MIN: Duration = Duration::from_millis(500);

/// The longest wait between tries.
const WAIT_MAX: Duration = Duration::from_secs(15);

/// What a watch gives its reader. `T` is what is kept of an object.
#[derive(Debug)]
pub enum Change<T> {
    /// The whole, from a list.
    Replace {
        /// Every object there is.
        all: Vec<T>,
        /// How often a new list had been asked for when this one began.
        asked: u64,
    },
    /// One object is there, new or changed.
    Apply(T),
    /// One object is gone.
    Remove(T),
    /// Nothing happened, and the watch lives.
    Alive,
    /// The watch ended and begins again, with the reason where it is a failure.
    Restarted(Option<String>),
}

/// Why a watch has to begin again with a list.
enum Broken {
    /// The resource version is too old, or the stream ended badly.
    Failed(String),
    /// Whoever reads the changes is gone.
    ReaderGone,
}

/// Lists and watches until the reader is gone; lists anew, whatever is under way, each time that `asked` grows.
pub async fn reflect<K, T>(
    api: Api<K>,
    selector: String,
    digest: fn(&K) -> Option<T>,
    changes: mpsc::Sender<Change<T>>,
    mut asked: watch::Receiver<u64>,
) where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let mut failures = 0;
    loop {
        let begun = *asked.borrow_and_update();
        let reflected = async {
            let version = list(&api, &selector, digest, &changes, begun).await?;
            failures = 0;
            Err(watch_on(&api, &selector, digest, &changes, version).await)
        };
        // What is cut off in the middle is in the next list.
        let broken: Result<Infallible, Broken> = tokio::select! {
            Ok(()) = asked.changed() => continue,
            broken = reflected => broken,
        };
        let Err(Broken::Failed(why)) = broken else { return };
        if changes.send(Change::Restarted(Some(why))).await.is_err() {
            return;
        }
        let wait = sleep(doubled(WAIT_MIN, WAIT_MAX, failures));
        failures += 1;
        tokio::select! {
            Ok(()) = asked.changed() => {}
            () = wait => {}
        }
    }
}

/// Everything there is, page by page. Returns the version to watch from.
async fn list<K, T>(
    api: &Api<K>,
    selector: &str,
    digest: fn(&K) -> Option<T>,
    changes: &mpsc::Sender<Change<T>>,
    asked: u64,
) -> Result<String, Broken>
where
    K: Resource + Clone + Debug + DeserializeOwned,
{
    let mut params = ListParams::default().labels(selector).limit(PAGE);
    let mut all = vec![];
    loop {
        let page = tokio::time::timeout(LIST_TIMEOUT, api.list(&params)).await;
        let page = page
            .map_err(|_| Broken::Failed("the list took too long".into()))?
            .map_err(|error| Broken::Failed(with_causes(&error)))?;
        all.extend(page.items.iter().filter_map(digest));
        params.continue_token = page.metadata.continue_.filter(|token| !token.is_empty());
        if params.continue_token.is_none() {
            changes.send(Change::Replace { all, asked }).await.map_err(|_| Broken::ReaderGone)?;
            return Ok(page.metadata.resource_version.unwrap_or_default());
        }
    }
}

/// Watch calls, one after another, until one breaks.
async fn watch_on<K, T>(
    api: &Api<K>,
    selector: &str,
    digest: fn(&K) -> Option<T>,
    changes: &mpsc::Sender<Change<T>>,
    mut version: String,
) -> Broken
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let params = WatchParams::default().labels(selector).timeout(WATCH_SECONDS);
    loop {
        let call = tokio::time::timeout(LIST_TIMEOUT, api.watch(&params, &version)).await;
        let stream = match call {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Broken::Failed(with_causes(&error)),
            Err(_) => return Broken::Failed("the watch took too long to begin".into()),
        };
        match follow(stream, digest, changes, version).await {
            Ok(newest) => version = newest,
            Err(broken) => return broken,
        }
    }
}

/// One watch call to its planned end. Returns the newest version seen.
async fn follow<K, T>(
    stream: impl Stream<Item = kube::Result<WatchEvent<K>>>,
    digest: fn(&K) -> Option<T>,
    changes: &mpsc::Sender<Change<T>>,
    mut version: String,
) -> Result<String, Broken>
where
    K: Resource,
{
    let mut stream = pin!(stream);
    loop {
        let event = tokio::time::timeout(SILENCE_MAX, stream.next()).await;
        let event = event.map_err(|_| Broken::Failed("the watch was silent for too long".into()))?;
        let Some(event) = event else { return Ok(version) };
        let (object, is_there) = match event.map_err(|error| Broken::Failed(with_causes(&error)))? {
            WatchEvent::Added(object) | WatchEvent::Modified(object) => (object, true),
            WatchEvent::Deleted(object) => (object, false),
            WatchEvent::Bookmark(bookmark) => {
                version = bookmark.metadata.resource_version;
                changes.send(Change::Alive).await.map_err(|_| Broken::ReaderGone)?;
                continue;
            }
            WatchEvent::Error(status) => return Err(Broken::Failed(status.message)),
        };
        if let Some(newest) = &object.meta().resource_version {
            version.clone_from(newest);
        }
        let change = digest(&object).map_or(Change::Alive, if is_there { Change::Apply } else { Change::Remove });
        changes.send(change).await.map_err(|_| Broken::ReaderGone)?;
    }
}
