//! What checks need besides the workspace: programs of the system by apt-get, if that is permitted, and packages in pinned
//! versions below `target`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::failure::Failure;
use crate::process;

/// Installs what a command needs.
pub(crate) struct Installer {
    /// The command, which is to be repeated after a failure.
    pub(crate) command: &'static str,
}

impl Installer {
    /// Installs a package of Debian if a program does not run, and that is permitted.
    pub(crate) fn need(&self, package: &str, probe: &[&str]) -> Result<()> {
        if runs(probe) {
            return Ok(());
        }
        let is_root = process::answer(Command::new("id").arg("-u")).is_some_and(|id| id == "0");
        if is_root && runs(&["apt-get", "--version"]) {
            self.run(Command::new("apt-get").arg("update"))?;
            self.run(Command::new("apt-get").args(["install", "--yes", "--no-install-recommends", package]))?;
        }
        if runs(probe) {
            return Ok(());
        }
        let message = format!("`{}` does not run", probe.join(" "));
        let hint = format!("sudo apt-get install {package}   then: {}", self.command);
        Err(Failure::environment(message, hint).into())
    }

    /// Runs a command that installs something.
    pub(crate) fn run(&self, command: &mut Command) -> Result<()> {
        if process::show(command)? {
            return Ok(());
        }
        let program = command.get_program().to_string_lossy().into_owned();
        let message = format!("`{program}` could not install what the checks need, as shown above");
        Err(Failure::environment(message, format!("{}   (once the network is there)", self.command)).into())
    }

    /// Installs the packages that `requirements.txt` and `constraints.txt` of a folder pin in the virtual environment
    /// `venv`, unless they are there, and returns its Python.
    pub(crate) fn python(&self, venv: &Path, folder: &Path, what: &str) -> Result<PathBuf> {
        self.need("python3-venv", &["python3", "-c", "import ensurepip, venv"])?;
        let python = venv.join("bin/python");
        let pins = ["requirements.txt", "constraints.txt"].map(|name| folder.join(name));
        if is_installed(venv, &pins)? {
            return Ok(python);
        }
        println!("installing {what}");
        if venv.exists() {
            fs::remove_dir_all(venv)?;
        }
        self.run(Command::new("python3").args(["-m", "venv"]).arg(venv))?;
        let mut pip = Command::new(&python);
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
        self.run(pip.arg("--requirement").arg(&pins[0]).arg("--constraint").arg(&pins[1]))?;
        mark_installed(venv, &pins)?;
        Ok(python)
    }
}

fn runs(probe: &[&str]) -> bool {
    process::answer(Command::new(probe[0]).args(&probe[1..])).is_some()
}

/// Returns true if what these files pin was installed in the folder.
pub(crate) fn is_installed(folder: &Path, pins: &[PathBuf]) -> Result<bool> {
    let pinned = pinned(pins)?;
    Ok(fs::read_to_string(folder.join("installed")).is_ok_and(|installed| installed == pinned))
}

/// Records that what these files pin was installed in the folder.
pub(crate) fn mark_installed(folder: &Path, pins: &[PathBuf]) -> Result<()> {
    fs::write(folder.join("installed"), pinned(pins)?)?;
    Ok(())
}

fn pinned(pins: &[PathBuf]) -> Result<String> {
    let mut pinned = String::new();
    for file in pins {
        pinned += &fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    }
    Ok(pinned)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::workspace;

    /// The pins of a file, by the names of packages as pip compares them.
    fn pins(file: &Path) -> BTreeMap<String, String> {
        let text = fs::read_to_string(file).unwrap();
        let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        let pin = |line: &str| {
            let (name, version) = line.split_once("==").unwrap();
            let name = name.split('[').next().unwrap().to_lowercase().replace('_', "-");
            (name, version.to_owned())
        };
        lines.map(pin).collect()
    }

    /// pip installs nothing if they do not.
    #[test]
    fn what_is_required_agrees_with_what_constrains_it() {
        for folder in ["cluster", "deploy", "compat/corpora", "compat/peft", "compat/python"] {
            let folder = workspace::root().join("xtask").join(folder);
            let constraints = pins(&folder.join("constraints.txt"));
            for (name, version) in pins(&folder.join("requirements.txt")) {
                let constrained = constraints.get(&name);
                assert!(
                    constrained.is_none_or(|found| *found == version),
                    "{}: {name} {constrained:?}",
                    folder.display()
                );
            }
        }
    }

    #[test]
    fn a_changed_pin_is_installed_again() {
        let folder = tempfile::tempdir().unwrap();
        let pins = [folder.path().join("requirements.txt")];
        fs::write(&pins[0], "llm==0.36").unwrap();
        assert!(!is_installed(folder.path(), &pins).unwrap());
        mark_installed(folder.path(), &pins).unwrap();
        assert!(is_installed(folder.path(), &pins).unwrap());
        fs::write(&pins[0], "llm==0.37").unwrap();
        assert!(!is_installed(folder.path(), &pins).unwrap());
    }
}
