//! Secrets and ConfigMaps that a Job names, and does not start without.

use std::{collections::BTreeSet, fmt};

use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{Container, PodSpec, Volume, VolumeProjection},
};

/// A kind of object that pods read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Referred {
    /// A Secret.
    Secret,
    /// A ConfigMap.
    ConfigMap,
}

/// An object that pods read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    /// Its kind.
    pub kind: Referred,
    /// Its name.
    pub name: String,
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Referred::Secret => "Secret",
            Referred::ConfigMap => "ConfigMap",
        };
        write!(f, "{kind} {}", self.name)
    }
}

/// What the pods of a Job name; what is optional there is left out.
pub fn references(job: &Job) -> BTreeSet<Reference> {
    let pods = job.spec.as_ref().and_then(|spec| spec.template.spec.as_ref());
    pods.map(of_pods).unwrap_or_default()
}

fn of_pods(pods: &PodSpec) -> BTreeSet<Reference> {
    let pull = pods.image_pull_secrets.iter().flatten().map(|secret| (Referred::Secret, Some(&secret.name), None));
    let containers = pods.init_containers.iter().flatten().chain(&pods.containers).flat_map(of_container);
    let volumes = pods.volumes.iter().flatten().flat_map(of_volume);
    let named = pull.chain(containers).chain(volumes).filter(|(_, _, optional)| *optional != Some(true));
    let named = named.filter_map(|(kind, name, _)| Some(Reference { kind, name: name?.clone() }));
    named.filter(|reference| !reference.name.is_empty()).collect()
}

/// What is named, and whether it may be missing.
type Named<'a> = (Referred, Option<&'a String>, Option<bool>);

fn of_container(container: &Container) -> Vec<Named<'_>> {
    let sources = container.env_from.iter().flatten().flat_map(|source| {
        let secret = source.secret_ref.as_ref().map(|it| (Referred::Secret, Some(&it.name), it.optional));
        let config = source.config_map_ref.as_ref().map(|it| (Referred::ConfigMap, Some(&it.name), it.optional));
        secret.into_iter().chain(config)
    });
    let values = container.env.iter().flatten().filter_map(|var| var.value_from.as_ref()).flat_map(|source| {
        let secret = source.secret_key_ref.as_ref().map(|it| (Referred::Secret, Some(&it.name), it.optional));
        let config = source.config_map_key_ref.as_ref().map(|it| (Referred::ConfigMap, Some(&it.name), it.optional));
        secret.into_iter().chain(config)
    });
    sources.chain(values).collect()
}

fn of_volume(volume: &Volume) -> Vec<Named<'_>> {
    let secret = volume.secret.as_ref().map(|it| (Referred::Secret, it.secret_name.as_ref(), it.optional));
    let config = volume.config_map.as_ref().map(|it| (Referred::ConfigMap, Some(&it.name), it.optional));
    let projected = volume.projected.iter().flat_map(|it| it.sources.iter().flatten()).flat_map(of_projection);
    secret.into_iter().chain(config).chain(projected).collect()
}

fn of_projection(source: &VolumeProjection) -> Vec<Named<'_>> {
    let secret = source.secret.as_ref().map(|it| (Referred::Secret, Some(&it.name), it.optional));
    let config = source.config_map.as_ref().map(|it| (Referred::ConfigMap, Some(&it.name), it.optional));
    secret.into_iter().chain(config).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn all_that_pods_name_is_found_but_what_is_optional() {
        let env = json!([
            {"name": "A", "valueFrom": {"secretKeyRef": {"name": "env", "key": "a"}}},
            {"name": "B", "valueFrom": {"configMapKeyRef": {"name": "env", "key": "b"}}},
            {"name": "C", "valueFrom": {"secretKeyRef": {"name": "may-miss", "key": "c", "optional": true}}},
            {"name": "D", "value": "d"},
        ]);
        let from = json!([
            {"secretRef": {"name": "from"}}, {"configMapRef": {"name": "from"}},
            {"configMapRef": {"name": "may-miss", "optional": true}},
        ]);
        let volumes = json!([
            {"name": "s", "secret": {"secretName": "volume"}}, {"name": "c", "configMap": {"name": "volume"}},
            {"name": "p", "projected": {"sources": [
                {"secret": {"name": "projected"}}, {"configMap": {"name": "projected"}},
                {"secret": {"name": "may-miss", "optional": true}},
            ]}},
            {"name": "e", "emptyDir": {}},
        ]);
        let job: Job = serde_json::from_value(json!({"spec": {"template": {"spec": {
            "imagePullSecrets": [{"name": "pull"}],
            "initContainers": [{"name": "i", "envFrom": from}],
            "containers": [{"name": "worker", "env": env}],
            "volumes": volumes,
        }}}}))
        .expect("a Job");
        let told: Vec<String> = references(&job).iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "Secret env",
                "Secret from",
                "Secret projected",
                "Secret pull",
                "Secret volume",
                "ConfigMap env",
                "ConfigMap from",
                "ConfigMap projected",
                "ConfigMap volume",
            ]
        );
        assert_eq!(references(&Job::default()), BTreeSet::new());
    }
}
