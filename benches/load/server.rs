//! The server as a process of its own, so that its memory is known.

use std::{
    env,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use llada::Model;
use llada_serve::{ServeOptions, Service};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};

/// How long the running answers may take after the signal.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);

/// Serves until SIGTERM, and prints the address first.
pub(crate) fn serve(model: &Path, threads: Option<usize>) -> anyhow::Result<()> {
    if let Some(threads) = threads {
        llada::set_threads(threads);
    }
    let service = Service::new(Model::open(model)?, ServeOptions::default())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("{}", listener.local_addr()?);
        let mut terminated = signal(SignalKind::terminate())?;
        let shutdown = async move { terminated.recv().await.unwrap_or(()) };
        Ok(llada_serve::serve(listener, service, DRAIN_TIMEOUT, shutdown).await?)
    })
}

/// A server that runs.
pub(crate) struct Server {
    process: Child,
    address: SocketAddr,
}

impl Server {
    pub(crate) fn start(model: &Path, threads: Option<usize>) -> anyhow::Result<Self> {
        let mut command = Command::new(env::current_exe()?);
        command.arg("--serve").arg("--model").arg(model).stdout(Stdio::piped());
        if let Some(threads) = threads {
            command.args(["--threads", &threads.to_string()]);
        }
        let mut process = command.spawn()?;
        let mut line = String::new();
        BufReader::new(process.stdout.take().context("no output")?).read_line(&mut line)?;
        let address = line.trim().parse().with_context(|| format!("the server printed {line:?}"))?;
        Ok(Self { process, address })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the memory that the process has now.
    pub(crate) fn resident_bytes(&self) -> u64 {
        let pages = std::fs::read_to_string(format!("/proc/{}/statm", self.process.id()));
        let resident = pages.ok().and_then(|pages| pages.split(' ').nth(1)?.parse::<u64>().ok());
        resident.unwrap_or_default() * 4096
    }

    pub(crate) fn terminate(&self) {
        // A process that has ended already is reported by `await_end`.
        let _ = Command::new("kill").args(["-TERM", &self.process.id().to_string()]).status();
    }

    /// Waits for the end, and returns true if it was one in order.
    pub(crate) fn await_end(&mut self) -> anyhow::Result<bool> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.process.try_wait()? {
                return Ok(status.success());
            }
            if start.elapsed() > 2 * DRAIN_TIMEOUT {
                bail!("the server does not end");
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Only if it still runs.
        let _ = self.process.kill();
    }
}
