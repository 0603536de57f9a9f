//! Takes the cluster down: exactly what was started, also after a kill at any moment.

use std::{fs, path::Path, process::Command, time::Duration};

use nix::{
    mount::{MntFlags, umount2},
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{
    folders::folder,
    net::remove_address,
    node::hierarchies,
    processes::{succeed, until},
    state::State,
};

/// How long killed processes may take to be gone.
const GONE_MAX: Duration = Duration::from_secs(10);

/// Stops everything that the state names, and removes what it left.
pub(crate) fn take_down(state: &State) -> anyhow::Result<()> {
    let mut problems = vec![];
    // The kubelet first, or it would start containers anew; containerd last, its shims need it.
    let mut rest: Vec<_> = state.processes.iter().rev().filter(|process| process.name != "containerd").collect();
    rest.sort_by_key(|process| process.name != "kubelet");
    for process in rest {
        match process.name.as_str() {
            // Their data is thrown away or journaled: nothing is gained by waiting.
            name if name.starts_with("postgres") => problems.extend(process.stop().err()),
            _ => process.kill(),
        }
    }
    if state.real_node {
        kill_containers(state);
        for containerd in state.processes.iter().filter(|process| process.name == "containerd") {
            problems.extend(containerd.stop().err());
        }
        unmount(&folder());
        unmount(&state.sockets);
        remove_networks(state);
        remove_cgroups(state);
        problems.extend(
            fs::remove_dir_all(&state.sockets)
                .err()
                .filter(|e| e.kind() != std::io::ErrorKind::NotFound)
                .map(Into::into),
        );
    }
    for address in &state.addresses {
        problems.extend(remove_address(address).err());
    }
    match problems.into_iter().next() {
        Some(problem) => Err(problem),
        None => State::remove(),
    }
}

/// Every process in our cgroup, and the shims that belong to our containerd.
fn kill_containers(state: &State) {
    let socket = state.sockets.join("containerd.sock").display().to_string();
    let all_gone = || {
        let pids: Vec<i32> = cgroup_pids(state).into_iter().chain(shims(&socket)).collect();
        for pid in &pids {
            // One that is gone already is as wanted.
            let _gone = kill(Pid::from_raw(*pid), Signal::SIGKILL);
        }
        pids.is_empty()
    };
    if !until(GONE_MAX, all_gone) {
        eprintln!("  some processes of containers do not end");
    }
}

fn cgroup_pids(state: &State) -> Vec<i32> {
    let mut pids = vec![];
    for hierarchy in hierarchies().unwrap_or_default() {
        let mut folders = vec![hierarchy.join(state.cgroup.trim_start_matches('/'))];
        while let Some(folder) = folders.pop() {
            let procs = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
            pids.extend(procs.lines().filter_map(|line| line.parse::<i32>().ok()));
            folders.extend(subfolders(&folder));
        }
    }
    pids
}

fn subfolders(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path()).collect()
}

fn shims(socket: &str) -> Vec<i32> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    ids.filter(|pid| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line);
        line.contains("containerd-shim") && line.contains(socket)
    })
    .collect()
}

/// Everything mounted below a folder, innermost first.
fn unmount(folder: &Path) {
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let mut paths: Vec<&str> = mounts
        .lines()
        .filter_map(|line| line.split(' ').nth(1))
        .filter(|path| Path::new(path).starts_with(folder))
        .collect();
    paths.sort_by_key(|path| std::cmp::Reverse(path.len()));
    for path in paths {
        if let Err(error) = umount2(path, MntFlags::MNT_DETACH) {
            eprintln!("  {path} stays mounted: {error}");
        }
    }
}

/// The network namespaces whose address is in our pods' network, and with them their links.
fn remove_networks(state: &State) {
    let Some((_, pods)) = state.pod_network.split_once('/') else { return };
    let names = succeed(Command::new("ip").args(["netns", "list"])).unwrap_or_default();
    for name in names.lines().filter_map(|line| line.split(' ').next()).filter(|name| name.starts_with("cni-")) {
        let addresses = succeed(Command::new("ip").args(["-n", name, "-o", "addr"])).unwrap_or_default();
        let ours = addresses.contains(&format!(" {pods}."))
            && succeed(Command::new("ip").args(["netns", "del", name])).is_err();
        if ours {
            eprintln!("  the network namespace {name} stays");
        }
    }
}

fn remove_cgroups(state: &State) {
    for hierarchy in hierarchies().unwrap_or_default() {
        remove_cgroup(&hierarchy.join(state.cgroup.trim_start_matches('/')));
    }
}

/// Innermost first; a group that is still in use stays and is used again.
fn remove_cgroup(folder: &Path) {
    subfolders(folder).iter().for_each(|below| remove_cgroup(below));
    let _in_use = fs::remove_dir(folder);
}
