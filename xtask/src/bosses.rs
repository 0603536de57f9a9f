//! What the tests take from npm: pg-boss, several major versions side by side, and axe, which judges pages.

use std::{fs, path::PathBuf, process::Command};

use anyhow::Context;

use crate::{
    folders::{root, subfolder},
    processes::succeed,
    programs::need,
};

/// The version that the demo sends with.
pub(crate) const NEWEST: &str = "12";

/// What was locked when it was installed last.
const INSTALLED: &str = "installed-lock.json";

/// Whether what `testenv/npm` locks is there.
pub(crate) fn are_installed() -> anyhow::Result<bool> {
    let to = subfolder("npm")?;
    fs::copy(locked().join("boss.mjs"), to.join("boss.mjs"))?;
    let lock = fs::read(locked().join("package-lock.json"))?;
    Ok(fs::read(to.join(INSTALLED)).is_ok_and(|before| before == lock))
}

fn locked() -> PathBuf {
    root().join("testenv/npm")
}

/// Installs it.
pub(crate) fn install() -> anyhow::Result<()> {
    let to = subfolder("npm")?;
    for file in ["package.json", "package-lock.json"] {
        fs::copy(locked().join(file), to.join(file))?;
    }
    succeed(Command::new(need("npm")?).args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"]).current_dir(&to))?;
    fs::copy(to.join("package-lock.json"), to.join(INSTALLED))?;
    Ok(())
}

/// Speaks to pg-boss through its own client.
pub(crate) fn boss(database_url: &str, version: &str, words: &[&str]) -> anyhow::Result<String> {
    let mut node = Command::new(need("node")?);
    node.arg("boss.mjs").arg(version).args(words).current_dir(subfolder("npm")?);
    succeed(node.env("DATABASE_URL", database_url)).context("pg-boss' client failed")
}
