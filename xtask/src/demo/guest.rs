//! As a guest on a cluster that somebody has: a namespace of our own is made, and deleted at the end.

use std::{
    fmt::Write,
    fs::File,
    io::Read,
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Stdio},
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};

use super::{
    interrupt,
    loaders::Loader,
    site::{Site, Way, with_database, write_jobs},
};
use crate::{
    bosses, build,
    folders::{folder, subfolder},
    image,
    net::free_port,
    postgres::ask,
    processes::{dies_with_us, until},
    programs::{self, Purpose, find},
    steps::{step, together, told},
};

/// The namespace, which is ours by its label.
const NAMESPACE: &str = "job-chief-demo";
const LABEL: &str = "job-chief.demo/made-by";

/// The database.
const DATABASE: &str = "job_chief_demo";

/// How long the pod of Postgres may take, most of which is the pull of its image.
const POSTGRES_MAX: Duration = Duration::from_secs(300);

/// How long a port-forward may take to answer.
const FORWARD_MAX: Duration = Duration::from_secs(30);

/// What the person said.
pub(super) struct Wishes<'a> {
    pub(super) install: bool,
    pub(super) context: &'a str,
    pub(super) kubeconfig: Option<&'a Path>,
    pub(super) image: Option<&'a str>,
    pub(super) database_url: Option<&'a str>,
    pub(super) postgres_image: &'a str,
}

/// What has to be taken back at the end.
pub(super) struct Guest<'a> {
    wishes: &'a Wishes<'a>,
    way: Way,
    has_namespace: bool,
    has_database: bool,
    forward: Option<Child>,
}

impl<'a> Guest<'a> {
    /// Everything is looked at and built; in the cluster nothing is made yet.
    pub(super) fn arrive(wishes: &'a Wishes<'a>) -> anyhow::Result<Self> {
        let way = way(wishes)?;
        let loader = loader(wishes)?;
        programs::ensure(&[Purpose::Build, Purpose::Client], wishes.install)?;
        way.kubectl(&["get", "--raw", "/readyz"])
            .with_context(|| format!("the cluster of {} does not answer", wishes.context))?;
        free_namespace(&way)?;
        eprintln!("building what is played on the cluster of {}", wishes.context);
        let mut steps = vec![step("building job-chief (Rust)", build::job_chief)];
        if let Some(loader) = loader {
            steps.push(step("building the worker's image and loading it into the nodes", move || {
                loader.load(&image::worker()?)
            }));
        }
        if !bosses::are_installed()? {
            steps.push(step("installing pg-boss 7 to 12 (npm)", bosses::install));
        }
        together(steps)?;
        Ok(Self { wishes, way, has_namespace: false, has_database: false, forward: None })
    }

    /// The namespace and the database are made.
    pub(super) fn site(&mut self) -> anyhow::Result<Site> {
        let namespace = json!({"name": NAMESPACE, "labels": {(LABEL): "xtask"}});
        self.has_namespace = true;
        self.way.apply(&json!([{"apiVersion": "v1", "kind": "Namespace", "metadata": namespace}]))?;
        let (database_url, secret) = match self.wishes.database_url {
            Some(url) => (self.make_database(url)?, json!({})),
            None => told("starting Postgres as a pod", || self.start_postgres())?,
        };
        let other_way_in = self.wishes.database_url.is_none();
        let jobs = write_jobs(self.wishes.image, other_way_in)?;
        let site = Site { way: self.way.clone(), namespace: NAMESPACE, database_url, jobs, containers: true };
        site.prepare(&secret)?;
        Ok(site)
    }

    fn make_database(&mut self, url: &str) -> anyhow::Result<String> {
        drop_database(url).context("--database-url")?;
        self.has_database = true;
        ask(url, &format!("create database {DATABASE}"))?;
        with_database(url, DATABASE)
    }

    /// A Postgres as a pod, reached from here through the API server, and from pods by the pod's address.
    fn start_postgres(&mut self) -> anyhow::Result<(String, Value)> {
        let password = password()?;
        self.way.apply(&json!([postgres_pod(self.wishes.postgres_image, &password)]))?;
        let address = self.await_postgres()?;
        let port = free_port()?;
        let log = File::create(subfolder("logs")?.join("demo-forward.log"))?;
        let words = ["port-forward", "--namespace", NAMESPACE, "pod/postgres", &format!("{port}:5432")];
        // Ctrl-C is for the demo alone, whose job-chief needs this to end in order.
        let mut forward = dies_with_us(&self.way.command(&words));
        forward.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).process_group(0);
        self.forward = Some(forward.spawn()?);
        let url = format!("postgres://postgres:{password}@127.0.0.1:{port}/{DATABASE}");
        let answers = until(FORWARD_MAX, || interrupt::is_asked() || ask(&url, "select 1").is_ok());
        ensure!(
            answers && !interrupt::is_asked(),
            "Postgres does not answer through the port-forward; see target/cluster/logs/demo-forward.log"
        );
        let secret = json!({
            "DB_HOST": address, "DB_PORT": "5432", "DB_USERNAME": "postgres", "DB_PASSWORD": password,
            "DB_NAME": DATABASE, "DB_SCHEMA": "pgboss",
        });
        Ok((url, secret))
    }

    /// Waits until the pod is ready. Returns its address.
    fn await_postgres(&self) -> anyhow::Result<String> {
        let get = |what: &str| {
            let path = format!("jsonpath={{{what}}}");
            self.way.kubectl(&["get", "pod", "postgres", "--namespace", NAMESPACE, "--output", &path])
        };
        let ready = || get(".status.containerStatuses[0].ready").is_ok_and(|ready| ready == "true");
        let _settled = until(POSTGRES_MAX, || interrupt::is_asked() || ready());
        ensure!(!interrupt::is_asked(), "ended by Ctrl-C");
        if !ready() {
            let why = get(".status.containerStatuses[0].state.waiting")?;
            bail!(
                "the pod of Postgres is not ready after {} s {why}; name an image that the nodes can pull with --postgres-image, or a Postgres with --database-url",
                POSTGRES_MAX.as_secs()
            );
        }
        get(".status.podIP")
    }

    /// Everything that was made is deleted, whatever of it was made.
    pub(super) fn leave(mut self) -> anyhow::Result<()> {
        let dropped = match self.wishes.database_url.filter(|_| self.has_database) {
            Some(url) => drop_database(url),
            None => Ok(()),
        };
        if let Some(mut forward) = self.forward.take() {
            forward.kill()?;
            forward.wait()?;
        }
        if self.has_namespace {
            told("deleting the namespace", || delete_namespace(&self.way))?;
        }
        dropped
    }
}

fn way(wishes: &Wishes<'_>) -> anyhow::Result<Way> {
    let built = folder().join("bin/testenv");
    let kubectl = match find("kubectl") {
        Some(kubectl) => vec![kubectl.into()],
        None if built.exists() => vec![built.into(), "kubectl".into()],
        None => bail!("kubectl is not in PATH, through which the demo speaks to the cluster of --context"),
    };
    let kubeconfig = wishes.kubeconfig.map(Path::canonicalize).transpose().context("--kubeconfig")?;
    let way = Way { kubectl, kubeconfig, context: wishes.context.to_owned() };
    let names = way.kubectl(&["config", "get-contexts", "--output", "name"])?;
    let names: Vec<&str> = names.lines().collect();
    let there = if names.is_empty() { "none at all".to_owned() } else { names.join(", ") };
    ensure!(names.contains(&wishes.context), "the kubeconfig has no context {}; it has {there}", wishes.context);
    Ok(way)
}

/// How the worker's image comes to the nodes; `None` if they pull it.
fn loader(wishes: &Wishes<'_>) -> anyhow::Result<Option<Loader>> {
    match (wishes.image, Loader::of(wishes.context)) {
        (Some(_), _) => Ok(None),
        (None, Some(loader)) => loader.check().map(|()| Some(loader)),
        (None, None) => bail!(
            "{} is no context of kind, k3d or minikube, so the nodes have to pull the worker's image: docker build -t REF examples/worker, docker push REF, and say --image REF here",
            wishes.context
        ),
    }
}

/// What a run that was killed has left is deleted; what is somebody else's is not.
fn free_namespace(way: &Way) -> anyhow::Result<()> {
    let get = ["get", "namespace", NAMESPACE, "--ignore-not-found", "--output", "json"];
    let found = way.kubectl(&get)?;
    if found.trim().is_empty() {
        return Ok(());
    }
    let namespace: Value = serde_json::from_str(&found)?;
    ensure!(
        namespace["metadata"]["labels"][LABEL] == "xtask",
        "the cluster has a namespace {NAMESPACE} that no demo has made: delete or rename it"
    );
    told("deleting the namespace that an earlier run left", || delete_namespace(way))
}

fn delete_namespace(way: &Way) -> anyhow::Result<()> {
    way.kubectl(&["delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait=true", "--timeout=120s"]).map(|_| ())
}

fn drop_database(url: &str) -> anyhow::Result<()> {
    ask(url, &format!("drop database if exists {DATABASE} with (force)")).map(|_| ())
}

fn postgres_pod(image: &str, password: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "postgres", "namespace": NAMESPACE},
        "spec": {"containers": [{
            "name": "postgres",
            "image": image,
            "env": [{"name": "POSTGRES_PASSWORD", "value": password}, {"name": "POSTGRES_DB", "value": DATABASE}],
            "ports": [{"containerPort": 5432}],
            // By address: while it initialises, it listens on its socket alone.
            "readinessProbe": {"exec": {"command": ["pg_isready", "-h", "127.0.0.1", "-U", "postgres"]}, "periodSeconds": 1},
        }]},
    })
}

/// A password that nobody else knows, as the pods of a cluster reach each other.
fn password() -> anyhow::Result<String> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    let mut text = String::new();
    for byte in bytes {
        write!(text, "{byte:02x}")?;
    }
    Ok(text)
}
