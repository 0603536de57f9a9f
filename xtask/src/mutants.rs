//! Mutation tests of the pure core: is every line of `decide/` held by a test?
//!
//! They run on a copy of the tree with the pure floors alone, for a mutant is built in seconds there.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context;
use clap::Args;

use crate::{
    build::told,
    folders::root,
    processes::{show, succeed},
};

/// Mutation tests of `src/decide`; an hour or so. Not part of the test run.
#[derive(Args)]
pub(crate) struct Options {
    /// Only these files of `src/decide`, such as `scale.rs`.
    #[arg(long)]
    only: Vec<String>,
    /// How many mutants are tried at once.
    #[arg(long, default_value_t = 2)]
    jobs: usize,
}

/// The version of cargo-mutants.
const VERSION: &str = "27.1.0";

/// What the pure floors need of the manifest's dependencies.
const NEEDED: [&str; 16] = [
    "config",
    "humantime",
    "humantime-serde",
    "jiff",
    "jsonc-parser",
    "jsonschema",
    "k8s-openapi",
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

/// The pure floors, and their tests that need no server.
const LIB: &str = "//! The pure floors.\npub mod config;\npub mod decide;\n";
const TESTS: [&str; 3] = ["sequences", "simulation", "documents"];

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let tool = install()?;
    let tree = root().join("target/mutants/tree");
    told("copying the pure floors", || copy(&tree))?;
    let mut mutants = Command::new(tool);
    // The search takes a minute in full, and finds little in a core that the other tests have let pass.
    mutants.env("SEARCH_DEPTH", "9");
    mutants.current_dir(&tree).args(["mutants", "--no-shuffle", "--colors", "never", "--output"]);
    mutants.arg(root().join("target/mutants")).args([
        "--minimum-test-timeout",
        "20",
        "--jobs",
        &options.jobs.to_string(),
    ]);
    let all = ["**".to_owned()];
    for file in if options.only.is_empty() { &all[..] } else { &options.only } {
        mutants.args(["--file", &format!("src/decide/{file}")]);
    }
    mutants.args(["--", "--lib"]);
    mutants.args(TESTS.iter().flat_map(|test| ["--test", test]));
    let done = show(&mut mutants);
    eprintln!("what survived: target/mutants/mutants.out/missed.txt; docs/mutants.md says why each may");
    done
}

fn install() -> anyhow::Result<PathBuf> {
    let tools = root().join("target/tools");
    let tool = tools.join("bin/cargo-mutants");
    if !tool.exists() {
        told("building cargo-mutants (minutes the first time)", || {
            let mut install = Command::new("cargo");
            install.args(["install", "cargo-mutants", "--locked", "--version", VERSION, "--root"]).arg(&tools);
            show(install.arg("--target-dir").arg(tools.join("build")))
        })?;
    }
    Ok(tool)
}

/// The tree, with the pure floors alone in the library.
fn copy(tree: &Path) -> anyhow::Result<()> {
    match fs::remove_dir_all(tree) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let tracked = succeed(Command::new("git").args(["ls-files", "-co", "--exclude-standard"]).current_dir(root()))?;
    let pure = |file: &&str| {
        let kept = |folder: &str, parts: &[&str]| match file.strip_prefix(folder) {
            Some(rest) => parts.iter().any(|part| rest.starts_with(part)),
            None => true,
        };
        let shown = TESTS.iter().copied().chain(["snapshots"]).collect::<Vec<_>>();
        kept("src/", &["config", "decide"]) && kept("tests/", &shown) && kept("benches/", &[])
    };
    for file in tracked.lines().filter(pure) {
        let to = tree.join(file);
        fs::create_dir_all(to.parent().context("a file has a folder")?)?;
        fs::copy(root().join(file), &to).with_context(|| file.to_owned())?;
    }
    fs::write(tree.join("src/lib.rs"), LIB)?;
    fs::write(tree.join("Cargo.toml"), manifest(&fs::read_to_string(root().join("Cargo.toml"))?))?;
    Ok(())
}

/// The manifest of the copy: the pure floors' dependencies, as the real one has them.
fn manifest(real: &str) -> String {
    let line_of = |name: &str| {
        let begins = |line: &&str| line.split(' ').next() == Some(name);
        real.lines().find(begins).unwrap_or_default().to_owned()
    };
    let of = |names: &[&str]| names.iter().map(|name| line_of(name)).collect::<Vec<_>>().join("\n");
    format!(
        "[package]\nname = \"job-chief\"\nversion = \"0.0.0\"\nedition = \"2024\"\npublish = false\n\n[workspace]\n\n\
         [dependencies]\n{}\n\n[dev-dependencies]\n{}\n\n[profile.dev]\ndebug = false\n\n[profile.test]\nopt-level = 1\ndebug = false\n",
        of(&NEEDED),
        of(&["insta", "proptest", "tempfile"])
    )
}
