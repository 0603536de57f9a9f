//! What works and what does not: for readiness, liveness, and one log line per change.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde::Serialize;
use tokio::sync::watch;

/// What readiness stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Component {
    /// Our own tables: reached, and of the right version.
    Schema,
    /// pg-boss's tables: reached and readable.
    Queue,
    /// The watches of Jobs and Pods.
    Kubernetes,
}

impl Component {
    /// The word in logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Schema => "schema",
            Self::Queue => "queue",
            Self::Kubernetes => "kubernetes",
        }
    }
}

/// A component works, or why it does not.
type State = Result<(), String>;

/// The state of all components. Clones share it.
#[derive(Clone, Debug)]
pub struct Health {
    /// `None` before a component was tried.
    components: Arc<watch::Sender<BTreeMap<Component, Option<State>>>>,
    view_age: Arc<watch::Sender<Duration>>,
    /// What of the list of modules could not be deployed: it is told of, and stops nothing.
    list_problems: Arc<watch::Sender<Vec<String>>>,
}

impl Default for Health {
    fn default() -> Self {
        let waiting = [Component::Schema, Component::Queue, Component::Kubernetes].map(|component| (component, None));
        Self {
            components: Arc::new(watch::Sender::new(waiting.into())),
            view_age: Arc::default(),
            list_problems: Arc::default(),
        }
    }
}

impl Health {
    /// A component works, or does not. Logged when that changes.
    pub fn set(&self, component: Component, state: State) {
        self.components.send_if_modified(|components| {
            let before = components.insert(component, Some(state.clone())).flatten();
            let changed = before.as_ref().is_none_or(|before| before.is_ok() != state.is_ok());
            match (&state, changed) {
                (Ok(()), true) => tracing::info!(component = component.as_str(), "{} works", component.as_str()),
                (Err(why), true) => {
                    tracing::warn!(
                        component = component.as_str(),
                        why,
                        "{} does not work; trying again",
                        component.as_str()
                    );
                }
                (Err(why), false) if before.as_ref().is_some_and(|b| b.as_ref().err() != Some(why)) => {
                    tracing::debug!(component = component.as_str(), why, "{} still does not work", component.as_str());
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

    /// What of the list of modules could not be deployed.
    pub fn set_list_problems(&self, problems: Vec<String>) {
        self.list_problems.send_replace(problems);
    }

    /// What of the list of modules could not be deployed, as whoever leads knows it.
    pub fn list_problems(&self) -> Vec<String> {
        self.list_problems.borrow().clone()
    }

    /// The components with what is wrong with them; all `Ok` is ready.
    pub fn components(&self) -> BTreeMap<Component, State> {
        let shown = |state: &Option<_>| state.clone().unwrap_or_else(|| Err("not reached yet".to_owned()));
        self.components.borrow().iter().map(|(component, state)| (*component, shown(state))).collect()
    }
}
