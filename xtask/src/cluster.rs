//! The test cluster: up, down, and where it is.

use std::path::PathBuf;

use anyhow::Context;
use clap::{Subcommand, ValueEnum};

use crate::{
    bosses, build,
    folders::folder,
    image,
    net::{add_address, free_network, free_port},
    node, pair, plane, postgres,
    processes::Process,
    programs::{self, Purpose},
    state::{NOT_UP, State, lock},
    steps::{Step, step, together, told},
    sweep,
};

/// What to do with the cluster.
#[derive(Subcommand)]
pub(crate) enum Action {
    /// Bring it up; nothing is done to one that is up.
    Up {
        /// Install what is missing.
        #[arg(long)]
        yes: bool,
    },
    /// Take it down, exactly what was started.
    Down,
    /// Print the path of its kubeconfig.
    Kubeconfig,
    /// Kill one of its processes, such as `apiserver` or `postgres`, to see what happens.
    Kill {
        /// Its name.
        process: String,
    },
    /// Start that process again.
    Revive {
        /// Its name.
        process: String,
    },
    /// Make one of chaos' two Postgres servers anew, as the standby of the other one.
    StandBy {
        /// Its name.
        process: String,
    },
    /// Let the kubelet count the node's disk as full, or no more.
    Disk {
        /// Which of both.
        disk: Disk,
    },
}

/// How full the node's disk counts as.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Disk {
    /// Pods are evicted, and none is taken.
    Full,
    /// As it is.
    Free,
}

/// Socket names may have 107 bytes; this many are left for containerd's own.
const SOCKET_FOLDER_MAX: usize = 60;

pub(crate) fn run(action: &Action) -> anyhow::Result<()> {
    match action {
        Action::Up { yes } => {
            let state = up(*yes)?;
            eprintln!(
                "the cluster is up: kubeconfig {}, context {}",
                state.kubeconfig.display(),
                crate::state::CONTEXT
            );
            eprintln!("Postgres: {}", state.database_url("postgres"));
            Ok(())
        }
        Action::Down => down(),
        Action::Kill { process } => {
            let _lock = lock()?;
            known(&State::of_cluster()?, process)?.kill();
            Ok(())
        }
        Action::Revive { process } => revive(process),
        Action::StandBy { process } => pair::stand_by(process),
        Action::Disk { disk } => set_disk(*disk),
        Action::Kubeconfig => {
            let state = State::load()?.filter(|state| state.ready).context(NOT_UP)?;
            println_path(&state.kubeconfig)
        }
    }
}

fn known<'a>(state: &'a State, name: &str) -> anyhow::Result<&'a Process> {
    let names = || state.processes.iter().map(|process| process.name.as_str()).collect::<Vec<_>>().join(", ");
    let found = state.processes.iter().find(|process| process.name == name);
    found.with_context(|| format!("the cluster has no process {name}; it has {}", names()))
}

fn revive(name: &str) -> anyhow::Result<()> {
    let _lock = lock()?;
    let mut state = State::of_cluster()?;
    if known(&state, name)?.is_alive() {
        return Ok(());
    }
    if name.starts_with("postgres") {
        postgres::unlock(name)?;
    }
    start_again(&mut state, name)
}

/// Starts a process that is not alive once more.
fn start_again(state: &mut State, name: &str) -> anyhow::Result<()> {
    let process = known(state, name)?.start_again()?;
    state.processes.iter_mut().filter(|it| it.name == name).for_each(|it| *it = process.clone());
    state.save()
}

/// The kubelet starts anew with other thresholds, unless it has them.
pub(crate) fn set_disk(disk: Disk) -> anyhow::Result<()> {
    const KUBELET: &str = "kubelet";
    let _lock = lock()?;
    let mut state = State::of_cluster()?;
    if !node::set_disk(disk == Disk::Full)? {
        return Ok(());
    }
    known(&state, KUBELET)?.kill();
    start_again(&mut state, KUBELET)
}

#[expect(clippy::print_stdout, reason = "the answer of a command")]
#[expect(clippy::unnecessary_wraps, reason = "reads as the last step of a command")]
fn println_path(path: &std::path::Path) -> anyhow::Result<()> {
    println!("{}", path.display());
    Ok(())
}

/// Takes down what is written down.
pub(crate) fn down() -> anyhow::Result<()> {
    let _lock = lock()?;
    match State::load()? {
        Some(state) => sweep::take_down(&state),
        None => Ok(()),
    }
}

/// Brings the cluster up with all that the tests need, or finds it up.
pub(crate) fn up(install: bool) -> anyhow::Result<State> {
    let mut state = up_with(install, true, vec![])?;
    if !state.processes.iter().any(|process| process.name == "kwok") {
        // A demo has brought it up, which needs none.
        let _lock = lock()?;
        // A kill before its end must not leave a cluster that counts as whole.
        state.ready = false;
        told("building and starting the scale node", || node::start_scale(&mut state))?;
        state.ready = true;
        state.save()?;
    }
    Ok(state)
}

/// Brings the cluster up with what a demo needs, or finds it up, and does other steps beside the building.
pub(crate) fn up_for_demo(install: bool, beside: Vec<Step<'_>>) -> anyhow::Result<State> {
    up_with(install, false, beside)
}

fn up_with(install: bool, for_tests: bool, beside: Vec<Step<'_>>) -> anyhow::Result<State> {
    let _lock = lock()?;
    let real_node = node::can_run_containers();
    let mut purposes = vec![Purpose::Build, Purpose::Client, Purpose::Postgres];
    purposes.extend(real_node.then_some(Purpose::Node));
    purposes.extend(for_tests.then_some(Purpose::Tests));
    programs::may_install(&purposes, install)?;
    if let Some(state) = State::load()? {
        if is_up(&state) {
            programs::ensure(&purposes, install)?;
            let images = real_node.then(|| step("loading the small images", || node::load_small_ones(&state)));
            together(images.into_iter().chain(beside).collect())?;
            return Ok(state);
        }
        told("taking down what an earlier run left", || sweep::take_down(&state))?;
    }
    let with_scale_node = for_tests || !real_node;
    build_all(&purposes, install, with_scale_node, beside)?;
    start_all(real_node, with_scale_node)
}

/// Builds, installs and downloads side by side. Programs in Go come one after another: what they have in common is
/// compiled once then.
fn build_all(purposes: &[Purpose], install: bool, with_scale_node: bool, beside: Vec<Step<'_>>) -> anyhow::Result<()> {
    const PACKAGES: &str = "installing Debian packages";
    if programs::lacks(&[Purpose::Build]) {
        // Without Go and npm there is nothing to do meanwhile.
        told(PACKAGES, || programs::ensure(purposes, install))?;
    }
    let mut steps = vec![step("building the control plane and the worker (Go)", move || {
        build::control_plane()?;
        image::worker()?;
        if with_scale_node { build::scale_node().map(|_| ()) } else { Ok(()) }
    })];
    steps.extend(beside);
    if programs::lacks(purposes) {
        steps.push(step(PACKAGES, || programs::ensure(purposes, install)));
    }
    if !bosses::are_installed()? {
        steps.push(step("installing pg-boss 7 to 12 (npm)", bosses::install));
    }
    together(steps)
}

fn start_all(real_node: bool, with_scale_node: bool) -> anyhow::Result<State> {
    let mut state = plan(real_node)?;
    state.save()?;
    told("starting etcd, API server and Postgres", || start_servers(&mut state))?;
    told("starting controllers and scheduler", || plane::start_controllers(&mut state))?;
    if real_node {
        told("starting the node", || node::start_real(&mut state))?;
    }
    if with_scale_node {
        told("starting the scale node", || node::start_scale(&mut state))?;
    }
    state.ready = true;
    state.save()?;
    Ok(state)
}

/// Brings up Postgres alone, or finds it up.
pub(crate) fn postgres_up(install: bool) -> anyhow::Result<State> {
    let _lock = lock()?;
    programs::ensure(&[Purpose::Build, Purpose::Client, Purpose::Postgres, Purpose::Tests], install)?;
    if !bosses::are_installed()? {
        told("installing pg-boss 7 to 12 (npm)", bosses::install)?;
    }
    if let Some(state) = State::load()? {
        if postgres::sql(&state, "postgres", "select 1").is_ok() {
            return Ok(state);
        }
        sweep::take_down(&state)?;
    }
    let mut state = plan(false)?;
    state.save()?;
    state.processes.push(postgres::start(&state)?);
    state.save()?;
    postgres::wait(&state)?;
    Ok(state)
}

fn is_up(state: &State) -> bool {
    state.ready
        && state.processes.iter().all(crate::processes::Process::is_alive)
        && plane::kubectl(state, &["get", "--raw", "/readyz"]).is_ok()
        && postgres::sql(state, "postgres", "select 1").is_ok()
}

/// Chooses addresses and ports. With containers the API server has the address that pods expect it at.
fn plan(real_node: bool) -> anyhow::Result<State> {
    let folder = folder();
    // What etcd holds is of no use without the nodes it speaks of.
    match std::fs::remove_dir_all(folder.join("etcd")) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let network = if real_node { free_network()? } else { 200 };
    let short = folder.join("run");
    let long = folder.as_os_str().len() > SOCKET_FOLDER_MAX;
    let sockets = if long { PathBuf::from(format!("/tmp/job-chief-{network}")) } else { short };
    let (api, postgres_host) = if real_node {
        (format!("10.{network}.0.1:443"), format!("10.{network}.0.2"))
    } else {
        (format!("127.0.0.1:{}", free_port()?), "127.0.0.1".to_owned())
    };
    Ok(State {
        ready: false,
        kubeconfig: folder.join("kubeconfig"),
        api,
        postgres_host,
        postgres_port: free_port()?,
        postgres_password: "job-chief-test".into(),
        pair_ports: None,
        real_node,
        addresses: if real_node { vec![format!("10.{network}.0.1"), format!("10.{network}.0.2")] } else { vec![] },
        pod_network: format!("10.{network}/10.{}", network + 1),
        cgroup: format!("/job-chief-{network}"),
        sockets,
        processes: vec![],
    })
}

fn start_servers(state: &mut State) -> anyhow::Result<()> {
    for address in state.addresses.clone() {
        add_address(&address)?;
    }
    // A certificate names its address; another address needs another one.
    match std::fs::remove_dir_all(folder().join("pki/serving")) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let process = postgres::start(state)?;
    state.processes.push(process);
    state.save()?;
    plane::start_api(state)?;
    postgres::wait(state)
}
