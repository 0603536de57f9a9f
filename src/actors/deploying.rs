//! Writes what is to be deployed, or is to go: judged by everything that is deployed, and by jobs.json.

use thiserror::Error;
use tokio::sync::watch;

use crate::{
    actors::supervisor::Entries,
    decide::deployment::{
        admission::{Judge, Refusal},
        fleet::ReadEntry,
        record::NewDeployment,
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
    file: watch::Receiver<Entries>,
    read_entry: ReadEntry,
}

impl Deploying {
    /// One that writes into this table.
    pub fn new(table: DeploymentTable, file: watch::Receiver<Entries>, read_entry: ReadEntry) -> Self {
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
        self.judged(|judge| judge.deploy(new), async |seen| self.table.deploy(new, seen).await).await
    }

    /// A deployment is to go, with these PersistentVolumeClaims of it. Returns the revision that says so.
    ///
    /// # Errors
    /// See [`DeployError`].
    pub async fn undeploy(&self, name: &str, volumes: &[String], said: (&str, &str)) -> Result<i64, DeployError> {
        let write = async |seen| self.table.undeploy(name, volumes, said, seen).await;
        self.judged(|judge| judge.undeploy(name, volumes), write).await
    }

    /// Judges and writes; what has changed between the two is judged anew.
    async fn judged(
        &self,
        judge: impl Fn(Judge<'_>) -> Result<(), Refusal>,
        write: impl AsyncFn(i64) -> Result<Written, StoreError>,
    ) -> Result<i64, DeployError> {
        for _ in 0..TRIES_MAX {
            let snapshot = self.table.read().await.map_err(DeployError::Unwritten)?;
            let file = self.file.borrow().clone();
            judge(Judge { deployments: &snapshot.deployments, file: &file, read: self.read_entry })
                .map_err(DeployError::Refused)?;
            match write(snapshot.deployed).await.map_err(DeployError::Unwritten)? {
                Written::Revision(revision) => return Ok(revision),
                Written::Stale | Written::Taken => {}
            }
        }
        Err(DeployError::Busy)
    }
}
