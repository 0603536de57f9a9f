//! What goes into a [`crate::decide::service::keep_alive::KeepAlive`], and what comes out.
//!
//! Events are facts, effects are wishes. Every effect is answered by exactly one event.

use std::{collections::BTreeMap, sync::Arc};

use crate::decide::{
    outcome::JobName,
    run::event::{RunEffect, RunEvent},
    service::{
        desired::DesiredState,
        policy::{HealthCheck, ServicePolicy},
        start_order::WaitsFor,
        target::Target,
    },
    share::need::Grant,
};

/// What may happen to the keep-alive of a service.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ServiceEvent {
    /// What concerns its runs.
    Run(RunEvent),
    /// [`crate::decide::service::keep_alive::KeepAlive::deadline`] has passed.
    DeadlineReached,
    /// What people and jobs.json say of it now.
    Desired(DesiredState),
    /// The entry of this service in jobs.json has changed, or is there again.
    Configured(Box<ServicePolicy>),
    /// Which other services it waits for before it starts and stops.
    WaitsFor(WaitsFor),
    /// Places for replicas that are to be started now; one that is known already is no news.
    Granted(Grant),
    /// Answers [`ServiceEffect::CheckHealth`]: what is wrong, where something is.
    HealthChecked(JobName, Result<(), Box<str>>),
    /// Answers [`ServiceEffect::ForceDeletePods`].
    ForceDeleteAnswered(JobName, ForceDeleteAnswer),
    /// How often people have asked for each action, ever.
    ActionsAsked(BTreeMap<Box<str>, u64>),
    /// Answers [`ServiceEffect::AskTargets`]: the first that does not answer, and why.
    TargetsAnswered(Asking, Result<(), Box<str>>),
}

impl From<RunEvent> for ServiceEvent {
    fn from(event: RunEvent) -> Self {
        Self::Run(event)
    }
}

/// What the keep-alive of a service asks of the outside.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ServiceEffect {
    /// What concerns its runs.
    Run(RunEffect),
    /// Ask a ready pod whether it works.
    CheckHealth {
        /// Its Job.
        name: JobName,
        /// Its address.
        address: Box<str>,
        /// What to ask.
        check: HealthCheck,
    },
    /// Delete the pods of a Job without any grace, as `kubectl delete --force --grace-period=0` does.
    ForceDeletePods {
        /// Its name.
        name: JobName,
        /// Precondition: pods of a newer Job with this name are never deleted.
        uid: Box<str>,
    },
    /// Ask whether each of these answers.
    AskTargets(Asking, Arc<[Target]>),
}

/// Why targets are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Asking {
    /// They have to answer before a replica is started.
    Requirements,
    /// It is the service itself, which runs elsewhere.
    External,
}

impl From<RunEffect> for ServiceEffect {
    fn from(effect: RunEffect) -> Self {
        Self::Run(effect)
    }
}

/// The API server's answer to deleting pods without grace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ForceDeleteAnswer {
    /// Every pod that was there is deleted.
    Deleted,
    /// The Role does not allow it.
    Forbidden,
    /// No answer.
    Unanswered,
}
