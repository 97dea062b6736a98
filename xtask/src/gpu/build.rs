//! The program built for the libtorch that machines with GPUs have, from the working tree, with CUDA's headers and with none of
//! its libraries.
//!
//! A release of tch binds one release of libtorch, and no other line of the source depends on which. So the source is
//! copied, and the copy names another tch. What libtorch needs of NVIDIA is found when the program starts.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::failure::Failure;
use crate::{disk, process, python, setup, workspace};

/// The release of PyTorch that the program is built for, and that of tch which binds it.
const TORCH: &str = "2.11.0";
const TCH: &str = "=0.24.0";

/// NVIDIA's packages of the headers that libtorch's include, of the CUDA with which that PyTorch was built.
const CUDA_HEADERS: [&str; 2] = ["nvidia-cuda-runtime==13.0.*", "nvidia-cuda-crt==13.0.*"];

/// With a target named, the flags reach the program and not the build scripts.
const TARGET: &str = "x86_64-unknown-linux-gnu";
const FLAGS: &str = "-C link-arg=-Wl,--unresolved-symbols=ignore-in-shared-libs -C strip=symbols";

/// Megabytes that the wheel, its libraries and the build take together.
const NEEDED: u64 = 6_000;

const AGAIN: &str = "cargo xtask gpu-check --pack DIR";

/// Builds the program, and returns its path. What an interrupted run has finished is not done again.
pub(super) fn program() -> Result<PathBuf> {
    let scratch = workspace::target().join("gpu-check");
    fs::create_dir_all(&scratch).with_context(|| format!("cannot make {}", scratch.display()))?;
    let libtorch = libtorch(&scratch)?;
    let source = scratch.join("src");
    println!("copying the working tree");
    copy(&workspace::root(), &source)?;
    println!("building `llada` for PyTorch {TORCH}: some minutes");
    let target = scratch.join("target");
    let mut cargo = workspace::cargo(&["build", "--release", "-p", "llada-cli", "--target", TARGET]);
    cargo.current_dir(&source).env("LIBTORCH", &libtorch).env("RUSTFLAGS", FLAGS).env("CARGO_TARGET_DIR", &target);
    cargo.env_remove("CARGO_MANIFEST_DIR");
    if !process::show(&mut cargo)? {
        return Err(
            Failure::failed(format!("`llada` could not be built for PyTorch {TORCH}, as shown above"), AGAIN).into()
        );
    }
    Ok(target.join(TARGET).join("release/llada"))
}

/// Returns the folder with the headers and libraries of PyTorch's CUDA wheel, beside which CUDA's headers are. Both are
/// downloaded once.
fn libtorch(scratch: &Path) -> Result<PathBuf> {
    let libtorch = scratch.join("torch");
    let version = libtorch.join("build-version");
    if !fs::read_to_string(&version).is_ok_and(|version| version.trim() == TORCH) {
        println!("fetching the wheel of PyTorch {TORCH} with pip: half a gigabyte");
        fetch(scratch, &[&format!("torch=={TORCH}")], &["lib"])?;
        fs::write(&version, format!("{TORCH}\n"))?;
    }
    let headers = scratch.join("nvidia/build-version");
    if !fs::read_to_string(&headers).is_ok_and(|version| version == CUDA_HEADERS.join("\n")) {
        println!("fetching CUDA's headers with pip: 2 MB");
        fetch(scratch, &CUDA_HEADERS, &[])?;
        fs::write(&headers, CUDA_HEADERS.join("\n"))?;
    }
    Ok(libtorch)
}

/// Fetches wheels, and unpacks their headers and the libraries whose names begin with one of `libraries`.
fn fetch(scratch: &Path, packages: &[&str], libraries: &[&str]) -> Result<()> {
    python::require_pip()?;
    if let Some(free) = disk::free(scratch).filter(|&free| free < NEEDED) {
        let message = format!(
            "{} are free below {}, and {} are needed",
            disk::shown(free),
            scratch.display(),
            disk::shown(NEEDED)
        );
        return Err(Failure::environment(message, format!("export CARGO_TARGET_DIR=/a/larger/disk && {AGAIN}")).into());
    }
    let wheels = scratch.join("wheels");
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "download", "--no-deps", "--no-cache-dir", "--only-binary=:all:", "--dest"]).arg(&wheels);
    if !process::show(pip.args(packages).env("PIP_DISABLE_PIP_VERSION_CHECK", "1"))? {
        let message = format!("pip could not fetch {}, as shown above", packages.join(" and "));
        return Err(Failure::environment(message, format!("{AGAIN}   (once the network is there)")).into());
    }
    setup::unpack(&wheels, scratch, libraries)?;
    fs::remove_dir_all(&wheels)?;
    Ok(())
}

/// Makes `into` a copy of the checkout at `root`, changes that are not committed included. Files that are the same stay
/// untouched, so that cargo builds only what has changed, and those of an earlier copy that have gone are removed.
fn copy(root: &Path, into: &Path) -> Result<()> {
    let mut git = Command::new("git");
    git.current_dir(root).args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let output = process::capture(&mut git)?;
    if !output.status.success() {
        let message = format!("git does not list the files of {}", root.display());
        return Err(Failure::environment(message, "git status").into());
    }
    let listed = String::from_utf8_lossy(&output.stdout).into_owned();
    let names: Vec<&str> = listed.split('\0').filter(|name| root.join(name).is_file()).collect();
    if into.exists() {
        remove_others(into, &names.iter().map(|name| into.join(name)).collect())?;
    }
    for name in &names {
        let bytes = fs::read(root.join(name)).with_context(|| format!("cannot read {name}"))?;
        let bytes = if *name == "Cargo.toml" { with_other_tch(&bytes)? } else { bytes };
        let to = into.join(name);
        if fs::read(&to).is_ok_and(|present| present == bytes) {
            continue;
        }
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&to, bytes).with_context(|| format!("cannot write {}", to.display()))?;
    }
    Ok(())
}

/// Removes the files below `folder` that are not to be kept.
fn remove_others(folder: &Path, kept: &HashSet<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            remove_others(&path, kept)?;
        } else if !kept.contains(&path) {
            fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    Ok(())
}

/// Replaces the versions of tch and torch-sys in the workspace's manifest.
fn with_other_tch(manifest: &[u8]) -> Result<Vec<u8>> {
    let mut replaced = 0;
    let mut text = String::new();
    for line in String::from_utf8_lossy(manifest).lines() {
        let is_tch = line.starts_with("tch = ") || line.starts_with("torch-sys = ");
        let pin = line.split('"').find(|part| part.starts_with('=') && is_tch);
        match pin {
            Some(pin) => {
                replaced += 1;
                text += &line.replace(pin, TCH);
            }
            None => text += line,
        }
        text.push('\n');
    }
    anyhow::ensure!(replaced == 2, "Cargo.toml pins {replaced} of tch and torch-sys");
    Ok(text.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_copy_names_the_tch_of_the_other_libtorch() {
        let manifest = fs::read(workspace::root().join("Cargo.toml")).unwrap();
        let (before, after) = (String::from_utf8(manifest.clone()).unwrap(), with_other_tch(&manifest).unwrap());
        let after = String::from_utf8(after).unwrap();
        let changed: Vec<(&str, &str)> = before.lines().zip(after.lines()).filter(|(a, b)| a != b).collect();
        assert_eq!(changed.len(), 2, "{changed:?}");
        assert!(changed.iter().all(|(_, line)| line.contains(TCH)), "{changed:?}");
        assert!(with_other_tch(b"[workspace]\n").is_err());
    }

    #[test]
    fn a_copy_has_what_is_not_committed_and_leaves_the_rest_untouched() {
        let scratch = tempfile::tempdir().unwrap();
        let (root, into) = (scratch.path().join("root"), scratch.path().join("copy"));
        fs::create_dir(&root).unwrap();
        let init = process::answer(Command::new("git").arg("init").arg(&root));
        assert!(init.is_some());
        fs::write(root.join("Cargo.toml"), "tch = \"=1.0.0\"\ntorch-sys = \"=1.0.0\"\n").unwrap();
        fs::write(root.join(".gitignore"), "ignored\n").unwrap();
        fs::write(root.join("ignored"), "1").unwrap();
        fs::write(root.join("new"), "1").unwrap();
        copy(&root, &into).unwrap();
        assert!(into.join("new").exists() && !into.join("ignored").exists());
        let time = |name: &str| fs::metadata(into.join(name)).unwrap().modified().unwrap();
        let before = [time("new"), time("Cargo.toml")];
        copy(&root, &into).unwrap();
        assert_eq!([time("new"), time("Cargo.toml")], before);
        fs::write(root.join("new"), "2").unwrap();
        copy(&root, &into).unwrap();
        assert_eq!(fs::read_to_string(into.join("new")).unwrap(), "2");
        // A file becomes a folder, as a module does.
        fs::create_dir(root.join("module")).unwrap();
        fs::rename(root.join("new"), root.join("module/new")).unwrap();
        copy(&root, &into).unwrap();
        assert!(!into.join("new").exists() && into.join("module/new").exists());
    }
}
