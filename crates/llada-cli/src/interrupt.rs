//! Signals. The first Ctrl-C or SIGTERM ends the work after the current step, the second ends the program at once. If
//! the reader of the output closes its pipe, the program ends silently, like other commands.

use std::{
    ops::ControlFlow,
    process,
    sync::atomic::{AtomicBool, Ordering},
};

use anyhow::Context;
use nix::sys::signal::{SigHandler, Signal, signal};

static ASKED: AtomicBool = AtomicBool::new(false);

/// Installs the handlers.
pub(crate) fn listen() -> anyhow::Result<()> {
    // SAFETY: the default action runs no code of this program.
    unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) }.context("cannot restore SIGPIPE")?;
    let handler = || {
        if ASKED.swap(true, Ordering::Relaxed) {
            process::exit(130);
        }
    };
    ctrlc::set_handler(handler).context("cannot listen for Ctrl-C")
}

/// Returns the flag that is set when the work should end.
pub(crate) fn asked() -> &'static AtomicBool {
    &ASKED
}

/// Returns `Break` if the work should end.
pub(crate) fn check() -> ControlFlow<()> {
    if ASKED.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
}
