//! `llada launch`: a training command as several processes of this machine, as torchrun starts them.

use std::{
    cmp::Reverse,
    env,
    ffi::OsString,
    io::{BufRead, BufReader},
    net::{Ipv4Addr, TcpListener},
    num::NonZero,
    os::unix::process::{CommandExt, ExitStatusExt},
    path::Path,
    process::{Child, ChildStderr, Command, ExitStatus, Stdio},
    sync::atomic::Ordering,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::Context;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::training::LAUNCHED;
use crate::{
    exit::{INTERRUPTED, InterruptedTogether, RankEnded, USAGE, usage},
    interrupt,
};

/// The commands that train.
const TRAINING: [&str; 5] = ["pretrain", "sft", "prefer", "rl", "distill"];

/// How often the processes are looked at.
const POLL: Duration = Duration::from_millis(50);

/// How long processes that are asked to end may take.
const GRACE: Duration = Duration::from_secs(5);

/// The variable with which a user may choose the number of threads.
const THREADS: &str = "OMP_NUM_THREADS";

/// Train by several processes of this machine
///
/// Each process computes its share of every batch, and the first one tells of the run. With --device cuda each has a
/// CUDA device of its own. Ctrl-C saves and ends, as it does in one process. If a process dies, the others are ended;
/// the same command, or --max-restarts, goes on from the last checkpoint. Several machines are started by torchrun or
/// by Slurm.
#[derive(clap::Args)]
#[command(after_help = "Example:
  llada launch --nproc 2 -- pretrain --config run.toml

The exit code is that of the first process that has failed, or 128 and the number of the signal that has killed it.")]
pub(crate) struct Args {
    /// Number of processes
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    nproc: u16,
    /// How often all processes are started again after one has died
    #[arg(long, value_name = "N", default_value_t = 0)]
    max_restarts: u32,
    /// pretrain, sft, prefer, rl or distill, with its options
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// How an attempt has ended.
enum End {
    /// All processes have done their work.
    Done,
    /// For good: by the user, or by an error that would come again.
    Stopped(anyhow::Error),
    /// A process has died.
    Died(RankEnded),
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let name = &args.command[0];
    if !TRAINING.iter().any(|training| name == training) {
        let name = name.to_string_lossy();
        return Err(usage(format!("{name} does not train\nhint: one of {}", TRAINING.join(", "))));
    }
    let program = env::current_exe().context("cannot find this program")?;
    let mut restarts = 0;
    loop {
        match interrupt::shielded(|| attempt(args, &program, restarts))? {
            End::Done => return Ok(()),
            End::Stopped(error) => return Err(error),
            End::Died(ended) if restarts == args.max_restarts => return Err(ended.into()),
            End::Died(ended) => {
                restarts += 1;
                eprintln!("{ended}: all start again ({restarts} of {})", args.max_restarts);
            }
        }
    }
}

/// Starts all processes and waits for them.
fn attempt(args: &Args, program: &Path, restarts: u32) -> anyhow::Result<End> {
    let mut ranks = Ranks::default();
    let port = free_port().context("cannot find a free port")?;
    for rank in 0..args.nproc {
        let mut command = Command::new(program);
        command
            .args(&args.command)
            .env("RANK", rank.to_string())
            .env("LOCAL_RANK", rank.to_string())
            .env("WORLD_SIZE", args.nproc.to_string())
            .env("MASTER_ADDR", Ipv4Addr::LOCALHOST.to_string())
            .env("MASTER_PORT", port.to_string())
            .env("TORCHELASTIC_RESTART_COUNT", restarts.to_string())
            .env_remove("TORCHELASTIC_USE_AGENT_STORE")
            .env_remove("TORCHELASTIC_RUN_ID")
            .env(LAUNCHED, "1")
            .stdin(Stdio::piped())
            // Ctrl-C in a terminal reaches this process alone, which hands it on.
            .process_group(0);
        if env::var_os(THREADS).is_none() {
            let cores = thread::available_parallelism().map_or(1, NonZero::get);
            command.env(THREADS, (cores / usize::from(args.nproc)).max(1).to_string());
        }
        if rank > 0 {
            command.stderr(Stdio::piped());
        }
        let mut child = command.spawn().context("cannot start a process")?;
        let teller = child.stderr.take().map(|stderr| thread::spawn(move || tell(rank, stderr)));
        ranks.running.push(Rank { number: rank, child, teller });
    }
    ranks.wait()
}

/// A port of this machine that nobody listens at.
fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// Prints what a process says, with its number.
fn tell(rank: u16, stderr: ChildStderr) {
    for line in BufReader::new(stderr).lines().map_while(Result::ok) {
        eprintln!("[rank {rank}] {line}");
    }
}

/// A process.
struct Rank {
    number: u16,
    child: Child,
    /// What prints its messages, unless it does so itself.
    teller: Option<JoinHandle<()>>,
}

/// The processes that have not ended. Those that are left at the end are killed.
#[derive(Default)]
struct Ranks {
    running: Vec<Rank>,
}

impl Ranks {
    /// Waits until all have ended, and ends them if one has died. Every Ctrl-C is handed on.
    fn wait(&mut self) -> anyhow::Result<End> {
        let mut is_interrupted = false;
        let mut died: Option<(RankEnded, Instant)> = None;
        while !self.running.is_empty() {
            thread::sleep(POLL);
            if interrupt::asked().swap(false, Ordering::Relaxed) {
                is_interrupted = true;
                self.signal(Signal::SIGTERM)?;
            }
            let ended = self.reap()?;
            is_interrupted |= died.is_none() && ended.iter().any(|ended| ended.code == INTERRUPTED);
            // One that was killed is the cause of the errors of others.
            let others = ended.into_iter().filter(|ended| ended.code != INTERRUPTED);
            let first = others.min_by_key(|ended| Reverse(ended.code));
            match (&died, first) {
                (None, Some(first)) => {
                    self.signal(Signal::SIGTERM)?;
                    died = Some((first, Instant::now()));
                }
                (Some((_, since)), _) if since.elapsed() > GRACE => self.signal(Signal::SIGKILL)?,
                _ => {}
            }
        }
        Ok(match died {
            Some((ended, _)) if is_interrupted || ended.code == USAGE => End::Stopped(ended.into()),
            Some((ended, _)) => End::Died(ended),
            None if is_interrupted => End::Stopped(InterruptedTogether.into()),
            None => End::Done,
        })
    }

    /// The ends of processes that have ended without success since the last call.
    fn reap(&mut self) -> anyhow::Result<Vec<RankEnded>> {
        let mut ended = Vec::new();
        let mut running = Vec::with_capacity(self.running.len());
        for mut rank in self.running.drain(..) {
            let Some(status) = rank.child.try_wait().context("cannot wait for a process")? else {
                running.push(rank);
                continue;
            };
            if let Some(teller) = rank.teller.take() {
                // It fails if standard error is gone.
                let _ = teller.join();
            }
            if !status.success() {
                ended.push(end_of(rank.number, status));
            }
        }
        self.running = running;
        Ok(ended)
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        for Rank { number, child, .. } in &self.running {
            let pid = i32::try_from(child.id()).context("the number of a process")?;
            kill(Pid::from_raw(pid), signal).with_context(|| format!("cannot end rank {number}"))?;
        }
        Ok(())
    }
}

impl Drop for Ranks {
    fn drop(&mut self) {
        for Rank { child, .. } in &mut self.running {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// What the end of a process is told as.
fn end_of(rank: u16, status: ExitStatus) -> RankEnded {
    let (message, code) = match (status.code(), status.signal()) {
        (Some(code), _) => (format!("rank {rank} has ended with exit code {code}"), code),
        (None, Some(signal)) => (format!("rank {rank} was killed by signal {signal}"), 128 + signal),
        (None, None) => (format!("rank {rank} has ended: {status}"), 1),
    };
    RankEnded { message, code: u8::try_from(code).unwrap_or(1) }
}
