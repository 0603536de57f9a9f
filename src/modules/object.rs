//! One object that a module asks for.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The `apiVersion` of a [`ObjectKind::JobConfig`].
pub const JOB_CHIEF_API: &str = "job-chief/v1";

/// The kinds that can be deployed: all of them namespaced, none of them a right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ObjectKind {
    /// An entry of jobs.json, which never reaches Kubernetes.
    JobConfig,
    /// A batch/v1 Job.
    Job,
    /// A v1 ConfigMap.
    ConfigMap,
    /// A v1 Secret.
    Secret,
    /// A v1 Service.
    Service,
    /// A v1 ServiceAccount.
    ServiceAccount,
    /// A v1 PersistentVolumeClaim.
    PersistentVolumeClaim,
    /// An apps/v1 Deployment.
    Deployment,
    /// An apps/v1 StatefulSet.
    StatefulSet,
    /// A batch/v1 CronJob.
    CronJob,
}

/// Each of them.
pub const KINDS: [ObjectKind; 10] = [
    ObjectKind::JobConfig,
    ObjectKind::Job,
    ObjectKind::ConfigMap,
    ObjectKind::Secret,
    ObjectKind::Service,
    ObjectKind::ServiceAccount,
    ObjectKind::PersistentVolumeClaim,
    ObjectKind::Deployment,
    ObjectKind::StatefulSet,
    ObjectKind::CronJob,
];

impl ObjectKind {
    /// As it stands in `kind`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::JobConfig => "JobConfig",
            Self::Job => "Job",
            Self::ConfigMap => "ConfigMap",
            Self::Secret => "Secret",
            Self::Service => "Service",
            Self::ServiceAccount => "ServiceAccount",
            Self::PersistentVolumeClaim => "PersistentVolumeClaim",
            Self::Deployment => "Deployment",
            Self::StatefulSet => "StatefulSet",
            Self::CronJob => "CronJob",
        }
    }

    /// Its API group; empty for that of the core.
    pub fn group(self) -> &'static str {
        match self {
            Self::JobConfig => "job-chief",
            Self::Job | Self::CronJob => "batch",
            Self::Deployment | Self::StatefulSet => "apps",
            _ => "",
        }
    }

    /// As it stands in `apiVersion`.
    pub fn api_version(self) -> &'static str {
        match self.group() {
            "job-chief" => JOB_CHIEF_API,
            "batch" => "batch/v1",
            "apps" => "apps/v1",
            _ => "v1",
        }
    }

    /// The resource of the API server, as Roles name it.
    pub fn plural(self) -> &'static str {
        match self {
            Self::JobConfig => "jobconfigs",
            Self::Job => "jobs",
            Self::ConfigMap => "configmaps",
            Self::Secret => "secrets",
            Self::Service => "services",
            Self::ServiceAccount => "serviceaccounts",
            Self::PersistentVolumeClaim => "persistentvolumeclaims",
            Self::Deployment => "deployments",
            Self::StatefulSet => "statefulsets",
            Self::CronJob => "cronjobs",
        }
    }

    /// It can be deployed only with the tier `rbac.apply`.
    pub fn needs_apply_tier(self) -> bool {
        !matches!(self, Self::JobConfig | Self::Job)
    }
}

impl fmt::Display for ObjectKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which object: of its kind there is one of this name in the namespace. Shown as `Job/name`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ObjectId {
    /// Its kind.
    pub kind: ObjectKind,
    /// Its `metadata.name`.
    pub name: String,
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.name)
    }
}

/// An object as a module wrote it, with the values of its deployment in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    /// Which one.
    pub id: ObjectId,
    /// All of it, `apiVersion` and `kind` included.
    pub body: Map<String, Value>,
    /// The file of the module that it was written in, as `redis.yaml` or `dependencies/volume.yaml`.
    pub file: String,
    /// The line in which it begins there, from 1.
    pub line: usize,
}
