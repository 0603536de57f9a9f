//! GitHub's workflows: whether actionlint has a word against them, and whether the release names what is released.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, ensure};

use crate::{
    build::told,
    folders::root,
    processes::{show, succeed},
    programs::need,
};

/// actionlint as the Go module proxy has it, and its version.
const ACTIONLINT: (&str, &str) = ("github.com/rhysd/actionlint/cmd/actionlint", "v1.7.12");

/// The part of the tests.
pub(crate) fn test() -> anyhow::Result<()> {
    let mut check = Command::new(actionlint()?);
    // Other programs that it calls where it finds them would make the result another on another machine.
    show(check.args(["-no-color", "-shellcheck=", "-pyflakes="]).current_dir(root()))?;
    every_action_is_pinned(&root().join(".github/workflows"))?;
    // The release is made from the section of its version; until then all stands in this one.
    succeed(Command::new("sh").args(["deploy/release-notes.sh", "Unreleased"]).current_dir(root())).map(drop)
}

/// actionlint, built the first time.
fn actionlint() -> anyhow::Result<PathBuf> {
    let (module, version) = ACTIONLINT;
    let folder = root().join(format!("target/tools/actionlint-{version}"));
    let program = folder.join("actionlint");
    if !program.exists() {
        told("building actionlint", || {
            let mut go = Command::new(need("go")?);
            go.args(["install", "-trimpath", "-ldflags", "-s -w"]).arg(format!("{module}@{version}"));
            show(go.env("CGO_ENABLED", "0").env("GOBIN", &folder).current_dir(root().join("testenv")))
        })?;
    }
    Ok(program)
}

/// A tag can be moved to other code, a commit can't.
fn every_action_is_pinned(folder: &Path) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let text = std::fs::read_to_string(&path)?;
        for (line, used) in
            text.lines().enumerate().filter_map(|(at, line)| Some((at + 1, line.split_once("uses: ")?.1)))
        {
            let (_, pin) = used.split_once('@').with_context(|| format!("{}:{line}: {used}", path.display()))?;
            let (commit, version) = pin.split_once(" # ").unwrap_or((pin, ""));
            let is_commit = commit.len() == 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
            ensure!(
                is_commit && version.starts_with('v'),
                "{}:{line}: name the commit of the action, and its version behind it: {used}",
                path.display()
            );
        }
    }
    Ok(())
}
