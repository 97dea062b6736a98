//! Compiles the C++ shim over c10d and lets this crate's tests find libtorch.

use std::{env, path::PathBuf};

fn main() {
    println!("cargo::rerun-if-changed=src/c10d");
    println!("cargo::rerun-if-env-changed=LIBTORCH_INCLUDE");
    // With the feature `doc-only` torch-sys looks for no libtorch, and names none: there is nothing to compile against.
    let Some(lib) = env::var_os("DEP_TCH_LIBTORCH_LIB").map(PathBuf::from) else {
        return;
    };
    println!("cargo::rustc-link-arg=-Wl,-rpath,{}", lib.display());
    let root = env::var_os("LIBTORCH_INCLUDE").map_or_else(|| lib.join(".."), PathBuf::from);
    cc::Build::new()
        .cpp(true)
        .std("c++20")
        // libtorch comes without gloo's headers.
        .include("src/c10d/include")
        .include(root.join("include"))
        .include(root.join("include/torch/csrc/api/include"))
        .define("USE_C10D_GLOO", None)
        .opt_level(1)
        .warnings(false)
        .file("src/c10d/shim.cpp")
        .compile("llada_c10d_shim");
}
