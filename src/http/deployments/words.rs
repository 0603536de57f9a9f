//! What is sent with requests about deployments.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{
    decide::deployment::admission::{NAME_MAX, is_name},
    http::problem::{Problem, ProblemType},
};

/// Bytes of a request to deploy: as much as a file of values may have.
pub(super) const BYTES_MAX: usize = 1 << 20;

/// The longest time for which a request waits until what it asked for is done.
pub(super) const WAIT_MAX: Duration = Duration::from_secs(20);

/// The longest time until the answer: the wait, and before it questions to Postgres and to the API server.
pub(super) const ANSWER_WAIT: Duration = Duration::from_secs(90);

/// What is to be deployed.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
#[schemars(rename = "DeploymentWords")]
pub(super) struct DeploymentWords {
    /// The name of the deployment. Default: `config.name` if that is a text, else the module's name.
    #[schemars(length(max = 40), regex(pattern = "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"))]
    pub(super) name: Option<String>,
    /// The module.
    pub(super) module: String,
    /// Its version. Default: `latest`.
    pub(super) version: Option<String>,
    /// Values of its placeholders.
    pub(super) config: Map<String, Value>,
    /// Fields that others own are taken over, and objects that others made.
    pub(super) force: bool,
    /// What is changed by hand is put back at once.
    pub(super) reconcile: bool,
    /// How long the answer may wait until everything is done; at most 20, which is the default.
    #[schemars(range(max = 20))]
    pub(super) wait_seconds: Option<u64>,
    #[schemars(length(max = 500))]
    pub(super) who: String,
    #[schemars(length(max = 500))]
    pub(super) why: String,
}

/// Who removes a deployment, and why.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
#[schemars(rename = "RemovalWords")]
pub(super) struct RemovalWords {
    /// How long the answer may wait until nothing is left; at most 20, which is the default.
    #[schemars(range(max = 20))]
    pub(super) wait_seconds: Option<u64>,
    #[schemars(length(max = 500))]
    pub(super) who: String,
    #[schemars(length(max = 500))]
    pub(super) why: String,
}

impl DeploymentWords {
    /// The name that is said, else that of what is deployed.
    pub(super) fn name(&self) -> Result<String, Problem> {
        if self.module.is_empty() {
            return Err(wrong("\"module\" is missing: GET /modules has those that are there"));
        }
        let of_config = || self.config.get("name").and_then(Value::as_str);
        let name = self.name.as_deref().or_else(of_config).unwrap_or(&self.module);
        if is_name(name) {
            return Ok(name.to_owned());
        }
        Err(wrong(&format!(
            "{name:?} is no name of a deployment: allowed are small letters, digits and `-`, a letter or digit first and last, at most {NAME_MAX}; \"name\" says another"
        )))
    }
}

fn wrong(text: &str) -> Problem {
    Problem::new(ProblemType::InvalidBody, text)
}

/// As long as is asked for, within the limit.
pub(super) fn wait(seconds: Option<u64>) -> Duration {
    seconds.map_or(WAIT_MAX, |seconds| Duration::from_secs(seconds).min(WAIT_MAX))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn name(words: Value) -> Result<String, String> {
        let words: DeploymentWords = serde_json::from_value(words).expect("words");
        words.name().map_err(|problem| problem.detail)
    }

    #[test]
    fn a_deployment_is_named_as_is_said_or_as_what_it_deploys() {
        assert_eq!(name(json!({"module": "redis"})), Ok("redis".into()));
        assert_eq!(name(json!({"module": "redis", "config": {"name": "cache"}})), Ok("cache".into()));
        assert_eq!(name(json!({"module": "redis", "config": {"name": 5}})), Ok("redis".into()));
        assert_eq!(name(json!({"module": "redis", "name": "a-1", "config": {"name": "cache"}})), Ok("a-1".into()));
        for wrong in ["", "-a", "a-", "a.b", "A", &"a".repeat(41)] {
            assert!(name(json!({"module": "redis", "name": wrong})).is_err(), "{wrong}");
        }
        assert!(name(json!({"name": "a"})).expect_err("no module").contains("/modules"));
    }

    #[test]
    fn nobody_waits_for_longer_than_is_allowed() {
        assert_eq!(wait(None), WAIT_MAX);
        assert_eq!((wait(Some(0)), wait(Some(u64::MAX))), (Duration::ZERO, WAIT_MAX));
    }
}
