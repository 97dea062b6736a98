//! `cargo xtask setup`: finds or installs libtorch and makes it available as `.libtorch`.
//!
//! [`plan`] decides what to do. This file prints the plan and carries it out. A dry run stops in between.

mod cache;
pub(crate) mod libtorch;
mod pip;
mod plan;
mod recipe;
mod wheel;

use std::env::consts::{ARCH, OS};
use std::path::Path;

use anyhow::{Context, Result};

use self::libtorch::{Libtorch, VERSION};
use self::plan::Plan;
use self::recipe::How;
pub(crate) use self::wheel::unpack;
use crate::cli::{SetupArgs, Source};
use crate::disk;
use crate::failure::Failure;
use crate::python;
use crate::style;

/// Runs the command.
pub(crate) fn run(args: &SetupArgs) -> Result<()> {
    let plan = plan::make(&args.from, args.cuda)?;
    describe(&plan);
    if args.dry_run {
        println!("{}", style::doubtful("dry run: nothing was changed"));
        return Ok(());
    }
    carry_out(&plan)
}

/// Finds or installs libtorch for another command.
pub(crate) fn ensure() -> Result<()> {
    run(&SetupArgs { cuda: false, from: Source::Auto, dry_run: false })
}

fn describe(plan: &Plan) {
    match plan {
        Plan::Ready(libtorch, name) => {
            println!("{name} is ready: {libtorch} in {}", libtorch.folder.display());
        }
        Plan::Link(libtorch) => {
            println!("found {libtorch} in {}", libtorch.folder.display());
            println!("  link      .libtorch");
        }
        Plan::Gather { packages, into } => {
            println!("found libtorch {VERSION} in Python's {}", packages.display());
            println!("  links     its CPU libraries, in {}", into.display());
            println!("  link      .libtorch");
        }
        Plan::Download { cuda, into } => {
            let sizes = wheel::sizes(*cuda);
            let device = if *cuda { "CUDA" } else { "the CPU" };
            println!("libtorch {VERSION} for {device} is to be installed");
            println!("  source    pip: {}", wheel::requirements(*cuda).join(" "));
            println!("  download  about {}", disk::shown(sizes.download));
            let free = disk::free(into).map_or("unknown".to_owned(), disk::shown);
            println!(
                "  disk      about {} to stay, {} while it is made; {free} free",
                disk::shown(sizes.kept),
                disk::shown(sizes.needed)
            );
            println!("  folder    {}", into.display());
            println!("  link      .libtorch");
        }
    }
}

fn carry_out(plan: &Plan) -> Result<()> {
    let folder = match plan {
        Plan::Ready(..) => return Ok(()),
        Plan::Link(libtorch) => &libtorch.folder,
        Plan::Gather { packages, into } => {
            let scratch = cache::unfinished(into)?;
            let made = scratch.path().join("libtorch");
            recipe::gather(packages, &made, How::Link).context("the links could not be made")?;
            cache::publish(&made, into, &scratch)?;
            into
        }
        Plan::Download { cuda, into } => {
            require_room(*cuda, into)?;
            python::require_pip()?;
            wheel::download(*cuda, into)?;
            into
        }
    };
    let libtorch = Libtorch::inspect(folder).map_err(|unfit| {
        Failure::failed(
            format!("{} was made, and it {unfit}", folder.display()),
            format!("rm -r {} && cargo xtask setup", folder.display()),
        )
    })?;
    cache::link(folder)?;
    println!("{} {libtorch} is ready as `.libtorch`", style::good("done:"));
    Ok(())
}

fn require_room(cuda: bool, into: &Path) -> Result<()> {
    if (OS, ARCH) != ("linux", "x86_64") {
        return Err(Failure::environment(
            format!("wheels are unpacked for Linux x86-64 only, and this is {OS} {ARCH}"),
            format!("unpack libtorch {VERSION} yourself, then: cargo xtask setup --from FOLDER"),
        )
        .into());
    }
    let needed = wheel::sizes(cuda).needed;
    match disk::free(into) {
        Some(free) if free < needed => Err(Failure::environment(
            format!(
                "{} are free where {} would be, and {} are needed",
                disk::shown(free),
                into.display(),
                disk::shown(needed)
            ),
            "export XDG_CACHE_HOME=/a/larger/disk && cargo xtask setup",
        )
        .into()),
        _ => Ok(()),
    }
}
