//! One replica of job-chief, with ways of its own to both servers; one that ends is started again.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use kube::{
    Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::{Value, json};
use tokio::{
    process::Command,
    sync::{Mutex, MutexGuard},
};

use crate::{
    acts::Field,
    gateway::Gateway,
    journal::Journal,
    pair::Pair,
    proxy::Wire,
    seen::Seen,
    stage::{Site, Stage},
};

/// How long an answer of a replica is waited for: one that is frozen gives none.
const ANSWERED_WITHIN: Duration = Duration::from_secs(1);

/// How often it is looked at whether a process has ended by itself.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// The library that sets a process another clock, if there is one.
pub(crate) fn clock_library() -> Option<String> {
    std::env::var("JOB_CHIEF_CHAOS_CLOCK").ok()
}

/// A replica.
pub(crate) struct Replica {
    pub(crate) number: usize,
    stage: Mutex<Stage>,
    pub(crate) gateway: Gateway,
    pub(crate) postgres: Wire,
    /// It is to run: whoever takes it down says so first.
    wanted: AtomicBool,
    log: PathBuf,
    clock: PathBuf,
}

impl Replica {
    /// A replica on this stage, which does not run yet.
    pub(crate) async fn on(number: usize, stage: Stage, modules: &Path, pair: &Pair, journal: &Arc<Journal>) -> Self {
        let site = &stage.site;
        let config = real(site).await;
        let gateway = Gateway::to(&config, &format!("replica {number}"), journal.clone()).await;
        let postgres = pair.wire().await;
        let mut file: Value = serde_json::from_slice(&std::fs::read(site.text("kubeconfig")).unwrap()).unwrap();
        file["clusters"][0]["cluster"] = json!({"server": format!("http://127.0.0.1:{}", gateway.port)});
        let folder = stage.folder.path().to_owned();
        let (kubeconfig, clock) = (folder.join("kubeconfig"), folder.join("clock"));
        std::fs::write(&kubeconfig, file.to_string()).unwrap();
        std::fs::write(&clock, "+0\n").unwrap();
        let mut stage = stage
            .with("DB_HOST", "127.0.0.1")
            .with("DB_PORT", &postgres.port.to_string())
            .with("MODULES_PATH", modules.to_str().unwrap());
        if let Some(library) = clock_library() {
            stage = stage
                .with("LD_PRELOAD", &library)
                .with("FAKETIME_TIMESTAMP_FILE", clock.to_str().unwrap())
                .with("FAKETIME_CACHE_DURATION", "1")
                .with("FAKETIME_DISABLE_SHM", "1")
                .with("DONT_FAKE_MONOTONIC", "1");
        }
        stage.kubeconfig = Some(kubeconfig.to_str().unwrap().to_owned());
        let log = stage.log_path();
        let (stage, wanted) = (Mutex::new(stage), AtomicBool::new(false));
        Self { number, stage, gateway, postgres, wanted, log, clock }
    }

    pub(crate) fn log(&self) -> (String, PathBuf) {
        (format!("replica-{}", self.number), self.log.clone())
    }

    /// Starts it; its jobs.json is there already.
    pub(crate) async fn start(&self) {
        let mut stage = self.stage.lock().await;
        self.start_on(&mut stage);
    }

    fn start_on(&self, stage: &mut MutexGuard<'_, Stage>) {
        stage.launch();
        self.wanted.store(true, Ordering::SeqCst);
    }

    /// Writes its jobs.json.
    pub(crate) async fn write(&self, text: &str) {
        self.stage.lock().await.write_jobs(text);
    }

    /// SIGKILL, and a new process after a while.
    pub(crate) async fn kill(&self, away: Duration) {
        if self.wanted.swap(false, Ordering::SeqCst) {
            self.stage.lock().await.kill().await;
            tokio::time::sleep(away).await;
            self.start().await;
        }
    }

    /// SIGTERM, and a new process after a while.
    pub(crate) async fn stop(&self, away: Duration, journal: &Journal) {
        if self.wanted.swap(false, Ordering::SeqCst) {
            self.terminate(journal).await;
            tokio::time::sleep(away).await;
            self.start().await;
        }
    }

    /// SIGSTOP, and SIGCONT after a while.
    pub(crate) async fn freeze(&self, lasts: Duration) {
        if !self.wanted.load(Ordering::SeqCst) {
            return;
        }
        let pid = self.stage.lock().await.pid();
        signal("-STOP", pid).await;
        tokio::time::sleep(lasts).await;
        signal("-CONT", pid).await;
    }

    /// Sets its clock, in seconds from the true one.
    pub(crate) fn set_clock(&self, ahead: i64) {
        std::fs::write(&self.clock, format!("{ahead:+}\n")).unwrap();
    }

    pub(crate) async fn leads(&self) -> bool {
        let ask = async { self.stage.lock().await.is_leading().await };
        tokio::time::timeout(ANSWERED_WITHIN, ask).await.unwrap_or_default()
    }

    pub(crate) async fn is_ready(&self) -> bool {
        let ask = async { self.stage.lock().await.get("/readiness").await.is_some_and(|(code, _)| code == 200) };
        tokio::time::timeout(ANSWERED_WITHIN, ask).await.unwrap_or_default()
    }

    /// Starts it again whenever it has ended by itself, which it may do only while its jobs.json can't be read.
    pub(crate) async fn keep(self: Arc<Self>, field: Arc<Field>) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let mut stage = self.stage.lock().await;
            if !self.wanted.load(Ordering::SeqCst) {
                continue;
            }
            if let Some(code) = stage.exited() {
                if !(code == BAD_CONFIGURATION && field.was_broken()) {
                    field.journal.note(Seen::Exited { replica: self.number, code });
                }
                self.start_on(&mut stage);
            }
        }
    }

    /// Ends it for good.
    pub(crate) async fn end(&self, journal: &Journal) {
        self.wanted.store(false, Ordering::SeqCst);
        self.terminate(journal).await;
    }

    async fn terminate(&self, journal: &Journal) {
        let code = self.stage.lock().await.terminate().await;
        if code != Some(0) {
            journal.violated(format!("replica {} ended with {code:?} when it was told to", self.number));
        }
    }
}

/// The exit code of `run` on a bad configuration.
const BAD_CONFIGURATION: i32 = 2;

async fn signal(signal: &str, pid: u32) {
    // One that is gone already is as good.
    drop(Command::new("kill").args([signal, &pid.to_string()]).output().await);
}

/// The way to the API server that no fault meets.
async fn real(site: &Site) -> Config {
    let file = Kubeconfig::read_from(site.text("kubeconfig")).unwrap();
    Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.unwrap()
}
