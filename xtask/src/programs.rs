//! Programs that must be there: found, listed with the command that installs them, and installed when asked.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::bail;

use crate::processes::succeed;

/// A program, where else than in PATH it may be, and the Debian package that has it.
struct Program {
    name: &'static str,
    folders: &'static [&'static str],
    package: &'static str,
    purpose: Purpose,
}

/// What a program is needed for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To build and to send messages.
    Build,
    /// To build what is written in C++.
    Compiler,
    /// To look into a database.
    Client,
    /// A Postgres of our own.
    Postgres,
    /// Containers on this machine.
    Node,
    /// Tests alone.
    Tests,
}

const fn program(
    name: &'static str,
    folders: &'static [&'static str],
    package: &'static str,
    purpose: Purpose,
) -> Program {
    Program { name, folders, package, purpose }
}

/// Folders of Debian's Postgres, newest first.
const POSTGRES: &[&str] = &[
    "/usr/lib/postgresql/18/bin",
    "/usr/lib/postgresql/17/bin",
    "/usr/lib/postgresql/16/bin",
    "/usr/lib/postgresql/15/bin",
];

/// Where Debian has a library that sets a process another clock.
const FAKETIME: &[&str] = &["/usr/lib/x86_64-linux-gnu/faketime", "/usr/lib/aarch64-linux-gnu/faketime"];

const SBIN: &[&str] = &["/usr/sbin", "/sbin"];

const PROGRAMS: [Program; 18] = [
    program("go", &["/usr/local/go/bin"], "golang", Purpose::Build),
    program("node", &[], "nodejs", Purpose::Build),
    program("npm", &[], "npm", Purpose::Build),
    program("c++", &[], "g++", Purpose::Compiler),
    program("psql", POSTGRES, "postgresql-client", Purpose::Client),
    program("initdb", POSTGRES, "postgresql", Purpose::Postgres),
    program("postgres", POSTGRES, "postgresql", Purpose::Postgres),
    program("pg_basebackup", POSTGRES, "postgresql-client", Purpose::Tests),
    program("promtool", &[], "prometheus", Purpose::Tests),
    program("chromium", &[], "chromium", Purpose::Tests),
    program("chromedriver", &[], "chromium-driver", Purpose::Tests),
    program("pgbouncer", SBIN, "pgbouncer", Purpose::Tests),
    program("libfaketime.so.1", FAKETIME, "libfaketime", Purpose::Tests),
    program("containerd", SBIN, "containerd", Purpose::Node),
    program("runc", SBIN, "runc", Purpose::Node),
    program("ptp", &["/usr/lib/cni", "/opt/cni/bin"], "containernetworking-plugins", Purpose::Node),
    program("ip", SBIN, "iproute2", Purpose::Node),
    program("busybox", &["/bin"], "busybox-static", Purpose::Node),
];

/// Where a program is.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let listed = PROGRAMS.iter().find(|program| program.name == name).map_or(&[][..], |program| program.folders);
    let folders = listed.iter().map(PathBuf::from).chain(std::env::split_paths(&path));
    folders.map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// Where a program is, or an error with what to do.
pub(crate) fn need(name: &str) -> anyhow::Result<PathBuf> {
    find(name).ok_or_else(|| anyhow::anyhow!("the program {name} is missing"))
}

/// Whether we are root.
pub(crate) fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Whether something is missing that these purposes need.
pub(crate) fn lacks(purposes: &[Purpose]) -> bool {
    !missing(purposes).is_empty()
}

/// Makes sure that everything is there. With `install` (or `CI=true`) what is missing is installed.
pub(crate) fn ensure(purposes: &[Purpose], install: bool) -> anyhow::Result<()> {
    let command = command(&missing(purposes));
    let Some(command) = command else { return Ok(()) };
    may_install(purposes, install)?;
    // In this run level Debian's packages start no service.
    let mut sh = Command::new("sh");
    sh.args(["-c", &command]).env("DEBIAN_FRONTEND", "noninteractive").env("RUNLEVEL", "1");
    succeed(&mut sh)?;
    let still = names(&missing(purposes));
    if !still.is_empty() {
        bail!("still missing after the installation: {still}");
    }
    Ok(())
}

/// An error with the command to type if something is missing that we are not to install, or can't.
pub(crate) fn may_install(purposes: &[Purpose], install: bool) -> anyhow::Result<()> {
    let missing = missing(purposes);
    let Some(command) = command(&missing) else { return Ok(()) };
    let asked = install || std::env::var("CI").is_ok_and(|ci| ci == "true");
    if asked && is_root() && Path::new("/usr/bin/apt-get").exists() {
        return Ok(());
    }
    bail!("missing: {}. On Debian, as root:\n  {command}\nor run this again as root with --yes", names(&missing));
}

/// What installs them; `None` if there is nothing to install.
fn command(missing: &[&Program]) -> Option<String> {
    let mut packages: Vec<&str> = missing.iter().map(|program| program.package).collect();
    packages.dedup();
    let command = |packages| format!("apt-get update && apt-get install -y --no-install-recommends {packages}");
    Some(packages.join(" ")).filter(|packages| !packages.is_empty()).map(command)
}

fn names(programs: &[&Program]) -> String {
    programs.iter().map(|program| program.name).collect::<Vec<_>>().join(", ")
}

fn missing(purposes: &[Purpose]) -> Vec<&'static Program> {
    PROGRAMS.iter().filter(|program| purposes.contains(&program.purpose) && find(program.name).is_none()).collect()
}
