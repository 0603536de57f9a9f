//! One case's stage: a namespace, a database, a job-chief process, and ways to look at them.

use std::{collections::BTreeMap, net::Ipv4Addr, path::PathBuf, process::Stdio, time::Duration};

use job_chief::config::jobs_file::lay_over;
use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{Namespace, Pod},
};
use kube::{
    Api, Client, Config,
    api::{ListParams, LogParams, ObjectMeta, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    process::{Child, Command},
};

use crate::recording::Recording;

/// How long anything may take that a case waits for: far beyond what it takes, so that only a fault reaches it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(600);

/// How long one answer may take before it is asked for anew.
const ANSWERED_WITHIN: Duration = Duration::from_secs(60);

/// What xtask wrote of the cluster.
#[derive(Clone)]
pub(crate) struct Site {
    pub(crate) state: Value,
    pub(crate) folder: PathBuf,
}

/// One case's stage.
pub(crate) struct Stage {
    pub(crate) site: Site,
    pub(crate) name: String,
    pub(crate) client: Client,
    pub(crate) folder: tempfile::TempDir,
    environment: BTreeMap<String, String>,
    /// The job-chief that is run and asked.
    pub(crate) program: PathBuf,
    chief: Option<Child>,
    pub(crate) port: u16,
    _kept: TcpSocket,
    /// Another kubeconfig than the administrator's.
    pub(crate) kubeconfig: Option<String>,
    pub(crate) recording: Recording,
}

impl Site {
    pub(crate) fn read() -> Self {
        let path =
            std::env::var("JOB_CHIEF_TEST_STATE").expect("these tests need the cluster: run `cargo xtask test --yes`");
        let path = PathBuf::from(path);
        let state = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        Self { state, folder: path.parent().unwrap().to_path_buf() }
    }

    pub(crate) fn text(&self, key: &str) -> &str {
        self.state[key].as_str().unwrap()
    }

    pub(crate) fn database_url(&self, database: &str) -> String {
        let port = self.state["postgresPort"].as_u64().unwrap();
        format!("postgres://postgres:{}@{}:{port}/{database}", self.text("postgresPassword"), self.text("postgresHost"))
    }

    pub(crate) async fn client(&self) -> Client {
        let file = Kubeconfig::read_from(self.text("kubeconfig")).unwrap();
        let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.unwrap();
        Client::try_from(config).unwrap()
    }
}

/// Looks until there is something to see. A look that never ends is given up, too.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut look: impl FnMut() -> F) -> T {
    let looking = async {
        loop {
            if let Some(seen) = look().await {
                return seen;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(PATIENCE, looking).await.unwrap_or_else(|_| panic!("waited {PATIENCE:?} for {what}"))
}

/// A port of loopback that nobody else is given while the socket is kept: it is bound and does not listen, so that
/// whoever is told the port may listen there, also again after a restart.
pub(crate) fn keep_port() -> (u16, TcpSocket) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    (socket.local_addr().unwrap().port(), socket)
}

impl Stage {
    /// A fresh namespace and database of this name, with pg-boss 12 in it.
    pub(crate) async fn set(name: &str) -> Self {
        Self::set_on(Site::read(), name, "12").await
    }

    /// The same at a site that is another than xtask wrote, with another version of pg-boss.
    pub(crate) async fn set_on(site: Site, name: &str, version: &str) -> Self {
        let client = site.client().await;
        let (port, kept) = keep_port();
        let mut stage = Self {
            // Another run's stage, left by a kill, is not ours.
            name: format!("{name}-{}", std::process::id()),
            client,
            folder: tempfile::tempdir().unwrap(),
            environment: BTreeMap::new(),
            program: env!("CARGO_BIN_EXE_job-chief").into(),
            chief: None,
            port,
            _kept: kept,
            kubeconfig: None,
            site,
            recording: Recording::default(),
        };
        stage.fresh_namespace().await;
        stage.recording = Recording::begin(&stage.client, &stage.name);
        stage.fresh_database().await;
        stage.boss_of(version, &["install"]).await;
        stage
    }

    /// Another process of the same Instance, with a folder and a port of its own.
    pub(crate) async fn beside(&self) -> Self {
        let (port, kept) = keep_port();
        Self {
            site: self.site.clone(),
            name: self.name.clone(),
            client: self.site.client().await,
            folder: tempfile::tempdir().unwrap(),
            environment: self.environment.clone(),
            program: env!("CARGO_BIN_EXE_job-chief").into(),
            chief: None,
            port,
            _kept: kept,
            kubeconfig: None,
            recording: Recording::default(),
        }
    }

    async fn fresh_namespace(&self) {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let labels = Some(BTreeMap::from([("job-chief.test/case".to_owned(), "yes".to_owned())]));
        let metadata = ObjectMeta { name: Some(self.name.clone()), labels, ..ObjectMeta::default() };
        let namespace = Namespace { metadata, ..Namespace::default() };
        eventually("the namespace", || async { made(namespaces.create(&PostParams::default(), &namespace).await) })
            .await;
        let accounts: Api<k8s_openapi::api::core::v1::ServiceAccount> = self.api();
        eventually("the service account", || async { accounts.get_opt("default").await.ok().flatten() }).await;
    }

    pub(crate) fn database(&self) -> String {
        format!("e2e_{}", self.name.replace('-', "_"))
    }

    async fn fresh_database(&self) {
        let name = self.database();
        let mut connection = PgConnection::connect(&self.site.database_url("postgres")).await.unwrap();
        for statement in [format!("drop database if exists {name} with (force)"), format!("create database {name}")] {
            sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
        }
    }

    pub(crate) fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), &self.name)
    }

    /// Creates an object given as JSON in the namespace.
    pub(crate) async fn create<K>(&self, object: Value)
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>
            + Clone
            + std::fmt::Debug
            + Serialize
            + DeserializeOwned,
    {
        let object: K = serde_json::from_value(object).unwrap();
        eventually("an object", || async { made(self.api::<K>().create(&PostParams::default(), &object).await) }).await;
    }

    /// pg-boss' own client, version 12.
    pub(crate) async fn boss(&self, words: &[&str]) {
        self.boss_of("12", words).await;
    }

    /// pg-boss' own client of a version.
    pub(crate) async fn boss_of(&self, version: &str, words: &[&str]) {
        let mut node = Command::new("node");
        node.arg("boss.mjs").arg(version).args(words).current_dir(self.site.folder.join("npm"));
        let output = node.env("DATABASE_URL", self.site.database_url(&self.database())).output().await.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    pub(crate) async fn send(&self, queue: &str, count: u32) {
        self.boss(&["send", queue, &count.to_string()]).await;
    }

    /// Runs statements in the case's database, as its owner.
    pub(crate) async fn execute(&self, statements: &str) {
        let mut owner = PgConnection::connect(&self.site.database_url(&self.database())).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(statements.to_owned())).execute(&mut owner).await.unwrap();
    }

    /// Runs a statement in the case's database and returns the first column of the first row.
    pub(crate) async fn count(&self, statement: &str) -> i64 {
        let mut connection = PgConnection::connect(&self.site.database_url(&self.database())).await.unwrap();
        sqlx::query_scalar(AssertSqlSafe(statement.to_owned())).fetch_one(&mut connection).await.unwrap()
    }

    // --- job-chief

    /// Sets a variable of job-chief's environment.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.into(), value.into());
        self
    }

    /// Starts job-chief with these JobConfigs, without waiting for anything.
    pub(crate) fn start(&mut self, jobs: &Value) {
        self.write_jobs(&jobs.to_string());
        self.launch();
    }

    /// Starts job-chief with the jobs.json that is there.
    pub(crate) fn launch(&mut self) {
        std::fs::write(self.folder.path().join("settings.toml"), "[server]\nhost = \"127.0.0.1\"\n").unwrap();
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.log_path()).unwrap();
        // It ends with the case, also when the case is killed.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]).arg(&self.program).args([
            "run",
            "--context",
            "job-chief-test",
            "--kubeconfig",
            self.kubeconfig.as_deref().unwrap_or_else(|| self.site.text("kubeconfig")),
            "--config",
            "settings.toml",
        ]);
        command
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .kill_on_drop(true);
        command.envs(self.settings());
        self.chief = Some(command.spawn().unwrap());
    }

    /// Its environment.
    fn settings(&self) -> BTreeMap<String, String> {
        let given = [
            ("DATABASE_URL", self.site.database_url(&self.database())),
            ("APP_JOBS_CONFIG_PATH", "jobs.json".into()),
            ("APP_INSTANCE_UID", "e2e".into()),
            ("K8S_NAMESPACE", self.name.clone()),
            ("SERVER_PORT", self.port.to_string()),
            ("LOG_LEVEL", "debug".into()),
            ("DB_MONITOR_STATE_INTERVAL_SECONDS", "1".into()),
        ];
        let given = given.map(|(name, value)| (name.to_owned(), value));
        given.into_iter().chain(self.environment.clone()).collect()
    }

    /// A command with the same settings and the same jobs.json, however it ends.
    pub(crate) async fn beside_it(&self, words: &[&str]) -> std::process::Output {
        let mut command = Command::new(&self.program);
        command.args(words).current_dir(self.folder.path()).envs(self.settings());
        command.output().await.unwrap()
    }

    /// Writes another jobs.json, which is never seen half written.
    pub(crate) fn write_jobs(&self, text: &str) {
        let (written, path) = (self.folder.path().join("jobs.json.new"), self.folder.path().join("jobs.json"));
        std::fs::write(&written, text).unwrap();
        std::fs::rename(written, path).unwrap();
    }

    /// Starts job-chief and waits until it is ready.
    pub(crate) async fn run(&mut self, jobs: Value) {
        self.start(&jobs);
        eventually("readiness", || async { (self.get("/readiness").await?.0 == 200).then_some(()) }).await;
    }

    /// What a command that asks this job-chief prints.
    pub(crate) async fn command(&self, words: &[&str]) -> String {
        let output = self.ask(words).await;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// A command that asks this job-chief, however it ends.
    pub(crate) async fn ask(&self, words: &[&str]) -> std::process::Output {
        let url = format!("http://127.0.0.1:{}", self.port);
        let mut command = Command::new(&self.program);
        command.args(words).args(["--url", &url]).envs(&self.environment).output().await.unwrap()
    }

    /// Sends a signal to it.
    pub(crate) async fn signal(&self, signal: &str) {
        let pid = self.pid().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().await.unwrap().success());
    }

    /// Waits until it leads.
    pub(crate) async fn leads(&self) {
        eventually(&format!("it to lead\n{}", self.log()), || async { self.is_leading().await.then_some(()) }).await;
    }

    /// It leads now.
    pub(crate) async fn is_leading(&self) -> bool {
        self.json("/members").await.is_some_and(|told| told["leads"] == true)
    }

    /// POSTs to a page of job-chief: code and body.
    pub(crate) async fn post(&self, path: &str, headers: &str, body: &str) -> (u16, Value) {
        // An answer is lost where the system resets the connection, as not all that was sent to it is read.
        eventually(&format!("an answer to {path}"), || self.posted(path, headers, body)).await
    }

    async fn posted(&self, path: &str, headers: &str, body: &str) -> Option<(u16, Value)> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        let length = body.len();
        let head = format!("POST {path} HTTP/1.0\r\nHost: localhost\r\nContent-Length: {length}\r\n{headers}\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        // Who is refused need not be listened to.
        drop(stream.write_all(body.as_bytes()).await);
        let mut answer = vec![];
        drop(stream.read_to_end(&mut answer).await);
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n")?;
        Some((head.split(' ').nth(1).unwrap().parse().unwrap(), serde_json::from_str(body).unwrap()))
    }

    pub(crate) fn log_path(&self) -> PathBuf {
        self.folder.path().join("job-chief.log")
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.chief.as_ref().unwrap().id().unwrap()
    }

    /// SIGKILL.
    pub(crate) async fn kill(&mut self) {
        self.chief.take().unwrap().kill().await.unwrap();
    }

    /// SIGTERM; returns the exit code.
    pub(crate) async fn terminate(&mut self) -> Option<i32> {
        self.signal("-TERM").await;
        self.ends().await
    }

    /// Waits for its end; returns the exit code.
    pub(crate) async fn ends(&mut self) -> Option<i32> {
        let mut chief = self.chief.take().unwrap();
        tokio::time::timeout(PATIENCE, chief.wait()).await.expect("ends within its bound").unwrap().code()
    }

    /// The exit code, if it has ended.
    pub(crate) fn exited(&mut self) -> Option<i32> {
        self.chief.as_mut()?.try_wait().unwrap()?.code()
    }

    /// A page of job-chief: code and body; `None` while it does not listen, or does not answer.
    pub(crate) async fn get(&self, path: &str) -> Option<(u16, String)> {
        tokio::time::timeout(ANSWERED_WITHIN, self.got(path)).await.ok().flatten()
    }

    async fn got(&self, path: &str) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await.ok()?;
        stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").as_bytes()).await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
    }

    pub(crate) async fn json(&self, path: &str) -> Option<Value> {
        serde_json::from_str(&self.get(path).await?.1).ok()
    }

    /// Runs of a JobConfig that have ended, oldest first, once there are so many.
    pub(crate) async fn ended(&self, name: &str, count: usize) -> Vec<Value> {
        eventually(&format!("{count} ended runs of {name} in {}\n{}", self.name, self.log()), || async {
            let told = self.json(&format!("/jobs/{name}")).await?;
            let mut runs = told["runs"].as_array()?.clone();
            runs.retain(|run| run["outcome"].is_string());
            runs.reverse();
            (runs.len() >= count).then_some(runs)
        })
        .await
    }

    /// All Jobs of the namespace.
    pub(crate) async fn jobs(&self) -> Vec<Job> {
        self.all().await
    }

    /// The Jobs of a JobConfig.
    pub(crate) async fn jobs_of(&self, name: &str) -> Vec<Job> {
        let mut jobs = self.jobs().await;
        jobs.retain(|job| job.metadata.labels.as_ref().is_some_and(|all| all["job-chief/name"] == name));
        jobs
    }

    pub(crate) async fn pods(&self) -> Vec<Pod> {
        self.all().await
    }

    /// The pods of a Job.
    pub(crate) async fn pods_of(&self, job: &str) -> Vec<Pod> {
        let of_job = |pod: &Pod| pod.metadata.labels.as_ref()?.get("batch.kubernetes.io/job-name").cloned();
        let mut pods = self.pods().await;
        pods.retain(|pod| of_job(pod).as_deref() == Some(job));
        pods
    }

    /// All objects of a kind in the namespace; an API server that is too busy to answer is asked again.
    async fn all<K>(&self) -> Vec<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>
            + Clone
            + std::fmt::Debug
            + DeserializeOwned,
    {
        let api = self.api::<K>();
        eventually("a list", || async { api.list(&ListParams::default()).await.ok() }).await.items
    }

    /// Waits until a page of metrics has this.
    pub(crate) async fn shows(&self, wanted: &str) {
        eventually(&format!("{wanted} of the metrics"), || async {
            self.get("/metrics").await?.1.contains(wanted).then_some(())
        })
        .await;
    }

    /// Waits until the log has this, and returns it.
    pub(crate) async fn logs(&self, wanted: &str) -> String {
        eventually(&format!("{wanted} in the log"), || async { Some(self.log()).filter(|log| log.contains(wanted)) })
            .await
    }

    /// Waits until what a command prints has all of this, and returns it.
    pub(crate) async fn prints(&self, words: &[&str], wanted: &[&str]) -> String {
        eventually(&format!("{wanted:?} of {words:?}"), || async {
            let output = self.ask(words).await;
            let told = String::from_utf8(output.stdout).unwrap();
            (output.status.success() && wanted.iter().all(|wanted| told.contains(wanted))).then_some(told)
        })
        .await
    }

    /// Waits until this many pods run.
    pub(crate) async fn running(&self, count: usize) {
        let phase = |pod: &Pod| pod.status.as_ref().and_then(|status| status.phase.clone());
        let runs = |pod: &Pod| phase(pod).as_deref() == Some("Running");
        eventually(&format!("{count} running pods in {}", self.name), || async {
            (self.pods().await.iter().filter(|pod| runs(pod)).count() == count).then_some(())
        })
        .await;
    }

    pub(crate) async fn logs_of(&self, pod: &Pod) -> String {
        let name = pod.metadata.name.as_deref().unwrap();
        self.api::<Pod>().logs(name, &LogParams::default()).await.unwrap()
    }
}

/// It is there, also where an answer was lost before; `None` where the API server was too busy.
pub(crate) fn made<K>(answer: kube::Result<K>) -> Option<()> {
    match answer {
        Ok(_) => Some(()),
        Err(kube::Error::Api(status)) if status.code == 409 => Some(()),
        Err(kube::Error::Api(status)) if status.code < 500 && status.code != 429 => panic!("{status:?}"),
        Err(_) => None,
    }
}

/// A JobConfig whose worker is a shell script: it takes no message, which is not held against it.
pub(crate) fn script(queue: &str, script: &str) -> Value {
    json!({
        "queueName": queue,
        "queueCheckInterval": "500ms",
        // A busy machine is no fault of what is tested.
        "jobStartTimeout": "5m",
        "backoff": {"after": 1000},
        "podConfig": {"image": "job-chief.test/busybox:dev", "pullPolicy": "Never", "command": ["/bin/sh", "-c", script]},
    })
}

/// The same with other keys laid over.
pub(crate) fn with(mut config: Value, keys: Value) -> Value {
    lay_over(&mut config, keys);
    config
}
