//! The checkout that the chores work on.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The root of the workspace. Cargo names the package it runs; a binary run by hand knows where it was built.
pub(crate) fn root() -> PathBuf {
    let package =
        env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    package.parent().map(Path::to_owned).unwrap_or(package)
}

/// Where cargo puts what it builds.
pub(crate) fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// Where the workspace looks for libtorch unless LIBTORCH says otherwise; `.cargo/config.toml` names the same folder.
pub(crate) fn libtorch_link() -> PathBuf {
    root().join(".libtorch")
}

/// The folder that the user's own LIBTORCH names. Cargo hands its default down to us in the same variable.
pub(crate) fn user_libtorch() -> Option<PathBuf> {
    env::var_os("LIBTORCH").map(PathBuf::from).filter(|folder| *folder != libtorch_link())
}

/// A cargo command at the root of the workspace.
pub(crate) fn cargo<S: AsRef<str>>(args: &[S]) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args.iter().map(AsRef::as_ref)).current_dir(root());
    if user_libtorch().is_none() {
        // Inherited, the default would look like a changed variable, and torch-sys would be built again: minutes.
        command.env_remove("LIBTORCH");
    }
    command
}

/// Paths are shown relative to the root where they lie below it.
pub(crate) fn shown(path: &Path) -> String {
    let root = root();
    path.strip_prefix(&root).unwrap_or(path).display().to_string()
}
