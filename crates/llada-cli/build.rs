//! Lets the `llada` binary and its tests find libtorch: the path that torch-sys linked with is not inherited.

fn main() {
    if let Ok(lib) = std::env::var("DEP_TCH_LIBTORCH_LIB") {
        println!("cargo::rustc-link-arg=-Wl,-rpath,{lib}");
    }
}
