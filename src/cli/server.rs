//! Whom the commands ask and tell: where job-chief listens, how the answer is printed, and who says it.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use crate::{
    config::{jobs_file::lay_over, settings::ServerSettings, sources},
    http::client::{ask, tell},
};

/// Whom to ask or tell.
#[derive(Debug, Args)]
pub(super) struct Server {
    /// Where job-chief listens.
    ///
    /// By default the loopback address and the port of the settings, as the service reads them.
    #[arg(long, env = "JOB_CHIEF_URL", value_name = "URL")]
    url: Option<String>,
}

/// Whom to ask, and how to tell.
#[derive(Debug, Args)]
pub(super) struct Asking {
    #[command(flatten)]
    pub(super) server: Server,
    /// How the answer is printed.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    pub(super) output: Output,
}

/// Whom to tell, and who says it.
#[derive(Debug, Args)]
pub(super) struct Telling {
    #[command(flatten)]
    pub(super) server: Server,
    /// A file whose first line is the token.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// The token, where there is no file.
    #[arg(long, env = "JOB_CHIEF_TOKEN", hide_env_values = true, hide = true, default_value = "")]
    token: String,
    /// Why; kept and shown.
    #[arg(long, default_value = "", value_name = "TEXT")]
    why: String,
    /// Who; kept and shown.
    #[arg(long, env = "USER", default_value = "", value_name = "NAME")]
    who: String,
}

/// How an answer is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    /// For people.
    Table,
    /// For programs.
    Json,
}

impl Server {
    /// Where job-chief listens: what was said, else what the settings say.
    fn address(&self, config: Option<&Path>) -> anyhow::Result<String> {
        if let Some(url) = &self.url {
            return Ok(url.clone());
        }
        let environment: BTreeMap<String, String> = std::env::vars().collect();
        let loaded = sources::load(config, &environment);
        let settings = loaded.context("the settings do not say where job-chief listens; --url does")?.settings.server;
        ensure!(
            settings.port != 0,
            "server.port is 0, so job-chief listens on a free port, which its log names: use --url"
        );
        Ok(format!("http://{}", address_of(&settings)))
    }

    /// Asks for a page.
    pub(super) async fn ask(&self, config: Option<&Path>, path: &[&str]) -> anyhow::Result<Value> {
        Ok(ask(&self.address(config)?, path).await?)
    }
}

/// The address at which this machine reaches a server with these settings.
fn address_of(settings: &ServerSettings) -> SocketAddr {
    let host = match settings.host {
        IpAddr::V4(host) if host.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(host) if host.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        host => host,
    };
    SocketAddr::new(host, settings.port)
}

impl Telling {
    pub(super) async fn tell(&self, config: Option<&Path>, path: &[&str]) -> anyhow::Result<Value> {
        self.tell_with(config, path, &json!({})).await
    }

    /// With more than who and why.
    pub(super) async fn tell_with(&self, config: Option<&Path>, path: &[&str], more: &Value) -> anyhow::Result<Value> {
        let token = match &self.token_file {
            Some(path) => std::fs::read_to_string(path)
                .with_context(|| format!("the token can't be read from {}", path.display()))?,
            None => self.token.clone(),
        };
        let token = token.lines().next().unwrap_or_default().trim().to_owned();
        anyhow::ensure!(!token.is_empty(), "a token is needed: --token-file FILE, or JOB_CHIEF_TOKEN");
        let mut words = json!({ "who": self.who, "why": self.why });
        lay_over(&mut words, more.clone());
        Ok(tell(&self.server.address(config)?, path, &token, &words).await?)
    }
}

#[expect(clippy::print_stdout, reason = "the answer of a command")]
#[expect(clippy::unnecessary_wraps, reason = "reads as the last step of a command")]
pub(super) fn print(text: &str) -> anyhow::Result<()> {
    println!("{text}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_of_the_machine_includes_the_loopback_one() {
        for (host, address) in [
            ("0.0.0.0", "127.0.0.1:81"),
            ("::", "[::1]:81"),
            ("127.0.0.2", "127.0.0.2:81"),
            ("10.1.2.3", "10.1.2.3:81"),
        ] {
            let settings =
                ServerSettings { host: host.parse().expect("an address"), port: 81, ..ServerSettings::default() };
            assert_eq!(address_of(&settings).to_string(), address);
        }
    }
}
