//! The checks of the tools that a build needs, and of libtorch.

use std::env;
use std::ffi::OsString;
use std::process::Command;

use super::Check;
use crate::process;
use crate::python;
use crate::setup::libtorch::Libtorch;
use crate::workspace;

/// The oldest Rust that the workspace builds with; xtask inherits the workspace's `rust-version`.
const OLDEST_RUST: &str = env!("CARGO_PKG_RUST_VERSION");

/// An empty program in C++20, which libtorch's headers are written in.
const CXX20: &str = "printf 'int main() { if constexpr (true) return 0; }' | \"$0\" -std=c++20 -fsyntax-only -x c++ -";

pub(super) fn rust() -> Check {
    let update = "rustup update";
    let printed = process::answer(Command::new("rustc").arg("--version"));
    let Some(version) = printed.as_deref().and_then(|line| line.split_whitespace().nth(1)) else {
        return Check::fail("rust", "none: `rustc` does not run", update);
    };
    let found = format!("{version} ({OLDEST_RUST} or newer is needed)");
    if numbers(version) < numbers(OLDEST_RUST) {
        return Check::fail("rust", found, update);
    }
    Check::ok("rust", found)
}

pub(super) fn cxx() -> Check {
    let install = "sudo apt-get install g++   (or your system's GCC 9+ or Clang 10+)";
    let compiler = env::var_os("CXX").unwrap_or_else(|| OsString::from("c++"));
    let name = compiler.display();
    let Some(printed) = process::answer(Command::new(&compiler).arg("--version")) else {
        return Check::fail("c++", format!("none: `{name}` does not run"), install);
    };
    let version = printed.lines().next().unwrap_or_default();
    if process::answer(Command::new("sh").args(["-c", CXX20]).arg(&compiler)).is_none() {
        return Check::fail("c++", format!("{version}: cannot compile C++20"), install);
    }
    Check::ok("c++", format!("{version} (C++20 compiles)"))
}

/// Checks Python, which is needed only to install libtorch. If libtorch is present, a missing Python is a warning.
pub(super) fn python() -> Check {
    match python_with_pip() {
        Ok(found) => Check::ok("python", found),
        Err((found, hint)) if present_libtorch().is_ok() => Check::warn("python", found, hint),
        Err((found, hint)) => Check::fail("python", found, hint),
    }
}

/// Returns the versions of Python and pip, or the problem with a command that helps.
fn python_with_pip() -> Result<String, (String, &'static str)> {
    let (major, minor) = python::version().ok_or_else(|| {
        let found = "none: `python3` does not run".to_owned();
        (found, python::INSTALL_PYTHON)
    })?;
    if (major, minor) < python::OLDEST {
        let found = format!("{major}.{minor}, and PyTorch's wheels need 3.10 or newer");
        return Err((found, python::INSTALL_PYTHON));
    }
    match python::pip_version() {
        Some(pip) => Ok(format!("{major}.{minor}, pip {pip}")),
        None => Err((format!("{major}.{minor}, without pip"), python::INSTALL_PIP)),
    }
}

pub(super) fn git() -> Check {
    match process::answer(Command::new("git").arg("--version")) {
        Some(version) => Check::ok("git", version.trim_start_matches("git version ")),
        None => Check::warn("git", "none: `git` does not run", "sudo apt-get install git"),
    }
}

pub(super) fn libtorch() -> Check {
    match present_libtorch() {
        Ok(libtorch) => {
            let build = if libtorch.cuda { "CUDA" } else { "CPU" };
            let found = format!("{} ({build}) in {}", libtorch.version, libtorch.folder.display());
            Check::ok("libtorch", found)
        }
        Err(found) if workspace::user_libtorch().is_some() => {
            Check::fail("libtorch", found, "unset LIBTORCH && cargo xtask setup")
        }
        Err(found) => Check::fail("libtorch", found, "cargo xtask setup"),
    }
}

/// Returns the libtorch that cargo would build with, or what is wrong with it.
pub(super) fn present_libtorch() -> Result<Libtorch, String> {
    let (named, folder) = match workspace::user_libtorch() {
        Some(folder) => (format!("LIBTORCH={}", folder.display()), folder),
        None => (".libtorch".to_owned(), workspace::libtorch_link()),
    };
    Libtorch::inspect(&folder).map_err(|unfit| format!("{named} {unfit}"))
}

/// Splits a version such as `1.95.0-nightly` into numbers that can be compared.
fn numbers(version: &str) -> Vec<u32> {
    version.split(|c: char| !c.is_ascii_digit()).map_while(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_as_numbers() {
        assert!(numbers("1.100.0") > numbers("1.88"));
        assert!(numbers("1.88.0-nightly") >= numbers("1.88"));
        assert!(numbers("1.87.9") < numbers("1.88"));
    }
}
