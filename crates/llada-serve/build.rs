//! Lets this crate's tests find libtorch.

fn main() {
    if let Some(lib) = std::env::var_os("DEP_TCH_LIBTORCH_LIB") {
        println!("cargo::rustc-link-arg=-Wl,-rpath,{}", std::path::PathBuf::from(lib).display());
    }
}
