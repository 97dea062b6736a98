//! `cargo xtask compat`: real clients of OpenAI's API against `llada serve`, its page in a real browser, adapters that are
//! exchanged with peft, runs that torchrun starts, and corpora that datatrove and Arrow have written.
//!
//! The checks are in `xtask/compat`: those of clients of Python are run by pytest, those of clients of Node by `node --test`.

mod check;
mod client;
mod install;
mod server;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use self::check::Row;
pub(crate) use self::client::CLIENTS;
use self::client::{Client, Runner};
use self::server::{Addresses, Server};
use crate::cli::CompatArgs;
use crate::failure::Failure;
use crate::llada::{self, MODEL};
use crate::{process, setup, style, workspace};

pub(crate) fn run(args: &CompatArgs) -> Result<()> {
    if args.adapters {
        return checked(&install::peft()?, "peft", "--adapters", "adapters go both ways");
    }
    if args.torchrun {
        return checked(&install::peft()?, "torchrun", "--torchrun", "torchrun starts runs, and starts them again");
    }
    if args.corpora {
        return checked(&install::corpora()?, "corpora", "--corpora", "corpora of datatrove and Arrow are trained on");
    }
    let clients: Vec<&Client> = CLIENTS
        .iter()
        .filter(|client| args.clients.is_empty() || args.clients.iter().any(|name| name == client.name))
        .collect();
    if args.page {
        install::chromium()?;
        install::node("page")?;
    } else {
        install(&clients)?;
    }
    if let Some(url) = &args.server {
        let addresses = Addresses { open: url.trim_end_matches('/').to_owned(), narrow: None };
        return if args.page { page(&addresses) } else { all(&clients, &addresses) };
    }
    setup::ensure()?;
    let llada = llada::build()?;
    let open = serve(&llada, "open", &[])?;
    let keys = sources().join("keys.txt").display().to_string();
    let narrow = serve(&llada, "narrow", &["--api-keys", &keys, "--max-running", "1", "--max-queue", "0"])?;
    let addresses = Addresses { open: open.url.clone(), narrow: Some(narrow.url.clone()) };
    let outcome = if args.page { page(&addresses) } else { all(&clients, &addresses) };
    open.stop()?;
    narrow.stop()?;
    println!("{} both servers ended by themselves after SIGTERM", style::good("ok"));
    outcome
}

/// Returns the folder of the checks.
fn sources() -> PathBuf {
    workspace::root().join("xtask/compat")
}

/// Returns the folder of what is installed and written.
fn scratch() -> PathBuf {
    workspace::target().join("compat")
}

fn install(clients: &[&Client]) -> Result<()> {
    if clients.iter().any(|client| client.runner == Runner::Pytest) {
        install::python()?;
    }
    if clients.iter().any(|client| client.runner == Runner::Node) {
        install::node("node")?;
    }
    Ok(())
}

fn serve(llada: &Path, name: &str, arguments: &[&str]) -> Result<Server> {
    let mut command = Command::new(llada);
    command.current_dir(workspace::root()).args(["serve", "--model", MODEL, "--port", "0"]).args(arguments);
    Server::start(&mut command, &scratch().join(format!("log/serve-{name}.txt")))
}

/// Runs the checks in `folder` by `python`, with the built command. `flag` repeats them.
fn checked(python: &Path, folder: &str, flag: &str, outcome: &str) -> Result<()> {
    setup::ensure()?;
    let llada = llada::build()?;
    let mut command = Command::new(python);
    command.args(["-m", "pytest", "--quiet"]).current_dir(sources().join(folder)).env("PYTHONDONTWRITEBYTECODE", "1");
    command.env("LLADA", llada).env("LLADA_FIXTURES", workspace::root().join("crates/llada-model/tests/fixtures"));
    if process::show(&mut command)? {
        println!("{} {outcome}", style::good("ok"));
        return Ok(());
    }
    let again = format!("cargo xtask compat {flag}");
    Err(Failure::failed(format!("checks with {folder} failed, as shown above"), again).into())
}

/// Runs the clients one after the other.
fn all(clients: &[&Client], addresses: &Addresses) -> Result<()> {
    let mut rows = Vec::new();
    for client in clients {
        println!("{}", style::strong(client.name));
        rows.push(Row { client: client.name, checks: client.run(addresses)? });
    }
    println!("\n{}", check::table(&rows));
    let failed: Vec<&str> = rows.iter().filter(|row| row.has_failed()).map(|row| row.client).collect();
    if failed.is_empty() {
        return Ok(());
    }
    let again = format!(
        "cargo xtask compat --clients {}   (logs: {})",
        failed.join(","),
        workspace::shown(&scratch().join("log"))
    );
    Err(Failure::failed(format!("checks of {} failed", failed.join(", ")), again).into())
}

/// Runs the test of the page, which leaves pictures.
fn page(addresses: &Addresses) -> Result<()> {
    let pictures = scratch().join("pictures");
    let mut command = Command::new("node");
    command.arg(sources().join("page/page.mjs")).arg(&addresses.open).arg(&pictures);
    if process::show(&mut command)? {
        println!("{} the page; pictures are in {}", style::good("ok"), workspace::shown(&pictures));
        return Ok(());
    }
    Err(Failure::failed("the page does not work, as shown above", "cargo xtask compat --page").into())
}
