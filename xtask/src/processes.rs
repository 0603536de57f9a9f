//! Processes that outlive xtask: started in the background, known by id and start time, stopped exactly.

use std::{
    fs::{self, File},
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde::{Deserialize, Serialize};

use crate::folders::subfolder;

/// How long a process may take to end after SIGTERM.
const TERM_MAX: Duration = Duration::from_secs(10);

/// How long a process may take to be gone after SIGKILL.
const KILL_MAX: Duration = Duration::from_secs(5);

/// How often a condition is looked at.
const STEP: Duration = Duration::from_millis(50);

/// A process of ours. An id that another process has now is told by the start time.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Process {
    pub(crate) name: String,
    pub(crate) pid: i32,
    started: String,
    /// What it was started with, to start it again: program, arguments, folder.
    command: Vec<String>,
    folder: Option<PathBuf>,
}

impl Process {
    /// Starts a command in the background with its output in a log.
    pub(crate) fn start(name: &str, command: &mut Command) -> anyhow::Result<Self> {
        let log = subfolder("logs")?.join(format!("{name}.log"));
        let file = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .with_context(|| format!("can't write {}", log.display()))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .process_group(0)
            .spawn()
            .with_context(|| format!("can't start {name} ({:?})", command.get_program()))?;
        let pid = i32::try_from(child.id())?;
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        Ok(Self {
            name: name.to_owned(),
            pid,
            started: start_time(pid).unwrap_or_default(),
            command: words.map(|word| word.to_string_lossy().into_owned()).collect(),
            folder: command.get_current_dir().map(Into::into),
        })
    }

    /// Starts it once more, as it was started first. None of ours is given an environment of its own.
    pub(crate) fn start_again(&self) -> anyhow::Result<Self> {
        let (program, arguments) = self.command.split_first().context("a process without a program")?;
        let mut command = Command::new(program);
        command.args(arguments);
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        Self::start(&self.name, &mut command)
    }

    /// Whether it is still the process that was started, and no zombie.
    pub(crate) fn is_alive(&self) -> bool {
        start_time(self.pid).is_some_and(|started| started == self.started)
    }

    /// Ends it: SIGTERM, then SIGKILL.
    pub(crate) fn stop(&self) -> anyhow::Result<()> {
        for (signal, wait) in [(Signal::SIGTERM, TERM_MAX), (Signal::SIGKILL, KILL_MAX)] {
            if self.is_alive() && kill(Pid::from_raw(self.pid), signal).is_ok() {
                let _gone = until(wait, || !self.is_alive());
            }
        }
        if self.is_alive() {
            bail!("{} (process {}) does not end", self.name, self.pid);
        }
        Ok(())
    }

    /// Ends it at once.
    pub(crate) fn kill(&self) {
        if self.is_alive() && kill(Pid::from_raw(self.pid), Signal::SIGKILL).is_ok() {
            let _gone = until(KILL_MAX, || !self.is_alive());
        }
    }
}

/// Field 22 of `/proc/PID/stat`; `None` for a process that is gone or a zombie.
fn start_time(pid: i32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, after_name) = stat.rsplit_once(") ")?;
    let mut fields = after_name.split(' ');
    let is_zombie = fields.next() == Some("Z");
    fields.nth(18).filter(|_| !is_zombie).map(str::to_owned)
}

/// Waits until a condition holds; false if it did not in time.
pub(crate) fn until(wait: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + wait;
    while !holds() {
        if Instant::now() > end {
            return false;
        }
        sleep(STEP);
    }
    true
}

/// The same command, ended by the kernel when we end, however that comes.
pub(crate) fn dies_with_us(command: &Command) -> Command {
    let mut wrapped = Command::new("setpriv");
    wrapped.args(["--pdeathsig", "KILL"]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => wrapped.env(name, value),
            None => wrapped.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        wrapped.current_dir(folder);
    }
    wrapped
}

/// Runs a command to its end; its output is shown only if it fails.
pub(crate) fn succeed(command: &mut Command) -> anyhow::Result<String> {
    let output =
        command.stdin(Stdio::null()).output().with_context(|| format!("can't start {:?}", command.get_program()))?;
    if !output.status.success() {
        let told = [output.stdout, output.stderr].concat();
        bail!("{:?} failed ({}):\n{}", command.get_program(), output.status, String::from_utf8_lossy(&told).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs a command to its end with its output shown.
pub(crate) fn show(command: &mut Command) -> anyhow::Result<()> {
    let status =
        command.stdin(Stdio::null()).status().with_context(|| format!("can't start {:?}", command.get_program()))?;
    if !status.success() {
        bail!("{:?} {:?} failed ({status})", command.get_program(), command.get_args().collect::<Vec<_>>());
    }
    Ok(())
}
