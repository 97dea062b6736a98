//! The plan of `setup`, from its arguments and the state of the machine. Planning changes nothing.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::cache;
use super::libtorch::{Libtorch, Unfit, VERSION};
use super::wheel;
use crate::cli::Source;
use crate::failure::Failure;
use crate::python;
use crate::workspace;

/// The action of `setup`.
#[derive(Debug)]
pub(super) enum Plan {
    /// Nothing: libtorch is ready under this name.
    Ready(Libtorch, &'static str),
    /// Link `.libtorch` to an existing libtorch.
    Link(Libtorch),
    /// Create a CPU libtorch that consists of links into the packages of a Python, then link it.
    Gather { packages: PathBuf, into: PathBuf },
    /// Download libtorch into the cache, then link it.
    Download { cuda: bool, into: PathBuf },
}

pub(super) fn make(source: &Source, cuda: bool) -> Result<Plan> {
    if let Some(folder) = workspace::user_libtorch() {
        return from_variable(&folder, source, cuda);
    }
    match source {
        Source::Auto => auto(cuda),
        Source::Pytorch => from_python(cuda),
        Source::Wheel => from_wheel(cuda),
        Source::Folder(folder) => from_folder(folder, cuda),
    }
}

fn auto(cuda: bool) -> Result<Plan> {
    if let Ok(present) = Libtorch::fit(&workspace::libtorch_link(), cuda) {
        return Ok(Plan::Ready(present, "`.libtorch`"));
    }
    if let Ok(kept) = Libtorch::fit(&cache::folder(wheel::kind(cuda))?, cuda) {
        return Ok(Plan::Link(kept));
    }
    from_python(cuda).or_else(|_| from_wheel(cuda))
}

/// Checks the libtorch of the variable LIBTORCH. Cargo uses it in any case, so nothing else can be done.
fn from_variable(folder: &Path, source: &Source, cuda: bool) -> Result<Plan> {
    let named = folder.display();
    if *source != Source::Auto {
        return Err(Failure::failed(
            format!("LIBTORCH={named} is set, and cargo would use it instead of what --from asks for"),
            "unset LIBTORCH, then the same command again",
        )
        .into());
    }
    let unset = "unset LIBTORCH && cargo xtask setup";
    let libtorch = Libtorch::fit(folder, cuda)
        .map_err(|unfit| Failure::environment(format!("LIBTORCH is set, and {named} {unfit}"), unset))?;
    Ok(Plan::Ready(libtorch, "LIBTORCH"))
}

fn from_python(cuda: bool) -> Result<Plan> {
    let install = format!("python3 -m pip install torch=={VERSION}");
    let torch = python::torch_package()
        .ok_or_else(|| Failure::environment("`python3` has no torch installed", install.as_str()))?;
    match Libtorch::fit(&torch, cuda) {
        Ok(libtorch) if cuda || !libtorch.cuda => Ok(linked(libtorch)),
        // The CPU part of a CUDA build can be used alone, even if the CUDA packages are missing.
        Ok(_) => gather(&torch),
        Err(Unfit::Unresolved(_)) if !cuda => gather(&torch),
        Err(unfit) => Err(Failure::environment(format!("Python's {} {unfit}", torch.display()), install).into()),
    }
}

fn gather(torch: &Path) -> Result<Plan> {
    let packages = torch.parent().context("torch lies in a folder")?.to_owned();
    let whose = packages.display().to_string().replace('/', "-");
    let into = cache::folder(&format!("python{whose}"))?;
    Ok(match Libtorch::inspect(&into) {
        Ok(gathered) => linked(gathered),
        Err(_) => Plan::Gather { packages, into },
    })
}

fn from_wheel(cuda: bool) -> Result<Plan> {
    let into = cache::folder(wheel::kind(cuda))?;
    Ok(match Libtorch::fit(&into, cuda) {
        Ok(kept) => linked(kept),
        Err(_) => Plan::Download { cuda, into },
    })
}

fn from_folder(folder: &Path, cuda: bool) -> Result<Plan> {
    let libtorch = Libtorch::fit(folder, cuda).map_err(|unfit| {
        let remedy = match unfit {
            Unfit::CpuOnly => "cargo xtask setup --cuda",
            _ => "cargo xtask setup   (finds or installs the right one)",
        };
        Failure::failed(format!("{} {unfit}", folder.display()), remedy)
    })?;
    Ok(linked(libtorch))
}

/// Plans a link, unless `.libtorch` already leads to this libtorch.
fn linked(libtorch: Libtorch) -> Plan {
    let present = fs::canonicalize(workspace::libtorch_link());
    if present.is_ok_and(|present| present == libtorch.folder) {
        Plan::Ready(libtorch, "`.libtorch`")
    } else {
        Plan::Link(libtorch)
    }
}
