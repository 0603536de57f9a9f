//! Whom the commands ask and tell: a running job-chief, at a URL or in a pod, and who says it.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use anyhow::{Context, ensure};
use clap::Args;
use serde_json::{Value, json};

use crate::{
    cli::{
        globals::{BadConfiguration, Globals},
        output::{Output, warn},
        plugin,
    },
    cluster::forward::{ForwardError, Target},
    config::{jobs_file::lay_over, settings::ServerSettings, sources},
    http::client::{AskError, LONG_TIMEOUT, Method, Question, TIMEOUT, ask_at, ask_over},
};

/// Names a URL where --url does not.
const URL_VARIABLE: &str = "JOB_CHIEF_URL";

/// Whom to ask or tell.
#[derive(Debug, Args)]
pub(super) struct Server {
    /// Where job-chief listens, in place of --context [env: JOB_CHIEF_URL].
    ///
    /// By default the loopback address and the port of the settings, as the
    /// service reads them.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// A file whose first line is the token; without it that of JOB_CHIEF_TOKEN.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// The token, where there is no file.
    #[arg(long, env = "JOB_CHIEF_TOKEN", hide_env_values = true, hide = true, default_value = "")]
    token: String,
}

/// Whom to ask, and how to tell.
#[derive(Debug, Args)]
pub(super) struct Asking {
    #[command(flatten)]
    pub(super) server: Server,
    /// How the answer is printed.
    #[arg(short, long, value_enum, default_value_t = Output::Table, value_name = "FORMAT")]
    pub(super) output: Output,
}

/// Whom to tell, and who says it.
#[derive(Debug, Args)]
pub(super) struct Telling {
    #[command(flatten)]
    pub(super) asking: Asking,
    /// Why; kept and shown.
    #[arg(long, default_value = "", hide_default_value = true, value_name = "TEXT")]
    why: String,
    /// Who; kept and shown.
    #[arg(
        long,
        env = "USER",
        hide_env_values = true,
        default_value = "",
        hide_default_value = true,
        value_name = "NAME"
    )]
    who: String,
}

/// The way to a running job-chief.
pub(super) struct Way {
    to: Place,
    /// The token of whoever asks; empty where there is none.
    token: String,
}

/// How a path is asked, and what behind its question mark.
type What<'a> = (Method, &'a [&'a str], &'a [(&'a str, &'a str)]);

/// Where it is.
enum Place {
    /// It listens here.
    Url(String),
    /// Through the API server.
    Pod(Box<Target>),
}

impl Way {
    /// Asks for a page.
    pub(super) async fn ask(&self, path: &[&str]) -> anyhow::Result<Value> {
        self.put((Method::Get, path, &[]), None, TIMEOUT).await
    }

    /// Asks for what takes longer, in more words than a path may have.
    pub(super) async fn ask_long(&self, path: &[&str], words: &Value) -> anyhow::Result<Value> {
        self.put((Method::Post, path, &[]), Some(words), LONG_TIMEOUT).await
    }

    /// Of several pods the one that leads: the others know no decisions and no states of services.
    async fn turn_to_leader(&mut self) -> anyhow::Result<()> {
        if matches!(self.to, Place::Pod(_)) {
            let told = self.ask(&["members"]).await?;
            let mut known = told["members"].as_array().into_iter().flatten();
            let leader = known.find(|member| member["leads"] == true).and_then(|member| member["member"].as_str());
            if let (Place::Pod(target), Some(leader)) = (&mut self.to, leader) {
                target.turn_to(leader);
            }
        }
        Ok(())
    }

    async fn put(&self, what: What<'_>, told: Option<&Value>, within: Duration) -> anyhow::Result<Value> {
        let ((method, path, asking), token) = (what, Some(&*self.token).filter(|token| !token.is_empty()));
        let question = Question { method, path, asking, token, told, within };
        Ok(match &self.to {
            Place::Url(url) => ask_at(url, question).await?,
            Place::Pod(target) => {
                let stream = in_time(target.stream()).await??;
                ask_over(stream, &target.told(), question).await?
            }
        })
    }
}

/// No longer than an answer may take: the API server may be silent, too.
async fn in_time<T>(asking: impl Future<Output = T>) -> Result<T, AskError> {
    tokio::time::timeout(TIMEOUT, asking).await.map_err(|_| AskError::Timeout("the API server".to_owned(), TIMEOUT))
}

/// Whether the same question may be answered later.
pub(super) fn is_passing(error: &anyhow::Error) -> bool {
    let asked = error.downcast_ref::<AskError>().map(AskError::is_passing);
    asked.or_else(|| error.downcast_ref::<ForwardError>().map(ForwardError::is_passing)).unwrap_or(false)
}

/// Whoever was asked knows nothing of that name.
pub(super) fn is_unknown(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref::<AskError>(), Some(AskError::Unknown(_)))
}

impl Server {
    /// The way to it; what is to be known of its pods is told on standard error.
    pub(super) async fn way(&self, globals: &Globals) -> anyhow::Result<Way> {
        let mut way = self.any_way(globals).await?;
        way.turn_to_leader().await?;
        Ok(way)
    }

    /// The same where it does not matter which of several processes is asked.
    pub(super) async fn any_way(&self, globals: &Globals) -> anyhow::Result<Way> {
        Ok(Way { token: self.token()?, to: self.place(globals).await? })
    }

    /// The first line of the file, else what the environment has; empty where there is neither.
    fn token(&self) -> anyhow::Result<String> {
        let text = match &self.token_file {
            Some(path) => std::fs::read_to_string(path)
                .with_context(|| format!("the token can't be read from {}", path.display()))?,
            None => self.token.clone(),
        };
        Ok(text.lines().next().unwrap_or_default().trim().to_owned())
    }

    async fn place(&self, globals: &Globals) -> anyhow::Result<Place> {
        if globals.context.is_none() {
            return self.address(globals).map(Place::Url);
        }
        // The parser does not see them together where one stands before the command.
        let both = "--url and --context are two ways to one job-chief: give one of them";
        ensure!(self.url.is_none(), BadConfiguration(both.to_owned()));
        let access = globals.access(false)?;
        let finding = Target::find(&access, globals.namespace.as_deref(), globals.instance.as_deref());
        let target = in_time(finding).await??;
        if let Some(warning) = target.warning() {
            warn(&warning);
        }
        Ok(Place::Pod(Box::new(target)))
    }

    /// Where job-chief listens: what was said, else what the settings say.
    fn address(&self, globals: &Globals) -> anyhow::Result<String> {
        let told = self.url.clone().or_else(|| std::env::var(URL_VARIABLE).ok().filter(|url| !url.is_empty()));
        if let Some(url) = told {
            return Ok(url);
        }
        if plugin::is_kubectl() {
            return Err(BadConfiguration(plugin::NO_CONTEXT.to_owned()).into());
        }
        for (name, is_given) in
            [("--namespace", globals.namespace.is_some()), ("--instance", globals.instance.is_some())]
        {
            let sentence = format!("{name} says where in a cluster: name the cluster with --context, too");
            ensure!(!is_given, BadConfiguration(sentence));
        }
        let loaded = sources::load(globals.config(), &globals.environment());
        let settings = loaded.context("the settings do not say where job-chief listens; --url does")?.settings.server;
        ensure!(
            settings.port != 0,
            "server.port is 0, so job-chief listens on a free port, which its log names: use --url"
        );
        Ok(format!("http://{}", address_of(&settings)))
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
    /// Finds whom to tell, once for all that is told; looked for only by who has a token.
    pub(super) async fn begin(&self, globals: &Globals) -> anyhow::Result<Teller<'_>> {
        let server = &self.asking.server;
        ensure!(!server.token()?.is_empty(), "a token is needed: --token-file FILE, or JOB_CHIEF_TOKEN");
        Ok(Teller { telling: self, way: server.way(globals).await? })
    }
}

/// Somebody who may, and the way.
pub(super) struct Teller<'a> {
    telling: &'a Telling,
    pub(super) way: Way,
}

impl Teller<'_> {
    /// Tells who and why, and more.
    pub(super) async fn tell(&self, path: &[&str], more: Value) -> anyhow::Result<Value> {
        self.put((Method::Post, path, &[]), more).await
    }

    /// Has something go, and tells who and why, and more.
    pub(super) async fn remove(&self, path: &[&str], asking: &[(&str, &str)], more: Value) -> anyhow::Result<Value> {
        self.put((Method::Delete, path, asking), more).await
    }

    async fn put(&self, what: What<'_>, more: Value) -> anyhow::Result<Value> {
        let mut words = json!({ "who": self.telling.who, "why": self.telling.why });
        lay_over(&mut words, more);
        self.way.put(what, Some(&words), TIMEOUT).await
    }
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
