//! Writes what is to be deployed, or is to go: judged by everything that is deployed, and by jobs.json.

use thiserror::Error;
use tokio::sync::watch;

use crate::{
    config::in_file::InFile,
    decide::deployment::{
        admission::{Judge, Refusal},
        fleet::ReadEntry,
        record::{Deployment, NewDeployment},
    },
    store::{
        deployments::{DeploymentTable, Written},
        error::StoreError,
    },
};

/// A write is judged anew so often when others write at the same time.
const TRIES_MAX: usize = 5;

/// Why nothing was written.
#[derive(Debug, Error)]
pub enum DeployError {
    /// It may not be.
    #[error("{}", .0.text())]
    Refused(Refusal),
    /// Others write all the time.
    #[error("others deploy at the same time: try again")]
    Busy,
    /// It can't be, and nothing is known of whether it was.
    #[error("it could not be written down")]
    Unwritten(#[source] StoreError),
}

/// Who writes. Clones are the same.
#[derive(Clone)]
pub struct Deploying {
    table: DeploymentTable,
    file: watch::Receiver<InFile>,
    read_entry: ReadEntry,
}

impl Deploying {
    /// One that writes into this table.
    pub fn new(table: DeploymentTable, file: watch::Receiver<InFile>, read_entry: ReadEntry) -> Self {
        Self { table, file, read_entry }
    }

    /// The table that is written.
    pub fn table(&self) -> &DeploymentTable {
        &self.table
    }

    /// Writes a deployment. Returns its revision, which whoever leads applies.
    ///
    /// # Errors
    /// See [`DeployError`].
    pub async fn deploy(&self, new: &NewDeployment) -> Result<i64, DeployError> {
        self.judged(Write::Deploy(new)).await
    }

    /// A deployment is to go, with these PersistentVolumeClaims of it. Returns the revision that says so.
    ///
    /// # Errors
    /// See [`DeployError`].
    pub async fn undeploy(&self, name: &str, volumes: &[String], said: (&str, &str)) -> Result<i64, DeployError> {
        self.judged(Write::Undeploy { name, volumes, said }).await
    }

    /// Judges and writes; what has changed between the two is judged anew.
    async fn judged(&self, write: Write<'_>) -> Result<i64, DeployError> {
        for _ in 0..TRIES_MAX {
            let snapshot = self.table.read().await.map_err(DeployError::Unwritten)?;
            self.judge(&snapshot.deployments, write).map_err(DeployError::Refused)?;
            let written = match write {
                Write::Deploy(new) => self.table.deploy(new, snapshot.deployed).await,
                Write::Undeploy { name, volumes, said } => {
                    self.table.undeploy(name, volumes, said, snapshot.deployed).await
                }
            };
            if let Written::Revision(revision) = written.map_err(DeployError::Unwritten)? {
                return Ok(revision);
            }
        }
        Err(DeployError::Busy)
    }

    /// Whether a deployment may be written where these are on record.
    ///
    /// # Errors
    /// Why not.
    pub fn may_deploy(&self, new: &NewDeployment, deployments: &[Deployment]) -> Result<(), Refusal> {
        self.judge(deployments, Write::Deploy(new))
    }

    fn judge(&self, deployments: &[Deployment], write: Write<'_>) -> Result<(), Refusal> {
        let file = self.file.borrow().clone();
        let judge = Judge { deployments, file: &file, read: self.read_entry };
        match write {
            Write::Deploy(new) => judge.deploy(new),
            Write::Undeploy { name, volumes, .. } => judge.undeploy(name, volumes),
        }
    }
}

/// What is to be written.
#[derive(Clone, Copy)]
enum Write<'a> {
    Deploy(&'a NewDeployment),
    Undeploy { name: &'a str, volumes: &'a [String], said: (&'a str, &'a str) },
}
