//! What is built once and kept: the control plane, the scale node, the worker, job-chief itself.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context;

use crate::{
    folders::{folder, root, subfolder},
    processes::{dies_with_us, succeed},
    programs::need,
    steps::told,
};

/// The version of the scale node, known to the Go module proxy.
const KWOK: &str = "sigs.k8s.io/kwok/cmd/kwok@v0.7.0";

/// Turns the tests on that need servers. It is on for all tests, so that nothing is built twice.
const FEATURE: &str = "job-chief/test-servers";

/// What every Go program is built with: the same, so that what they have in common is compiled once. What debuggers
/// read is cut off in the end, and so not made in the first place.
const GO: [&str; 2] = ["-trimpath", "-gcflags=all=-dwarf=false"];

fn go(folder: &Path, task: &str, ldflags: &str) -> anyhow::Result<Command> {
    let mut go = Command::new(need("go")?);
    go.current_dir(folder).env("CGO_ENABLED", "0").arg(task).args(GO).args(["-ldflags", ldflags]);
    Ok(go)
}

/// etcd, API server, controllers, scheduler, kubelet and kubectl in one program.
pub(crate) fn control_plane() -> anyhow::Result<PathBuf> {
    let program = subfolder("bin")?.join("testenv");
    let ldflags = format!("-s -w {}", kubernetes_version()?);
    succeed(go(&root().join("testenv"), "build", &ldflags)?.arg("-o").arg(&program).arg("."))?;
    Ok(program)
}

/// What tells the programs their version: Kubernetes' own build scripts do the same, and charts ask for it.
fn kubernetes_version() -> anyhow::Result<String> {
    let modules = std::fs::read_to_string(root().join("testenv/go.mod"))?;
    let version = modules.lines().find_map(|line| line.trim().strip_prefix("k8s.io/kubernetes "));
    let version = version.context("testenv/go.mod names no version of k8s.io/kubernetes")?;
    let mut numbers = version.trim_start_matches('v').split('.');
    let (major, minor) = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
    let set = |name, value| format!("-X k8s.io/component-base/version.{name}={value}");
    Ok([set("gitVersion", version), set("gitMajor", major), set("gitMinor", minor)].join(" "))
}

/// The scale node.
pub(crate) fn scale_node() -> anyhow::Result<PathBuf> {
    let folder = subfolder("bin")?;
    let program = folder.join("kwok");
    if !program.exists() {
        told("building the scale node (a minute or two the first time)", || {
            succeed(go(&root(), "install", "-s -w")?.arg(KWOK).env("GOBIN", &folder))
        })?;
    }
    Ok(program)
}

/// A program as the Go module proxy has it, built the first time.
pub(crate) fn go_tool(
    name: &str,
    what: &str,
    (package, version): (&str, &str),
    ldflags: &str,
) -> anyhow::Result<PathBuf> {
    let folder = root().join("target/tools").join(format!("{name}-{version}"));
    let program = folder.join(name);
    if !program.exists() {
        told(what, || {
            let mut install = go(&root().join("testenv"), "install", ldflags)?;
            succeed(install.arg(format!("{package}@{version}")).env("GOBIN", &folder))
        })?;
    }
    Ok(program)
}

/// A static Go program of the repository.
pub(crate) fn go_program(folder: &str, package: &str, name: &str) -> anyhow::Result<PathBuf> {
    let program = subfolder("bin")?.join(name);
    succeed(go(&root().join(folder), "build", "-s -w")?.arg("-o").arg(&program).arg(package))?;
    Ok(program)
}

/// job-chief as the README runs it, for the demo.
pub(crate) fn job_chief() -> anyhow::Result<()> {
    let build = ["build", "--locked", "--quiet", "--package", "job-chief", "--bin", "job-chief"];
    succeed(cargo().args(build)).map(|_| ())
}

/// Where that is.
pub(crate) fn job_chief_program() -> PathBuf {
    root().join("target/debug/job-chief")
}

/// The root of job-chief's image, made by the script that the Dockerfile runs, with the program of the tests: what is
/// shipped takes a quarter of an hour more to build, and `cargo xtask bench footprint` and a release make it.
pub(crate) fn image_root() -> anyhow::Result<PathBuf> {
    let (folder, stripped) = (subfolder("image")?.join("job-chief"), subfolder("bin")?.join("job-chief"));
    told("making job-chief's image", || {
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        succeed(&mut with_a_test())?;
        succeed(Command::new("strip").arg("-o").arg(&stripped).arg(job_chief_program()))?;
        let script = root().join("deploy/image-root.sh");
        succeed(Command::new("sh").arg(script).arg(&folder).arg(&stripped).current_dir(root())).map(|_| ())
    })?;
    Ok(folder)
}

/// `cargo test` of the workspace, always with the same features: with others everything would be built once more.
pub(crate) fn cargo_test() -> Command {
    let mut test = cargo();
    test.args(["test", "--workspace", "--locked", "--features", FEATURE]);
    test
}

/// Builds the program as the tests start it. It comes with a test, as dependencies have the features of the tests only then.
pub(crate) fn with_a_test() -> Command {
    let mut build = cargo_test();
    build.args(["--no-run", "--test", "settings"]);
    build
}

/// The tests of this name against the cluster that is up. A run that is killed takes its cases with it.
pub(crate) fn cluster_test(name: &str) -> anyhow::Result<Command> {
    let mut test = dies_with_us(&cargo_test());
    test.args(["--test", name]);
    test.env("JOB_CHIEF_TEST_STATE", folder().join("cluster.json"));
    test.env("JOB_CHIEF_TEST_XTASK", std::env::current_exe()?);
    let triple = format!("{}_UNKNOWN_LINUX_GNU", std::env::consts::ARCH.to_uppercase());
    test.env(format!("CARGO_TARGET_{triple}_RUNNER"), "setpriv --pdeathsig KILL");
    Ok(test)
}

/// Cargo, in the repository's root.
pub(crate) fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root());
    // What `cargo run` tells us about ourselves would make build scripts believe that something has changed.
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            cargo.env_remove(name);
        }
    }
    cargo
}
