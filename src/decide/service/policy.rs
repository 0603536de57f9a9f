//! The numbers by which one service is kept up.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use crate::{
    config::{
        service_config::{CheckConfig, HttpCheck, ServiceConfig},
        target_config::TcpCheck,
        update_strategy::UpdateType,
    },
    decide::{backoff::BackoffPolicy, outcome::Outcome, run::policy::RunPolicy, service::target::Target},
};

/// Finished Jobs of a service that are kept: the last that ended well, and the last three that did not, as for a queue.
const SUCCEEDED_KEPT: usize = 1;
const FAILED_KEPT: usize = 3;

/// A replica that was up for so long begins its waits anew, and has none before its first restart.
pub const RESET_AFTER: Duration = Duration::from_secs(600);

/// What a ready pod is asked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HealthCheck {
    /// Whether it takes connections on each of these ports.
    Tcp(Arc<[u16]>),
    /// Whether a page answers.
    Http(Arc<PodPage>),
    /// Nothing: a Job tells.
    Job,
}

/// A page of a pod.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PodPage {
    /// Its port.
    pub port: u16,
    /// Its path.
    pub path: String,
    /// The status code that is expected; `None` for any from 200 to 399.
    pub expect: Option<u16>,
}

/// How a service is looked at that runs elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Looked {
    /// It is asked.
    Target(Target),
    /// A Job tells.
    Job,
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
    /// How it is looked at if it runs elsewhere.
    pub external: Option<Looked>,
    /// Whether it is repaired if it runs elsewhere.
    pub repairs: bool,
    /// What has to answer before a start.
    pub requirements: Arc<[Target]>,
    /// How often each action runs by itself.
    pub actions: BTreeMap<Box<str>, Option<Duration>>,
    pub wait_after_success: Duration,
    pub wait_after_failure: Duration,
    pub wait_after_timeout: Duration,
    pub wait_after_error: Duration,
    pub backoff: BackoffPolicy,
    /// [`crate::decide::share::policy::MemberPolicy::pools`], with `limits`.
    pub pools: Arc<[Arc<str>]>,
}

impl ServicePolicy {
    /// The policy of a service, as far as its entry has it: it shares nothing. `generation` is the hash of
    /// its rendered Job.
    pub fn of(config: &ServiceConfig, generation: &str) -> Self {
        let is_external = config.is_external();
        let looked = |check: &CheckConfig| Target::of_check(check).map_or(Looked::Job, Looked::Target);
        let check = match &config.check {
            None => (!config.ports.is_empty()).then(|| HealthCheck::Tcp(config.ports.as_slice().into())),
            Some(check) => Some(health_check(check)),
        };
        Self {
            runs: RunPolicy {
                start_timeout: config.start_timeout,
                start_error_grace: config.start_error_grace,
                succeeded_kept: SUCCEEDED_KEPT,
                failed_kept: FAILED_KEPT,
            },
            generation: generation.into(),
            update: update(config),
            enabled: config.enabled,
            keep_alive: config.keep_alive,
            // One that runs elsewhere has no Job of its own.
            replicas: if is_external { 0 } else { config.replicas },
            check_interval: config.check_interval,
            stop_timeout: config.stop_timeout,
            unhealthy_threshold: config.unhealthy_threshold,
            check: check.filter(|_| !is_external),
            external: config.check.as_ref().filter(|_| is_external).map(looked),
            repairs: is_external && config.repair.is_some(),
            requirements: config.requirements.iter().filter_map(Target::of_requirement).collect(),
            actions: config.actions.iter().map(|(name, it)| (name.as_str().into(), it.every)).collect(),
            wait_after_success: config.wait_time_after_successful_run,
            wait_after_failure: config.wait_time_after_failed_run,
            wait_after_timeout: config.wait_time_after_timeout,
            wait_after_error: config.wait_time_after_error,
            backoff: BackoffPolicy::of(config.backoff.factor, config.backoff.max, 1),
            pools: [].into(),
        }
    }

    /// The wait that follows an end, before it grows; what was stopped waits as what ended by itself.
    pub fn wait_after(&self, outcome: Outcome) -> Duration {
        match outcome {
            Outcome::Succeeded | Outcome::Vanished | Outcome::Stopped => self.wait_after_success,
            Outcome::Failed => self.wait_after_failure,
            Outcome::StartTimedOut => self.wait_after_timeout,
            Outcome::StartError => self.wait_after_error,
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

/// What the pods of a service are asked.
fn health_check(check: &CheckConfig) -> HealthCheck {
    match (&check.tcp, &check.http) {
        (Some(TcpCheck::Port(port)), _) => HealthCheck::Tcp([*port].into()),
        (_, Some(HttpCheck { port: Some(port), path, expect, .. })) => {
            HealthCheck::Http(Arc::new(PodPage { port: *port, path: path.clone(), expect: *expect }))
        }
        _ => HealthCheck::Job,
    }
}
