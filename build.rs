//! How the program is linked.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // Equal functions once, for a smaller program: the linker that comes with Rust for this platform can do that.
    if std::env::var("TARGET").as_deref() == Ok("x86_64-unknown-linux-gnu") {
        println!("cargo::rustc-link-arg-bins=-Wl,--icf=all");
    }
}
