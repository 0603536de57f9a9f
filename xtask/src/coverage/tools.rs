//! LLVM's tools that read what rustc's counters have written: those of the compiler, or of a system's LLVM as new.

use std::{path::PathBuf, process::Command};

use anyhow::{Context, bail};

use crate::{processes::succeed, programs::find};

/// Both of them.
pub(super) struct Tools {
    pub(super) profdata: PathBuf,
    pub(super) cov: PathBuf,
}

impl Tools {
    pub(super) fn find() -> anyhow::Result<Self> {
        let libraries = succeed(Command::new("rustc").args(["--print", "target-libdir"]))?;
        let version = succeed(Command::new("rustc").arg("-vV"))?;
        let version = version.lines().find_map(|line| line.strip_prefix("LLVM version: "));
        let major = version.and_then(|it| it.split('.').next()).context("rustc names no version of LLVM")?;
        let beside = PathBuf::from(libraries.trim()).with_file_name("bin");
        let tool = |name: &str| {
            let of_compiler = Some(beside.join(name)).filter(|file| file.is_file());
            of_compiler.or_else(|| find(&format!("{name}-{major}")))
        };
        match (tool("llvm-profdata"), tool("llvm-cov")) {
            (Some(profdata), Some(cov)) => Ok(Self { profdata, cov }),
            _ => bail!(
                "llvm-profdata and llvm-cov {major} are missing: rustup component add llvm-tools, or Debian's llvm-{major}"
            ),
        }
    }
}
