//! Lets the `llada` binary and its tests find libtorch: the path that torch-sys linked with is not inherited.

use std::{env, path::PathBuf};

fn main() {
    let Some(lib) = env::var_os("DEP_TCH_LIBTORCH_LIB").map(PathBuf::from) else { return };
    println!("cargo::rustc-link-arg=-Wl,-rpath,{}", lib.display());
    if let Some(libtorch) = lib.parent() {
        // A link to another libtorch may be one to a build with CUDA.
        println!("cargo::rerun-if-changed={}", libtorch.display());
    }
    if lib.join("libtorch_cuda.so").exists() {
        // Nothing refers to CUDA's half of libtorch by name, so the linker would leave it out.
        println!("cargo::rustc-link-arg=-Wl,--no-as-needed");
        println!("cargo::rustc-link-arg=-ltorch");
    }
}
