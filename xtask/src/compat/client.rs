//! The clients, and the programs that run their checks.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::check::Check;
use super::server::Addresses;
use super::{scratch, sources};
use crate::process;
use crate::workspace;

/// The time that the checks of a client may take.
const LIMIT: Duration = Duration::from_secs(600);

/// The key of `keys.txt`.
const KEY: &str = "secret";

/// A client, which has a folder of its name with its checks.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) name: &'static str,
    pub(super) runner: Runner,
}

/// The program that runs the checks of a client.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Runner {
    /// pytest, in the folder `python`
    Pytest,
    /// `node --test`, in the folder `node`
    Node,
}

/// All clients. `benchmarks` are the requests of benchmarks that are too large to install.
pub(crate) const CLIENTS: [Client; 11] = [
    Client { name: "openai-python", runner: Runner::Pytest },
    Client { name: "langchain", runner: Runner::Pytest },
    Client { name: "litellm", runner: Runner::Pytest },
    Client { name: "llm", runner: Runner::Pytest },
    Client { name: "typesafe-python", runner: Runner::Pytest },
    Client { name: "lm-eval", runner: Runner::Pytest },
    Client { name: "benchmarks", runner: Runner::Pytest },
    Client { name: "schemathesis", runner: Runner::Pytest },
    Client { name: "openai-node", runner: Runner::Node },
    Client { name: "ai-sdk", runner: Runner::Node },
    Client { name: "typesafe-node", runner: Runner::Node },
];

impl Client {
    /// Runs the checks, shows each as it ends, and returns them.
    pub(super) fn run(&self, addresses: &Addresses) -> Result<Vec<Check>> {
        let log = scratch().join(format!("log/{}.txt", self.name));
        fs::create_dir_all(scratch().join("log"))?;
        let mut command = self.command()?;
        command.env("LLADA_SERVER", &addresses.open);
        if let Some(narrow) = &addresses.narrow {
            command.env("LLADA_NARROW_SERVER", narrow).env("LLADA_KEY", KEY);
        }
        let stderr = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let mut child = process::start(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(stderr))?;
        let stdout = child.stdout.take().context("the checks have an output")?;
        let (mut checks, has_ended) = follow(&lines(stdout), Instant::now() + LIMIT);
        let status = if has_ended { process::wait(&mut child, LIMIT)? } else { None };
        let _ = child.kill();
        let problem = match status {
            None => Some(format!("the checks still ran after {} s", LIMIT.as_secs())),
            Some(status) if !status.success() && !checks.iter().any(Check::has_failed) => {
                Some(format!("{status}; {} tells more", workspace::shown(&log)))
            }
            Some(_) if checks.is_empty() => Some("no check was run".to_owned()),
            Some(_) => None,
        };
        if let Some(problem) = problem {
            let failed = Check::failed("the checks run to their end", problem);
            println!("{}", failed.shown());
            checks.push(failed);
        }
        Ok(checks)
    }

    fn command(&self) -> Result<Command> {
        match self.runner {
            Runner::Pytest => {
                let mut command = Command::new(scratch().join("venv/bin/pytest"));
                command.arg(self.name).current_dir(sources().join("python")).env("PYTHONDONTWRITEBYTECODE", "1");
                Ok(command)
            }
            Runner::Node => {
                let mut command = Command::new("node");
                command.args(["--test", "--test-reporter=./support/reporter.mjs"]).args(self.test_files()?);
                command.current_dir(sources().join("node"));
                Ok(command)
            }
        }
    }

    /// Returns the files of a client of Node. Releases of Node read the name of a folder differently.
    fn test_files(&self) -> Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(sources().join("node").join(self.name))? {
            files.push(entry?.path());
        }
        files.retain(|file| file.to_string_lossy().ends_with(".test.mjs"));
        files.sort();
        Ok(files)
    }
}

/// Reads the lines of a program from another thread, so that they can be waited for with a limit.
fn lines(stdout: ChildStdout) -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(std::io::Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    receiver
}

/// Shows and returns the checks among the lines of a program, and whether the program closed its output before `end`.
fn follow(lines: &Receiver<String>, end: Instant) -> (Vec<Check>, bool) {
    let mut checks = Vec::new();
    loop {
        match lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(line) => {
                if let Some(check) = Check::read(&line) {
                    println!("{}", check.shown());
                    checks.push(check);
                }
            }
            Err(RecvTimeoutError::Disconnected) => return (checks, true),
            Err(RecvTimeoutError::Timeout) => return (checks, false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_client_has_checks_and_every_folder_a_client() {
        let mut folders = Vec::new();
        for runner in ["python", "node"] {
            for entry in fs::read_dir(sources().join(runner)).unwrap() {
                let path = entry.unwrap().path();
                let name = path.file_name().unwrap().to_str().unwrap().to_owned();
                if path.is_dir() && !["support", "node_modules", "__pycache__"].contains(&name.as_str()) {
                    folders.push(name);
                }
            }
        }
        let mut names = CLIENTS.map(|client| client.name).to_vec();
        names.sort();
        folders.sort();
        assert_eq!(folders, names);
        for client in CLIENTS.iter().filter(|client| client.runner == Runner::Node) {
            assert!(!client.test_files().unwrap().is_empty(), "{}", client.name);
        }
    }

    #[test]
    fn a_program_that_goes_on_is_not_waited_for_longer_than_its_limit() {
        let line = r#"{"check": "a", "outcome": "ok", "seconds": 0, "detail": null}"#;
        let (sender, receiver) = channel();
        sender.send("collected 1 item".to_owned()).unwrap();
        sender.send(line.to_owned()).unwrap();
        assert_eq!(
            follow(&receiver, Instant::now() + Duration::from_millis(50)),
            (vec![Check::read(line).unwrap()], false)
        );
        drop(sender);
        assert_eq!(follow(&receiver, Instant::now() + LIMIT), (Vec::new(), true));
    }
}
