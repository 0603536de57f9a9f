//! What works and what does not: for readiness, liveness, and one log line per change.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde::Serialize;
use tokio::sync::watch;

/// What readiness stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// Our own tables: reached, and of the right version.
    Schema,
    /// pg-boss's tables: reached and readable.
    Queue,
    /// The watches of Jobs and Pods.
    Kubernetes,
}

impl Part {
    fn as_str(self) -> &'static str {
        match self {
            Self::Schema => "schema",
            Self::Queue => "queue",
            Self::Kubernetes => "kubernetes",
        }
    }
}

/// A part works, or why it does not.
type State = Result<(), String>;

/// The state of all parts. Clones share it.
#[derive(Clone, Debug)]
pub struct Health {
    /// `None` before a part was tried.
    parts: Arc<watch::Sender<BTreeMap<Part, Option<State>>>>,
    view_age: Arc<watch::Sender<Duration>>,
}

impl Default for Health {
    fn default() -> Self {
        let waiting = [Part::Schema, Part::Queue, Part::Kubernetes].map(|part| (part, None));
        Self { parts: Arc::new(watch::Sender::new(waiting.into())), view_age: Arc::default() }
    }
}

impl Health {
    /// A part works, or does not. Logged when that changes.
    pub fn set(&self, part: Part, state: State) {
        self.parts.send_if_modified(|parts| {
            let before = parts.insert(part, Some(state.clone())).flatten();
            let changed = before.as_ref().is_none_or(|before| before.is_ok() != state.is_ok());
            match (&state, changed) {
                (Ok(()), true) => tracing::info!(part = part.as_str(), "{} works", part.as_str()),
                (Err(why), true) => {
                    tracing::warn!(part = part.as_str(), why, "{} does not work; trying again", part.as_str());
                }
                (Err(why), false) if before.as_ref().is_some_and(|b| b.as_ref().err() != Some(why)) => {
                    tracing::debug!(part = part.as_str(), why, "{} still does not work", part.as_str());
                }
                _ => {}
            }
            changed
        });
    }

    /// How old the view of the cluster is.
    pub fn set_view_age(&self, age: Duration) {
        self.view_age.send_replace(age);
    }

    /// How old the view of the cluster is.
    pub fn view_age(&self) -> Duration {
        *self.view_age.borrow()
    }

    /// The parts with what is wrong with them; all `Ok` is ready.
    pub fn parts(&self) -> BTreeMap<Part, State> {
        let told = |state: &Option<_>| state.clone().unwrap_or_else(|| Err("not reached yet".to_owned()));
        self.parts.borrow().iter().map(|(part, state)| (*part, told(state))).collect()
    }
}
