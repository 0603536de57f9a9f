//! The numbers by which one service is kept up.

use std::{sync::Arc, time::Duration};

use crate::{
    config::{
        service_config::{HttpCheck, ServiceConfig},
        update_strategy::UpdateType,
    },
    decide::{backoff::BackoffPolicy, run::policy::RunPolicy},
};

/// Finished Jobs of a service that are kept: the last that ended well, and the last three that did not, as for a queue.
const SUCCEEDED_KEPT: usize = 1;
const FAILED_KEPT: usize = 3;

/// What a ready pod is asked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HealthCheck {
    /// Whether it takes connections on each of these ports.
    Tcp(Arc<[u16]>),
    /// Whether a page answers.
    Http(Arc<HttpCheck>),
}

/// How replicas of another generation are replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UpdatePolicy {
    /// All at once.
    Recreate,
    /// One after another.
    Rolling {
        /// Replicas that may be away at once.
        unavailable_max: u32,
    },
}

/// What a [`crate::decide::service::keep_alive::KeepAlive`] needs of its JobConfig. Every key is described there.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each field is the key of jobs.json that it is named after")]
pub struct ServicePolicy {
    pub runs: RunPolicy,
    /// The hash of what its Jobs are rendered from: a replica of another generation is replaced.
    pub generation: Box<str>,
    pub update: UpdatePolicy,
    pub enabled: bool,
    pub keep_alive: bool,
    pub replicas: u32,
    pub check_interval: Duration,
    pub stop_timeout: Duration,
    pub unhealthy_threshold: u32,
    /// What a ready pod is asked; nothing where being ready is enough.
    pub check: Option<HealthCheck>,
    pub wait_after_success: Duration,
    pub wait_after_failure: Duration,
    pub wait_after_timeout: Duration,
    pub wait_after_error: Duration,
    pub backoff: BackoffPolicy,
}

impl ServicePolicy {
    /// The policy of a service in an Instance; `generation` is the hash of its rendered Job.
    pub fn of(config: &ServiceConfig, instance: &str, generation: &str) -> Self {
        let tcp = |ports: &[u16]| (!ports.is_empty()).then(|| HealthCheck::Tcp(ports.into()));
        let check = match &config.check {
            None => tcp(&config.ports),
            Some(check) => {
                check.http.clone().map(|http| HealthCheck::Http(Arc::new(http))).or_else(|| tcp(check.tcp.as_slice()))
            }
        };
        Self {
            runs: RunPolicy {
                instance: instance.to_owned(),
                name: config.name.clone(),
                start_timeout: config.start_timeout,
                start_error_grace: config.start_error_grace,
                succeeded_kept: SUCCEEDED_KEPT,
                failed_kept: FAILED_KEPT,
            },
            generation: generation.into(),
            update: update(config),
            enabled: config.enabled,
            keep_alive: config.keep_alive,
            replicas: config.replicas,
            check_interval: config.check_interval,
            stop_timeout: config.stop_timeout,
            unhealthy_threshold: config.unhealthy_threshold,
            check,
            wait_after_success: config.wait_time_after_successful_run,
            wait_after_failure: config.wait_time_after_failed_run,
            wait_after_timeout: config.wait_time_after_timeout,
            wait_after_error: config.wait_time_after_error,
            backoff: BackoffPolicy::of(config.backoff.factor, config.backoff.max, 1),
        }
    }
}

/// One replica alone can't be away and up, so it is replaced at once.
fn update(config: &ServiceConfig) -> UpdatePolicy {
    match config.update_strategy.kind {
        UpdateType::RollingReplace if config.replicas > 1 => {
            UpdatePolicy::Rolling { unavailable_max: config.update_strategy.unavailable_max() }
        }
        UpdateType::RollingReplace | UpdateType::Recreate => UpdatePolicy::Recreate,
    }
}
