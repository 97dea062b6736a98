//! The download of libtorch: pip fetches and verifies PyTorch's wheels, which are unpacked beside their destination.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::cache;
use super::libtorch::{VERSION, stated_version};
use super::pip;
use super::recipe::{self, How, LIBRARIES};
use crate::failure::Failure;
use crate::process;

const UNPACK: &str = include_str!("unpack.py");

/// Sizes of the release in megabytes: the download, the result, and the disk space that is needed in between.
pub(super) struct Sizes {
    pub(super) download: u64,
    pub(super) kept: u64,
    pub(super) needed: u64,
}

/// Returns the sizes as measured for Linux x86-64. They may vary slightly with newer releases of dependencies.
pub(super) const fn sizes(cuda: bool) -> Sizes {
    if cuda {
        Sizes { download: 2_750, kept: 5_000, needed: 8_000 }
    } else {
        Sizes { download: 540, kept: 510, needed: 1_200 }
    }
}

/// Returns the name of the build in the cache.
pub(super) const fn kind(cuda: bool) -> &'static str {
    if cuda { "cuda" } else { "cpu" }
}

/// Returns the packages to request from pip. The CUDA build has its own dependencies.
pub(super) fn requirements(cuda: bool) -> Vec<String> {
    let others = if cuda {
        // Headers that c10d's header of NCCL includes, which PyTorch's package does not depend on.
        ["nvidia-cuda-crt==13.0.*", "nvidia-cuda-cccl==13.0.*"]
    } else {
        ["nvidia-cuda-runtime==13.0.*", "nvidia-cuda-cupti==13.0.*"]
    };
    [format!("torch=={VERSION}")].into_iter().chain(others.map(String::from)).collect()
}

/// Downloads a libtorch to `into`, which appears complete or not at all.
pub(super) fn download(cuda: bool, into: &Path) -> Result<()> {
    let scratch = cache::unfinished(into)?;
    let made = scratch.path().join("libtorch");
    fs::create_dir(&made)?;
    let outcome = if cuda {
        let packages = made.join("packages");
        pip::run("install", &["--target"], &packages, cuda, scratch.path())?;
        make_cuda(&made)
    } else {
        let wheels = scratch.path().join("wheels");
        pip::run("download", &["--no-deps", "--dest"], &wheels, cuda, scratch.path())?;
        let packages = scratch.path().join("packages");
        unpack(&wheels, &packages, &LIBRARIES)?;
        recipe::gather(&packages, &made, How::Move).map_err(Into::into)
    };
    outcome.context("the wheels do not hold what was expected of them")?;
    cache::publish(&made, into, &scratch)
}

/// Unpacks the wheels of a folder: headers, and the libraries whose names begin with one of `libraries`.
pub(crate) fn unpack(wheels: &Path, packages: &Path, libraries: &[&str]) -> Result<()> {
    println!("unpacking");
    let mut command = Command::new("python3");
    command.args(["-c", UNPACK]).arg(packages).arg(libraries.join(","));
    for wheel in fs::read_dir(wheels)? {
        command.arg(wheel?.path());
    }
    let output = process::capture(&mut command)?;
    if output.status.success() {
        return Ok(());
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    let reason = complaint.lines().last().unwrap_or("no reason given").to_owned();
    Err(Failure::environment(
        format!("the wheels could not be unpacked: {reason}"),
        "df -h ~/.cache   then: cargo xtask setup",
    )
    .into())
}

/// Makes the installed packages a libtorch, which they are one folder below. Links are used because the libraries must not be
/// moved: they look for those of CUDA in `../../nvidia`.
fn make_cuda(made: &Path) -> Result<()> {
    let torch = PathBuf::from("packages/torch");
    for folder in ["include", "lib"] {
        symlink(torch.join(folder), made.join(folder))?;
    }
    let version = stated_version(&made.join(torch)).context("torch states no version")?;
    fs::write(made.join("build-version"), format!("{version}\n"))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::libtorch::Libtorch;
    use super::super::recipe::tests::fake_packages;
    use super::*;

    #[test]
    fn installed_cuda_packages_become_a_cuda_libtorch() {
        let made = tempfile::tempdir().unwrap();
        fake_packages(&made.path().join("packages"));
        make_cuda(made.path()).unwrap();
        let libtorch = Libtorch::fit(made.path(), true).unwrap();
        assert_eq!(libtorch.version, "2.13.0+cu130");
    }
}
