//! What a schema can't say of an entry.

use std::time::Duration;

use k8s_openapi::api::batch::v1::JobTemplateSpec;
use serde_json::Value;

use crate::config::{
    entry::Entry,
    job_config::{JobConfig, TTL_SECONDS_MIN},
    pod_config::PodConfig,
    schema::{Finding, Judges},
    service_config::ServiceConfig,
    update_strategy::path_findings,
};

/// Looking more often than this would only load the database: LISTEN is the way to be faster.
pub const CHECK_INTERVAL_MIN: Duration = Duration::from_millis(100);

/// A start timeout below this would delete Jobs before a healthy cluster has started them.
pub const START_TIMEOUT_MIN: Duration = Duration::from_secs(1);

/// The longest duration of any key; a longer one is almost certainly a typing error.
pub const DURATION_MAX: Duration = Duration::from_secs(366 * 24 * 3600);

/// Label keys that are ours: a template may not change what the watches select by.
const OUR_LABELS: [&str; 6] =
    ["app", "owner-id", "queue-name", "environment", "app.kubernetes.io/managed-by", "app.kubernetes.io/instance"];

/// A service is checked no more often than this: with many of them that would be all that job-chief does.
pub const SERVICE_CHECK_INTERVAL_MIN: Duration = Duration::from_secs(5);

/// A pod gets at least so long to end: without any grace it is killed in the middle of what it does.
pub const STOP_TIMEOUT_MIN: Duration = Duration::from_secs(1);

/// Everything that is wrong with an entry of the right shape.
pub fn findings(entry: &Entry) -> Vec<Finding> {
    let (mut found, template) = match entry {
        Entry::Queue(queue) => (within(&queue_durations(queue)), &queue.job_template),
        Entry::Service(service) => {
            let durations = within(&service_durations(service));
            let found = durations.into_iter().chain(check(service)).chain(service_template(service));
            let found = found.chain(service.update_strategy.findings(service.replicas));
            let found = found.chain(path_findings(&service.restart_on));
            (found.collect(), &service.job_template)
        }
    };
    found.extend(liveness(entry.pod_config()));
    if let Some(template) = template {
        found.extend(template_rules(&template.0));
    }
    found
}

/// What is allowed in an entry and probably not meant.
pub fn warnings(entry: &Entry) -> Vec<Finding> {
    entry.service().map(|service| service.update_strategy.warnings(service.replicas)).unwrap_or_default()
}

/// Keys of a queue that mean nothing in a service, each with what to write instead. `jobs.json`'s `defaults` may have
/// them: there they are for the queues.
pub const NOT_IN_A_SERVICE: [(&[&str], &str); 3] = [
    (&["podConfig", "parallelism"], "a service has one pod a Job: set \"replicas\" instead"),
    (&["queueName"], "a service has no queue: remove it, or the type \"service\""),
    (&["backoff", "after"], "a service backs off after each end: remove it"),
];

/// What Kubernetes' schema finds in the `jobTemplate` of an entry's JSON.
pub fn template_findings(judges: &Judges, entry: &Value) -> Vec<Finding> {
    let Some(template) = entry.get("jobTemplate").filter(|template| template.is_object()) else { return vec![] };
    let mut found = judges.template().findings(template);
    for finding in &mut found {
        finding.path.insert(0, "jobTemplate".into());
    }
    found
}

/// A key, what was found, and the least that is allowed.
type Bounded = (&'static str, Duration, Duration);

fn queue_durations(job: &JobConfig) -> [Bounded; 9] {
    [
        ("queueCheckInterval", job.queue_check_interval, CHECK_INTERVAL_MIN),
        ("jobStartTimeout", job.job_start_timeout, START_TIMEOUT_MIN),
        ("waitTimeAfterSuccessfulRun", job.wait_time_after_successful_run, Duration::ZERO),
        ("waitTimeAfterFailedRun", job.wait_time_after_failed_run, Duration::ZERO),
        ("waitTimeAfterTimeout", job.wait_time_after_timeout, Duration::ZERO),
        ("waitTimeAfterError", job.wait_time_after_error, Duration::ZERO),
        ("fetchGrace", job.fetch_grace, Duration::ZERO),
        ("handover", job.handover, Duration::ZERO),
        ("startErrorGrace", job.start_error_grace, Duration::ZERO),
    ]
}

fn service_durations(service: &ServiceConfig) -> [Bounded; 8] {
    [
        ("checkInterval", service.check_interval, SERVICE_CHECK_INTERVAL_MIN),
        ("startTimeout", service.start_timeout, START_TIMEOUT_MIN),
        ("stopTimeout", service.stop_timeout, STOP_TIMEOUT_MIN),
        ("startErrorGrace", service.start_error_grace, Duration::ZERO),
        ("waitTimeAfterSuccessfulRun", service.wait_time_after_successful_run, Duration::ZERO),
        ("waitTimeAfterFailedRun", service.wait_time_after_failed_run, Duration::ZERO),
        ("waitTimeAfterTimeout", service.wait_time_after_timeout, Duration::ZERO),
        ("waitTimeAfterError", service.wait_time_after_error, Duration::ZERO),
    ]
}

fn within(durations: &[Bounded]) -> Vec<Finding> {
    let outside = durations.iter().filter(|(_, found, least)| !(*least..=DURATION_MAX).contains(found));
    outside
        .map(|(key, found, least)| {
            let (found, least) = (humantime::format_duration(*found), humantime::format_duration(*least));
            Finding::new(&[key], format!("found \"{found}\", allowed is from \"{least}\" to \"366days\""))
        })
        .collect()
}

/// A check needs one of the container's ports.
fn check(service: &ServiceConfig) -> Vec<Finding> {
    let Some(check) = &service.check else { return vec![] };
    let (key, port) = match (check.tcp, &check.http) {
        (Some(port), None) => (vec!["check", "tcp"], port),
        (None, Some(http)) => (vec!["check", "http", "port"], http.port),
        _ => return vec![Finding::new(&["check"], "allowed is one of \"tcp\" and \"http\"")],
    };
    if service.ports.contains(&port) {
        return vec![];
    }
    let listed = service.ports.iter().map(u16::to_string).collect::<Vec<_>>().join(", ");
    let listed = if listed.is_empty() { "none is".to_owned() } else { format!("there: {listed}") };
    vec![Finding::new(&key, format!("the port {port} is not listed in \"ports\" ({listed})"))]
}

/// What the template of a service may not change besides.
fn service_template(service: &ServiceConfig) -> Vec<Finding> {
    let Some(spec) = service.job_template.as_ref().and_then(|template| template.0.spec.as_ref()) else { return vec![] };
    let grace = spec.template.spec.as_ref().and_then(|pod| pod.termination_grace_period_seconds);
    let pod = ["jobTemplate", "spec", "template", "spec", "terminationGracePeriodSeconds"];
    let refused = [
        (
            spec.parallelism.is_some(),
            &["jobTemplate", "spec", "parallelism"][..],
            "set \"replicas\" instead: each is a Job",
        ),
        (grace.is_some(), &pod[..], "set \"stopTimeout\" instead: job-chief goes by it"),
    ];
    refused.into_iter().filter(|(is_there, ..)| *is_there).map(|(_, path, why)| Finding::new(path, why)).collect()
}

fn liveness(pod: &PodConfig) -> Vec<Finding> {
    let Some(probe) = pod.liveness.as_ref().filter(|probe| probe.enabled) else { return vec![] };
    let missing = [("path", probe.path.is_none()), ("port", probe.port.is_none())];
    let missing = missing.into_iter().filter(|(_, is_missing)| *is_missing);
    missing
        .map(|(key, _)| {
            Finding::new(&["podConfig", "liveness"], format!("the key \"{key}\" is missing: an enabled probe needs it"))
        })
        .collect()
}

/// What a template may not change, each with the reason.
fn template_rules(template: &JobTemplateSpec) -> Vec<Finding> {
    let mut found = vec![];
    let mut refuse = |is_there: bool, path: &[&str], why: &str| {
        if is_there {
            let path: Vec<&str> = ["jobTemplate"].iter().chain(path).copied().collect();
            found.push(Finding::new(&path, why));
        }
    };
    if let Some(meta) = &template.metadata {
        refuse(meta.name.is_some(), &["metadata", "name"], NAMES);
        refuse(meta.generate_name.is_some(), &["metadata", "generateName"], NAMES);
        refuse(
            meta.namespace.is_some(),
            &["metadata", "namespace"],
            "Jobs are created in kubernetes.namespace only: remove it",
        );
        refuse(has_our_label(meta.labels.as_ref()), &["metadata", "labels"], LABELS);
    }
    let Some(job) = &template.spec else { return found };
    refuse(job.selector.is_some(), &["spec", "selector"], "the Job controller makes the selector: remove it");
    refuse(
        job.manual_selector.is_some(),
        &["spec", "manualSelector"],
        "the Job controller makes the selector: remove it",
    );
    refuse(
        job.managed_by.is_some(),
        &["spec", "managedBy"],
        "the Job controller of the cluster runs our Jobs: remove it",
    );
    refuse(
        job.completions.is_some(),
        &["spec", "completions"],
        "the pods of a Job are a work queue: set podConfig.parallelism instead",
    );
    refuse(job.completion_mode.is_some(), &["spec", "completionMode"], "the pods of a Job are a work queue: remove it");
    refuse(
        job.backoff_limit.is_some_and(|limit| limit != 0),
        &["spec", "backoffLimit"],
        "allowed is 0: a failed Job is followed by a new one, with growing waits",
    );
    let ttl_too_short = job.ttl_seconds_after_finished.is_some_and(|ttl| i64::from(ttl) < i64::from(TTL_SECONDS_MIN));
    refuse(
        ttl_too_short,
        &["spec", "ttlSecondsAfterFinished"],
        "allowed is 75 or more: a late request must not find the name free",
    );
    let labels = job.template.metadata.as_ref().and_then(|meta| meta.labels.as_ref());
    refuse(has_our_label(labels), &["spec", "template", "metadata", "labels"], LABELS);
    let restart = job.template.spec.as_ref().and_then(|pod| pod.restart_policy.as_deref());
    refuse(
        restart.is_some_and(|policy| policy != "Never"),
        &["spec", "template", "spec", "restartPolicy"],
        "allowed is Never: each run is one try",
    );
    found
}

const NAMES: &str = "names are given by job-chief, one a run: remove it";

const LABELS: &str = "labels of job-chief can't be changed (app, owner-id, queue-name, environment, app.kubernetes.io/…, job-chief/…): remove them";

fn has_our_label(labels: Option<&std::collections::BTreeMap<String, String>>) -> bool {
    labels.is_some_and(|labels| labels.keys().any(|key| is_our_label(key)))
}

/// Whether a label is one that a template may not change.
pub fn is_our_label(key: &str) -> bool {
    OUR_LABELS.contains(&key) || key.starts_with("job-chief/")
}
