//! Chaos' own Postgres: two servers, one of which stands by for the other, as an operator would run them.
//!
//! A commit is acknowledged once the standby has it, so none is lost when the primary is. Without a standby the primary
//! goes on alone: its next standby is made anew.

use std::{fs, time::Duration};

use anyhow::{Context, ensure};

use crate::{
    net::free_port,
    postgres::{self, as_postgres, ask, data},
    processes::{succeed, until},
    state::{State, lock},
};

/// The servers among the cluster's processes.
const NAMES: [&str; 2] = ["postgres-one", "postgres-two"];

/// How long a server may take to answer, and a standby to have all that its primary has.
const READY_MAX: Duration = Duration::from_secs(60);

/// What a standby needs to find its primary again soon, and what that keeps for it.
const SETTINGS: [&str; 2] = ["wal_retrieve_retry_interval=200ms", "wal_keep_size=256MB"];

/// Starts both, anew.
pub(crate) fn begin() -> anyhow::Result<()> {
    end()?;
    {
        let _lock = lock()?;
        let mut state = State::of_cluster()?;
        let ports = [free_port()?, free_port()?];
        state.pair_ports = Some(ports);
        postgres::init(&data(NAMES[0]), &state.postgres_password)?;
        let primary = postgres::serve(&state, NAMES[0], ports[0], &SETTINGS)?;
        state.processes.push(primary);
        state.save()?;
        let answers = || ask(&url(&state, ports[0]), "select 1").is_ok();
        ensure!(until(READY_MAX, answers), "{0} does not answer; see target/cluster/logs/{0}.log", NAMES[0]);
    }
    stand_by(NAMES[1])
}

/// Ends both, and throws their data away.
pub(crate) fn end() -> anyhow::Result<()> {
    let _lock = lock()?;
    let Some(mut state) = State::load()? else { return Ok(()) };
    let (pair, others) = state.processes.into_iter().partition(|process| NAMES.contains(&&*process.name));
    let pair: Vec<_> = pair;
    pair.iter().for_each(crate::processes::Process::kill);
    state.processes = others;
    state.pair_ports = None;
    state.save()?;
    NAMES.into_iter().try_for_each(remove)
}

/// Makes a server anew, as the standby of the other one, and waits until that waits for it.
pub(crate) fn stand_by(name: &str) -> anyhow::Result<()> {
    let own = NAMES.iter().position(|known| *known == name).with_context(|| format!("there is no server {name}"))?;
    let state = State::of_cluster()?;
    let ports = state.pair_ports.context("chaos has no servers of its own now")?;
    let primary = url(&state, ports[1 - own]);
    state.processes.iter().filter(|process| process.name == name).for_each(crate::processes::Process::kill);
    // The next primary is to go on alone.
    set_names(&primary, "")?;
    remove(name)?;
    let mut copy = as_postgres("pg_basebackup")?;
    copy.args(["--checkpoint=fast", "--wal-method=stream", "--no-sync", "--write-recovery-conf"]);
    succeed(copy.arg("--pgdata").arg(data(name)).arg("--dbname").arg(&primary))?;
    start(name, ports[own])?;
    let streams = "select count(*) from pg_stat_replication where state = 'streaming'";
    let in_sync = || ask(&primary, streams).is_ok_and(|count| count.trim() == "1");
    ensure!(until(READY_MAX, in_sync), "{name} does not follow; see target/cluster/logs/{name}.log");
    set_names(&primary, "*")
}

/// Starts the server of this name in the place of the one before.
fn start(name: &str, port: u16) -> anyhow::Result<()> {
    let _lock = lock()?;
    let mut state = State::of_cluster()?;
    let process = postgres::serve(&state, name, port, &SETTINGS)?;
    state.processes.retain(|process| process.name != name);
    state.processes.push(process);
    state.save()
}

/// Who has to have a commit before it is acknowledged.
fn set_names(url: &str, names: &str) -> anyhow::Result<()> {
    ask(url, &format!("alter system set synchronous_standby_names = '{names}'"))?;
    ask(url, "select pg_reload_conf()").map(|_| ())
}

fn url(state: &State, port: u16) -> String {
    format!("postgres://postgres:{}@127.0.0.1:{port}/postgres", state.postgres_password)
}

fn remove(name: &str) -> anyhow::Result<()> {
    match fs::remove_dir_all(data(name)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("the data of {name} can't be removed"))
        }
        _ => Ok(()),
    }
}
