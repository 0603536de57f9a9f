//! The Job that a JobConfig asks for.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::{
    DeepMerge,
    api::{
        batch::v1::{Job, JobSpec},
        core::v1::{
            ConfigMapEnvSource, Container, EnvFromSource, EnvVar, HTTPGetAction, LocalObjectReference, PodSpec,
            PodTemplateSpec, Probe, SecretEnvSource,
        },
    },
    apimachinery::pkg::{apis::meta::v1::ObjectMeta, util::intstr::IntOrString},
};

use crate::{
    config::{
        job_config::JobConfig,
        pod_config::{Liveness, PodConfig},
        settings::Settings,
    },
    decide::{
        env::{PgAccess, literal},
        event::{Decision, Wish},
        names::{
            ANNOTATION_DECISION, ANNOTATION_NAME, ANNOTATION_QUEUE, ANNOTATION_SLOT, LABEL_CONFIG_HASH,
            LABEL_MANAGED_BY, LABEL_NAME, LABEL_OWNER, LABEL_TYPE, MANAGED_BY, label_value, short_hash,
        },
    },
};

/// Characters of the hash in [`LABEL_CONFIG_HASH`].
const CONFIG_HASH_LEN: usize = 12;

/// What every Job of this installation has in common.
#[derive(Clone, Debug)]
pub struct Instance {
    /// `app.instanceUid`.
    pub uid: String,
    /// Where Jobs are created.
    pub namespace: String,
    environment: String,
    pull_secret: String,
    ttl_seconds: i32,
    pg: PgAccess,
}

impl Instance {
    /// What the settings say.
    pub fn of(settings: &Settings) -> Self {
        let ttl = settings.kubernetes.job_max_age_for_deletion.as_secs();
        Self {
            uid: settings.app.instance_uid.clone(),
            namespace: settings.kubernetes.namespace.clone(),
            environment: settings.app.environment.clone(),
            pull_secret: settings.kubernetes.pull_secret.clone(),
            ttl_seconds: i32::try_from(ttl).unwrap_or(i32::MAX),
            pg: PgAccess::of(&settings.db),
        }
    }

    /// What the watches of this Instance select by.
    pub fn selector(&self) -> String {
        format!("{LABEL_MANAGED_BY}={MANAGED_BY},{LABEL_OWNER}={}", self.uid)
    }
}

/// A JobConfig rendered once; each run's Job differs only in its name and its annotations.
#[derive(Clone, Debug)]
pub struct Template {
    job: Job,
    /// Tells whether two Jobs were made from the same configuration.
    pub config_hash: String,
}

impl Template {
    /// Renders everything but what belongs to one run.
    pub fn of(config: &JobConfig, instance: &Instance) -> Self {
        let labels = labels(config, instance);
        let mut spec = job_spec(config, instance);
        let annotations = annotations(config);
        let mut metadata = ObjectMeta {
            namespace: Some(instance.namespace.clone()),
            labels: Some(labels.clone()),
            annotations: Some(annotations.clone()),
            ..ObjectMeta::default()
        };
        spec.template.metadata =
            Some(ObjectMeta { labels: Some(labels), annotations: Some(annotations), ..ObjectMeta::default() });
        if let Some(template) = &config.job_template {
            metadata.merge_from(template.0.metadata.clone().unwrap_or_default());
            spec.merge_from(template.0.spec.clone().unwrap_or_default());
        }
        let mut job = Job { metadata, spec: Some(spec), status: None };
        let rendered = serde_json::to_vec(&job).expect("a Job is JSON");
        let config_hash = short_hash(&rendered, CONFIG_HASH_LEN);
        job.metadata.labels.get_or_insert_default().insert(LABEL_CONFIG_HASH.into(), config_hash.clone());
        Self { job, config_hash }
    }

    /// The Job of one run.
    pub fn job(&self, wish: &Wish) -> Job {
        let mut job = self.job.clone();
        job.metadata.name = Some(wish.name.0.clone());
        let annotations = job.metadata.annotations.get_or_insert_default();
        annotations.insert(ANNOTATION_SLOT.into(), wish.slot.to_string());
        annotations.insert(ANNOTATION_DECISION.into(), sentence(&wish.decision));
        job
    }
}

/// Why a Job was created, in one line.
fn sentence(decision: &Decision) -> String {
    let Decision { ready, new, claimed, live, max, .. } = decision;
    format!("ready={ready} new={new} claimed={claimed} live={live} max={max}")
}

fn labels(config: &JobConfig, instance: &Instance) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::from([
        ("app".into(), "job-chief".into()),
        (LABEL_OWNER.into(), instance.uid.clone()),
        ("queue-name".into(), label_value(&config.queue_name)),
        (LABEL_MANAGED_BY.into(), MANAGED_BY.into()),
        ("app.kubernetes.io/instance".into(), instance.uid.clone()),
        (LABEL_NAME.into(), label_value(&config.name)),
        (LABEL_TYPE.into(), "queue".into()),
    ]);
    if !instance.environment.is_empty() {
        labels.insert("environment".into(), label_value(&instance.environment));
    }
    labels
}

fn annotations(config: &JobConfig) -> BTreeMap<String, String> {
    let mut annotations = config.pod_config.annotations.clone();
    annotations.insert(ANNOTATION_NAME.into(), config.name.clone());
    annotations.insert(ANNOTATION_QUEUE.into(), config.queue_name.clone());
    annotations
}

fn job_spec(config: &JobConfig, instance: &Instance) -> JobSpec {
    let ttl = config.ttl_seconds_after_finished.and_then(|ttl| i32::try_from(ttl).ok());
    JobSpec {
        parallelism: i32::try_from(config.pod_config.parallelism).ok(),
        backoff_limit: Some(0),
        ttl_seconds_after_finished: Some(ttl.unwrap_or(instance.ttl_seconds)),
        template: PodTemplateSpec { metadata: None, spec: Some(pod_spec(config, instance)) },
        ..JobSpec::default()
    }
}

fn pod_spec(config: &JobConfig, instance: &Instance) -> PodSpec {
    let certificates = instance.pg.volume(config.pod_config.inject_pg_config);
    let (volumes, mounts) = certificates.map(|(volume, mount)| (vec![volume], vec![mount])).unzip();
    let pull_secret = Some(&instance.pull_secret).filter(|secret| !secret.is_empty());
    PodSpec {
        restart_policy: Some("Never".into()),
        image_pull_secrets: pull_secret.map(|name| vec![LocalObjectReference { name: name.clone() }]),
        volumes,
        containers: vec![Container { volume_mounts: mounts, ..worker(config, instance) }],
        ..PodSpec::default()
    }
}

fn worker(config: &JobConfig, instance: &Instance) -> Container {
    let pod = &config.pod_config;
    Container {
        name: "worker".into(),
        image: Some(pod.image.clone()),
        image_pull_policy: pod.pull_policy.map(|policy| policy.as_str().into()),
        command: pod.command.clone(),
        args: pod.args.clone(),
        env: Some(env(config, instance)),
        env_from: Some(env_from(pod)).filter(|sources| !sources.is_empty()),
        resources: pod.resources.clone(),
        liveness_probe: pod.liveness.as_ref().filter(|probe| probe.enabled).map(liveness_probe),
        ..Container::default()
    }
}

/// `QUEUE_NAME`, the way to Postgres, then the JobConfig's own, which win.
fn env(config: &JobConfig, instance: &Instance) -> Vec<EnvVar> {
    let own: BTreeSet<&str> = config.pod_config.env.iter().map(|var| var.name.as_str()).collect();
    let mut env = vec![literal("QUEUE_NAME", &config.queue_name)];
    env.extend(instance.pg.env(config.pod_config.inject_pg_config));
    env.retain(|var| !own.contains(var.name.as_str()));
    env.extend(config.pod_config.env.iter().cloned());
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
