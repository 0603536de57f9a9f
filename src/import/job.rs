//! A Job's spec, of a plain Job or of a ScaledJob, and the entry that a plain Job becomes.

use serde_json::{Map, Value};

use crate::{
    config::{job_config::TTL_SECONDS_MIN, rules::is_our_label},
    import::{
        draft::{Draft, place},
        fields::Fields,
        given::Given,
        pod,
        remark::{Notes, shown},
    },
};

/// The longest `ttlSecondsAfterFinished` of jobs.json.
const TTL_SECONDS_MAX: u64 = 31_536_000;

/// Pods of one Job at most, as jobs.json has it.
const PARALLELISM_MAX: u64 = 30;

/// Keys of an object's metadata that the API server or a tool writes.
const WRITTEN: [&str; 8] = [
    "creationTimestamp",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "name",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// Annotations and labels that tools and controllers write.
const WRITTEN_PREFIXES: [&str; 6] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    "meta.helm.sh/",
    "autoscaling.keda.sh/",
    "scaledjob.keda.sh/",
    "batch.kubernetes.io/",
    "deployment.kubernetes.io/",
];

/// Labels that the Job controller writes on Jobs and pods, under their old names.
const CONTROLLER_LABELS: [&str; 2] = ["controller-uid", "job-name"];

/// An entry whose queue nobody names but the environment of its worker.
pub(super) fn draft(object: Value, notes: &mut Notes) -> Result<Draft, String> {
    let mut job = Fields::of("", object, notes);
    for written in ["apiVersion", "kind", "status"] {
        job.take(written);
    }
    let mut entry = Map::new();
    let metadata = job.below("metadata", notes);
    let spec = job.take("spec").ok_or("has no spec")?;
    job.refuse_rest(notes);
    read("spec", spec, None, metadata, &mut entry, notes)?;
    let variables = entry.get("podConfig").and_then(|pod| pod["env"].as_array());
    let own = variables.and_then(|all| all.iter().find(|variable| variable["name"] == "QUEUE_NAME"));
    let queue = own
        .map(|variable| variable["value"].clone())
        .filter(|value| value.as_str().is_some_and(|name| !name.is_empty()));
    match &queue {
        Some(queue) => notes.say("spec", format!("queueName is {}, as the variable QUEUE_NAME says", shown(queue))),
        None => notes
            .say("spec", "a Job says nothing of a queue: set queueName to the pg-boss queue whose messages start it"),
    }
    name(&mut entry, queue.unwrap_or_default(), &notes.origin.name);
    Ok(Draft::new(entry, "spec", notes))
}

/// Gives an entry its queue, and a name of its own where that is another.
pub(super) fn name(entry: &mut Map<String, Value>, queue: Value, name: &str) {
    if !name.is_empty() && queue != name {
        entry.insert("name".into(), name.into());
    }
    entry.insert("queueName".into(), queue);
}

/// Reads a Job's spec at this path into an entry; `metadata` is what its Jobs get.
pub(super) fn read(
    path: &str,
    mut spec: Value,
    named: Option<&str>,
    metadata: Fields,
    entry: &mut Map<String, Value>,
    notes: &mut Notes,
) -> Result<(), String> {
    let pod = &spec["template"]["spec"];
    let main = pod::main_container(pod, named).ok_or_else(|| format!("{path}.template.spec has no containers"))?;
    let called = pod["containers"][main]["name"].as_str().unwrap_or_default().to_owned();
    pod::rename(&mut spec, &called);
    let mut job = Fields::of(path, spec, notes);
    let mut template = job.below("template", notes);
    let pod = template.below("spec", notes);
    let mut parts = pod::read(pod, main, notes);
    let mut fragment = Map::new();
    let [labels, annotations] = meta(metadata, notes);
    place(&mut fragment, &["metadata", "labels"], labels.into());
    place(&mut fragment, &["metadata", "annotations"], annotations.into());
    let [labels, annotations] = meta(template.below("metadata", notes), notes);
    place(&mut fragment, &["spec", "template", "metadata", "labels"], labels.into());
    place(&mut parts.config, &["annotations"], annotations.into());
    template.refuse_rest(notes);
    numbers(&mut job, &mut parts.config, entry, notes);
    refuse(&mut job, notes);
    for (key, value) in job.rest() {
        place(&mut fragment, &["spec", &key], value);
    }
    place(&mut fragment, &["spec", "template", "spec"], parts.rest.into());
    place(entry, &["podConfig"], parts.config.into());
    place(entry, &["jobTemplate"], fragment.into());
    Ok(())
}

/// What jobs.json has keys for.
fn numbers(job: &mut Fields, pod: &mut Map<String, Value>, entry: &mut Map<String, Value>, notes: &mut Notes) {
    if let Some(parallelism) = job.whole("parallelism", 1..=PARALLELISM_MAX, notes).filter(|pods| *pods != 1) {
        place(pod, &["parallelism"], parallelism.into());
    }
    let ttl = job.whole("ttlSecondsAfterFinished", u64::from(TTL_SECONDS_MIN)..=TTL_SECONDS_MAX, notes);
    place(entry, &["ttlSecondsAfterFinished"], ttl.map(Value::from).unwrap_or_default());
}

/// What a jobTemplate may not have.
fn refuse(job: &mut Fields, notes: &mut Notes) {
    let queue = "left out: the pods of a Job are a work queue, podConfig.parallelism says how many";
    job.leave("completions", &[1.into()], queue, notes);
    job.leave("completionMode", &["NonIndexed".into()], queue, notes);
    for key in ["backoffLimitPerIndex", "maxFailedIndexes", "successPolicy"] {
        job.leave(key, &[], "left out: it needs completionMode Indexed, and the pods of a Job are a work queue", notes);
    }
    let selector = "left out: the Job controller makes the selector";
    job.leave("selector", &[], selector, notes);
    job.leave("manualSelector", &[false.into()], selector, notes);
    job.leave(
        "managedBy",
        &["kubernetes.io/job-controller".into()],
        "left out: the cluster's own controller runs our Jobs",
        notes,
    );
    let tries = "0 instead: a failed Job is followed by a new one for messages that are still there, with waits that grow (waitTimeAfterFailedRun, backoff); \
                 how often a message is tried is pg-boss's retryLimit";
    match job.take("backoffLimit") {
        Some(limit) if limit == 0 => {}
        Some(limit) => notes.found(&job.path("backoffLimit"), &limit, tries),
        None => notes.say(&job.path("backoffLimit"), format!("not set, which means six more tries; {tries}")),
    }
}

/// Labels and annotations that are people's own.
fn meta(mut metadata: Fields, notes: &mut Notes) -> [Map<String, Value>; 2] {
    WRITTEN.iter().for_each(|key| drop(metadata.take(key)));
    let own = ["labels", "annotations"].map(|key| {
        let path = metadata.path(key);
        let mut own = metadata.below(key, notes).rest();
        own.retain(|name, _| !is_written(name));
        let ours = own.iter().filter(|(name, _)| key == "labels" && is_our_label(name));
        for (name, value) in ours {
            notes.found(&format!("{path}[{name:?}]"), value, "left out: that label is job-chief's own");
        }
        own.retain(|name, _| key != "labels" || !is_our_label(name));
        own
    });
    if let Some(Value::String(namespace)) = metadata.take("namespace") {
        notes.set("K8S_NAMESPACE", Given::Literal(namespace));
    }
    metadata.leave("generateName", &[], "left out: job-chief gives the names", notes);
    metadata.leave("finalizers", &[], "left out: the Jobs are job-chief's", notes);
    metadata.leave("ownerReferences", &[], "left out: the Jobs are job-chief's", notes);
    metadata.refuse_rest(notes);
    own
}

/// Whether a tool or a controller wrote a label or an annotation.
fn is_written(name: &str) -> bool {
    CONTROLLER_LABELS.contains(&name) || WRITTEN_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}
