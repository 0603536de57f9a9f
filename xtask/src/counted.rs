//! Tests that are built to be run by themselves, some with more flags for our crates, such as those that count what is reached.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, ensure};
use sha2::{Digest, Sha256};

/// A script that Cargo calls with the compiler and its arguments (`RUSTC_WORKSPACE_WRAPPER`), and that adds these flags for
/// the crate of this name, or for all of the workspace's. Its name tells what it says: Cargo builds anew what was built
/// by another.
pub(crate) fn wrapper(folder: &Path, only: Option<&str>, flags: &str) -> anyhow::Result<PathBuf> {
    let named = only.map_or("*".to_owned(), |name| format!("*' --crate-name {name} '*"));
    let text = format!("#!/bin/sh\ncase \" $* \" in\n{named}) exec \"$@\" {flags} ;;\n*) exec \"$@\" ;;\nesac\n");
    let hash: String = Sha256::digest(&text).iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    let path = folder.join(format!("rustc-{hash}"));
    if !path.exists() {
        fs::create_dir_all(folder)?;
        fs::write(&path, text)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    }
    Ok(path)
}

/// Builds what Cargo is asked for, and returns the program of each name: of a test, or of the library's own tests.
pub(crate) fn built(build: &mut Command, names: &[&str]) -> anyhow::Result<Vec<PathBuf>> {
    build.args(["--no-run", "--message-format", "json-render-diagnostics"]);
    let output = build.stdin(Stdio::null()).stderr(Stdio::inherit()).output().context("can't start cargo")?;
    ensure!(output.status.success(), "{} can't be built", names.join(", "));
    let messages = String::from_utf8_lossy(&output.stdout);
    let program = |name: &&str| {
        let program = messages.lines().find_map(|line| executable(line, name));
        program.with_context(|| format!("Cargo names no program of {name}"))
    };
    names.iter().map(program).collect()
}

/// The program of this name, as a message of Cargo's tells.
fn executable(message: &str, name: &str) -> Option<PathBuf> {
    let message: serde_json::Value = serde_json::from_str(message).ok()?;
    let is_ours = message["target"]["name"] == name;
    message["executable"].as_str().filter(|_| is_ours).map(PathBuf::from)
}
