//! How the program is linked.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // Equal functions once, and relocations packed: a smaller program, of which less is in memory. The linker that comes
    // with Rust for this platform knows both; glibc knows packed relocations since 2.36, which is that of the image.
    if std::env::var("TARGET").as_deref() == Ok("x86_64-unknown-linux-gnu") {
        println!("cargo::rustc-link-arg-bins=-Wl,--icf=all");
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}
