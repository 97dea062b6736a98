//! Compiles the C++ shim over c10d and lets this crate's tests find libtorch. NCCL is part of it where libtorch is a CUDA
//! build, and the headers of CUDA and of NCCL are found.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

/// The headers that c10d's own header of NCCL includes, and NVIDIA's packages that have them.
const HEADERS: [(&str, &str); 4] = [
    ("cuda_runtime_api.h", "nvidia-cuda-runtime"),
    ("crt/host_config.h", "nvidia-cuda-crt"),
    ("nv/target", "nvidia-cuda-cccl"),
    ("nccl.h", "nvidia-nccl-cu13"),
];

/// The variables that name the installations of CUDA and of NCCL.
const HOMES: [&str; 2] = ["CUDA_HOME", "NCCL_ROOT"];

fn main() {
    println!("cargo::rerun-if-changed=src/c10d");
    println!("cargo::rustc-check-cfg=cfg(nccl)");
    for variable in ["LIBTORCH_INCLUDE"].iter().chain(&HOMES) {
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
        let folders = nvidia_folders(&lib);
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

/// The folders of CUDA's and NCCL's headers: those that variables name, and those of NVIDIA's packages beside PyTorch's, if
/// libtorch is that.
fn nvidia_folders(lib: &Path) -> Vec<PathBuf> {
    let mut folders = Vec::new();
    for home in HOMES {
        folders.extend(env::var_os(home).map(|home| Path::new(&home).join("include")));
    }
    // A libtorch may be a folder of links to the package.
    let packages = fs::canonicalize(lib).ok().and_then(|lib| lib.ancestors().nth(2).map(|site| site.join("nvidia")));
    for package in packages.and_then(|folder| fs::read_dir(folder).ok()).into_iter().flatten().flatten() {
        folders.push(package.path().join("include"));
    }
    // CUDA's C++ library has a folder of its own since CUDA 13.
    let of_cccl: Vec<PathBuf> = folders.iter().map(|folder| folder.join("cccl")).collect();
    folders.extend(of_cccl);
    folders.retain(|folder| folder.is_dir());
    folders
}
