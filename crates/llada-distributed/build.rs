//! Compiles the C++ shim over c10d and lets this crate's tests find libtorch. NCCL is part of it where libtorch is a CUDA
//! build, and the headers of CUDA and of NCCL are found.

use std::{
    env,
    path::{Path, PathBuf},
};

/// The headers that c10d's own header of NCCL includes, and NVIDIA's packages that have them.
const HEADERS: [(&str, &str); 4] = [
    ("cuda_runtime_api.h", "nvidia-cuda-runtime"),
    ("crt/host_config.h", "nvidia-cuda-crt"),
    ("nv/target", "nvidia-cuda-cccl"),
    ("nccl.h", "nvidia-nccl-cu13"),
];

fn main() {
    println!("cargo::rerun-if-changed=src/c10d");
    println!("cargo::rustc-check-cfg=cfg(nccl)");
    for variable in ["LIBTORCH_INCLUDE", "NCCL_ROOT"] {
        println!("cargo::rerun-if-env-changed={variable}");
    }
    // With the feature `doc-only` torch-sys looks for no libtorch, and names none: there is nothing to compile against.
    let Some(lib) = env::var_os("DEP_TCH_LIBTORCH_LIB").map(PathBuf::from) else {
        return without_nccl("there was no libtorch");
    };
    println!("cargo::rustc-link-arg=-Wl,-rpath,{}", lib.display());
    let root = env::var_os("LIBTORCH_INCLUDE").map_or_else(|| lib.join(".."), PathBuf::from);
    let mut build = cc::Build::new();
    build
        .cpp(true)
        .std("c++20")
        // libtorch comes without gloo's headers.
        .include("src/c10d/include")
        .include(root.join("include"))
        .include(root.join("include/torch/csrc/api/include"))
        .define("USE_C10D_GLOO", None)
        .opt_level(1)
        .warnings(false)
        .files(["src/c10d/shim.cpp", "src/c10d/gloo.cpp"]);
    if lib.join("libtorch_cuda.so").exists() {
        let folders = nvidia_folders();
        match HEADERS.iter().find(|(header, _)| !folders.iter().any(|folder| folder.join(header).exists())) {
            None => {
                println!("cargo::rustc-cfg=nccl");
                build.includes(folders).define("USE_C10D_NCCL", None).file("src/c10d/nccl.cpp");
            }
            Some((header, package)) => {
                let missing = format!("{header} was not found ({package})");
                println!("cargo::warning=no training by several processes with CUDA devices: {missing}");
                without_nccl(&missing);
            }
        }
    } else {
        without_nccl("libtorch was a CPU build");
    }
    build.compile("llada_c10d_shim");
}

/// Says why NCCL is not part of the build.
fn without_nccl(missing: &str) {
    println!("cargo::rustc-env=LLADA_NO_NCCL={missing}");
}

/// The folders of CUDA's and NCCL's headers: those that llada-model has found, and that of the NCCL that a variable names.
fn nvidia_folders() -> Vec<PathBuf> {
    let named = env::var_os("NCCL_ROOT").map(|root| Path::new(&root).join("include"));
    let mut folders = Vec::from_iter(named);
    folders.extend(env::var_os("DEP_LLADA_SHIM_NVIDIA").iter().flat_map(env::split_paths));
    folders
}
