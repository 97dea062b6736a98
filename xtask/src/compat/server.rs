//! A server that is started for the checks, and ended after them.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::failure::Failure;
use crate::process;

/// The time in which a server loads its model.
const START: Duration = Duration::from_secs(120);

/// The time in which a server ends after SIGTERM.
const END: Duration = Duration::from_secs(10);

/// The addresses that the checks are run against.
pub(super) struct Addresses {
    /// A server that takes everybody.
    pub(super) open: String,
    /// A server that asks for the key of `keys.txt`, answers one request at a time, and lets none wait.
    pub(super) narrow: Option<String>,
}

/// A server that runs.
pub(super) struct Server {
    child: Child,
    /// Its address, such as `http://127.0.0.1:8000/v1`.
    pub(super) url: String,
}

impl Server {
    /// Starts a server, and waits until it listens. What it prints is written to the file `log`.
    pub(super) fn start(command: &mut Command, log: &Path) -> Result<Self> {
        fs::create_dir_all(log.parent().context("the log is in a folder")?)?;
        let file = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        let mut child = process::start(command.stdout(file.try_clone()?).stderr(file))?;
        let started = Instant::now();
        loop {
            let has_ended = process::wait(&mut child, Duration::from_millis(20))?.is_some();
            let printed = fs::read_to_string(log)?;
            if let Some(url) = address(&printed) {
                return Ok(Self { child, url: url.to_owned() });
            }
            if has_ended || started.elapsed() > START {
                let _ = child.kill();
                let message = format!("the server does not listen; it printed: {}", printed.trim());
                return Err(Failure::failed(message, "cargo xtask demo").into());
            }
        }
    }

    /// Asks the server to end. It has failed if it does not, or with another code than 0.
    pub(super) fn stop(mut self) -> Result<()> {
        kill(Pid::from_raw(self.child.id() as i32), Signal::SIGTERM).context("cannot signal the server")?;
        let message = match process::wait(&mut self.child, END)? {
            Some(status) if status.success() => return Ok(()),
            Some(status) => format!("the server ended with {status} after SIGTERM"),
            None => format!("the server still ran {} s after SIGTERM", END.as_secs()),
        };
        Err(Failure::failed(message, "cargo test -p llada-serve").into())
    }
}

/// A server does not outlive the checks, even if they could not be run.
impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns the address in what a server has printed.
fn address(printed: &str) -> Option<&str> {
    let complete = printed.rsplit_once('\n').map_or("", |(complete, _)| complete);
    complete.lines().find_map(|line| line.strip_prefix("listening on "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(script: &str) -> Result<Server> {
        let folder = tempfile::tempdir().unwrap();
        Server::start(Command::new("sh").args(["-c", script]), &folder.path().join("log/serve.txt"))
    }

    #[test]
    fn the_address_is_read_once_its_line_is_complete() {
        let printed = "loading\nlistening on http://127.0.0.1:4321/v1\nshutting down";
        assert_eq!(address(printed), Some("http://127.0.0.1:4321/v1"));
        assert_eq!(address("listening on http://127.0.0.1:43"), None);
        assert_eq!(address("loading\n"), None);
    }

    #[test]
    fn a_server_that_ends_when_asked_is_well() {
        let server =
            start("trap 'exit 0' TERM; echo listening on http://a/v1 >&2; while :; do sleep 0.02; done").unwrap();
        assert_eq!(server.url, "http://a/v1");
        server.stop().unwrap();
    }

    #[test]
    fn a_server_that_ends_badly_is_told() {
        let server =
            start("trap 'exit 7' TERM; echo listening on http://a/v1 >&2; while :; do sleep 0.02; done").unwrap();
        assert!(server.stop().unwrap_err().to_string().contains('7'));
        let refused = start("echo no such model >&2; exit 2").err().unwrap();
        assert!(refused.to_string().contains("no such model"));
    }
}
