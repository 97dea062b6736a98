//! Lets this crate's tests and examples find libtorch, and tells the build scripts of programs where it lies.

fn main() {
    if let Some(lib) = std::env::var_os("DEP_TCH_LIBTORCH_LIB") {
        let lib = std::path::PathBuf::from(lib);
        println!("cargo::rustc-link-arg=-Wl,-rpath,{}", lib.display());
        println!("cargo::metadata=libtorch_lib={}", lib.display());
    }
}
