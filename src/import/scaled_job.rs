//! KEDA's ScaledJob.

use serde_json::{Map, Value};

use crate::{
    config::windows::CONCURRENT_JOBS_MAX,
    import::{
        connection::Surroundings,
        draft::Draft,
        fields::{Fields, scalar},
        job,
        remark::Notes,
        trigger,
    },
};

/// KEDA's `pollingInterval`, `maxReplicaCount` and history limits where nothing is said.
const POLLING_SECONDS: u64 = 30;
const MAX_REPLICAS: u64 = 100;
const HISTORY: u64 = 100;

/// The longest interval that is taken over: a day.
const POLLING_SECONDS_MAX: u64 = 86_400;

/// The most finished Jobs that jobs.json lets keep.
const HISTORY_MAX: u64 = 1000;

/// The entry that a ScaledJob becomes.
pub(super) fn draft(object: Value, around: &Surroundings, notes: &mut Notes) -> Result<Draft, String> {
    let mut whole = Fields::of("", object, notes);
    for written in ["apiVersion", "kind", "status"] {
        whole.take(written);
    }
    let mut metadata = whole.below("metadata", notes);
    let mut spec = whole.below("spec", notes);
    whole.refuse_rest(notes);
    let mut entry = Map::new();
    paused(&mut metadata, &mut entry, notes);
    let target = spec.take("jobTargetRef").ok_or("has no spec.jobTargetRef")?;
    let source = spec.text("envSourceContainerName", notes);
    let chosen = trigger::choose(spec.take("triggers"), notes)?;
    let variables = variables(&target, source.as_deref());
    job::read("spec.jobTargetRef", target, source.as_deref(), metadata, &mut entry, notes)?;
    counts(&mut spec, &mut entry, notes);
    no_counterpart(&mut spec, notes);
    spec.refuse_rest(notes);
    let queue = trigger::read(chosen, &variables, around, &mut entry, notes);
    job::name(&mut entry, queue.map(Value::from).unwrap_or_default(), &notes.origin.name);
    Ok(Draft::new(entry, "spec.jobTargetRef", notes))
}

/// The environment that KEDA resolves `…FromEnv` in.
fn variables(target: &Value, named: Option<&str>) -> Vec<Value> {
    let containers = target["template"]["spec"]["containers"].as_array().map(Vec::as_slice).unwrap_or_default();
    let source = containers.iter().find(|container| named.is_some_and(|name| container["name"] == name));
    let source = source.or(containers.first()).unwrap_or(&Value::Null);
    source["env"].as_array().cloned().unwrap_or_default()
}

fn paused(metadata: &mut Fields, entry: &mut Map<String, Value>, notes: &mut Notes) {
    let Some(annotations) = metadata.take("annotations") else { return };
    let key = "autoscaling.keda.sh/paused";
    let said = annotations.get(key).and_then(scalar);
    match said.as_deref().map(str::to_lowercase).as_deref() {
        None | Some("false") => {}
        Some("true") => drop(entry.insert("paused".into(), true.into())),
        Some(_) => notes.found(
            &format!("metadata.annotations[{key:?}]"),
            &annotations[key],
            "left out: it is neither true nor false",
        ),
    }
    metadata.put("annotations", annotations);
}

/// What jobs.json has keys for; KEDA's defaults are written down, as ours are others.
fn counts(spec: &mut Fields, entry: &mut Map<String, Value>, notes: &mut Notes) {
    let seconds = spec.whole("pollingInterval", 1..=POLLING_SECONDS_MAX, notes).unwrap_or(POLLING_SECONDS);
    entry.insert("queueCheckInterval".into(), format!("{seconds}s").into());
    let max = spec.take("maxReplicaCount").unwrap_or_else(|| MAX_REPLICAS.into());
    if max == 0 {
        notes.found("spec.maxReplicaCount", &max, "1 instead, and paused, so that nothing is created");
        entry.insert("paused".into(), true.into());
    }
    spec.put("maxReplicaCount", if max == 0 { 1.into() } else { max });
    let max = spec.whole("maxReplicaCount", 1..=u64::from(CONCURRENT_JOBS_MAX), notes);
    entry.insert("maxConcurrentJobs".into(), max.unwrap_or(MAX_REPLICAS).into());
    let mut kept = 0;
    for key in ["successfulJobsHistoryLimit", "failedJobsHistoryLimit"] {
        let limit = spec.whole(key, 0..=HISTORY_MAX, notes).unwrap_or(HISTORY);
        kept = kept.max(limit);
        entry.insert(key.into(), limit.into());
    }
    if kept > 0 && entry.get("ttlSecondsAfterFinished").is_none() {
        let text = "finished Jobs are kept by these limits, but no longer than ttlSecondsAfterFinished, which is 30 minutes where nothing is said";
        notes.say("spec.successfulJobsHistoryLimit, spec.failedJobsHistoryLimit", text);
    }
}

/// What has none.
fn no_counterpart(spec: &mut Fields, notes: &mut Notes) {
    spec.leave(
        "minReplicaCount",
        &[0.into()],
        "left out: no Job is kept idle; what has to be up is a service (docs/services.md)",
        notes,
    );
    let running = "left out: running Jobs are never killed, a changed entry counts for new ones";
    spec.leave("rolloutStrategy", &["gradual".into()], running, notes);
    let mut rollout = spec.below("rollout", notes);
    rollout.leave("strategy", &["gradual".into()], running, notes);
    rollout.leave("propagationPolicy", &[], running, notes);
    rollout.refuse_rest(notes);
    let mut scaling = spec.below("scalingStrategy", notes);
    let messages =
        "left out: messages that no Job was started for are counted, within maxConcurrentJobs, and not Jobs that run";
    scaling.leave("strategy", &[], messages, notes);
    scaling.leave("customScalingQueueLengthDeduction", &[], messages, notes);
    scaling.leave("customScalingRunningJobPercentage", &[], messages, notes);
    scaling.leave("multipleScalersCalculation", &[], "left out: an entry has one queue", notes);
    let starting = "left out: a Job starts until a container of it runs (jobStartTimeout), and holds its messages until fetchGrace is over";
    scaling.leave("pendingPodConditions", &[], starting, notes);
    scaling.refuse_rest(notes);
}
