//! What an actor is to do, and its view of the cluster.

use std::sync::Arc;

use crate::{
    cluster::index::View,
    config::entry::Entry,
    decide::{
        queue::event::QueueEvent,
        run::event::RunEvent,
        service::{desired::DesiredState, event::ServiceEvent},
        switches::{Asked, Paused, Verb},
    },
};

/// What an actor is to do, as a whole: sent again whenever any part changes.
#[derive(Clone, Debug)]
pub struct Orders {
    /// The entry of jobs.json or of a deployment.
    pub entry: Entry,
    /// The deployment that it is of.
    pub deployment: Option<Arc<str>>,
    /// It has left jobs.json: only seen to its end.
    pub left: bool,
    /// Of a queue.
    pub switched: Switched,
    /// Of a service.
    pub ordered: Ordered,
}

/// What people and jobs.json say of a queue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Switched {
    /// Whether it creates, and who decided that.
    pub paused: Paused,
    /// The Jobs that were asked for by hand.
    pub asked: Asked,
}

/// What people and jobs.json say of a service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ordered {
    /// What it is to do.
    pub orders: DesiredState,
    /// Who set what last.
    pub last: Option<Verb>,
}

impl Orders {
    /// For the actor of a queue.
    pub fn switched(&self) -> QueueEvent {
        QueueEvent::Switched { paused: self.switched.paused.paused, requested: self.switched.asked.count }
    }

    /// For the actor of a service.
    pub fn desired(&self) -> ServiceEvent {
        ServiceEvent::Desired(self.ordered.orders)
    }
}

/// A view as an event.
pub fn view_event(view: &View) -> RunEvent {
    match &view.observed {
        Some(observed) if !view.stale => RunEvent::Observed(observed.clone()),
        _ => RunEvent::ViewStale,
    }
}
