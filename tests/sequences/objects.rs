//! What is read from Job and Pod objects as the API servers of many versions send them.

use job_chief::decide::pod::{
    digest::{JobDigest, PodDigest},
    observation::{Phase, observe},
};
use serde_json::{Value, json};

/// 2026-01-01T00:00:10Z, ten seconds after the Job was made.
const NOW: i64 = 1_767_225_610_000;

fn at(second: u32) -> String {
    format!("2026-01-01T00:00:{second:02}Z")
}

/// One line for how far a Job with this status and these pods has come.
fn told(status: &Value, pods: &[Value]) -> String {
    told_of(&json!({"template": {}}), status, pods)
}

fn told_of(spec: &Value, status: &Value, pods: &[Value]) -> String {
    let metadata = json!({"name": "j", "uid": "u", "resourceVersion": "1", "creationTimestamp": at(0)});
    let job = json!({"metadata": metadata, "spec": spec, "status": status});
    let digest = JobDigest::of(&serde_json::from_value(job).unwrap()).unwrap();
    let pods: Vec<PodDigest> =
        pods.iter().map(|pod| PodDigest::of(&serde_json::from_value(pod.clone()).unwrap()).unwrap()).collect();
    let seen = observe(&digest, &pods.iter().collect::<Vec<_>>(), NOW);
    match seen.phase {
        Phase::Queued => "queued".to_owned(),
        Phase::Suspended => "suspended".to_owned(),
        Phase::Running { age } => format!("running for {}s", age.as_secs()),
        Phase::Starting { age, problem: None } => format!("starting for {}s", age.as_secs()),
        Phase::Starting { age, problem: Some(it) } => {
            format!("starting for {}s: {} {} {}", age.as_secs(), it.reason.as_str(), it.word, it.message)
                .trim_end()
                .to_owned()
        }
        Phase::Ended { end, terminal, explained, age } => {
            let way = if terminal { "ended" } else { "ending" };
            let code = end.exit_code.map_or_else(String::new, |code| format!(" code {code}"));
            let message = end.message.map_or_else(String::new, |message| format!(" {message:?}"));
            let guess = if explained { "" } else { ", unexplained" };
            format!(
                "{way} for {}s: {} {}{code}{message}{guess}",
                age.as_secs(),
                end.outcome.as_str(),
                end.reason.as_str()
            )
        }
    }
}

fn pod(keys: &Value) -> Value {
    let mut pod = json!({
        "metadata": {"uid": "p", "creationTimestamp": at(2), "ownerReferences": [
            {"apiVersion": "batch/v1", "kind": "Job", "name": "j", "uid": "u", "controller": true}
        ]},
    });
    pod.as_object_mut().unwrap().insert("status".to_owned(), keys.clone());
    pod
}

fn container(name: &str, state: &Value) -> Value {
    json!({"name": name, "image": "i", "imageID": "", "ready": false, "restartCount": 0, "state": state})
}

fn waiting(reason: &str) -> Value {
    json!({"waiting": {"reason": reason, "message": "m"}})
}

fn exited(code: i32, reason: &str) -> Value {
    json!({"terminated": {"exitCode": code, "reason": reason, "message": "bye", "startedAt": at(3), "finishedAt": at(4)}})
}

fn mains(states: &[Value]) -> Value {
    let all: Vec<Value> = states.iter().map(|state| container("main", state)).collect();
    pod(&json!({"phase": "Pending", "containerStatuses": all}))
}

fn begun() -> Value {
    json!({"startTime": at(1)})
}

fn conditions(all: &[(&str, &str, &str)]) -> Value {
    let all: Vec<Value> = all
        .iter()
        .map(|(kind, reason, message)| {
            json!({"type": kind, "status": "True", "reason": reason, "message": message, "lastTransitionTime": at(8)})
        })
        .collect();
    json!({"startTime": at(1), "conditions": all})
}

#[test]
fn verdicts_are_read_from_every_version_of_kubernetes() {
    let complete = ("Complete", "CompletionsReached", "");
    let failed = ("Failed", "BackoffLimitExceeded", "Job has reached the specified backoff limit");
    let pods = [mains(&[exited(3, "Error")])];
    // Before 1.31 the terminal condition comes alone; since then a precursor comes while pods still end.
    assert_eq!(told(&conditions(&[complete]), &[]), "ended for 2s: succeeded completed");
    assert_eq!(told(&conditions(&[("SuccessCriteriaMet", "", "")]), &[]), "ending for 2s: succeeded completed");
    let both = conditions(&[("SuccessCriteriaMet", "", ""), complete]);
    assert_eq!(told(&both, &[]), "ended for 2s: succeeded completed");
    assert_eq!(told(&conditions(&[failed]), &pods), "ended for 2s: failed exit_code code 3 \"bye\"");
    let target = ("FailureTarget", "BackoffLimitExceeded", "limit");
    assert_eq!(told(&conditions(&[target]), &pods), "ending for 2s: failed exit_code code 3 \"bye\"");
    assert_eq!(told(&conditions(&[target, failed]), &pods), "ended for 2s: failed exit_code code 3 \"bye\"");
    // A condition that is not true says nothing.
    let not = json!({"startTime": at(1), "conditions": [{"type": "Complete", "status": "False"}]});
    assert_eq!(told(&not, &[mains(&[waiting("PodInitializing")])]), "starting for 8s");
}

#[test]
fn a_failed_job_is_explained_by_its_pod() {
    let failed = |reason| conditions(&[("Failed", reason, "limit")]);
    let plain = failed("BackoffLimitExceeded");
    assert_eq!(told(&failed("DeadlineExceeded"), &[]), "ended for 2s: failed deadline \"limit\"");
    assert_eq!(told(&plain, &[]), "ended for 2s: failed pod_deleted \"limit\", unexplained");
    assert_eq!(told(&plain, &[mains(&[])]), "ended for 2s: failed job_failed \"limit\", unexplained");
    assert_eq!(
        told(&plain, &[mains(&[exited(0, "Completed")])]),
        "ended for 2s: failed job_failed \"limit\", unexplained"
    );
    let oom = mains(&[exited(0, "Completed"), exited(137, "OOMKilled")]);
    assert_eq!(told(&plain, &[oom]), "ended for 2s: failed oom_killed code 137 \"bye\"");
    let silent = json!({"terminated": {"exitCode": 1, "reason": "Error", "startedAt": at(3)}});
    assert_eq!(told(&plain, &[mains(&[silent])]), "ended for 2s: failed exit_code code 1");
    let mut deleted = mains(&[exited(143, "Error")]);
    deleted["metadata"]["deletionTimestamp"] = json!(at(7));
    assert_eq!(told(&plain, &[deleted.clone()]), "ended for 2s: failed pod_deleted \"limit\"");
    deleted["status"]["conditions"] = json!([{"type": "DisruptionTarget", "status": "True"}]);
    assert_eq!(told(&plain, &[deleted]), "ended for 2s: failed disrupted \"limit\"");
    // A pod that never ran tells why it did not, and its exit code where it has one.
    let never = json!({"terminated": {"exitCode": 128, "reason": "StartError", "message": "no such file"}});
    assert_eq!(
        told(&plain, &[mains(&[never])]),
        "ended for 2s: start_error container_config code 128 \"no such file\""
    );
    let wordless = json!({"terminated": {"exitCode": 128, "reason": "ContainerCannotRun"}});
    assert_eq!(
        told(&plain, &[mains(&[wordless])]),
        "ended for 2s: start_error container_config code 128 \"ContainerCannotRun\""
    );
}

#[test]
fn the_start_clock_begins_with_the_job_or_its_first_pod() {
    assert_eq!(told(&json!({}), &[]), "queued");
    assert_eq!(told_of(&json!({"suspend": true, "template": {}}), &json!({}), &[]), "suspended");
    assert_eq!(told(&json!({"startTime": at(1)}), &[mains(&[waiting("PodInitializing")])]), "starting for 8s");
    assert_eq!(told(&json!({"startTime": at(4)}), &[mains(&[waiting("PodInitializing")])]), "starting for 6s");
    assert!(told(&begun(), &[]).starts_with("starting for 9s: no_pod"), "{}", told(&begun(), &[]));
    let future = told(&json!({"startTime": at(50)}), &[mains(&[])]);
    assert_eq!(future, "starting for 0s", "our clock may be behind");
}

#[test]
fn a_pod_runs_from_its_first_container_in_any_of_its_lives() {
    let running = json!({"running": {"startedAt": at(5)}});
    assert_eq!(told(&begun(), &[mains(&[waiting("ContainerCreating"), running.clone()])]), "running for 5s");
    let mut restarted = mains(&[waiting("CrashLoopBackOff")]);
    restarted["status"]["containerStatuses"][0]["lastState"] = exited(1, "Error");
    assert_eq!(told(&begun(), &[restarted]), "running for 7s");
    let (running, earlier) = (mains(&[running]), mains(&[exited(1, "Error")]));
    assert_eq!(told(&begun(), &[running.clone(), earlier]), "running for 7s", "the first of two pods");
    let suspended = json!({"suspend": true, "template": {}});
    assert_eq!(told_of(&suspended, &begun(), &[running]), "running for 5s");
    // The kubelet reports containers of deleted pods as terminated, also those that it never started.
    let never = json!({"terminated": {"exitCode": 137, "reason": "ContainerStatusUnknown"}});
    assert_eq!(told(&begun(), &[mains(&[never])]), "starting for 8s");
}

#[test]
fn every_class_of_start_failure_is_told_apart() {
    for (word, reason) in [
        ("ErrImagePull", "image_pull"),
        ("ImagePullBackOff", "image_pull"),
        ("InvalidImageName", "image_pull"),
        ("ErrImageNeverPull", "image_pull"),
        ("ImageInspectError", "image_pull"),
        ("RegistryUnavailable", "image_pull"),
        ("SignatureValidationFailed", "image_pull"),
        ("CreateContainerConfigError", "container_config"),
        ("CreateContainerError", "container_config"),
        ("RunContainerError", "container_config"),
        ("CrashLoopBackOff", "crash_loop"),
        ("ContainerCreating", "container_creating"),
    ] {
        let expected = format!("starting for 8s: {reason} {word} m");
        assert_eq!(told(&begun(), &[mains(&[waiting(word)])]), expected);
        let second = json!([container("first", &exited(0, "Completed")), container("second", &waiting(word))]);
        let init = pod(&json!({"phase": "Pending", "initContainerStatuses": second}));
        assert_eq!(told(&begun(), &[init]), expected, "in an init container");
    }
    let init = |code, keys: &Value| {
        let mut state = json!({"terminated": {"exitCode": code, "reason": "Error"}});
        state["terminated"].as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
        let inits = json!([container("db", &state)]);
        told(&begun(), &[pod(&json!({"phase": "Pending", "initContainerStatuses": inits}))])
    };
    assert_eq!(init(2, &json!({})), "starting for 8s: init_failed Error init container db ended with exit code 2");
    assert_eq!(init(2, &json!({"message": "no"})), "starting for 8s: init_failed Error no");
    assert_eq!(init(0, &json!({})), "starting for 8s");
}

#[test]
fn what_the_scheduler_and_the_node_refuse_is_told() {
    let unscheduled = |value: &str, reason: &str| {
        let condition = json!({"type": "PodScheduled", "status": value, "reason": reason, "message": "0/3 nodes"});
        told(&begun(), &[pod(&json!({"phase": "Pending", "conditions": [condition]}))])
    };
    assert_eq!(unscheduled("False", "Unschedulable"), "starting for 8s: unschedulable Unschedulable 0/3 nodes");
    assert_eq!(unscheduled("False", "SchedulingGated"), "starting for 8s: unschedulable SchedulingGated 0/3 nodes");
    assert_eq!(unscheduled("False", "SchedulerError"), "starting for 8s");
    assert_eq!(unscheduled("True", "Unschedulable"), "starting for 8s");
    let failed = |reason: &str| json!({"phase": "Failed", "reason": reason, "message": "full"});
    assert_eq!(told(&begun(), &[pod(&failed("OutOfcpu"))]), "starting for 8s: rejected OutOfcpu full");
    let mut untouched = failed("OutOfcpu");
    untouched["containerStatuses"] = json!([container("main", &waiting("ContainerCreating"))]);
    assert_eq!(told(&begun(), &[pod(&untouched)]), "starting for 8s: rejected OutOfcpu full");
    // Evictions and deadlines have their own reasons, and a pod that got as far as an exit was not refused.
    assert_eq!(told(&begun(), &[pod(&failed("Evicted"))]), "starting for 8s");
    assert_eq!(told(&begun(), &[pod(&failed("DeadlineExceeded"))]), "starting for 8s");
    let unstarted = json!({"terminated": {"exitCode": 1, "reason": "Error"}});
    for (key, state) in [("initContainerStatuses", exited(1, "Error")), ("containerStatuses", unstarted)] {
        let mut status = failed("OutOfcpu");
        status[key] = json!([container("x", &state)]);
        assert!(!told(&begun(), &[pod(&status)]).contains("rejected"), "{key}");
    }
    assert_eq!(told(&begun(), &[pod(&json!({"phase": "Pending", "reason": "OutOfcpu"}))]), "starting for 8s");
}

#[test]
fn the_worst_of_several_pods_is_told() {
    let unscheduled = json!({"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "full"});
    let unscheduled = pod(&json!({"phase": "Pending", "conditions": [unscheduled]}));
    let creating = mains(&[waiting("ContainerCreating")]);
    let pulling = mains(&[waiting("ErrImagePull")]);
    let all = [creating, unscheduled, pulling];
    for (count, expected) in [(1, "container_creating"), (2, "unschedulable"), (3, "image_pull")] {
        for turned in [false, true] {
            let mut pods = all[..count].to_vec();
            if turned {
                pods.reverse();
            }
            assert!(told(&begun(), &pods).contains(expected), "{}", told(&begun(), &pods));
        }
    }
    // The node's refusal comes before what a container says, that before the scheduler.
    let mut both = mains(&[waiting("ErrImagePull")]);
    both["status"]["conditions"] = json!([{"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}]);
    assert!(told(&begun(), &[both]).contains("image_pull"));
}

#[test]
fn only_pods_that_a_job_controls_count() {
    let mut other = mains(&[]);
    other["metadata"]["ownerReferences"][0]["controller"] = json!(false);
    assert!(PodDigest::of(&serde_json::from_value(other.clone()).unwrap()).is_none());
    other["metadata"]["ownerReferences"][0]["controller"] = json!(true);
    other["metadata"]["ownerReferences"][0]["kind"] = json!("ReplicaSet");
    assert!(PodDigest::of(&serde_json::from_value(other).unwrap()).is_none());
    let nameless = serde_json::from_value(json!({"metadata": {"uid": "u"}})).unwrap();
    assert!(JobDigest::of(&nameless).is_none());
}
