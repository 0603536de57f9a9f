//! A Postgres of our own, on loopback and on the address that pods reach.

use std::{
    fs,
    os::unix::fs::chown,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, ensure};

use crate::{
    folders::{folder, subfolder},
    processes::{Process, succeed, until},
    programs::{is_root, need},
    state::State,
};

/// How long Postgres may take to answer.
const READY_MAX: Duration = Duration::from_secs(30);

/// Connections: the tests run side by side, each with pools of its own.
const CONNECTIONS: &str = "300";

/// The cluster's own server, among its processes.
const NAME: &str = "postgres";

/// Where the server of this name keeps its data.
pub(crate) fn data(name: &str) -> PathBuf {
    folder().join(name)
}

/// A command as a user that Postgres accepts: not root, but with root's right to reach the folder.
pub(crate) fn as_postgres(program: &str) -> anyhow::Result<Command> {
    let program = need(program)?;
    if !is_root() {
        return Ok(Command::new(program));
    }
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=postgres", "--regid=postgres", "--clear-groups"])
        .args(["--inh-caps=+dac_override,+dac_read_search", "--ambient-caps=+dac_override,+dac_read_search"])
        .arg(program);
    Ok(command)
}

/// Makes a data folder once.
pub(crate) fn init(data: &Path, password: &str) -> anyhow::Result<()> {
    if data.join("PG_VERSION").exists() {
        return Ok(());
    }
    fs::create_dir_all(data)?;
    let password_file = subfolder("")?.join("postgres-password");
    fs::write(&password_file, password)?;
    if is_root() {
        let passwd = fs::read_to_string("/etc/passwd")?;
        let line = passwd.lines().find(|line| line.starts_with("postgres:")).context("there is no user postgres")?;
        let ids: Vec<u32> = line.split(':').skip(2).take(2).filter_map(|id| id.parse().ok()).collect();
        ensure!(ids.len() == 2, "the user postgres has no ids");
        chown(data, Some(ids[0]), Some(ids[1]))?;
        chown(&password_file, Some(ids[0]), Some(ids[1]))?;
    }
    let mut initdb = as_postgres("initdb")?;
    initdb.args(["--username=postgres", "--auth=scram-sha-256", "--no-sync", "--encoding=UTF8", "--locale=C"]);
    succeed(initdb.arg("--pwfile").arg(&password_file).arg("--pgdata").arg(data))?;
    fs::write(
        data.join("pg_hba.conf"),
        "local all all scram-sha-256\nhost all all 127.0.0.1/32 scram-sha-256\nhost all all 10.0.0.0/8 scram-sha-256\n\
        host replication all 127.0.0.1/32 scram-sha-256\n",
    )?;
    Ok(())
}

/// A server that was killed leaves its lock. Whoever held it is not alive, or this would not be asked for.
pub(crate) fn unlock(name: &str) -> anyhow::Result<()> {
    match fs::remove_file(data(name).join("postmaster.pid")) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

/// Starts Postgres where the state says.
pub(crate) fn start(state: &State) -> anyhow::Result<Process> {
    init(&data(NAME), &state.postgres_password)?;
    serve(state, NAME, state.postgres_port, &[])
}

/// Starts the server of this name, whose data folder is there, with some more settings.
pub(crate) fn serve(state: &State, name: &str, port: u16, more: &[&str]) -> anyhow::Result<Process> {
    unlock(name)?;
    let mut addresses = vec!["127.0.0.1".to_owned(), state.postgres_host.clone()];
    addresses.dedup();
    let mut postgres = as_postgres("postgres")?;
    postgres.arg("-D").arg(data(name)).args(["-p", &port.to_string()]);
    postgres.args(["-c", &format!("listen_addresses={}", addresses.join(","))]);
    let settings = ["unix_socket_directories=", "fsync=off", "full_page_writes=off", "shared_buffers=256MB"];
    for setting in settings.iter().chain(more) {
        postgres.args(["-c", setting]);
    }
    postgres.args(["-c", &format!("max_connections={CONNECTIONS}")]);
    Process::start(name, &mut postgres)
}

/// Waits until Postgres answers.
pub(crate) fn wait(state: &State) -> anyhow::Result<()> {
    ensure!(
        until(READY_MAX, || sql(state, "postgres", "select 1").is_ok()),
        "Postgres does not answer; see target/cluster/logs/postgres.log"
    );
    Ok(())
}

/// Runs a statement in a database of our own server.
pub(crate) fn sql(state: &State, database: &str, statement: &str) -> anyhow::Result<String> {
    ask(&state.database_url(database), statement)
}

/// Runs a statement and returns what psql prints of it, bare.
pub(crate) fn ask(url: &str, statement: &str) -> anyhow::Result<String> {
    let mut psql = Command::new(need("psql")?);
    psql.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1", "-c", statement]);
    succeed(psql.arg(url).env("PGCONNECT_TIMEOUT", "5"))
}
