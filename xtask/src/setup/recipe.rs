//! The recipe for a CPU libtorch from the files of PyTorch's packages.
//!
//! PyTorch's package is built for CUDA, and its `libtorch.so` loads gigabytes of CUDA libraries at every start. The CPU
//! library in it can be used alone: it needs two small CUDA libraries, which are included, and `libtorch.so` becomes a link
//! to it.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::libtorch::VERSION;

/// The prefixes of the names of the libraries. A CPU build neither has nor needs `libcudart` and `libcupti`.
pub(super) const LIBRARIES: [&str; 5] = ["libtorch_cpu.so", "libc10.so", "libgomp", "libcudart.so", "libcupti.so"];

/// The way in which files get into the new folder.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum How {
    /// They are moved out of a folder that belongs to `setup`.
    Move,
    /// They are linked from an installed Python package. The version is linked too, so that an upgrade is noticed.
    Link,
}

/// Creates a libtorch in the new folder `into` from `packages`, which has the folders `torch` and `nvidia`.
pub(super) fn gather(packages: &Path, into: &Path, how: How) -> io::Result<()> {
    let place = |from: PathBuf, name: &str| match how {
        How::Move => fs::rename(from, into.join(name)),
        How::Link => symlink(from, into.join(name)),
    };
    let torch = packages.join("torch");
    fs::create_dir_all(into.join("lib"))?;
    place(torch.join("include"), "include")?;
    for folder in library_folders(packages)? {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if LIBRARIES.iter().any(|start| name.starts_with(start)) {
                place(entry.path(), &format!("lib/{name}"))?;
            }
        }
    }
    symlink("libtorch_cpu.so", into.join("lib/libtorch.so"))?;
    match how {
        How::Move => fs::write(into.join("build-version"), format!("{VERSION}+cpu\n")),
        How::Link => place(torch.join("version.py"), "version.py"),
    }
}

/// Returns `torch/lib` and the folder `lib` of each of NVIDIA's packages.
fn library_folders(packages: &Path) -> io::Result<Vec<PathBuf>> {
    let mut folders = vec![packages.join("torch/lib")];
    if let Ok(nvidia) = fs::read_dir(packages.join("nvidia")) {
        for package in nvidia {
            folders.push(package?.path().join("lib"));
        }
    }
    folders.retain(|folder| folder.is_dir());
    Ok(folders)
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::libtorch::{Libtorch, tests::fake};
    use super::*;

    /// Installed packages in the layout of the CUDA wheels.
    pub(in crate::setup) fn fake_packages(packages: &Path) {
        fake(&packages.join("torch"), "ignored");
        fs::remove_file(packages.join("torch/build-version")).unwrap();
        fs::write(packages.join("torch/version.py"), "__version__ = '2.13.0+cu130'\n").unwrap();
        fs::create_dir_all(packages.join("nvidia/cu13/lib")).unwrap();
        for library in [
            "torch/lib/libgomp.so.1",
            "torch/lib/libtorch_cuda.so",
            "nvidia/cu13/lib/libcudart.so.13",
            "nvidia/cu13/lib/libcudart_static.a",
            "nvidia/cu13/lib/libcupti.so.13",
            "nvidia/cu13/lib/libcublas.so.13",
        ] {
            fs::write(packages.join(library), "not really").unwrap();
        }
    }

    fn libraries(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(folder.join("lib"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn both_ways_give_the_same_cpu_libtorch() {
        let scratch = tempfile::tempdir().unwrap();
        let packages = scratch.path().join("site-packages");
        fake_packages(&packages);
        for (name, how, version) in [("linked", How::Link, "2.13.0+cu130"), ("moved", How::Move, "2.13.0+cpu")] {
            let into = scratch.path().join(name);
            gather(&packages, &into, how).unwrap();
            let libtorch = Libtorch::inspect(&into).unwrap();
            assert_eq!((libtorch.version.as_str(), libtorch.cuda), (version, false));
            assert_eq!(
                libraries(&into),
                ["libc10.so", "libcudart.so.13", "libcupti.so.13", "libgomp.so.1", "libtorch.so", "libtorch_cpu.so"]
            );
        }
    }

    #[test]
    fn a_link_shows_that_its_python_was_upgraded() {
        let scratch = tempfile::tempdir().unwrap();
        let packages = scratch.path().join("site-packages");
        fake_packages(&packages);
        let into = scratch.path().join("linked");
        gather(&packages, &into, How::Link).unwrap();
        fs::write(packages.join("torch/version.py"), "__version__ = '2.14.0'\n").unwrap();
        assert!(Libtorch::inspect(&into).is_err());
    }
}
