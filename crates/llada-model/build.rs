//! Compiles the C++ shim beside torch-sys and lets this crate's tests find libtorch.

use std::{env, path::PathBuf};

fn main() {
    println!("cargo::rerun-if-changed=src/torch");
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
        .include(root.join("include"))
        .flag("-fopenmp")
        .flag("-O3")
        .warnings(false)
        .files(
            ["shim", "gradient", "bf16/bf16", "int8/int8", "int8/amx", "int8/vnni", "matrix/matrix"]
                .map(|file| format!("src/torch/{file}.cpp")),
        )
        .compile("llada_shim");
}
