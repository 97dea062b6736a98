//! `cargo xtask gpu-check`: the program on a GPU, where a machine may have Python with PyTorch and nothing else.
//!
//! The check is in `xtask/gpu`. A pack has it, the program, and what it reads; it is carried to the machine as a folder.

mod build;
mod pack;

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::cli::GpuCheckArgs;
use crate::failure::Failure;
use crate::{disk, process, style, workspace};

pub(crate) fn run(args: &GpuCheckArgs) -> Result<()> {
    if let Some(folder) = &args.run {
        require_gpu()?;
        return check(folder);
    }
    if let Some(folder) = &args.pack {
        return make(folder);
    }
    require_gpu()?;
    let folder = workspace::target().join("gpu-check/pack");
    make(&folder)?;
    check(&folder)
}

/// Builds the program and lays the pack out.
fn make(folder: &Path) -> Result<()> {
    let program = build::program()?;
    let size = pack::lay(&workspace::root(), &program, folder)?;
    println!("{} {}: {}", style::good("packed"), folder.display(), disk::size(size));
    println!("carry it to the machine with the GPU, and there: cd {} && python3 check.py", name(folder));
    Ok(())
}

fn name(folder: &Path) -> String {
    folder.file_name().unwrap_or(folder.as_os_str()).to_string_lossy().into_owned()
}

/// Runs the check of a pack; the report is beside it.
fn check(folder: &Path) -> Result<()> {
    let script = folder.join("check.py");
    if !script.exists() {
        let message = format!("{} is no pack: it has no check.py", folder.display());
        return Err(Failure::failed(message, format!("cargo xtask gpu-check --pack {}", folder.display())).into());
    }
    if process::show(Command::new("python3").arg("check.py").current_dir(folder))? {
        return Ok(());
    }
    let again = format!("cargo xtask gpu-check --run {}", folder.display());
    Err(Failure::failed("the check failed, as shown above and in report/report.md of the pack", again).into())
}

/// Refuses a machine whose driver lists no GPU, before anything is built.
fn require_gpu() -> Result<()> {
    let listed = process::answer(Command::new("nvidia-smi").arg("-L"));
    if listed.is_some_and(|devices| devices.starts_with("GPU")) {
        return Ok(());
    }
    let hint = "cargo xtask gpu-check --pack DIR   then carry DIR to a machine with a GPU";
    Err(Failure::environment("there is no GPU here: `nvidia-smi -L` lists none", hint).into())
}
