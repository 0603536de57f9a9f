//! The panels of services and of deployments; `panels.rs` says what the words in their queries are.

use crate::dashboard::panel::{A_MINUTE, COUNT, Kind, Panel, SECONDS, panel};

/// The row of services.
pub(super) const SERVICES: &[Panel] = &[
    panel(
        "Up",
        (Kind::YesNo, "short"),
        &[(
            "max by (namespace, service_name) (job_chief_service_state{$PROCESS,state=\"RUNNING\"})",
            "{{service_name}}",
        )],
        "Whether every replica of the service is up. No is also: stopped, disabled.",
    ),
    panel(
        "States",
        (Kind::YesNo, "short"),
        &[(
            "max by (service_name, state) (job_chief_service_state{$PROCESS,state!=\"RUNNING\"}) == 1",
            "{{service_name}} {{state}}",
        )],
        "The state of each service that is not RUNNING.",
    ),
    panel(
        "Replicas that are up",
        COUNT,
        &[("max by (namespace, service_name) (job_chief_service_ready_replicas{$PROCESS})", "{{service_name}}")],
        "Replicas that run, are ready, and pass their check.",
    ),
    panel(
        "Started anew",
        A_MINUTE,
        &[(
            "60 * sum by (service_name) (rate(job_chief_service_restarts_total{$PROCESS}[$__rate_interval]))",
            "{{service_name}}",
        )],
        "Replicas a minute that were started anew, for whatever reason.",
    ),
    panel(
        "Checks",
        SECONDS,
        &[(
            "histogram_quantile(0.99, sum by (service_name, le) (rate(job_chief_service_check_duration_seconds_bucket{$PROCESS}[$__rate_interval])))",
            "{{service_name}}",
        )],
        "How long 99 of 100 checks took; each is given up after two seconds.",
    ),
    panel(
        "Yet to be replaced",
        COUNT,
        &[("max by (namespace, service_name) (job_chief_service_outdated_replicas{$PROCESS})", "{{service_name}}")],
        "Replicas of another generation while a rollout goes on. It stays where it is: the rollout has stopped.",
    ),
    panel(
        "Jobs that ran once",
        A_MINUTE,
        &[(
            "60 * sum by (service_name, purpose, outcome) (rate(job_chief_service_one_offs_total{$PROCESS}[$__rate_interval]))",
            "{{service_name}} {{purpose}}: {{outcome}}",
        )],
        "Checks, repairs and actions a minute by how they ended.",
    ),
];

/// The row of deployments.
pub(super) const DEPLOYMENTS: &[Panel] = &[
    panel(
        "Settled",
        (Kind::YesNo, "short"),
        &[(
            "max by (namespace, deployment) (job_chief_deployment_state{$PROCESS,state=\"settled\"})",
            "{{deployment}}",
        )],
        "Whether everything of the deployment is as it is wanted.",
    ),
    panel(
        "Deployments by state",
        (Kind::Stack, "short"),
        &[("sum by (state) (max by (namespace, job, state) (job_chief_deployments{$PROCESS}))", "{{state}}")],
        "Failed: an object is in error. Drifted: somebody has changed or deleted one.",
    ),
    panel(
        "Objects",
        (Kind::Stack, "short"),
        &[(
            "sum by (deployment, state) (max by (namespace, job, deployment, state) (job_chief_deployment_objects{$PROCESS}))",
            "{{deployment}} {{state}}",
        )],
        "Objects of each deployment by state; those after one that is not ready wait.",
    ),
    panel(
        "Entries of the list in error",
        COUNT,
        &[("max by (namespace, job) (job_chief_deployment_list_errors{$PROCESS})", "{{namespace}} {{job}}")],
        "Entries of the list of modules that could not be deployed; the log and /readiness name them.",
    ),
];
