//! Ctrl-C and SIGTERM: the first asks the work to end after the current step, the second ends it at once. And a reader
//! of the output that goes away ends the program quietly, as it does any other.

use std::{
    ops::ControlFlow,
    process,
    sync::atomic::{AtomicBool, Ordering},
};

use anyhow::Context;
use nix::sys::signal::{SigHandler, Signal, signal};

static ASKED: AtomicBool = AtomicBool::new(false);

/// Starts to listen.
pub(crate) fn listen() -> anyhow::Result<()> {
    // SAFETY: the default action is no handler: no code of this program runs in it.
    unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) }.context("cannot restore SIGPIPE")?;
    let handler = || {
        if ASKED.swap(true, Ordering::Relaxed) {
            process::exit(130);
        }
    };
    ctrlc::set_handler(handler).context("cannot listen for Ctrl-C")
}

/// Set when the work is asked to end.
pub(crate) fn asked() -> &'static AtomicBool {
    &ASKED
}

/// Whether to go on.
pub(crate) fn check() -> ControlFlow<()> {
    if ASKED.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
}
