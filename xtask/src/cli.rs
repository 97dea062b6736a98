//! The command line: commands, flags and help.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use xtask::fetch::FetchArgs;

use crate::compat;

const EXAMPLES: &str = "\
A first visit, from nothing to generated text:
  cargo xtask doctor     what this machine has, and what is missing
  cargo xtask setup      finds or installs libtorch
  cargo xtask demo       builds `llada` and shows masks turning into tokens

Then a model that was trained:
  cargo xtask fetch-weights llada-8b-instruct --dry-run

Exit codes: 0 ok, 1 failed, 2 usage, 3 environment, 130 interrupted";

/// Chores of the LLaDA workspace.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Find or install libtorch, and make it available as `.libtorch`
    Setup(SetupArgs),
    /// Check this machine: compilers, Python, libtorch, CUDA, memory, disk
    Doctor {
        /// Print one JSON object instead of the table
        #[arg(long)]
        json: bool,
    },
    /// Build `llada` and watch the test checkpoint generate
    Demo,
    /// Train llada-tiny anew, from its data to its figures: some hours on two cores; interrupt and resume at will
    TrainTiny(TrainTinyArgs),
    /// Run every test of the workspace, doc tests included
    Test {
        /// Passed on to `cargo test`, after a `--`: `cargo xtask test -- -p llada-core schedule`
        #[arg(last = true, value_name = "CARGO TEST ARGS")]
        args: Vec<String>,
    },
    FetchWeights(FetchArgs),
    /// Run what the continuous integration runs: format, rules, lints, docs, tests
    Ci,
    /// Run real clients of OpenAI's API, or a real browser, against `llada serve`
    Compat(CompatArgs),
    /// Check what docs/deploy ships: manifests by their schemas, probes, the balancer and launchers with the program
    DeployCheck(DeployCheckArgs),
    /// Train on two hosts, which are network namespaces of this machine: cut cables, stopped and killed processes
    ///
    /// Network namespaces need root; without it what needs them is skipped, and said to be. pytest is installed below
    /// `target/cluster`.
    Cluster,
    /// Check and measure `llada` on a GPU, here or on a machine that has Python with PyTorch and nothing else
    GpuCheck(GpuCheckArgs),
    /// Check the rules that ARCHITECTURE.md states and a program can check
    Tidy,
}

/// tch is bound to one release of libtorch, so there is no version to choose: only where it comes from.
#[derive(Args)]
pub(crate) struct SetupArgs {
    /// Take the CUDA build, several GB, instead of the CPU build
    #[arg(long)]
    pub(crate) cuda: bool,

    /// `auto`, `pytorch` (the torch that Python has installed), `wheel` (downloaded with pip), or a folder
    ///
    /// `auto` takes the first that fits: the folder LIBTORCH names, the present `.libtorch`, an earlier download in
    /// the cache, Python's torch, and only then a download.
    #[arg(long, value_name = "SOURCE", default_value = "auto")]
    pub(crate) from: Source,

    /// Say what would be done, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Args)]
pub(crate) struct TrainTinyArgs {
    /// `diffusion` for llada-tiny itself, `ar` for its autoregressive baseline: the same size, data and compute
    #[arg(long, value_name = "NAME", default_value = "diffusion", value_parser = ["diffusion", "ar"])]
    pub(crate) objective: String,

    /// Folder for the data, the runs and the figures
    #[arg(long, value_name = "DIR", default_value = "runs/tiny")]
    pub(crate) out: PathBuf,
}

/// What is missing is installed first, below `target/compat`: pip and npm need a network for that.
#[derive(Args)]
pub(crate) struct CompatArgs {
    /// Drive the page of the server in Chromium, instead of the clients
    #[arg(long, conflicts_with = "clients")]
    pub(crate) page: bool,

    /// Exchange adapters with peft, instead of the clients
    #[arg(long, conflicts_with_all = ["clients", "page", "server"])]
    pub(crate) adapters: bool,

    /// Have torchrun start runs of several processes, instead of the clients
    #[arg(long, conflicts_with_all = ["clients", "page", "server", "adapters"])]
    pub(crate) torchrun: bool,

    /// Train on corpora that datatrove and Arrow have written, instead of the clients
    #[arg(long, conflicts_with_all = ["clients", "page", "server", "adapters", "torchrun"])]
    pub(crate) corpora: bool,

    /// Run these clients only
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = compat::CLIENTS.map(|client| client.name))]
    pub(crate) clients: Vec<String>,

    /// Check a server that runs already, such as http://127.0.0.1:8000/v1, instead of one that is built and started
    #[arg(long, value_name = "URL")]
    pub(crate) server: Option<String>,
}

/// What is missing is installed first: programs by apt-get, if this is root, and the rest below `target/deploy-check`.
#[derive(Args)]
pub(crate) struct DeployCheckArgs {
    /// Build the container and start the server in it, instead of the other checks
    #[arg(long)]
    pub(crate) image: bool,

    /// Check the manifests and scripts alone, for which nothing is built
    #[arg(long, conflicts_with = "image")]
    pub(crate) manifests: bool,
}

const CARRY: &str = "\
Without an option the pack is made below `target/gpu-check` and its check is run at once, if there is a GPU.

On the machine with Rust and a network, and then on the machine with the GPU, which needs Python with torch 2.11.0 and nothing else:
  cargo xtask gpu-check --pack pack
  tar -czf pack.tar.gz pack      carry this one file
  tar -xzf pack.tar.gz && cd pack && python3 check.py      the report is report/report.md

`python3 check.py --help` has the parts, the sizes, and the CPU.";

#[derive(Args)]
#[command(after_help = CARRY)]
pub(crate) struct GpuCheckArgs {
    /// Make this folder, to be carried: the program built for PyTorch 2.11, the check, fixtures and peers, 64 MiB at most
    #[arg(long, value_name = "DIR", conflicts_with = "run")]
    pub(crate) pack: Option<PathBuf>,

    /// Run the check of this folder here
    #[arg(long, value_name = "DIR")]
    pub(crate) run: Option<PathBuf>,
}

/// The source of libtorch.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Source {
    Auto,
    Pytorch,
    Wheel,
    Folder(PathBuf),
}

impl From<&str> for Source {
    fn from(typed: &str) -> Self {
        match typed {
            "auto" => Self::Auto,
            "pytorch" => Self::Pytorch,
            "wheel" => Self::Wheel,
            folder => Self::Folder(folder.into()),
        }
    }
}
