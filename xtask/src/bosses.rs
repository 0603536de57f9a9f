//! pg-boss from npm, several major versions side by side.

use std::{fs, path::PathBuf, process::Command};

use anyhow::Context;

use crate::{
    build::told,
    folders::{root, subfolder},
    processes::succeed,
    programs::need,
    state::State,
};

/// The version that the demo sends with.
pub(crate) const NEWEST: &str = "12";

/// Installs what `testenv/pgboss` locks; nothing is done when that has not changed.
pub(crate) fn install() -> anyhow::Result<PathBuf> {
    let (from, to) = (root().join("testenv/pgboss"), subfolder("pgboss")?);
    fs::copy(from.join("boss.mjs"), to.join("boss.mjs"))?;
    let lock = fs::read(from.join("package-lock.json"))?;
    let installed = to.join("installed-lock.json");
    if fs::read(&installed).is_ok_and(|before| before == lock) {
        return Ok(to);
    }
    for file in ["package.json", "package-lock.json"] {
        fs::copy(from.join(file), to.join(file))?;
    }
    told("installing pg-boss 7 to 12", || {
        succeed(Command::new(need("npm")?).args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"]).current_dir(&to))
    })?;
    fs::write(installed, lock)?;
    Ok(to)
}

/// Speaks to pg-boss through its own client.
pub(crate) fn boss(state: &State, database: &str, version: &str, words: &[&str]) -> anyhow::Result<String> {
    let mut node = Command::new(need("node")?);
    node.arg("boss.mjs").arg(version).args(words).current_dir(subfolder("pgboss")?);
    succeed(node.env("DATABASE_URL", state.database_url(database))).context("pg-boss' client failed")
}
