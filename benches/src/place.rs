//! Where the benchmarks find things and leave things. Cargo starts them in the folder of their package, so that paths
//! are relative to the root of the workspace.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::Context;

/// Names another model than the one that the benchmark brings.
pub const MODEL: &str = "LLADA_BENCH_MODEL";

/// `path`, from the root of the workspace unless it is absolute.
pub fn from_root(path: &Path) -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package).join(path)
}

/// The folder that `LLADA_BENCH_MODEL` names.
pub fn named_model() -> Option<PathBuf> {
    env::var_os(MODEL).map(|folder| from_root(Path::new(&folder)))
}

/// Writes the file `name` into `folder`, whole or not at all.
///
/// # Errors
/// It cannot be written.
pub fn write(folder: &Path, name: &str, text: &str) -> anyhow::Result<()> {
    let (path, temporary) = (folder.join(name), folder.join(format!(".{name}.partial")));
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(&temporary, text))
        .and_then(|()| fs::rename(&temporary, &path))
        .with_context(|| format!("cannot write {}", path.display()))
}
