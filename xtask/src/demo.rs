//! The demo: everything is brought up, messages are sent, and the screen shows how they become Jobs.

use std::{
    collections::BTreeMap,
    io::{IsTerminal, Write},
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use clap::Args;
use serde_json::Value;

use crate::{
    bosses::{self, boss},
    build, cluster,
    folders::{folder, root},
    image::{WORKER, worker_sources},
    net::free_port,
    plane::kubectl,
    postgres::sql,
    processes::{dies_with_us, until},
    state::{CONTEXT, State},
};

/// What the demo is asked for.
#[derive(Args)]
pub(crate) struct Options {
    /// Install what is missing.
    #[arg(long)]
    yes: bool,
    /// End after the first round, with a summary.
    #[arg(long)]
    once: bool,
    /// Use this context of your kubeconfig instead of the test cluster; its nodes need the worker's image, and
    /// its pods must reach the Postgres of DATABASE_URL.
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
}

/// The queues of `jobs.example.json`, and how many messages a round sends to each.
const ROUND: [(&str, &str, u32); 4] = [
    ("thumbnails", "thumbnails", 5),
    ("Video_Transcoding", "Video_Transcoding", 8),
    ("reports", "monthly-reports", 6),
    ("greetings", "greetings", 2),
];

/// The service of `jobs.example.json`.
const SERVICE: &str = "greeter";

/// How long a service may take to be up again: its wait, a pod's start, and its readiness.
const SERVICE_MAX: Duration = Duration::from_secs(60);

/// How long a round may take: a pod starts and ends within 1 to 2 s on the real node.
const ROUND_MAX: Duration = Duration::from_secs(180);

/// How long job-chief may take to be ready.
const READY_MAX: Duration = Duration::from_secs(30);

/// How often the screen is drawn.
const DRAWN_EVERY: Duration = Duration::from_millis(500);

/// Between rounds, when it goes on until Ctrl-C.
const PAUSE: Duration = Duration::from_secs(20);

/// Namespace and database of the demo.
const NAMESPACE: &str = "demo";
const DATABASE: &str = "demo";

/// Ctrl-C was pressed.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let begun = Instant::now();
    if let Some(context) = &options.context {
        bail_unless_ready_for_context(context)?;
    }
    eprintln!("bringing up the test cluster");
    let state = cluster::up(options.yes)?;
    if !state.real_node {
        eprintln!(
            "without root there are no containers: pods run on the scale node, which only plays them, and this demo takes the messages in their place"
        );
    }
    let program = build::job_chief()?;
    prepare(&state)?;
    let port = free_port()?;
    let mut chief = start(&state, &program, port)?;
    let told = rounds(&state, port, options.once, &mut chief);
    stop(&mut chief);
    let rounds = told?;
    eprintln!(
        "{rounds} round{} in {:.0} s, start included. The cluster stays up for the next time: cargo xtask cluster down",
        if rounds == 1 { "" } else { "s" },
        begun.elapsed().as_secs_f64()
    );
    Ok(())
}

/// An existing cluster is used only for what we can't bring ourselves.
fn bail_unless_ready_for_context(context: &str) -> anyhow::Result<()> {
    bail!(
        "to use the cluster of context {context}, load the image {WORKER} into its nodes (sources: {}), then run\n  job-chief run --context {context}\nwith DATABASE_URL and APP_JOBS_CONFIG_PATH=jobs.example.json in the environment; the demo itself only plays on the cluster that it brings up",
        worker_sources().display()
    )
}

/// Namespace, database, queues, and what the example refers to.
fn prepare(state: &State) -> anyhow::Result<()> {
    let exists = sql(state, "postgres", &format!("select 1 from pg_database where datname = '{DATABASE}'"))?;
    if exists.trim().is_empty() {
        sql(state, "postgres", &format!("create database {DATABASE}"))?;
    }
    let objects = serde_json::json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "reports", "namespace": NAMESPACE}, "data": {"GREETING": "hello"}},
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "reports", "namespace": NAMESPACE}, "stringData": {"API_KEY": "not-a-real-key"}},
    ]});
    let file = folder().join("demo.json");
    std::fs::write(&file, objects.to_string())?;
    kubectl(state, &["apply", "-f", file.to_str().context("a path that is text")?])?;
    for (_, queue, _) in ROUND {
        boss(state, DATABASE, bosses::NEWEST, &["queue", queue])?;
    }
    Ok(())
}

fn start(state: &State, program: &std::path::Path, port: u16) -> anyhow::Result<Child> {
    // The example names its queues; nothing else of the demo is in it.
    let log = std::fs::File::create(folder().join("logs/demo-job-chief.log"))?;
    let mut command = Command::new(program);
    command.args(["run", "--context", CONTEXT, "--kubeconfig"]).arg(&state.kubeconfig).current_dir(root());
    command.env("DATABASE_URL", state.database_url(DATABASE)).env("APP_JOBS_CONFIG_PATH", "jobs.example.json");
    command.env("APP_INSTANCE_UID", "demo").env("K8S_NAMESPACE", NAMESPACE).env("SERVER_PORT", port.to_string());
    command.env("DB_MONITOR_STATE_INTERVAL_SECONDS", "1");
    let config = folder().join("demo.toml");
    std::fs::write(&config, "[server]\nhost = \"127.0.0.1\"\n")?;
    let mut command = dies_with_us(command.arg("--config").arg(config));
    // Ctrl-C is for the demo alone, which then ends job-chief as Kubernetes would.
    command.process_group(0);
    let mut child = command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()?;
    let ready =
        until(READY_MAX, || get(port, "/readiness").is_ok() || child.try_wait().is_ok_and(|ended| ended.is_some()));
    if !ready || child.try_wait()?.is_some() {
        stop(&mut child);
        bail!("job-chief is not ready; see target/cluster/logs/demo-job-chief.log");
    }
    eprintln!("job-chief runs, its log is target/cluster/logs/demo-job-chief.log");
    for path in ["metrics", "readiness", "states", "jobs", "services"] {
        eprintln!("  http://127.0.0.1:{port}/{path}");
    }
    Ok(child)
}

fn stop(chief: &mut Child) {
    let pid = i32::try_from(chief.id()).unwrap_or_default();
    if nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGTERM).is_ok() {
        until(Duration::from_secs(25), || chief.try_wait().is_ok_and(|ended| ended.is_some()));
    }
    if chief.try_wait().is_ok_and(|ended| ended.is_none()) && chief.kill().is_err() {
        eprintln!("job-chief (process {}) does not end", chief.id());
    }
}

/// Plays rounds until it is enough. Returns how many.
fn rounds(state: &State, port: u16, once: bool, chief: &mut Child) -> anyhow::Result<u32> {
    listen_for_interrupt()?;
    let mut played = 0;
    loop {
        let before = completed(state)?;
        round(state, port, chief, &before)?;
        if !INTERRUPTED.load(Ordering::Relaxed) {
            lose_the_service(state, port)?;
        }
        played += 1;
        if once {
            return summary(state, port, &before).map(|()| played);
        }
        eprintln!("\nthe next round comes in {} s; Ctrl-C ends", PAUSE.as_secs());
        if until(PAUSE, || INTERRUPTED.load(Ordering::Relaxed)) {
            return Ok(played);
        }
    }
}

fn listen_for_interrupt() -> anyhow::Result<()> {
    let mut mask = nix::sys::signal::SigSet::empty();
    mask.add(nix::sys::signal::Signal::SIGINT);
    mask.thread_block()?;
    std::thread::spawn(move || {
        if mask.wait().is_ok() {
            INTERRUPTED.store(true, Ordering::Relaxed);
        }
    });
    Ok(())
}

fn round(state: &State, port: u16, chief: &mut Child, before: &BTreeMap<String, i64>) -> anyhow::Result<()> {
    eprintln!("\nsending messages through pg-boss {}", bosses::NEWEST);
    for (_, queue, count) in ROUND {
        boss(state, DATABASE, bosses::NEWEST, &["send", queue, &count.to_string()])?;
    }
    let begun = Instant::now();
    let mut drawn = vec![];
    loop {
        if !state.real_node {
            play_workers(state)?;
        }
        let (lines, idle) = table(port)?;
        draw(lines, &mut drawn)?;
        let now = completed(state)?;
        let done = ROUND.iter().all(|(_, queue, count)| {
            now.get(*queue).unwrap_or(&0) - before.get(*queue).unwrap_or(&0) >= i64::from(*count)
        });
        if (done && idle) || INTERRUPTED.load(Ordering::Relaxed) {
            return Ok(());
        }
        ensure!(chief.try_wait()?.is_none(), "job-chief has ended; see target/cluster/logs/demo-job-chief.log");
        ensure!(
            begun.elapsed() < ROUND_MAX,
            "the messages were not all taken within {} s; see target/cluster/logs/",
            ROUND_MAX.as_secs()
        );
        sleep(DRAWN_EVERY);
    }
}

/// The pod of the service is killed, and another takes its place.
fn lose_the_service(state: &State, port: u16) -> anyhow::Result<()> {
    let path = format!("/services/{SERVICE}");
    let restarts = |told: &Value| told["restarts"].as_u64().unwrap_or_default();
    let mut told = get(port, &path)?;
    let before = restarts(&told);
    eprintln!("\nkilling the pod of the service {SERVICE}");
    let selector = format!("--selector=job-chief/name={SERVICE}");
    kubectl(
        state,
        &["delete", "pods", "--namespace", NAMESPACE, &selector, "--grace-period=0", "--force", "--wait=false"],
    )?;
    let begun = Instant::now();
    let mut shown = String::new();
    while (restarts(&told) == before || told["state"] != "RUNNING") && !INTERRUPTED.load(Ordering::Relaxed) {
        ensure!(begun.elapsed() < SERVICE_MAX, "{SERVICE} is not up again: {} {}", told["state"], told["error"]);
        sleep(DRAWN_EVERY / 5);
        told = get(port, &path)?;
        let state = told["state"].as_str().unwrap_or_default();
        if state != shown {
            eprintln!("  {:>4.1} s  {state}", begun.elapsed().as_secs_f64());
            state.clone_into(&mut shown);
        }
    }
    Ok(())
}

/// Completed messages by queue.
fn completed(state: &State) -> anyhow::Result<BTreeMap<String, i64>> {
    let rows =
        sql(state, DATABASE, "select name || '=' || count(*) from pgboss.job where state = 'completed' group by name")?;
    Ok(rows
        .lines()
        .filter_map(|line| line.rsplit_once('='))
        .map(|(name, count)| (name.to_owned(), count.parse().unwrap_or(0)))
        .collect())
}

/// Where no container runs, a message is taken for each Job that plays to run.
fn play_workers(state: &State) -> anyhow::Result<()> {
    sql(state, DATABASE, "update pgboss.job set state = 'completed', completed_on = now() where id in (select id from pgboss.job where state < 'active' and start_after <= now() limit 2)").map(|_| ())
}

/// The queues and their Jobs, and whether nothing lives any more.
fn table(port: u16) -> anyhow::Result<(Vec<String>, bool)> {
    let (states, jobs) = (get(port, "/states")?, get(port, "/jobs")?);
    let mut lines = vec![format!(
        "{:<18} {:>7} {:>7} {:>10}   {:>7} {:>9} {:>8}",
        "QUEUE", "WAITING", "ACTIVE", "COMPLETED", "QUEUED", "STARTING", "RUNNING"
    )];
    let mut idle = true;
    for job in jobs.as_array().into_iter().flatten() {
        let queue = job["queue"].as_str().unwrap_or_default();
        let (of, phase) = (&states[queue], &job["phase"]);
        let waiting = of["created"].as_i64().unwrap_or(0) + of["retry"].as_i64().unwrap_or(0);
        let number = |value: &Value| value.as_i64().unwrap_or(0);
        let (active, completed) = (number(&of["active"]), number(&of["completed"]));
        let (queued, starting, running) =
            (number(&phase["queued"]), number(&phase["starting"]), number(&phase["running"]));
        lines.push(format!(
            "{queue:<18} {waiting:>7} {active:>7} {completed:>10}   {queued:>7} {starting:>9} {running:>8}"
        ));
        idle &= job["live"].as_array().is_some_and(Vec::is_empty);
    }
    Ok((lines, idle))
}

/// Over the last table on a terminal; elsewhere below it, when something has changed.
fn draw(lines: Vec<String>, drawn: &mut Vec<String>) -> anyhow::Result<()> {
    if lines == *drawn {
        return Ok(());
    }
    let mut out = std::io::stderr().lock();
    let (up, clear) = match (out.is_terminal(), drawn.len()) {
        (true, 0) => (String::new(), "\x1b[K"),
        (true, height) => (format!("\x1b[{height}A"), "\x1b[K"),
        (false, _) => (String::new(), ""),
    };
    write!(out, "{up}")?;
    for line in &lines {
        writeln!(out, "{line}{clear}")?;
    }
    *drawn = lines;
    Ok(())
}

fn summary(state: &State, port: u16, before: &BTreeMap<String, i64>) -> anyhow::Result<()> {
    let now = completed(state)?;
    eprintln!("\nsummary");
    for (name, queue, sent) in ROUND {
        let taken = now.get(queue).unwrap_or(&0) - before.get(queue).unwrap_or(&0);
        let told = get(port, &format!("/jobs/{name}"))?;
        let runs: Vec<&Value> = told["runs"].as_array().into_iter().flatten().collect();
        let unfinished = runs.iter().filter(|run| run["endedAt"].is_null()).count();
        let succeeded = runs.iter().filter(|run| run["outcome"] == "succeeded").count();
        eprintln!(
            "  {queue}: {taken} of {sent} messages taken {}, {succeeded} of the last {} runs succeeded, {unfinished} unfinished",
            if state.real_node { "by workers in containers" } else { "(played)" },
            runs.len()
        );
        ensure!(
            taken >= i64::from(sent) && unfinished == 0,
            "{queue}: not every message was taken, or a Job is unfinished"
        );
    }
    Ok(())
}

/// A page of job-chief as JSON; an error unless it answers with 200.
fn get(port: u16, path: &str) -> anyhow::Result<Value> {
    use std::io::Read;
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
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
