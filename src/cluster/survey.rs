//! What the API server is like, what we may do there, and what it says to a Job: asked for people, in dry runs.

use std::time::Duration;

use axum::http;
use jiff::fmt::rfc2822;
use k8s_openapi::{
    api::{
        authentication::v1::SelfSubjectReview,
        authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec},
        batch::v1::Job,
        core::v1::{ConfigMap, Pod, Secret},
    },
    apimachinery::pkg::{apis::meta::v1::ObjectMeta, version::Info},
};
use kube::{Api, Client, api::PostParams, client::Body};
use thiserror::Error;

use crate::{
    clock::{Ahead, Clock},
    decide::pod::references::{Reference, Referred},
    telemetry::with_causes,
};

/// How long the API server may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Nothing is written: what is asked for is judged, and forgotten.
const DRY_RUN: PostParams = PostParams { dry_run: true, field_manager: None };

/// Why there is no answer, or not the one that was hoped for.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SurveyError {
    /// No answer.
    #[error("no answer within {TIMEOUT:?}")]
    Timeout,
    /// The connection or the credentials do not work.
    #[error("{0}")]
    Unreached(String),
    /// The API server says no.
    #[error("{message}")]
    Refused {
        /// The HTTP status.
        code: u16,
        /// In its words.
        message: String,
    },
}

/// What the API server says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiServer {
    /// Such as `v1.34.1`.
    pub version: String,
    /// Of the version.
    pub major: u32,
    /// Of the version.
    pub minor: u32,
    /// Its clock, which it tells in whole seconds; `None` where it does not.
    pub ahead: Option<Ahead>,
}

/// Something that is done with a kind of object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Action {
    /// Empty for what is Kubernetes' core.
    pub group: String,
    /// Such as `jobs`.
    pub resource: String,
    /// Such as `create`.
    pub verb: String,
}

/// Asks the API server about one namespace.
#[derive(Clone)]
pub struct Survey {
    client: Client,
    namespace: String,
}

impl Action {
    /// An action of the words.
    pub fn of(group: &str, resource: &str, verb: &str) -> Self {
        Self { group: group.to_owned(), resource: resource.to_owned(), verb: verb.to_owned() }
    }
}

impl From<kube::Error> for SurveyError {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::Refused { code: status.code, message: status.message.clone() },
            other => Self::Unreached(with_causes(&other)),
        }
    }
}

impl Survey {
    /// Of a namespace.
    pub fn new(client: Client, namespace: &str) -> Self {
        Self { client, namespace: namespace.to_owned() }
    }

    /// What the API server says of itself.
    ///
    /// # Errors
    /// See [`SurveyError`].
    pub async fn server(&self, clock: Clock) -> Result<ApiServer, SurveyError> {
        let request = || http::Request::get("/version").body(Body::empty()).map_err(kube::Error::HttpError);
        // The first one makes the connection, so that the second one tells the time.
        bounded(async { self.client.send(request()?).await }).await?;
        let sent = clock.now();
        let answer = bounded(async { self.client.send(request()?).await }).await?;
        let came = clock.now();
        let (parts, body) = answer.into_parts();
        let body = bounded(body.collect_bytes()).await?;
        if !parts.status.is_success() {
            let message = String::from_utf8_lossy(&body).into_owned();
            return Err(SurveyError::Refused { code: parts.status.as_u16(), message });
        }
        let info: Info = serde_json::from_slice(&body)
            .map_err(|error| SurveyError::Unreached(format!("what answers is no API server: {error}")))?;
        let date = parts.headers.get(http::header::DATE).and_then(|date| date.to_str().ok());
        let date = date.and_then(|date| rfc2822::parse(date).ok());
        // Half a second was cut off on average.
        let ahead = date.map(|date| Ahead::of(sent, came, date.timestamp().as_millisecond() + 500));
        Ok(ApiServer {
            version: info.git_version,
            major: number(&info.major),
            minor: number(&info.minor),
            ahead: ahead.map(|ahead| Ahead { within_millis: ahead.within_millis + 500, ..ahead }),
        })
    }

    /// Whom the API server takes us for.
    ///
    /// # Errors
    /// See [`SurveyError`].
    pub async fn whoami(&self) -> Result<String, SurveyError> {
        let reviews: Api<SelfSubjectReview> = Api::all(self.client.clone());
        let review = bounded(reviews.create(&PostParams::default(), &SelfSubjectReview::default())).await?;
        Ok(review.status.and_then(|it| it.user_info).and_then(|it| it.username).unwrap_or_default())
    }

    /// Whether we may.
    ///
    /// # Errors
    /// See [`SurveyError`].
    pub async fn may(&self, action: &Action) -> Result<bool, SurveyError> {
        let attributes = ResourceAttributes {
            group: Some(action.group.clone()),
            resource: Some(action.resource.clone()),
            verb: Some(action.verb.clone()),
            namespace: Some(self.namespace.clone()),
            ..ResourceAttributes::default()
        };
        let spec = SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..Default::default() };
        let review = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
        let reviews: Api<SelfSubjectAccessReview> = Api::all(self.client.clone());
        let review = bounded(reviews.create(&PostParams::default(), &review)).await?;
        Ok(review.status.is_some_and(|status| status.allowed))
    }

    /// Whether the API server would take a Job.
    ///
    /// # Errors
    /// See [`SurveyError`].
    pub async fn try_job(&self, job: &Job) -> Result<(), SurveyError> {
        let jobs: Api<Job> = Api::namespaced(self.client.clone(), &self.namespace);
        bounded(jobs.create(&DRY_RUN, job)).await.map(drop)
    }

    /// Whether the API server would take a pod of a Job.
    ///
    /// # Errors
    /// See [`SurveyError`].
    pub async fn try_pod(&self, job: &Job) -> Result<(), SurveyError> {
        let Some(template) = job.spec.as_ref().map(|spec| spec.template.clone()) else { return Ok(()) };
        let name = job.metadata.name.as_ref().map(|name| format!("{name}-pod"));
        let metadata = ObjectMeta { name, ..template.metadata.unwrap_or_default() };
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &self.namespace);
        bounded(pods.create(&DRY_RUN, &Pod { metadata, spec: template.spec, status: None })).await.map(drop)
    }

    /// Whether there is what a Job names. What stands in it is not asked for.
    ///
    /// # Errors
    /// See [`SurveyError`].
    pub async fn exists(&self, reference: &Reference) -> Result<bool, SurveyError> {
        let (client, name) = (self.client.clone(), &reference.name);
        match reference.kind {
            Referred::Secret => {
                let secrets: Api<Secret> = Api::namespaced(client, &self.namespace);
                Ok(bounded(secrets.get_metadata_opt(name)).await?.is_some())
            }
            Referred::ConfigMap => {
                let configmaps: Api<ConfigMap> = Api::namespaced(client, &self.namespace);
                Ok(bounded(configmaps.get_metadata_opt(name)).await?.is_some())
            }
        }
    }
}

/// The number of a version, which some distributions write with a `+` behind it.
fn number(text: &str) -> u32 {
    text.trim_end_matches(|c: char| !c.is_ascii_digit()).parse().unwrap_or_default()
}

async fn bounded<T>(request: impl Future<Output = kube::Result<T>>) -> Result<T, SurveyError> {
    match tokio::time::timeout(TIMEOUT, request).await {
        Ok(result) => Ok(result?),
        Err(_) => Err(SurveyError::Timeout),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_every_distribution_writes_them() {
        assert_eq!(["27", "34+", "", "x"].map(number), [27, 34, 0, 0]);
    }
}
