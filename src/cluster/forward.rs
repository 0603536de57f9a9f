//! job-chief's own pods, and a stream to one of them through the API server, with the rights of whoever asks.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Container, ContainerStatus, Pod};
use kube::{Api, api::ListParams};
use thiserror::Error;
use tokio::io::DuplexStream;

use crate::cluster::connect::{Access, ConnectError};

/// The container in our pods, as every installation calls it.
const CONTAINER: &str = "job-chief";

/// The name of the port that the pages are served on.
const PORT: &str = "http";

/// The label that tells our pods from others'.
const NAME_LABEL: &str = "app.kubernetes.io/name";

/// The label that tells installations apart: the release of Helm.
const INSTANCE_LABEL: &str = "app.kubernetes.io/instance";

/// Pods that are listed at once: an installation has two or three, which may lie among those that have ended.
const PODS_MAX: u32 = 500;

/// Where our pods are looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The context, as it was named.
    pub context: String,
    /// The namespace.
    pub namespace: String,
    /// The installation, where it was named.
    pub instance: Option<String>,
}

/// Why there is no stream to a job-chief.
#[derive(Debug, Error)]
pub enum ForwardError {
    /// There is no client.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// Whoever asks lacks a right.
    #[error(
        "you may not {verb} {resource} in the namespace {} (context {}): ask whoever administers it for a Role there \
         with `list` on `pods`, and `get` and `create` on `pods/portforward`",
        place.namespace,
        place.context
    )]
    Forbidden {
        /// The verb that is missing.
        verb: String,
        /// The resource that it is missing on.
        resource: String,
        /// Where.
        place: Place,
        /// What the API server says.
        #[source]
        source: Box<kube::Error>,
    },
    /// The API server does not answer as it should.
    #[error("{what} in the namespace {} (context {})", place.namespace, place.context)]
    Request {
        /// What failed.
        what: String,
        /// Where.
        place: Place,
        /// Why.
        #[source]
        source: Box<kube::Error>,
    },
    /// There is none to talk to, or more than one.
    #[error("{}", told(no_pod, place))]
    NoPod {
        /// Why.
        no_pod: NoPod,
        /// Where.
        place: Place,
    },
}

impl ForwardError {
    /// Whether a stream is to be had later, without anybody changing what was asked for.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Connect(_) | Self::Forbidden { .. } => false,
            Self::Request { .. } => true,
            Self::NoPod { no_pod, .. } => !matches!(no_pod, NoPod::Several(_)),
        }
    }
}

/// Why none of the pods is the one to talk to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoPod {
    /// There is none of ours.
    Absent,
    /// They belong to several installations: these.
    Several(Vec<String>),
    /// None runs: each with its state.
    NotRunning(Vec<String>),
}

/// The pod to talk to.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Choice {
    pod: String,
    port: u16,
    is_ready: bool,
    /// The others that are ready, with their ports.
    others: Vec<(String, u16)>,
    /// The others and this one, as far as they are not ready, each with its state.
    unready: Vec<String>,
}

/// A pod of job-chief that can be talked to.
#[derive(Debug)]
pub struct Target {
    api: Api<Pod>,
    place: Place,
    choice: Choice,
}

impl Target {
    /// Finds it, best one that is ready.
    ///
    /// # Errors
    /// See [`ForwardError`].
    pub async fn find(access: &Access, namespace: Option<&str>, instance: Option<&str>) -> Result<Self, ForwardError> {
        let client = access.client().await?;
        let context = match access {
            Access::Context { context, .. } => context.clone(),
            Access::InCluster => "of the pod's service account".to_owned(),
        };
        let namespace = namespace.unwrap_or_else(|| client.default_namespace()).to_owned();
        let api: Api<Pod> = Api::namespaced(client, &namespace);
        let place = Place { context, namespace, instance: instance.map(str::to_owned) };
        // A chart may be told another name, but not another instance than the release.
        let selector = match instance {
            Some(instance) => format!("{INSTANCE_LABEL}={instance}"),
            None => format!("{NAME_LABEL}={CONTAINER}"),
        };
        let listed = api.list(&ListParams::default().labels(&selector).limit(PODS_MAX)).await;
        let pods = listed.map_err(|source| refused(source, ("list", "pods"), &place, "the pods can't be listed"))?;
        let choice = choose(&pods.items).map_err(|no_pod| ForwardError::NoPod { no_pod, place: place.clone() })?;
        Ok(Self { api, place, choice })
    }

    /// Takes the pod of this process instead, if it is there and ready: processes are named after their pods.
    pub fn turn_to(&mut self, member: &str) {
        let is_its = |pod: &str| member.strip_prefix(pod).is_some_and(|rest| rest.starts_with('-'));
        if let Some((pod, port)) = self.choice.others.iter().find(|(pod, _)| is_its(pod)).cloned() {
            (self.choice.pod, self.choice.port) = (pod, port);
        }
    }

    /// A stream to its pages.
    ///
    /// # Errors
    /// See [`ForwardError`].
    pub async fn stream(&self) -> Result<DuplexStream, ForwardError> {
        let Choice { pod, port, .. } = &self.choice;
        let what = format!("the port {port} of the pod {pod} can't be forwarded");
        let forwarded = self.api.portforward(pod, &[*port]).await;
        let mut forwarder =
            forwarded.map_err(|source| refused(source, ("get", "pods/portforward"), &self.place, &what))?;
        Ok(forwarder.take_stream(*port).expect("the port that was asked for"))
    }

    /// What it is called in sentences.
    pub fn told(&self) -> String {
        format!("the pod {} in the namespace {}", self.choice.pod, self.place.namespace)
    }

    /// Something that whoever asks should know of the pods.
    pub fn warning(&self) -> Option<String> {
        let unready = self.choice.unready.join(", ");
        match self.choice.unready.len() {
            0 => None,
            _ if self.choice.is_ready => Some(format!("not every pod of job-chief is ready: {unready}")),
            _ => Some(format!("no pod of job-chief is ready: {unready}; {} is asked all the same", self.choice.pod)),
        }
    }
}

/// A right that is missing, or another failure.
fn refused(source: kube::Error, asked: (&str, &str), place: &Place, what: &str) -> ForwardError {
    let (place, boxed) = (place.clone(), |source| Box::new(source));
    match &source {
        kube::Error::Api(status) if status.code == 403 => {
            let (verb, resource) = missing_right(&status.message).unwrap_or(asked);
            let (verb, resource) = (verb.to_owned(), resource.to_owned());
            ForwardError::Forbidden { verb, resource, place, source: boxed(source) }
        }
        _ => ForwardError::Request { what: what.to_owned(), place, source: boxed(source) },
    }
}

/// The verb and the resource in `… cannot create resource "pods/portforward" in API group …`: which verb a forwarded
/// port needs differs between versions of Kubernetes.
fn missing_right(message: &str) -> Option<(&str, &str)> {
    let (verb, rest) = message.split_once(" cannot ")?.1.split_once(" resource \"")?;
    let (resource, _) = rest.split_once('"')?;
    verb.chars().all(|char| char.is_ascii_lowercase()).then_some((verb, resource))
}

/// What to do where there is no pod to talk to.
fn told(no_pod: &NoPod, place: &Place) -> String {
    let Place { context, namespace, instance } = place;
    let site = format!("in the namespace {namespace} (context {context})");
    match (no_pod, instance) {
        (NoPod::Absent, None) => format!(
            "no pod of job-chief is {site}; name another with --namespace. Pods are found by the label \
             {NAME_LABEL}={CONTAINER}; where a chart was given a nameOverride, name the release with --instance"
        ),
        (NoPod::Absent, Some(instance)) => format!(
            "no pod of job-chief with the label {INSTANCE_LABEL}={instance} is {site}; \
             without --instance those that are there are listed"
        ),
        (NoPod::Several(instances), _) => {
            format!("several installations of job-chief are {site}: {}; name one with --instance", instances.join(", "))
        }
        (NoPod::NotRunning(pods), _) => format!("no pod of job-chief runs {site}: {}", pods.join(", ")),
    }
}

/// Chooses among the pods that a selector found: only those count that have our container and have not ended.
fn choose(pods: &[Pod]) -> Result<Choice, NoPod> {
    let mut ours: Vec<(&Pod, &Container)> = pods.iter().filter_map(|pod| Some((pod, container(pod)?))).collect();
    ours.sort_by_key(|(pod, _)| (!is_ready(pod), is_leaving(pod), pod.metadata.name.clone()));
    let instances: BTreeSet<&str> = ours.iter().map(|(pod, _)| instance(pod)).collect();
    if instances.len() > 1 {
        return Err(NoPod::Several(instances.into_iter().map(str::to_owned).collect()));
    }
    let unready: Vec<String> = ours.iter().filter(|(pod, _)| !is_ready(pod)).map(|(pod, _)| described(pod)).collect();
    match ours.iter().position(|(pod, _)| is_running(pod)) {
        Some(chosen) => {
            let (pod, container) = ours.remove(chosen);
            let ready = ours.iter().filter(|(pod, _)| is_ready(pod) && is_running(pod));
            let others = ready.map(|(pod, container)| (name(pod), port(container))).collect();
            Ok(Choice { pod: name(pod), port: port(container), is_ready: is_ready(pod), others, unready })
        }
        None if ours.is_empty() => Err(NoPod::Absent),
        None => Err(NoPod::NotRunning(unready)),
    }
}

fn container(pod: &Pod) -> Option<&Container> {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    let has_ended = matches!(phase, Some("Succeeded" | "Failed"));
    pod.spec.as_ref().filter(|_| !has_ended)?.containers.iter().find(|container| container.name == CONTAINER)
}

fn name(pod: &Pod) -> String {
    pod.metadata.name.clone().unwrap_or_default()
}

fn port(container: &Container) -> u16 {
    let port = container.ports.iter().flatten().find(|port| port.name.as_deref() == Some(PORT));
    port.and_then(|port| u16::try_from(port.container_port).ok()).unwrap_or(8080)
}

fn instance(pod: &Pod) -> &str {
    pod.metadata.labels.as_ref().and_then(|labels| labels.get(INSTANCE_LABEL)).map_or("(no label)", String::as_str)
}

fn is_leaving(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_some()
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    !is_leaving(pod) && conditions.into_iter().any(|it| it.type_ == "Ready" && it.status == "True")
}

fn status(pod: &Pod) -> Option<&ContainerStatus> {
    pod.status.as_ref()?.container_statuses.as_ref()?.iter().find(|status| status.name == CONTAINER)
}

fn is_running(pod: &Pod) -> bool {
    status(pod).and_then(|status| status.state.as_ref()).is_some_and(|state| state.running.is_some())
}

/// `job-chief-7d9f-x (CrashLoopBackOff)`
fn described(pod: &Pod) -> String {
    let waiting = status(pod).and_then(|status| status.state.as_ref()?.waiting.as_ref()?.reason.clone());
    let phase = || pod.status.as_ref().and_then(|status| status.phase.clone());
    let state = if is_leaving(pod) {
        "Terminating".to_owned()
    } else if is_running(pod) {
        "running, not ready".to_owned()
    } else {
        waiting.or_else(phase).unwrap_or_else(|| "unknown".to_owned())
    };
    format!("{} ({state})", pod.metadata.name.as_deref().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(name: &str, instance: &str, state: &Value, ready: bool) -> Pod {
        let status = if ready { "True" } else { "False" };
        let pod = json!({
            "metadata": {"name": name, "labels": {INSTANCE_LABEL: instance}},
            "spec": {"containers": [{"name": "sidecar"}, {"name": "job-chief", "ports": [{"name": "http", "containerPort": 9090}]}]},
            "status": {
                "phase": "Running", "conditions": [{"type": "Ready", "status": status}],
                "containerStatuses": [{"name": "job-chief", "image": "", "imageID": "", "ready": ready, "restartCount": 0, "state": state}],
            },
        });
        serde_json::from_value(pod).expect("a pod")
    }

    fn running(name: &str, ready: bool) -> Pod {
        pod(name, "a", &json!({"running": {}}), ready)
    }

    #[test]
    fn a_ready_pod_is_preferred_and_the_others_are_named() {
        let choice = choose(&[running("a", false), running("b", true), running("c", true)]).expect("one");
        assert_eq!((&*choice.pod, choice.port, choice.is_ready), ("b", 9090, true));
        assert_eq!(choice.others, [("c".to_owned(), 9090)], "whom to ask if that one leads");
        assert_eq!(choice.unready, ["a (running, not ready)"]);
    }

    #[test]
    fn one_that_leaves_is_not_preferred() {
        let mut leaving = running("a", true);
        leaving.metadata.deletion_timestamp =
            Some(serde_json::from_value(json!("2026-01-02T03:04:05Z")).expect("a time"));
        assert_eq!(choose(&[leaving.clone(), running("b", true)]).expect("one").pod, "b");
        let choice = choose(&[leaving, running("b", false)]).expect("one");
        assert_eq!((&*choice.pod, choice.is_ready), ("b", false));
        assert_eq!(choice.unready, ["b (running, not ready)", "a (Terminating)"]);
    }

    #[test]
    fn where_none_runs_each_is_named_with_its_state() {
        let crashing = pod("a", "a", &json!({"waiting": {"reason": "CrashLoopBackOff"}}), false);
        assert_eq!(choose(&[crashing]), Err(NoPod::NotRunning(vec!["a (CrashLoopBackOff)".into()])));
    }

    #[test]
    fn pods_that_have_ended_or_are_not_ours_do_not_count() {
        let mut ended = running("a", false);
        ended.status.as_mut().expect("a status").phase = Some("Failed".into());
        let mut other = running("b", true);
        other.spec.as_mut().expect("a spec").containers.truncate(1);
        assert_eq!(choose(&[ended, other]), Err(NoPod::Absent));
    }

    #[test]
    fn of_several_installations_none_is_chosen() {
        let pods = [running("a", true), pod("b", "b", &json!({"running": {}}), true)];
        assert_eq!(choose(&pods), Err(NoPod::Several(vec!["a".into(), "b".into()])));
    }

    #[test]
    fn the_right_that_is_missing_is_the_one_that_the_api_server_names() {
        let message = "pods \"x\" is forbidden: User \"ann\" cannot create resource \"pods/portforward\" in API group \"\" in the namespace \"n\"";
        assert_eq!(missing_right(message), Some(("create", "pods/portforward")));
        assert_eq!(missing_right("forbidden by the webhook, which cannot say why"), None);
    }

    #[test]
    fn every_sentence_says_what_to_type() {
        let place = |instance: Option<&str>| Place {
            context: "prod".into(),
            namespace: "media".into(),
            instance: instance.map(str::to_owned),
        };
        let several = NoPod::Several(vec!["a".into(), "b".into()]);
        assert_eq!(
            told(&several, &place(None)),
            "several installations of job-chief are in the namespace media (context prod): a, b; name one with --instance"
        );
        assert!(told(&NoPod::Absent, &place(None)).contains("name another with --namespace"));
        assert!(told(&NoPod::Absent, &place(Some("x"))).contains("app.kubernetes.io/instance=x"));
    }
}
