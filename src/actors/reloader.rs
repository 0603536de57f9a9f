//! Follows jobs.json: a file that has changed is checked whole and then applied; a bad one leaves the last good one in
//! force.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use serde_json::Value;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};

use crate::{
    actors::file_mark::Mark,
    clock::sleep,
    config::{changes::Changes, in_file::InFile, jobs_file},
    metrics::Metrics,
    telemetry::with_causes,
};

/// How often the file is asked whether it has changed: by what its path leads to, so that the symlinks of a
/// ConfigMap count, and so does any editor's way of saving.
const ASKED_EVERY: Duration = Duration::from_secs(2);

/// Follows one jobs.json.
pub struct Reloader {
    path: PathBuf,
    mark: Option<Mark>,
    jobs: watch::Sender<InFile>,
    modules: watch::Sender<Arc<Value>>,
    metrics: Arc<Metrics>,
    /// The last problem, logged once.
    problem: Option<String>,
}

impl Reloader {
    /// Follows the file that this and the modules were read from when it had this mark.
    pub fn new(path: &Path, mark: Option<Mark>, (jobs, modules): (InFile, Value), metrics: Arc<Metrics>) -> Self {
        metrics.process.last_reload_successful.set(1);
        let (jobs, modules) = (watch::Sender::new(jobs), watch::Sender::new(Arc::new(modules)));
        Self { path: path.to_owned(), mark, jobs, modules, metrics, problem: None }
    }

    /// Follows what is in force.
    pub fn jobs(&self) -> watch::Receiver<InFile> {
        self.jobs.subscribe()
    }

    /// Follows the modules that it wants to be deployed.
    pub fn modules(&self) -> watch::Receiver<Arc<Value>> {
        self.modules.subscribe()
    }

    /// Follows the file for ever; SIGHUP reads it at once, whether it has changed or not.
    ///
    /// # Errors
    /// If signals can't be listened for.
    pub async fn run(mut self) -> std::io::Result<()> {
        let mut hangup = signal(SignalKind::hangup())?;
        loop {
            let mark = Mark::of(&self.path);
            if mark != self.mark {
                self.mark = mark;
                self.reload(false);
            }
            tokio::select! {
                () = sleep(ASKED_EVERY) => {}
                _ = hangup.recv() => self.reload(true),
            }
        }
    }

    fn reload(&mut self, asked: bool) {
        match jobs_file::read(&self.path) {
            Ok(file) => self.apply(file, asked),
            Err(error) => {
                let problem = with_causes(&error);
                self.count("error", false);
                if asked || self.problem.as_ref() != Some(&problem) {
                    tracing::error!(problem, "jobs.json is invalid; the last valid one stays in force");
                }
                self.problem = Some(problem);
            }
        }
    }

    fn apply(&mut self, file: jobs_file::JobsFile, asked: bool) {
        let mended = self.problem.take().is_some();
        let listed = self.modules.send_if_modified(|modules| {
            let changed = **modules != file.modules;
            *modules = Arc::new(file.modules);
            changed
        });
        if listed {
            tracing::info!("the modules in jobs.json have changed");
        }
        let after = InFile::new(file.jobs, file.sharing);
        let changes = Changes::between(&self.jobs.borrow(), &after);
        if changes.is_empty() {
            if mended || asked {
                self.count("ok", true);
                tracing::info!("jobs.json was read again: nothing has changed");
            }
            return;
        }
        for warning in &file.warnings {
            tracing::warn!(%warning, "in jobs.json");
        }
        self.jobs.send_replace(after);
        self.count("ok", true);
        for key in &changes.sharing {
            tracing::info!(key, "limits and pools of jobs.json have changed");
        }
        let (added, changed, removed) = changes.counts();
        tracing::info!(added, changed, removed, unchanged = changes.unchanged, "jobs.json has changed and is applied");
    }

    fn count(&self, result: &str, successful: bool) {
        self.metrics.process.reloads.with_label_values(&[result]).inc();
        self.metrics.process.last_reload_successful.set(successful.into());
    }
}
