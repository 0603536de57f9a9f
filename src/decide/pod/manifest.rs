//! The Job that a JobConfig asks for.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::{
    DeepMerge,
    api::{
        batch::v1::{Job, JobSpec},
        core::v1::{
            ConfigMapEnvSource, Container, ContainerPort, EnvFromSource, EnvVar, HTTPGetAction, LocalObjectReference,
            PodSpec, PodTemplateSpec, Probe, SecretEnvSource, VolumeMount,
        },
    },
    apimachinery::pkg::{apis::meta::v1::ObjectMeta, util::intstr::IntOrString},
};

use crate::{
    config::{
        pod_config::{Liveness, PodConfig},
        service_config::Step,
    },
    decide::{
        decision::{Decision, DecisionReason, Wish},
        outcome::JobName,
        pod::{
            env::literal,
            generation::{generation, with_files},
            inputs::{Instance, Parts},
            names::{
                ANNOTATION_DECISION, ANNOTATION_NAME, ANNOTATION_QUEUE, ANNOTATION_SLOT, ANNOTATION_TRACE,
                LABEL_ACTION, LABEL_CONFIG_HASH, LABEL_MANAGED_BY, LABEL_NAME, LABEL_OWNER, LABEL_PURPOSE, LABEL_TYPE,
                MANAGED_BY, label_value,
            },
        },
        trace_context::{Sampler, trace_id},
    },
};

/// A JobConfig rendered once; each run's Job differs only in its name and its annotations.
#[derive(Clone, Debug)]
pub struct Template {
    job: Job,
    /// The generation: whether two Jobs were made from what is the same to their user.
    pub config_hash: String,
    sampler: Option<Sampler>,
}

impl Template {
    /// Renders everything but what belongs to one run.
    pub fn of<'a>(parts: impl Into<Parts<'a>>, instance: &Instance) -> Self {
        let parts = parts.into();
        let labels = labels(&parts, instance);
        let mut spec = job_spec(&parts, instance);
        let annotations = annotations(&parts);
        let mut metadata = ObjectMeta {
            namespace: Some(instance.namespace.clone()),
            labels: Some(labels.clone()),
            annotations: Some(annotations.clone()),
            ..ObjectMeta::default()
        };
        spec.template.metadata = Some(ObjectMeta {
            labels: Some(pod_labels(&parts, labels)),
            annotations: Some(annotations),
            ..ObjectMeta::default()
        });
        if let Some(template) = parts.job_template {
            metadata.merge_from(template.0.metadata.clone().unwrap_or_default());
            spec.merge_from(template.0.spec.clone().unwrap_or_default());
        }
        let job = Job { metadata, spec: Some(spec), status: None };
        let template = Self { job, config_hash: generation(&parts, instance), sampler: instance.sampler };
        template.labelled()
    }

    /// The same for Jobs that are to be started anew when files have changed; `files` is the hash of their contents, and
    /// `None` while they can't be read.
    #[must_use]
    pub fn with_files(self, files: Option<&str>) -> Self {
        Self { config_hash: with_files(&self.config_hash, files), ..self }.labelled()
    }

    fn labelled(mut self) -> Self {
        let labels = self.job.metadata.labels.get_or_insert_default();
        labels.insert(LABEL_CONFIG_HASH.into(), self.config_hash.clone());
        self
    }

    /// The Job of one run.
    pub fn job(&self, wish: &Wish) -> Job {
        let mut job = self.job.clone();
        job.metadata.name = Some(wish.name.0.clone());
        let annotations = job.metadata.annotations.get_or_insert_default();
        annotations.insert(ANNOTATION_SLOT.into(), wish.slot.to_string());
        let of_queue = wish.one_off.is_none() && wish.decision.why != DecisionReason::KeptUp;
        if of_queue {
            annotations.insert(ANNOTATION_DECISION.into(), sentence(&wish.decision));
        }
        if let Some(sampler) = self.sampler {
            trace(&mut job, &wish.name, sampler);
        }
        job
    }
}

/// The container that takes messages.
const WORKER: &str = "worker";

/// The variable by which a process learns of the trace that it is part of.
const TRACEPARENT: &str = "TRACEPARENT";

/// Tells people the trace of a run, and its worker, unless its JobConfig tells it another.
fn trace(job: &mut Job, name: &JobName, sampler: Sampler) {
    if sampler.takes(name) {
        let annotations = job.metadata.annotations.get_or_insert_default();
        annotations.insert(ANNOTATION_TRACE.into(), trace_id(name).to_string());
    }
    let pod = job.spec.as_mut().and_then(|spec| spec.template.spec.as_mut());
    for worker in pod.into_iter().flat_map(|pod| &mut pod.containers).filter(|container| container.name == WORKER) {
        let env = worker.env.get_or_insert_default();
        if !env.iter().any(|var| var.name == TRACEPARENT) {
            env.insert(0, literal(TRACEPARENT, &sampler.traceparent(name)));
        }
    }
}

/// Why a Job was created, in one line.
fn sentence(decision: &Decision) -> String {
    let Decision { ready, new, claimed, live, max, .. } = decision;
    format!("ready={ready} new={new} claimed={claimed} live={live} max={max}")
}

fn labels(parts: &Parts<'_>, instance: &Instance) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::from([
        ("app".into(), "job-chief".into()),
        (LABEL_OWNER.into(), instance.uid.to_string()),
        (LABEL_MANAGED_BY.into(), MANAGED_BY.into()),
        ("app.kubernetes.io/instance".into(), instance.uid.to_string()),
        (LABEL_NAME.into(), label_value(parts.name)),
        (LABEL_TYPE.into(), parts.kind.as_str().into()),
    ]);
    if let Some(queue) = parts.queue {
        labels.insert("queue-name".into(), label_value(queue));
    }
    if let Some(one_off) = parts.one_off {
        labels.insert(LABEL_PURPOSE.into(), one_off.purpose().into());
        labels.extend(one_off.action().map(|name| (LABEL_ACTION.into(), label_value(name))));
    }
    if !instance.environment.is_empty() {
        labels.insert("environment".into(), label_value(&instance.environment));
    }
    labels
}

/// A pod that runs once is none of those that answer for the service: a Kubernetes Service selects them by their name.
fn pod_labels(parts: &Parts<'_>, mut labels: BTreeMap<String, String>) -> BTreeMap<String, String> {
    if parts.one_off.is_some() {
        labels.remove(LABEL_NAME);
    }
    labels
}

fn annotations(parts: &Parts<'_>) -> BTreeMap<String, String> {
    let mut annotations = parts.pod.annotations.clone();
    annotations.insert(ANNOTATION_NAME.into(), parts.name.to_owned());
    if let Some(queue) = parts.queue {
        annotations.insert(ANNOTATION_QUEUE.into(), queue.to_owned());
    }
    annotations
}

fn job_spec(parts: &Parts<'_>, instance: &Instance) -> JobSpec {
    let ttl = parts.ttl_seconds.and_then(|ttl| i32::try_from(ttl).ok());
    JobSpec {
        parallelism: i32::try_from(parts.pod.parallelism).ok(),
        backoff_limit: Some(0),
        active_deadline_seconds: parts.timeout.and_then(|timeout| i64::try_from(timeout.as_secs()).ok()),
        ttl_seconds_after_finished: Some(ttl.unwrap_or(instance.ttl_seconds)),
        template: PodTemplateSpec { metadata: None, spec: Some(pod_spec(parts, instance)) },
        ..JobSpec::default()
    }
}

fn pod_spec(parts: &Parts<'_>, instance: &Instance) -> PodSpec {
    let certificates = instance.pg.volume(parts.pod.inject_pg_config);
    let (volumes, mounts) = certificates.map(|(volume, mount)| (vec![volume], vec![mount])).unzip();
    let pull_secret = Some(&instance.pull_secret).filter(|secret| !secret.is_empty());
    PodSpec {
        restart_policy: Some("Never".into()),
        image_pull_secrets: pull_secret.map(|name| vec![LocalObjectReference { name: name.clone() }]),
        volumes,
        init_containers: Some(init_containers(parts, &mounts, instance)).filter(|all| !all.is_empty()),
        containers: vec![Container { volume_mounts: mounts, ..worker(parts, instance) }],
        termination_grace_period_seconds: parts.grace.and_then(|grace| i64::try_from(grace.as_secs()).ok()),
        ..PodSpec::default()
    }
}

fn worker(parts: &Parts<'_>, instance: &Instance) -> Container {
    let pod = parts.pod;
    let port = |port: &u16| ContainerPort { container_port: i32::from(*port), ..ContainerPort::default() };
    Container {
        name: WORKER.into(),
        image: Some(pod.image.clone()),
        image_pull_policy: pod.pull_policy.map(|policy| policy.as_str().into()),
        command: pod.command.clone(),
        args: pod.args.clone(),
        env: Some(env(parts, instance)),
        env_from: Some(env_from(pod)).filter(|sources| !sources.is_empty()),
        resources: pod.resources.clone(),
        ports: Some(parts.ports.iter().map(port).collect()).filter(|ports: &Vec<_>| !ports.is_empty()),
        readiness_probe: parts.readiness.cloned(),
        liveness_probe: pod.liveness.as_ref().filter(|probe| probe.enabled).map(liveness_probe),
        ..Container::default()
    }
}

/// What runs before the worker, with its environment.
fn init_containers(parts: &Parts<'_>, mounts: &Option<Vec<VolumeMount>>, instance: &Instance) -> Vec<Container> {
    let init = |(name, step): &(&str, &Step)| Container {
        name: (*name).to_owned(),
        image: Some(step.image.clone().unwrap_or_else(|| parts.pod.image.clone())),
        command: Some(step.command.clone()),
        args: None,
        volume_mounts: mounts.clone(),
        ports: None,
        readiness_probe: None,
        liveness_probe: None,
        ..worker(parts, instance)
    };
    parts.steps.iter().map(init).collect()
}

/// `QUEUE_NAME`, the way to Postgres, then the JobConfig's own, which win.
fn env(parts: &Parts<'_>, instance: &Instance) -> Vec<EnvVar> {
    let own: BTreeSet<&str> = parts.pod.env.iter().map(|var| var.name.as_str()).collect();
    let mut env: Vec<EnvVar> = parts.queue.map(|queue| literal("QUEUE_NAME", queue)).into_iter().collect();
    env.extend(instance.pg.env(parts.pod.inject_pg_config));
    env.retain(|var| !own.contains(var.name.as_str()));
    env.extend(parts.pod.env.iter().cloned());
    env
}

fn env_from(pod: &PodConfig) -> Vec<EnvFromSource> {
    let configmap = |name: &String| EnvFromSource {
        config_map_ref: Some(ConfigMapEnvSource { name: name.clone(), optional: None }),
        ..EnvFromSource::default()
    };
    let secret = |name: &String| EnvFromSource {
        secret_ref: Some(SecretEnvSource { name: name.clone(), optional: None }),
        ..EnvFromSource::default()
    };
    pod.configmaps.iter().map(configmap).chain(pod.secrets.iter().map(secret)).collect()
}

fn liveness_probe(liveness: &Liveness) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: liveness.path.clone(),
            port: IntOrString::Int(liveness.port.unwrap_or_default().into()),
            ..HTTPGetAction::default()
        }),
        initial_delay_seconds: liveness.initial_delay_seconds,
        period_seconds: liveness.period_seconds,
        timeout_seconds: liveness.timeout_seconds,
        ..Probe::default()
    }
}
