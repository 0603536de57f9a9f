//! Programs whose crates of ours are compiled with more flags, such as those that count what is reached.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

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

/// The program of the test of this name, or of the library's own, as a message of Cargo's tells.
pub(crate) fn executable(message: &str, name: &str) -> Option<PathBuf> {
    let message: serde_json::Value = serde_json::from_str(message).ok()?;
    let is_ours = message["target"]["name"] == name;
    message["executable"].as_str().filter(|_| is_ours).map(PathBuf::from)
}
