//! An input that breaks a promise: made smaller, shown with what it breaks, and how to try it again.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::{program, search::Found};
use crate::{folders::root, processes::dies_with_us};

/// How long an input is made smaller, in seconds.
const SMALLER_SECONDS: usize = 30;

/// Lines of a log that are shown where it names no panic.
const LINES_SHOWN: usize = 20;

/// Bytes of an input that are shown.
const BYTES_SHOWN: usize = 2000;

pub(super) fn tell(program: &Path, found: &Found) -> anyhow::Result<()> {
    let Some((input, log)) = &found.broken else { return Ok(()) };
    let (target, input) = (&*found.target, smaller(program, &found.target, input)?);
    let shown = input.strip_prefix(root()).unwrap_or(&input).display();
    let bytes = std::fs::read(&input)?;
    let why = match tried(program, target, &input)? {
        Some(log) => why(&log),
        None => format!("not by this input alone; see {}", log.display()),
    };
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(BYTES_SHOWN)]).escape_debug().to_string();
    eprintln!("\n{target} is broken by {shown} ({} bytes):\n  \"{text}\"\n{why}", bytes.len());
    eprintln!("to try it again: cargo xtask fuzz {target} --input {shown}");
    eprintln!("once it is mended, keep it: a unit test says what it broke");
    Ok(())
}

/// Tries one input.
pub(super) fn try_once(program: &Path, target: &str, input: &Path) -> anyhow::Result<()> {
    let input = input.canonicalize().with_context(|| format!("can't read {}", input.display()))?;
    match tried(program, target, &input)? {
        None => Ok(()),
        Some(log) => bail!("{target} is broken by {}:\n{}", input.display(), why(&log)),
    }
}

/// The log, if the input breaks something.
fn tried(program: &Path, target: &str, input: &Path) -> anyhow::Result<Option<String>> {
    let mut command = program::command(program, target);
    // The trial writes no second copy of it.
    let output =
        command.arg(input).arg("-exact_artifact_path=/dev/null").output().context("can't start the targets")?;
    let log = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    Ok((!output.status.success()).then_some(log))
}

/// What the panic says, else the end of the log.
fn why(log: &str) -> String {
    let panic = log.lines().skip_while(|line| !line.starts_with("thread '"));
    let panic: Vec<&str> =
        panic.take_while(|line| !line.starts_with("note: run with") && !line.starts_with("==")).collect();
    if !panic.is_empty() {
        return panic.join("\n");
    }
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(LINES_SHOWN)..].join("\n")
}

/// A smaller input that breaks something, too.
fn smaller(program: &Path, target: &str, input: &Path) -> anyhow::Result<PathBuf> {
    let smaller = input.with_extension("smaller");
    let mut command = program::command(program, target);
    command.args(["-minimize_crash=1", &format!("-max_total_time={SMALLER_SECONDS}")]);
    command.arg(format!("-exact_artifact_path={}", smaller.display())).arg(input);
    dies_with_us(&command).output().context("can't start the targets")?;
    Ok(if smaller.exists() { smaller } else { input.to_owned() })
}
