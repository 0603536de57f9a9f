//! job-chief of the demo: started as the README runs it, asked over HTTP, ended as Kubernetes would.

use std::{
    fs::File,
    io::{Read, Write},
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use serde_json::Value;

use super::site::Site;
use crate::{
    build,
    folders::{root, subfolder},
    net::free_port,
    processes::{dies_with_us, until},
};

/// How long job-chief may take to be ready.
const READY_MAX: Duration = Duration::from_secs(30);

/// How long it may take to end.
const END_MAX: Duration = Duration::from_secs(25);

/// How long an answer may take.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// Where its log is, for people.
pub(super) const LOG: &str = "target/cluster/logs/demo-job-chief.log";

/// The running process.
pub(super) struct Chief {
    child: Child,
    port: u16,
}

impl Chief {
    pub(super) fn start(site: &Site) -> anyhow::Result<Self> {
        let port = free_port()?;
        let log = File::create(subfolder("logs")?.join("demo-job-chief.log"))?;
        let config = subfolder("")?.join("demo.toml");
        std::fs::write(&config, "[server]\nhost = \"127.0.0.1\"\n")?;
        let mut command = Command::new(build::job_chief_program());
        command.args(["run", "--context", &site.way.context]).current_dir(root());
        if let Some(kubeconfig) = &site.way.kubeconfig {
            command.arg("--kubeconfig").arg(kubeconfig);
        }
        command.env("DATABASE_URL", &site.database_url).env("APP_JOBS_CONFIG_PATH", &site.jobs);
        command.env("APP_INSTANCE_UID", "demo").env("K8S_NAMESPACE", site.namespace);
        command.env("SERVER_PORT", port.to_string()).env("DB_MONITOR_STATE_INTERVAL_SECONDS", "1");
        let mut command = dies_with_us(command.arg("--config").arg(config));
        // Ctrl-C is for the demo alone, which then ends job-chief as Kubernetes would.
        command.process_group(0);
        let child = command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()?;
        let mut chief = Self { child, port };
        chief.wait()?;
        Ok(chief)
    }

    fn wait(&mut self) -> anyhow::Result<()> {
        let settled = until(READY_MAX, || self.get("/readiness").is_ok() || self.has_ended());
        if !settled || self.has_ended() {
            self.stop();
            bail!("job-chief is not ready; see {LOG}");
        }
        eprintln!("\njob-chief runs, its log is {LOG}");
        for path in ["metrics", "readiness", "states", "jobs", "services"] {
            eprintln!("  http://127.0.0.1:{}/{path}", self.port);
        }
        Ok(())
    }

    pub(super) fn has_ended(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|ended| ended.is_some())
    }

    pub(super) fn stop(&mut self) {
        let pid = i32::try_from(self.child.id()).unwrap_or_default();
        if nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGTERM).is_ok() {
            until(END_MAX, || self.has_ended());
        }
        if !self.has_ended() && self.child.kill().is_err() {
            eprintln!("job-chief (process {}) does not end", self.child.id());
        }
    }

    /// A page of job-chief as JSON; an error unless it answers with 200.
    pub(super) fn get(&self, path: &str) -> anyhow::Result<Value> {
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(ANSWER_MAX))?;
        write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").context("no answer")?;
        ensure!(
            head.starts_with("HTTP/1.0 200") || head.starts_with("HTTP/1.1 200"),
            "{path}: {}",
            head.lines().next().unwrap_or_default()
        );
        Ok(serde_json::from_str(body)?)
    }
}
