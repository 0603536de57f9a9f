//! What is asked whether it answers, at a place that jobs.json names.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// The most requirements of one service: all of them are asked before each start.
pub const REQUIREMENTS_MAX: usize = 50;

/// What has to answer; one of the two.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TargetConfig {
    /// A port that takes connections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcp: Option<TcpTarget>,
    /// A page that answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpTarget>,
}

/// A port of a host.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TcpTarget {
    /// Its name or address, as job-chief can resolve it.
    #[schemars(length(min = 1, max = 253))]
    pub host: String,
    /// The port.
    #[schemars(range(min = 1))]
    pub port: u16,
}

/// A page at a URL.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpTarget {
    /// `http://HOST[:PORT][/PATH]`.
    #[schemars(length(min = 1, max = 2000))]
    pub url: String,
    /// The status code that is expected. Default: any from 200 to 399.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 100, max = 599))]
    pub expect: Option<u16>,
}

/// A port of a service's own pods, or of a host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum TcpCheck {
    /// Of the pods.
    Port(u16),
    /// Of a host.
    Target(TcpTarget),
}

impl JsonSchema for TcpCheck {
    fn schema_name() -> Cow<'static, str> {
        "TcpCheck".into()
    }

    /// One schema for both, so that what is wrong is told of the form that was written.
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["integer", "object"],
            "description": "A port, or an object with `host` and `port`.",
            "minimum": 1,
            "maximum": 65535,
            "properties": {
                "host": {"type": "string", "minLength": 1, "maxLength": 253, "description": "Its name or address, as job-chief can resolve it."},
                "port": {"type": "integer", "minimum": 1, "maximum": 65535, "description": "The port."}
            },
            "required": ["host", "port"],
            "additionalProperties": false
        })
    }
}

impl TcpTarget {
    /// What is wrong with its host.
    pub fn problem(&self) -> Option<String> {
        let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '%');
        let is_host = self.host.chars().all(is_part);
        (!is_host)
            .then(|| format!("found {:?}, allowed is the name or the address of a host, without a port", self.host))
    }
}

/// What is wrong with a URL that is to be asked.
pub fn url_problem(url: &str) -> Option<String> {
    let allowed = "allowed is http://HOST[:PORT][/PATH] (for https, a \"tcp\" check of its port)";
    let rest = url.strip_prefix("http://");
    let authority = rest.map(|rest| rest.split(['/', '?']).next().unwrap_or_default());
    let (host, port) = match authority.map(|it| it.rsplit_once(':')) {
        Some(Some((host, port))) if !port.ends_with(']') => {
            (Some(host), port.parse::<u16>().is_ok_and(|port| port > 0))
        }
        _ => (authority, true),
    };
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
    let is_host = host.is_some_and(|host| !host.is_empty() && host.chars().all(is_part));
    let is_plain = url.chars().all(|c| c.is_ascii_graphic() && c != '#');
    (!(is_host && port && is_plain)).then(|| format!("found {url:?}, {allowed}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_a_host_and_perhaps_more() {
        for good in
            ["http://db", "http://db:80", "http://db/health?deep=1", "http://10.0.0.1:8080/", "http://[::1]:80/x"]
        {
            assert_eq!(url_problem(good), None, "{good}");
        }
        for bad in
            ["db", "https://db", "http://", "http:///x", "http://a@b", "http://db:0", "http://db:x", "http://a b"]
        {
            assert!(url_problem(bad).is_some(), "{bad}");
        }
    }

    #[test]
    fn a_host_is_no_url() {
        let problem = |host: &str| TcpTarget { host: host.into(), port: 1 }.problem();
        assert_eq!((problem("db.example.com"), problem("fe80::1%eth0")), (None, None));
        assert!(problem("http://db").is_some() && problem("db/x").is_some());
    }
}
