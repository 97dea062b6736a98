//! An empty checkout, an empty cache, and a PATH whose first programs are ours.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

pub(crate) struct Sandbox {
    root: TempDir,
}

/// What a run left: its exit code and all that it printed.
pub(crate) struct Outcome {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        let sandbox = Self { root: tempfile::tempdir().unwrap() };
        for folder in ["checkout/xtask", "bin", "nothing"] {
            fs::create_dir_all(sandbox.path(folder)).unwrap();
        }
        let real = Command::new("python3").args(["-c", "import sys; print(sys.executable)"]).output().unwrap();
        let interpreter = String::from_utf8(real.stdout).unwrap();
        sandbox.program("python3", &format!("#!{}\n{}", interpreter.trim(), include_str!("python3.py")));
        sandbox
    }

    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.root.path().join(relative)
    }

    /// Puts a script on PATH, before the system's programs.
    pub(crate) fn program(&self, name: &str, script: &str) {
        let path = self.path("bin").join(name);
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// A folder that passes for a libtorch: files of the right names, with no code in them.
    pub(crate) fn libtorch(&self, name: &str, version: &str) -> PathBuf {
        let folder = self.path(name);
        for file in
            ["include/torch/csrc/api/include/torch/torch.h", "lib/libtorch.so", "lib/libtorch_cpu.so", "lib/libc10.so"]
        {
            fs::create_dir_all(folder.join(file).parent().unwrap()).unwrap();
            fs::write(folder.join(file), "not really").unwrap();
        }
        fs::write(folder.join("build-version"), version).unwrap();
        folder
    }

    /// Installs a torch in the sandbox's Python, built for CUDA or not.
    pub(crate) fn installed_torch(&self, version: &str, cuda: bool) -> PathBuf {
        let torch = self.libtorch("site/torch", version);
        fs::remove_file(torch.join("build-version")).unwrap();
        fs::write(torch.join("version.py"), format!("__version__ = '{version}'\n")).unwrap();
        fs::write(torch.join("__init__.py"), "raise ImportError('not to be imported')").unwrap();
        if cuda {
            fs::create_dir_all(self.path("site/nvidia/cu13/lib")).unwrap();
            fs::write(self.path("site/nvidia/cu13/lib/libcudart.so.13"), "not really").unwrap();
            fs::write(torch.join("lib/libtorch_cuda.so"), "not really").unwrap();
        }
        torch
    }

    /// The command `xtask <args>` in this sandbox, to be changed or run.
    pub(crate) fn xtask(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command
            .args(args)
            .current_dir(self.path("checkout"))
            .env("CARGO_MANIFEST_DIR", self.path("checkout/xtask"))
            .env("XDG_CACHE_HOME", self.path("cache"))
            .env("PATH", format!("{}:/usr/bin:/bin", self.path("bin").display()))
            .env("PYTHONPATH", self.path("site"))
            .env("FAKE_PIP_LOG", self.path("pip.log"))
            .env_remove("LIBTORCH")
            .env_remove("CXX");
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Outcome {
        outcome(&mut self.xtask(args))
    }

    /// How often pip was asked to download.
    pub(crate) fn downloads(&self) -> usize {
        fs::read_to_string(self.path("pip.log")).map_or(0, |log| log.lines().count())
    }

    /// Everything in the cache, hidden folders too.
    pub(crate) fn cached(&self) -> Vec<String> {
        names(&self.path("cache/llada"))
    }
}

pub(crate) fn outcome(command: &mut Command) -> Outcome {
    let output = command.output().unwrap();
    Outcome {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// The names in a folder, sorted; none where there is no folder.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
