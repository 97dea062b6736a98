//! Compiles the C++ shim beside torch-sys and lets this crate's tests find libtorch. CUDA graphs are part of it where libtorch
//! is a CUDA build, and the headers of CUDA are found.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

/// The headers that libtorch's own of CUDA include, and NVIDIA's packages that have them.
const HEADERS: [(&str, &str); 2] =
    [("cuda_runtime_api.h", "nvidia-cuda-runtime"), ("crt/host_config.h", "nvidia-cuda-crt")];

fn main() {
    println!("cargo::rerun-if-changed=src/torch");
    println!("cargo::rustc-check-cfg=cfg(cuda_graphs)");
    for variable in ["LIBTORCH_INCLUDE", "CUDA_HOME"] {
        println!("cargo::rerun-if-env-changed={variable}");
    }
    // With the feature `doc-only` torch-sys looks for no libtorch, and names none: there is nothing to compile against.
    let Some(lib) = env::var_os("DEP_TCH_LIBTORCH_LIB").map(PathBuf::from) else {
        return;
    };
    println!("cargo::rustc-link-arg=-Wl,-rpath,{}", lib.display());
    let root = env::var_os("LIBTORCH_INCLUDE").map_or_else(|| lib.join(".."), PathBuf::from);
    let mut build = cc::Build::new();
    build.cpp(true).std("c++20").include(root.join("include")).flag("-fopenmp").flag("-O3").warnings(false).files(
        ["shim", "gradient", "bf16/bf16", "int8/int8", "int8/amx", "int8/vnni", "matrix/matrix"]
            .map(|file| format!("src/torch/{file}.cpp")),
    );
    let mut has_graphs = false;
    if lib.join("libtorch_cuda.so").exists() {
        let folders = nvidia_folders(&lib);
        if let Ok(paths) = env::join_paths(&folders) {
            // For the build scripts of crates that depend on this one: `DEP_LLADA_SHIM_NVIDIA`.
            println!("cargo::metadata=nvidia={}", paths.to_string_lossy());
        }
        match HEADERS.iter().find(|(header, _)| !folders.iter().any(|folder| folder.join(header).exists())) {
            None => {
                println!("cargo::rustc-cfg=cuda_graphs");
                build.includes(folders).file("src/torch/cuda_graph.cpp");
                has_graphs = true;
            }
            Some((header, package)) => {
                println!("cargo::warning=no CUDA graphs: {header} was not found ({package})");
            }
        }
    }
    build.compile("llada_shim");
    if has_graphs {
        // After the shim, which needs it; torch-sys links the other libraries.
        println!("cargo::rustc-link-lib=c10_cuda");
    }
}

/// The folders of NVIDIA's headers: that of the CUDA that a variable names, and those of NVIDIA's packages beside PyTorch's, if
/// libtorch is that.
fn nvidia_folders(lib: &Path) -> Vec<PathBuf> {
    let mut folders = Vec::new();
    folders.extend(env::var_os("CUDA_HOME").map(|home| Path::new(&home).join("include")));
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
