//! What the cluster consists of, written down as it is made: who comes after a kill finds everything.

use std::{fs, path::PathBuf, process::Command, time::Duration};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

use crate::{
    folders::folder,
    processes::{Process, until},
};

/// The cluster's state file, for xtask itself and for the tests.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct State {
    /// Everything is up and was found ready.
    pub(crate) ready: bool,
    /// The kubeconfig; its context is [`CONTEXT`].
    pub(crate) kubeconfig: PathBuf,
    /// The API server's address and port.
    pub(crate) api: String,
    /// Where pods and we reach Postgres.
    pub(crate) postgres_host: String,
    pub(crate) postgres_port: u16,
    pub(crate) postgres_password: String,
    /// The ports of chaos' own two servers, while they are there.
    #[serde(default)]
    pub(crate) pair_ports: Option<[u16; 2]>,
    /// Pods run in containers here.
    pub(crate) real_node: bool,
    /// Addresses that were put on `lo`.
    pub(crate) addresses: Vec<String>,
    /// The first two bytes of the pods' network, `10.x`.
    pub(crate) pod_network: String,
    /// The cgroup under which all pods run.
    pub(crate) cgroup: String,
    /// The folder of sockets, short enough for their names.
    pub(crate) sockets: PathBuf,
    /// What was started, in order.
    pub(crate) processes: Vec<Process>,
}

/// The name of the context, cluster and user in our kubeconfig.
pub(crate) const CONTEXT: &str = "job-chief-test";

/// What to do where there is none.
pub(crate) const NOT_UP: &str = "the cluster is not up: cargo xtask cluster up";

/// How long another xtask may take to bring the cluster up before we give up waiting for it.
const LOCK_MAX: Duration = Duration::from_secs(1200);

/// One xtask at a time brings up or takes down; the lock goes with its process.
pub(crate) fn lock() -> anyhow::Result<fs::File> {
    fs::create_dir_all(folder())?;
    let file = fs::File::create(folder().join("lock"))?;
    if !until(LOCK_MAX, || file.try_lock().is_ok()) {
        bail!("another xtask has held {} for too long", folder().join("lock").display());
    }
    Ok(file)
}

impl State {
    fn path() -> PathBuf {
        folder().join("cluster.json")
    }

    /// What was written down, if anything.
    pub(crate) fn load() -> anyhow::Result<Option<Self>> {
        match fs::read(Self::path()) {
            Ok(text) => Ok(Some(
                serde_json::from_slice(&text).with_context(|| format!("{} is broken", Self::path().display()))?,
            )),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).context("the state of the cluster can't be read"),
        }
    }

    /// That of the cluster that is up, or being brought up.
    pub(crate) fn of_cluster() -> anyhow::Result<Self> {
        Self::load()?.context(NOT_UP)
    }

    /// Writes it down, whole or not at all.
    pub(crate) fn save(&self) -> anyhow::Result<()> {
        let path = Self::path();
        let draft = path.with_extension("draft");
        fs::create_dir_all(folder())?;
        fs::write(&draft, serde_json::to_vec_pretty(self)?)?;
        fs::rename(&draft, &path).context("the state of the cluster can't be written")
    }

    /// Starts a process in the background and writes it down.
    pub(crate) fn launch(&mut self, name: &str, command: &mut Command) -> anyhow::Result<()> {
        self.processes.push(Process::start(name, command)?);
        self.save()
    }

    /// Forgets it.
    pub(crate) fn remove() -> anyhow::Result<()> {
        match fs::remove_file(Self::path()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// The database URL of one database.
    pub(crate) fn database_url(&self, database: &str) -> String {
        let Self { postgres_host, postgres_port, postgres_password, .. } = self;
        format!("postgres://postgres:{postgres_password}@{postgres_host}:{postgres_port}/{database}")
    }
}
