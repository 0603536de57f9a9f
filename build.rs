//! How the program is linked.

use std::{env, process::Command};

/// The first glibc whose loader reads relative relocations that are packed.
const GLIBC_WITH_PACKED: (u32, u32) = (2, 36);

/// The platform whose linker, which comes with Rust, can do all of this.
const PLATFORM: &str = "x86_64-unknown-linux-gnu";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let is = |name: &str| env::var(name).as_deref() == Ok(PLATFORM);
    if !is("TARGET") {
        return;
    }
    // Equal functions once, for a smaller program.
    println!("cargo::rustc-link-arg-bins=-Wl,--icf=all");
    // Half a megabyte that every start reads becomes a few kilobytes.
    if is("HOST") && glibc().is_some_and(|version| version >= GLIBC_WITH_PACKED) {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}

/// The version of this machine's glibc: a program that is to start on an older one is built there.
fn glibc() -> Option<(u32, u32)> {
    let output = Command::new("getconf").arg("GNU_LIBC_VERSION").output().ok()?;
    let (major, minor) = std::str::from_utf8(&output.stdout).ok()?.trim().strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}
