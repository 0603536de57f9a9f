//! What a schema can't say of a service.

use std::time::Duration;

use crate::config::{
    dns_label::is_label,
    judge::Finding,
    one_off_config::{ACTION_NAME_MAX, ACTIONS_MAX, OneOffParts},
    rules::{Bounded, START_TIMEOUT_MIN, below, pod_rules, twice, within},
    service_config::{CheckConfig, HttpCheck, ServiceConfig},
    target_config::{REQUIREMENTS_MAX, TargetConfig, TcpCheck, url_problem},
    update_strategy::UpdateType,
};

/// A service is checked no more often than this: with many of them that would be all that job-chief does.
pub const SERVICE_CHECK_INTERVAL_MIN: Duration = Duration::from_secs(5);

/// A pod gets at least so long to end: without any grace it is killed in the middle of what it does.
pub const STOP_TIMEOUT_MIN: Duration = Duration::from_secs(1);

/// A Job that runs once gets at least so long.
pub const ONE_OFF_TIMEOUT_MIN: Duration = Duration::from_secs(1);

/// And at most so long: meanwhile its service is not checked or repaired again.
pub const ONE_OFF_TIMEOUT_MAX: Duration = Duration::from_secs(24 * 3600);

/// An action runs by itself no more often than this: each is a Job with its pod.
pub const EVERY_MIN: Duration = Duration::from_secs(10);

/// Keys of a service that mean nothing where it runs elsewhere, each with what to do instead. `jobs.json`'s `defaults`
/// may have them: there they are for the others.
pub const NOT_IN_AN_EXTERNAL: [(&str, &str); 12] = [
    (
        "jobTemplate",
        "a service without \"podConfig\" has no Jobs of its own: set it in \"repair\", or set \"podConfig\"",
    ),
    ("replicas", "a service without \"podConfig\" runs elsewhere: remove it, or set \"podConfig\""),
    ("keepAlive", "a service without \"podConfig\" runs elsewhere: remove it, or set \"podConfig\""),
    ("stopTimeout", "a service without \"podConfig\" is not stopped: remove it, or set \"podConfig\""),
    ("readiness", "a service without \"podConfig\" has no pod: set \"check\" instead, or set \"podConfig\""),
    ("prepare", "a service without \"podConfig\" has no pod: remove it, or set \"podConfig\""),
    ("configure", "a service without \"podConfig\" has no pod: remove it, or set \"podConfig\""),
    ("ports", "a service without \"podConfig\" has no pod: name the port in \"check\", or set \"podConfig\""),
    ("updateStrategy", "a service without \"podConfig\" has no replicas to replace: remove it, or set \"podConfig\""),
    ("restartOn", "a service without \"podConfig\" is not restarted: remove it, or set \"podConfig\""),
    ("pools", "a service without \"podConfig\" has no Jobs that take places: remove it, or set \"podConfig\""),
    ("requirements", "a service without \"podConfig\" is not started: remove it, or set \"podConfig\""),
];

/// Everything that is wrong with a service of the right shape.
pub(super) fn findings(service: &ServiceConfig) -> Vec<Finding> {
    let mut found = within(&service_durations(service));
    found.extend(if service.is_external() { external(service) } else { own(service) });
    found.extend(service_template(service));
    found.extend(pod_rules(&service.pod_config, service.job_template.as_ref()));
    found.extend(requirements(service));
    found.extend(update_strategy(service));
    found.extend(paths(&service.restart_on));
    found.extend(actions(service));
    if let Some(repair) = &service.repair {
        found.extend(one_off(&["repair"], repair.into()));
    }
    if let Some(job) = service.check.as_ref().and_then(|check| check.job.as_ref()) {
        found.extend(one_off(&["check", "job"], job.into()));
    }
    found
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

/// A service with pods is checked at their ports, and restarted instead of repaired.
fn own(service: &ServiceConfig) -> Vec<Finding> {
    let repair = service.repair.as_ref().map(|_| {
        let text = "a service with \"podConfig\" is restarted where its checks fail: remove it, or \"podConfig\"";
        Finding::new(&["repair"], text)
    });
    service
        .check
        .as_ref()
        .map(|check| own_check(service, check))
        .unwrap_or_default()
        .into_iter()
        .chain(repair)
        .collect()
}

const ONE_CHECK: &str = "allowed is one of \"tcp\", \"http\" and \"job\"";

/// A check needs one of the container's ports.
fn own_check(service: &ServiceConfig, check: &CheckConfig) -> Vec<Finding> {
    let (key, port) = match (&check.tcp, &check.http, &check.job) {
        (Some(TcpCheck::Port(port)), None, None) => (vec!["check", "tcp"], *port),
        (Some(TcpCheck::Target(_)), None, None) => {
            let text = "a service with \"podConfig\" is checked at its pods: give the number of the port alone";
            return vec![Finding::new(&["check", "tcp"], text)];
        }
        (None, Some(HttpCheck { port: Some(port), url: None, .. }), None) => (vec!["check", "http", "port"], *port),
        (None, Some(HttpCheck { url: Some(_), .. }), None) => {
            let text = "a service with \"podConfig\" is checked at its pods: set \"port\" and \"path\" instead";
            return vec![Finding::new(&["check", "http", "url"], text)];
        }
        (None, Some(_), None) => return vec![Finding::new(&["check", "http"], "the key \"port\" is missing")],
        (None, None, Some(_)) => return vec![],
        _ => return vec![Finding::new(&["check"], ONE_CHECK)],
    };
    if service.ports.contains(&port) {
        return vec![];
    }
    let listed = service.ports.iter().map(u16::to_string).collect::<Vec<_>>().join(", ");
    let listed = if listed.is_empty() { "none is".to_owned() } else { format!("there: {listed}") };
    vec![Finding::new(&key, format!("the port {port} is not listed in \"ports\" ({listed})"))]
}

/// A service that runs elsewhere is checked where that is.
fn external(service: &ServiceConfig) -> Vec<Finding> {
    let Some(check) = &service.check else {
        let text = "the key \"podConfig\" is missing; a service that runs elsewhere has none, and needs a \"check\"";
        return vec![Finding::new(&[], text)];
    };
    match (&check.tcp, &check.http, &check.job) {
        (Some(TcpCheck::Target(target)), None, None) => {
            target.problem().map(|text| Finding::new(&["check", "tcp", "host"], text)).into_iter().collect()
        }
        (Some(TcpCheck::Port(_)), None, None) => {
            let text = "a service without \"podConfig\" has no pods: allowed is an object with \"host\" and \"port\"";
            vec![Finding::new(&["check", "tcp"], text)]
        }
        (None, Some(HttpCheck { url: Some(url), port: None, path, .. }), None) if path == "/" => {
            url_problem(url).map(|text| Finding::new(&["check", "http", "url"], text)).into_iter().collect()
        }
        (None, Some(_), None) => {
            let text = "a service without \"podConfig\" has no pods: set \"url\" instead of \"port\" and \"path\"";
            vec![Finding::new(&["check", "http"], text)]
        }
        (None, None, Some(_)) => vec![],
        _ => vec![Finding::new(&["check"], ONE_CHECK)],
    }
}

fn requirements(service: &ServiceConfig) -> Vec<Finding> {
    let count = service.requirements.len();
    let too_many = (count > REQUIREMENTS_MAX)
        .then(|| Finding::new(&["requirements"], format!("found {count}, allowed are {REQUIREMENTS_MAX}")));
    let problem = |(at, target): (usize, &TargetConfig)| {
        let at = at.to_string();
        let (path, text) = match (&target.tcp, &target.http) {
            (Some(tcp), None) => (vec!["requirements", &at, "tcp", "host"], tcp.problem()?),
            (None, Some(http)) => (vec!["requirements", &at, "http", "url"], url_problem(&http.url)?),
            _ => (vec!["requirements", at.as_str()], "allowed is one of \"tcp\" and \"http\"".to_owned()),
        };
        Some(Finding::new(&path, text))
    };
    service.requirements.iter().enumerate().filter_map(problem).chain(too_many).collect()
}

fn actions(service: &ServiceConfig) -> Vec<Finding> {
    let mut found = vec![];
    let count = service.actions.len();
    if count > ACTIONS_MAX {
        found.push(Finding::new(&["actions"], format!("found {count}, allowed are {ACTIONS_MAX}")));
    }
    for (name, action) in &service.actions {
        let path = ["actions", name.as_str()];
        if !is_action_name(name) {
            let text = format!(
                "found the name {name:?}, allowed are lower-case letters, digits and \"-\" inside, at most {ACTION_NAME_MAX}"
            );
            found.push(Finding { at_key: true, ..Finding::new(&path, text) });
        }
        found.extend(one_off(&path, action.into()));
        let every = action.every.map(|every| ("every", every, EVERY_MIN));
        found.extend(every.iter().flat_map(|every| below(&path, within(std::slice::from_ref(every)))));
    }
    found
}

/// A label's value, and a word on a command line.
fn is_action_name(name: &str) -> bool {
    name.len() <= ACTION_NAME_MAX && is_label(name)
}

/// What is wrong with a Job that runs once.
fn one_off(path: &[&str], parts: OneOffParts<'_>) -> Vec<Finding> {
    let mut found = pod_rules(parts.pod, parts.job_template);
    if !(ONE_OFF_TIMEOUT_MIN..=ONE_OFF_TIMEOUT_MAX).contains(&parts.timeout) {
        let told = humantime::format_duration(parts.timeout);
        found.push(Finding::new(&["timeout"], format!("found \"{told}\", allowed is from \"1s\" to \"1day\"")));
    }
    if parts.pod.parallelism != 1 {
        let text = "a Job that runs once beside a service has one pod: remove it";
        found.push(Finding::new(&["podConfig", "parallelism"], text));
    }
    let spec = parts.job_template.and_then(|template| template.0.spec.as_ref());
    let deadline = ["jobTemplate", "spec", "activeDeadlineSeconds"];
    if spec.is_some_and(|spec| spec.active_deadline_seconds.is_some()) {
        found.push(Finding::new(&deadline, "set \"timeout\" instead: it is the same"));
    }
    below(path, found)
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

/// What is wrong with `updateStrategy` for so many replicas.
fn update_strategy(service: &ServiceConfig) -> Option<Finding> {
    let (strategy, replicas) = (service.update_strategy, service.replicas);
    let max = strategy.unavailable_max();
    if strategy.kind == UpdateType::Recreate || replicas == 1 || max < replicas {
        return None;
    }
    let text = format!("found {max}, allowed is at most {}: one of {replicas} replicas has to stay", replicas - 1);
    Some(Finding::new(&["updateStrategy", "maxUnavailable"], text))
}

/// What is allowed in a service and probably not meant.
pub(super) fn warning(service: &ServiceConfig) -> Option<Finding> {
    let (key, text) = match (service.update_strategy.kind, service.update_strategy.max_unavailable) {
        (UpdateType::RollingReplace, _) if service.replicas == 1 => {
            ("type", "a single replica is away while it is replaced: set \"replicas\" to 2 or more")
        }
        (UpdateType::Recreate, Some(_)) => {
            ("maxUnavailable", "it means nothing without the type \"RollingReplace\": all are replaced at once")
        }
        _ => return None,
    };
    Some(Finding::new(&["updateStrategy", key], text))
}

/// What is wrong with the paths of `restartOn`.
fn paths(paths: &[String]) -> Vec<Finding> {
    let is_wrong = |path: &String| !path.starts_with('/') || path.contains('\0');
    let wrong = paths.iter().enumerate().filter(|(_, path)| is_wrong(path)).map(|(at, path)| {
        let text =
            format!("found {path:?}, allowed is an absolute path of a file, as job-chief's own container has it");
        Finding::new(&["restartOn", &at.to_string()], text)
    });
    wrong.chain(twice("restartOn", paths)).collect()
}
