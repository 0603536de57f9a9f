//! An entry of jobs.json, of either type.

use std::sync::Arc;

use serde::Serialize;

use crate::config::{
    job_config::JobConfig,
    pod_config::{InjectPgConfig, PodConfig},
    service_config::ServiceConfig,
    sharing::Share,
};

/// An entry of jobs.json.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Entry {
    /// Jobs for the messages of a queue.
    Queue(Arc<JobConfig>),
    /// A service that is kept up.
    Service(Arc<ServiceConfig>),
}

/// What an entry keeps going.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Jobs for the messages of a queue.
    #[default]
    Queue,
    /// A service.
    Service,
}

impl Kind {
    /// The word in jobs.json, in labels and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Service => "service",
        }
    }

    /// What a word stands for; what is unknown is a queue, as it is in jobs.json.
    pub fn of(word: &str) -> Self {
        if word == "service" { Self::Service } else { Self::Queue }
    }
}

impl Entry {
    /// Stands for one that has left jobs.json while Jobs of it still live.
    pub fn left(kind: Kind, name: &str) -> Self {
        match kind {
            Kind::Queue => Self::Queue(Arc::new(JobConfig::left(name))),
            Kind::Service => Self::Service(Arc::new(ServiceConfig::left(name))),
        }
    }

    /// What it keeps going.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Queue(_) => Kind::Queue,
            Self::Service(_) => Kind::Service,
        }
    }

    /// Its name, unique among all.
    pub fn name(&self) -> &str {
        match self {
            Self::Queue(queue) => &queue.name,
            Self::Service(service) => &service.name,
        }
    }

    /// Its name, to be kept: that of a queue is shared, that of a service is copied.
    pub fn shared_name(&self) -> Arc<str> {
        match self {
            Self::Queue(queue) => queue.name.clone(),
            Self::Service(service) => service.name.as_str().into(),
        }
    }

    /// What people may say the other thing of: of a queue whether it is paused, of a service whether it is enabled.
    pub fn switched(&self) -> (Kind, bool) {
        match self {
            Self::Queue(queue) => (Kind::Queue, queue.paused),
            Self::Service(service) => (Kind::Service, service.enabled),
        }
    }

    /// All its pods: those of its own, and those that run once beside them.
    pub fn pod_configs(&self) -> Vec<&PodConfig> {
        match self {
            Self::Queue(queue) => vec![&*queue.pod_config],
            Self::Service(service) => std::iter::once(&service.pod_config).chain(service.one_off_pods()).collect(),
        }
    }

    /// Whether the Jobs of any of these entries get the connection to Postgres.
    pub fn any_injects<'a>(entries: impl IntoIterator<Item = &'a Self>) -> bool {
        let mut pods = entries.into_iter().flat_map(Self::pod_configs);
        pods.any(|pod| pod.inject_pg_config != InjectPgConfig::No)
    }

    /// Its share of what JobConfigs share. A service goes before all queues.
    pub fn share(&self) -> Share<'_> {
        match self {
            Self::Queue(queue) => Share {
                pools: &queue.pools,
                weight: queue.weight,
                priority: queue.priority,
                target_age: queue.target_age,
            },
            Self::Service(service) => Share { pools: &service.pools, weight: 1, priority: i32::MAX, target_age: None },
        }
    }

    /// Services that it needs.
    pub fn depends_on(&self) -> &[String] {
        match self {
            Self::Queue(queue) => &queue.depends_on,
            Self::Service(service) => &service.depends_on,
        }
    }

    /// The queue, if it is one.
    pub fn queue(&self) -> Option<&Arc<JobConfig>> {
        match self {
            Self::Queue(queue) => Some(queue),
            Self::Service(_) => None,
        }
    }

    /// The service, if it is one.
    pub fn service(&self) -> Option<&Arc<ServiceConfig>> {
        match self {
            Self::Queue(_) => None,
            Self::Service(service) => Some(service),
        }
    }
}
