//! What an actor is to do, and its view of the cluster.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    actors::membership::{Membership, Seat},
    cluster::watcher::View,
    config::entry::Entry,
    decide::{
        queue::event::QueueEvent,
        run::event::RunEvent,
        service::{desired::DesiredState, event::ServiceEvent},
        share::need::Grant,
        switches::{Asked, Paused, Switches, Verb},
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
    /// The pools of which each of its Jobs takes a place.
    pub pools: Arc<[Arc<str>]>,
    /// Where it reaches the Broker; `None` where nothing is shared.
    pub seat: Option<Seat>,
    /// An actor of it has panicked: what that told counts until this one tells.
    pub restarted: bool,
    /// The process ends.
    pub stopping: bool,
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
    pub last: Option<Box<Verb>>,
    /// Its actions that were asked for by hand.
    pub actions: BTreeMap<Box<str>, Asked>,
}

impl Switched {
    /// What is said of an entry; nothing of a service.
    pub fn of(entry: &Entry, switches: &Switches) -> Self {
        let Some(queue) = entry.queue() else { return Self::default() };
        Self { paused: switches.paused(&queue.name, queue.paused), asked: switches.asked(&queue.name) }
    }
}

impl Ordered {
    /// What is said of an entry; nothing of a queue.
    pub fn of(entry: &Entry, switches: &Switches) -> Self {
        let Some(service) = entry.service() else { return Self::default() };
        let (orders, last) = switches.orders(&service.name, service.enabled);
        Self { orders, last: last.map(Box::new), actions: switches.actions(&service.name) }
    }
}

impl Orders {
    /// Takes the seat that it has from here on; see [`Membership::take`].
    pub fn seat(&self, membership: &mut Membership) -> Option<Grant> {
        let owes = !self.pools.is_empty() || self.left || self.restarted;
        membership.take(self.seat.as_ref(), owes)
    }

    /// For the actor of a queue.
    pub fn switched(&self) -> QueueEvent {
        QueueEvent::Switched { paused: self.switched.paused.paused, requested: self.switched.asked.count }
    }

    /// For the actor of a service.
    pub fn desired(&self) -> ServiceEvent {
        ServiceEvent::Desired(self.ordered.orders)
    }

    /// What was asked for of the actions of a service.
    pub fn actions(&self) -> ServiceEvent {
        let counts = self.ordered.actions.iter().map(|(name, asked)| (name.clone(), asked.count));
        ServiceEvent::ActionsAsked(counts.collect())
    }
}

/// A view as an event.
pub fn view_event(view: &View) -> RunEvent {
    match &view.observed {
        Some(observed) if !view.stale => RunEvent::Observed(observed.clone()),
        _ => RunEvent::ViewStale,
    }
}
