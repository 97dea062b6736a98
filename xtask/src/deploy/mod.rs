//! `cargo xtask deploy-check`: the files of `docs/deploy` against schemas and against the running program.
//!
//! The checks are in `xtask/deploy`, and pytest runs them.

mod install;

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::cli::DeployCheckArgs;
use crate::failure::Failure;
use crate::{llada, process, setup, style, workspace};

/// The checks of the manifests and of scripts, which read files alone.
const MANIFEST_CHECKS: [&str; 2] = ["test_manifests.py", "test_training.py"];

/// The checks that run the program: as a server, behind the balancer, and as the processes of a run.
const RUNNING_CHECKS: [&str; 3] = ["test_probes.py", "test_balancer.py", "test_launchers.py"];

/// The check of the container file, which builds everything anew.
const IMAGE_CHECK: &str = "test_image.py";

pub(crate) fn run(args: &DeployCheckArgs) -> Result<()> {
    let python = install::python()?;
    let mut command = Command::new(python);
    command.current_dir(sources()).env("PYTHONDONTWRITEBYTECODE", "1").args(["-m", "pytest", "-rP"]);
    if args.manifests {
        command.args(MANIFEST_CHECKS);
    } else if args.image {
        install::container_tools()?;
        println!("building the container: everything is fetched and compiled in it");
        command.args(["--capture=no", IMAGE_CHECK]);
    } else {
        install::nginx()?;
        setup::ensure()?;
        command.env("LLADA", llada::build()?).args(MANIFEST_CHECKS).args(RUNNING_CHECKS);
    }
    if process::show(&mut command)? {
        println!("{} the files of docs/deploy", style::good("ok"));
        return Ok(());
    }
    let again = match args {
        DeployCheckArgs { manifests: true, .. } => "cargo xtask deploy-check --manifests",
        DeployCheckArgs { image: true, .. } => "cargo xtask deploy-check --image",
        _ => "cargo xtask deploy-check",
    };
    Err(Failure::failed("a file of docs/deploy is wrong, as shown above", again).into())
}

/// Returns the folder of the checks.
fn sources() -> PathBuf {
    workspace::root().join("xtask/deploy")
}

/// Returns the folder of what is installed and built.
fn scratch() -> PathBuf {
    workspace::target().join("deploy-check")
}
