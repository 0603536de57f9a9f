//! Where to find each JobConfig: what its actor is to do, what it tells, and what the watches show.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    actors::orders::Orders,
    cluster::watcher::View,
    config::entry::{Entry, Kind},
    decide::{queue::status::Status, service::status::ServiceStatus},
    latest,
};

/// Where to find one JobConfig.
#[derive(Clone, Debug)]
pub struct Handle {
    /// What its actor is to do.
    pub orders: latest::Sender<Orders>,
    /// Its status as published by its actor; the initial one while there is no actor.
    pub status: StatusChannel,
    /// What the watches show of it.
    pub views: latest::Receiver<View>,
}

/// The status of a JobConfig, as published by its actor.
#[derive(Clone, Debug)]
pub enum StatusChannel {
    /// Of a queue.
    Queue(latest::Sender<Status>),
    /// Of a service.
    Service(latest::Sender<ServiceStatus>),
}

impl StatusChannel {
    /// Of an actor that has not told anything yet.
    pub(super) fn new(kind: Kind) -> Self {
        match kind {
            Kind::Queue => Self::Queue(latest::Sender::default()),
            Kind::Service => Self::Service(latest::Sender::default()),
        }
    }

    /// What is known without an actor.
    pub(super) fn reset(&self) {
        match self {
            Self::Queue(status) => status.send_replace(Status::default()),
            Self::Service(status) => status.send_replace(ServiceStatus::default()),
        }
    }
}

impl Handle {
    /// Its entry.
    pub fn entry(&self) -> Entry {
        self.orders.borrow().entry.clone()
    }

    /// The deployment that it is of; `None` where it stands in jobs.json.
    pub fn deployment(&self) -> Option<Arc<str>> {
        self.orders.borrow().deployment.clone()
    }
}

/// Where to find each, by the name of the JobConfig.
pub type Roster = BTreeMap<Arc<str>, Handle>;
