//! Programs that must be there: found, listed with the command that installs them, and installed when asked.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::bail;

use crate::processes::show;

/// A program, where else than in PATH it may be, and the Debian package that has it.
struct Program {
    name: &'static str,
    folders: &'static [&'static str],
    package: &'static str,
    /// Needed for containers only.
    for_node: bool,
}

const fn program(
    name: &'static str,
    folders: &'static [&'static str],
    package: &'static str,
    for_node: bool,
) -> Program {
    Program { name, folders, package, for_node }
}

/// Folders of Debian's Postgres, newest first.
const POSTGRES: &[&str] = &[
    "/usr/lib/postgresql/18/bin",
    "/usr/lib/postgresql/17/bin",
    "/usr/lib/postgresql/16/bin",
    "/usr/lib/postgresql/15/bin",
];

const SBIN: &[&str] = &["/usr/sbin", "/sbin"];

const PROGRAMS: [Program; 12] = [
    program("go", &["/usr/local/go/bin"], "golang", false),
    program("node", &[], "nodejs", false),
    program("npm", &[], "npm", false),
    program("initdb", POSTGRES, "postgresql", false),
    program("postgres", POSTGRES, "postgresql", false),
    program("promtool", &[], "prometheus", false),
    program("pgbouncer", SBIN, "pgbouncer", false),
    program("containerd", SBIN, "containerd", true),
    program("runc", SBIN, "runc", true),
    program("ptp", &["/usr/lib/cni", "/opt/cni/bin"], "containernetworking-plugins", true),
    program("ip", SBIN, "iproute2", true),
    program("busybox", &["/bin"], "busybox-static", true),
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

/// Makes sure that everything is there. With `install` (or `CI=true`) what is missing is installed.
pub(crate) fn ensure(real_node: bool, install: bool) -> anyhow::Result<()> {
    let missing = missing(real_node);
    if missing.is_empty() {
        return Ok(());
    }
    let mut packages: Vec<&str> = missing.iter().map(|program| program.package).collect();
    packages.dedup();
    let names: Vec<&str> = missing.iter().map(|program| program.name).collect();
    let command = format!("apt-get update && apt-get install -y --no-install-recommends {}", packages.join(" "));
    let may_install = install || std::env::var("CI").is_ok_and(|ci| ci == "true");
    if !may_install || !is_root() || !Path::new("/usr/bin/apt-get").exists() {
        bail!("missing: {}. On Debian, as root:\n  {command}\nor run this again as root with --yes", names.join(", "));
    }
    // In this run level Debian's packages start no service.
    eprintln!("  installing {}", packages.join(", "));
    show(
        Command::new("sh")
            .args(["-c", &format!("({command}) >/dev/null")])
            .env("DEBIAN_FRONTEND", "noninteractive")
            .env("RUNLEVEL", "1"),
    )?;
    let still: Vec<&str> = self::missing(real_node).iter().map(|program| program.name).collect();
    if !still.is_empty() {
        bail!("still missing after the installation: {}", still.join(", "));
    }
    Ok(())
}

fn missing(real_node: bool) -> Vec<&'static Program> {
    PROGRAMS.iter().filter(|program| (real_node || !program.for_node) && find(program.name).is_none()).collect()
}
