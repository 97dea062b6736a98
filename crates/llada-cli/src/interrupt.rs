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
/// True while an interrupt is to end the work alone, however often it comes.
static IS_SHIELDED: AtomicBool = AtomicBool::new(false);

/// Installs the handlers.
pub(crate) fn listen() -> anyhow::Result<()> {
    // SAFETY: the default action runs no code of this program.
    unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) }.context("cannot restore SIGPIPE")?;
    let handler = || {
        if ASKED.swap(true, Ordering::Relaxed) && !IS_SHIELDED.load(Ordering::Relaxed) {
            process::exit(130);
        }
    };
    ctrlc::set_handler(handler).context("cannot listen for Ctrl-C")
}

/// Makes a connection that another process has closed an error, and not the end of this program without a word: gloo writes
/// to sockets without asking for that.
pub(crate) fn outlive_connections() -> anyhow::Result<()> {
    // SAFETY: to ignore a signal runs no code of this program.
    unsafe { signal(Signal::SIGPIPE, SigHandler::SigIgn) }.context("cannot ignore SIGPIPE")?;
    Ok(())
}

/// Lets SIGTERM and SIGHUP end the program at once, for commands that wait for their user and lose nothing by it.
pub(crate) fn end_when_terminated() -> anyhow::Result<()> {
    for ending in [Signal::SIGTERM, Signal::SIGHUP] {
        // SAFETY: the default action runs no code of this program.
        unsafe { signal(ending, SigHandler::SigDfl) }.with_context(|| format!("cannot restore {ending}"))?;
    }
    Ok(())
}

/// Does work that an interrupt ends without ending the program. Earlier interrupts are forgotten, and so are those of the
/// work once it is done.
pub(crate) fn shielded<T>(work: impl FnOnce() -> T) -> T {
    ASKED.store(false, Ordering::Relaxed);
    IS_SHIELDED.store(true, Ordering::Relaxed);
    let result = work();
    IS_SHIELDED.store(false, Ordering::Relaxed);
    ASKED.store(false, Ordering::Relaxed);
    result
}

/// Returns the flag that is set when the work should end.
pub(crate) fn asked() -> &'static AtomicBool {
    &ASKED
}

/// Returns `Break` if the work should end.
pub(crate) fn check() -> ControlFlow<()> {
    if ASKED.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
}
