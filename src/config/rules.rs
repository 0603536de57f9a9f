//! What a schema can't say of an entry.

use std::time::Duration;

use k8s_openapi::api::batch::v1::JobTemplateSpec;
use serde_json::Value;

use crate::config::{
    job_config::{JobConfig, JobTemplate, TTL_SECONDS_MIN},
    judge::{Finding, Judges},
    pod_config::PodConfig,
    window_rules,
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

/// Everything that is wrong with the entry of a queue that has the right shape.
pub(super) fn findings(queue: &JobConfig) -> Vec<Finding> {
    let mut found = within(&queue_durations(queue));
    found.extend(window_rules::findings(queue));
    found.extend(pod_rules(&queue.pod_config, queue.job_template.as_ref()));
    found
}

/// What is wrong with a pod and the template that is laid over its Job.
pub(super) fn pod_rules(pod: &PodConfig, template: Option<&JobTemplate>) -> Vec<Finding> {
    let mut found = liveness(pod);
    found.extend(template.map(|template| template_rules(&template.0)).unwrap_or_default());
    found
}

/// The same below a path.
pub(super) fn below(path: &[&str], mut findings: Vec<Finding>) -> Vec<Finding> {
    for finding in &mut findings {
        finding.path.splice(0..0, path.iter().map(|key| (*key).to_owned()));
    }
    findings
}

/// Keys of a queue that mean nothing in a service, each with what to write instead. `jobs.json`'s `defaults` may have
/// them: there they are for the queues.
pub const NOT_IN_A_SERVICE: [(&[&str], &str); 5] = [
    (&["podConfig", "parallelism"], "a service has one pod a Job: set \"replicas\" instead"),
    (&["queueName"], "a service has no queue: remove it, or the type \"service\""),
    (&["backoff", "after"], "a service backs off after each end: remove it"),
    (&["weight"], "a service goes before all queues and keeps its places: remove it"),
    (&["targetAge"], "a service has no messages that wait: remove it"),
];

/// What Kubernetes' schema finds in each `jobTemplate` of an entry's JSON.
pub fn template_findings(judges: &Judges, entry: &Value) -> Vec<Finding> {
    let actions = entry.get("actions").and_then(Value::as_object).into_iter().flat_map(|actions| actions.keys());
    let of_actions = actions.map(|name| vec!["actions", name.as_str()]);
    let others = [vec![], vec!["repair"], vec!["check", "job"]];
    let of = |path: Vec<&str>| {
        let path: Vec<&str> = path.into_iter().chain(["jobTemplate"]).collect();
        let template = path.iter().try_fold(entry, |value, key| value.get(*key)).filter(|it| it.is_object());
        below(&path, template.map(|template| judges.template().findings(template)).unwrap_or_default())
    };
    others.into_iter().chain(of_actions).flat_map(of).collect()
}

/// A key, what was found, and the least that is allowed.
pub(super) type Bounded = (&'static str, Duration, Duration);

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

pub(super) fn within(durations: &[Bounded]) -> Vec<Finding> {
    let outside = durations.iter().filter(|(_, found, least)| !(*least..=DURATION_MAX).contains(found));
    outside
        .map(|(key, found, least)| {
            let (found, least) = (humantime::format_duration(*found), humantime::format_duration(*least));
            Finding::new(&[key], format!("found \"{found}\", allowed is from \"{least}\" to \"366days\""))
        })
        .collect()
}

/// What stands in a list twice.
pub(super) fn twice(key: &str, all: &[String]) -> Vec<Finding> {
    let again = all.iter().enumerate().filter(|(at, it)| all[..*at].contains(it));
    again
        .map(|(at, it)| Finding::new(&[key, &at.to_string()], format!("{it:?} stands here twice: remove one")))
        .collect()
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
