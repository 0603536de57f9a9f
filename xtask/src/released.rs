//! The last released job-chief, which the tests run beside this one: forth as in an update, and back again.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    build::{job_chief_program, with_a_test},
    folders::root,
    processes::succeed,
    steps::told,
};

/// What counts as released while there is no tag of a version: what runs where `main` is installed. It moves to the
/// commit that is rolled out whenever one is, and goes with the first tag.
const BEFORE_TAGS: &str = "7d4fd967493b50a369c78fe7cb32fc6c0c70d7a6";

/// What sets its artifacts apart from ours: in the same target folder, a package of the same name and version with the
/// same profile would be taken for ours. The dependencies stay as they are for the tests, so none of them is built again.
const APART: [&str; 2] = ["profile.test.package.job-chief.opt-level=0", "profile.test.package.job-chief.debug=false"];

/// Its program, built the first time. `None` where the clone does not have its commit, which is said.
pub(crate) fn program() -> anyhow::Result<Option<PathBuf>> {
    let commit = commit();
    let folder = root().join("target/released");
    let program = folder.join(format!("job-chief-{commit}"));
    if program.exists() {
        return Ok(Some(program));
    }
    if git(&["cat-file", "-e", &format!("{commit}^{{tree}}")]).is_err() {
        eprintln!("not run, as this clone does not have {commit}, the last release: both versions side by side");
        return Ok(None);
    }
    told("building the released job-chief (a minute the first time)", || {
        fs::create_dir_all(&folder)?;
        build(&unpacked(&commit, &folder)?)?;
        // A copy that is broken off does not count.
        let half = folder.join("half");
        fs::copy(job_chief_program(), &half)?;
        Ok(fs::rename(half, &program)?)
    })?;
    Ok(Some(program))
}

/// The newest tag of a version before this commit.
fn commit() -> String {
    let tag = git(&["describe", "--tags", "--abbrev=0", "--match", "v[0-9]*", "HEAD~1"]);
    let tagged = tag.and_then(|tag| git(&["rev-parse", &format!("{tag}^{{commit}}")]));
    tagged.unwrap_or_else(|_| BEFORE_TAGS.to_owned())
}

fn git(arguments: &[&str]) -> anyhow::Result<String> {
    Ok(succeed(Command::new("git").args(arguments).current_dir(root()))?.trim().to_owned())
}

/// The sources of a commit. They count as changed now, whenever that was: else Cargo believes that it has built them.
fn unpacked(commit: &str, folder: &Path) -> anyhow::Result<PathBuf> {
    let (archive, sources) = (folder.join("src.tar"), folder.join("src"));
    if sources.exists() {
        fs::remove_dir_all(&sources)?;
    }
    fs::create_dir(&sources)?;
    succeed(Command::new("git").args(["archive", "--output"]).arg(&archive).arg(commit).current_dir(root()))?;
    succeed(
        Command::new("tar").args(["--extract", "--touch", "--file"]).arg(&archive).arg("--directory").arg(&sources),
    )?;
    fs::remove_file(archive)?;
    Ok(sources)
}

/// Builds the program as the tests build theirs.
fn build(sources: &Path) -> anyhow::Result<()> {
    let mut build = with_a_test();
    build.args(APART.iter().flat_map(|setting| ["--config", setting]));
    build.arg("--manifest-path").arg(sources.join("Cargo.toml")).arg("--target-dir").arg(root().join("target"));
    succeed(build.env("CARGO_INCREMENTAL", "0")).map(|_| ())
}
