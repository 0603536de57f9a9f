//! What is asked whether it answers, at a place that jobs.json names.

use std::fmt;

use crate::config::{
    service_config::CheckConfig,
    target_config::{TargetConfig, TcpCheck},
};

/// What is to answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// A port that is to take connections.
    Tcp {
        /// A name or an address.
        host: Box<str>,
        /// The port.
        port: u16,
    },
    /// A page.
    Http {
        /// Where it is.
        url: Box<str>,
        /// The status code that is expected; `None` for any from 200 to 399.
        expect: Option<u16>,
    },
}

impl Target {
    /// That of a requirement.
    pub fn of_requirement(config: &TargetConfig) -> Option<Self> {
        let tcp = config.tcp.as_ref().map(|tcp| Self::Tcp { host: tcp.host.as_str().into(), port: tcp.port });
        tcp.or_else(|| config.http.as_ref().map(|it| Self::Http { url: it.url.as_str().into(), expect: it.expect }))
    }

    /// That of the check of a service that runs elsewhere; `None` where a Job is to tell.
    pub fn of_check(config: &CheckConfig) -> Option<Self> {
        match (&config.tcp, &config.http) {
            (Some(TcpCheck::Target(tcp)), _) => Some(Self::Tcp { host: tcp.host.as_str().into(), port: tcp.port }),
            (_, Some(http)) => http.url.as_deref().map(|url| Self::Http { url: url.into(), expect: http.expect }),
            _ => None,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } => write!(to, "tcp {host}:{port}"),
            Self::Http { url, .. } => write!(to, "{url}"),
        }
    }
}
