//! Jobs and Pods as the watches decode them: what no digest reads is skipped while it is read.
//!
//! Of a Pod's JSON most is its specification and the fields' managers; as objects they would take several times the
//! room of the text, a thousand at a time when a list comes.

use std::borrow::Cow;

use k8s_openapi::{
    NamespaceResourceScope,
    api::{
        batch::v1::{Job, JobSpec, JobStatus},
        core::v1::{Pod, PodSpec, PodStatus},
    },
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference, Time},
};
use kube::Resource;
use serde::Deserialize;

/// A Job with the fields that [`crate::decide::pod::digest::JobDigest`] reads.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "JobParts")]
pub struct PartialJob(pub Job);

/// A Pod with the fields that [`crate::decide::pod::digest::PodDigest`] reads.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "PodParts")]
pub struct PartialPod(pub Pod);

#[derive(Deserialize)]
struct JobParts {
    #[serde(default)]
    metadata: MetaParts,
    spec: Option<JobSpecParts>,
    status: Option<JobStatus>,
}

#[derive(Deserialize)]
struct JobSpecParts {
    suspend: Option<bool>,
}

#[derive(Deserialize)]
struct PodParts {
    #[serde(default)]
    metadata: MetaParts,
    spec: Option<PodSpecParts>,
    status: Option<PodStatus>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PodSpecParts {
    node_name: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct MetaParts {
    name: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
    creation_timestamp: Option<Time>,
    deletion_timestamp: Option<Time>,
    labels: Option<std::collections::BTreeMap<String, String>>,
    annotations: Option<std::collections::BTreeMap<String, String>>,
    owner_references: Option<Vec<OwnerReference>>,
}

impl From<MetaParts> for ObjectMeta {
    fn from(parts: MetaParts) -> Self {
        Self {
            name: parts.name,
            uid: parts.uid,
            resource_version: parts.resource_version,
            creation_timestamp: parts.creation_timestamp,
            deletion_timestamp: parts.deletion_timestamp,
            labels: parts.labels,
            annotations: parts.annotations,
            owner_references: parts.owner_references,
            ..Self::default()
        }
    }
}

impl From<JobParts> for PartialJob {
    fn from(parts: JobParts) -> Self {
        let spec = parts.spec.map(|spec| JobSpec { suspend: spec.suspend, ..JobSpec::default() });
        Self(Job { metadata: parts.metadata.into(), spec, status: parts.status })
    }
}

impl From<PodParts> for PartialPod {
    fn from(parts: PodParts) -> Self {
        let spec = parts.spec.map(|spec| PodSpec { node_name: spec.node_name, ..PodSpec::default() });
        Self(Pod { metadata: parts.metadata.into(), spec, status: parts.status })
    }
}

/// Addresses the lean type where the whole one is served.
macro_rules! served_as {
    ($lean:ty, $whole:ty) => {
        impl Resource for $lean {
            type DynamicType = ();
            type Scope = NamespaceResourceScope;

            fn kind((): &()) -> Cow<'_, str> {
                <$whole>::kind(&())
            }

            fn group((): &()) -> Cow<'_, str> {
                <$whole>::group(&())
            }

            fn version((): &()) -> Cow<'_, str> {
                <$whole>::version(&())
            }

            fn plural((): &()) -> Cow<'_, str> {
                <$whole>::plural(&())
            }

            fn meta(&self) -> &ObjectMeta {
                &self.0.metadata
            }

            fn meta_mut(&mut self) -> &mut ObjectMeta {
                &mut self.0.metadata
            }
        }
    };
}

served_as!(PartialJob, Job);
served_as!(PartialPod, Pod);

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::decide::pod::digest::{JobDigest, PodDigest};

    #[test]
    fn what_was_recorded_gives_the_same_digests_lean_and_whole() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/simulation/recorded");
        let mut seen = 0;
        for entry in std::fs::read_dir(folder).expect("the recorded histories") {
            let text = std::fs::read_to_string(entry.expect("an entry").path()).expect("a file");
            let history: Vec<Value> = serde_json::from_str(&text).expect("a list");
            for step in &history {
                let mut object = step["object"].clone();
                object["metadata"]["managedFields"] = json!([{"manager": "m", "fieldsV1": {"f:status": {}}}]);
                seen += 1;
                if step["kind"] == "job" {
                    let whole: Job = serde_json::from_value(object.clone()).expect("a Job");
                    let lean: PartialJob = serde_json::from_value(object).expect("a Job");
                    assert_eq!(JobDigest::of(&lean.0), JobDigest::of(&whole));
                } else {
                    let whole: Pod = serde_json::from_value(object.clone()).expect("a Pod");
                    let lean: PartialPod = serde_json::from_value(object).expect("a Pod");
                    assert_eq!(PodDigest::of(&lean.0), PodDigest::of(&whole));
                }
            }
        }
        assert!(seen > 100, "{seen} objects were recorded");
    }

    #[test]
    fn an_object_without_metadata_is_decoded_as_the_whole_is() {
        let lean: PartialJob = serde_json::from_value(json!({"spec": {"suspend": true}})).expect("a Job");
        assert_eq!(JobDigest::of(&lean.0), None);
        let lean: PartialPod = serde_json::from_value(json!({})).expect("a Pod");
        assert_eq!(PodDigest::of(&lean.0), None);
    }
}
