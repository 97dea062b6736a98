//! The checkout of the workspace: its folders, and cargo commands in it.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Returns the root of the workspace, from the variable that cargo sets or, if the binary is run by hand, from the place of
/// its build.
pub(crate) fn root() -> PathBuf {
    let package =
        env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    package.parent().map(Path::to_owned).unwrap_or(package)
}

/// Returns the target folder of cargo.
pub(crate) fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// Returns the default path of libtorch, which `.cargo/config.toml` states too.
pub(crate) fn libtorch_link() -> PathBuf {
    root().join(".libtorch")
}

/// Returns the folder in LIBTORCH if the user has set it. Cargo passes the default in the same variable.
pub(crate) fn user_libtorch() -> Option<PathBuf> {
    env::var_os("LIBTORCH").map(PathBuf::from).filter(|folder| *folder != libtorch_link())
}

/// Creates a cargo command at the root of the workspace.
pub(crate) fn cargo<S: AsRef<str>>(args: &[S]) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args.iter().map(AsRef::as_ref)).current_dir(root());
    if user_libtorch().is_none() {
        // If cargo inherited the default, it would look like a changed variable, and torch-sys would be rebuilt for minutes.
        command.env_remove("LIBTORCH");
    }
    command
}

/// Formats a path relative to the root if it lies below.
pub(crate) fn shown(path: &Path) -> String {
    let root = root();
    path.strip_prefix(&root).unwrap_or(path).display().to_string()
}
