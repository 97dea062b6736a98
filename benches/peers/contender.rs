//! Who takes part, and how each is run.

use std::{
    env, fmt,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use anyhow::{Context, bail};
use llada::{Dtype, Model, Precision, Request};
use llada_benches::place;
use serde_json::Value;

use crate::case::Case;

/// Names another Python than `python3`.
const PYTHON: &str = "PYTHON";
/// Names the folder where llama.cpp's driver was built.
const LLAMACPP_WORK: &str = "LLAMACPP_WORK";
const LLAMACPP_TYPES: [&str; 3] = ["bf16", "q8_0", "q4_0"];

/// The tools, and the folder of the models.
pub(crate) struct Workshop {
    size: String,
    threads: usize,
    python: PathBuf,
    /// `llamacpp_peer.sh`'s work folder, if it has built its driver there.
    llamacpp: Option<PathBuf>,
}

/// One that is timed.
pub(crate) enum Contender {
    /// This workspace.
    Ours(Box<Model>, Precision),
    PyTorch {
        command: Vec<String>,
        dtype: &'static str,
    },
    LlamaCpp {
        command: Vec<String>,
        kind: &'static str,
        work: PathBuf,
    },
}

impl Workshop {
    /// Looks for the peers; without PyTorch there is no model to measure.
    pub(crate) fn open(size: &str, threads: usize) -> Option<Self> {
        let python = PathBuf::from(env::var_os(PYTHON).unwrap_or_else(|| "python3".into()));
        let found = Command::new(&python).args(["-c", "import torch, safetensors, numpy"]).output();
        if !found.is_ok_and(|output| output.status.success()) {
            println!("peers: {} has no torch with safetensors and numpy: nothing is compared", python.display());
            println!("hint: pip install torch==2.13.0 safetensors numpy, or {PYTHON}=FILE cargo bench --bench peers");
            return None;
        }
        let work = env::var_os(LLAMACPP_WORK)
            .map_or_else(|| place::from_root(Path::new("target/peers/llamacpp")), PathBuf::from);
        let llamacpp = work.join("driver/llada_driver").exists().then_some(work);
        if llamacpp.is_none() {
            println!("peers: llama.cpp's driver is not built: PyTorch alone is compared");
            println!("hint: {LLAMACPP_WORK}=target/peers/llamacpp benches/peers/llamacpp_peer.sh build");
        }
        Some(Self { size: size.to_owned(), threads, python, llamacpp })
    }

    fn folder(&self) -> PathBuf {
        place::from_root(Path::new("target/peers")).join(&self.size)
    }

    fn script(name: &str) -> PathBuf {
        place::from_root(Path::new("benches/peers")).join(name)
    }

    /// With few tokens an expert PyTorch is faster in f32 on some processors.
    fn pytorch_dtypes(&self) -> &'static [&'static str] {
        if matches!(self.size.as_str(), "moe" | "llada2") { &["bf16", "fp32"] } else { &["bf16"] }
    }

    /// Makes the model, in bf16, unless it is there.
    pub(crate) fn model(&self) -> anyhow::Result<()> {
        if self.folder().join("config.json").exists() {
            return Ok(());
        }
        println!("peers: making a random-weight model of {}", self.size);
        let mut command = Command::new(&self.python);
        command.arg(Self::script("make_bench_model.py")).args(["--size", &self.size, "--dtype", "bf16", "--out"]);
        output(command.arg(self.folder())).map(drop)
    }

    /// All that are there. Those that share this process are loaded once.
    pub(crate) fn contenders(&self) -> anyhow::Result<Vec<Contender>> {
        llada::set_threads(self.threads);
        let mut all = Vec::new();
        for precision in [Dtype::Bf16.into(), Precision::Int8] {
            let model = Model::options().precision(precision).open(self.folder())?;
            all.push(Contender::Ours(Box::new(model), precision));
        }
        let (threads, folder) = (self.threads.to_string(), self.folder().display().to_string());
        let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
        let (python, peer) = (self.python.display().to_string(), Self::script("pytorch_peer.py").display().to_string());
        for &dtype in self.pytorch_dtypes() {
            let command = words(&[&python, &peer, "--model", &folder, "--dtype", dtype, "--threads", &threads]);
            all.push(Contender::PyTorch { command, dtype });
        }
        for kind in LLAMACPP_TYPES {
            let Some(work) = self.llamacpp.as_ref().filter(|_| self.size != "llada2") else { break };
            let (script, gguf) =
                (Self::script("llamacpp_peer.sh"), self.folder().with_extension(format!("{kind}.gguf")));
            let (script, gguf) = (script.display().to_string(), gguf.display().to_string());
            if !Path::new(&gguf).exists() {
                println!("peers: converting to {gguf}");
                let convert = words(&[&script, "convert", "--model", &folder, "--type", kind, "--out", &gguf]);
                output(program(&convert).env(LLAMACPP_WORK, work).env(PYTHON, &self.python))?;
            }
            let command = words(&[&script, "run", "--gguf", &gguf, "--threads", &threads]);
            all.push(Contender::LlamaCpp { command, kind, work: work.clone() });
        }
        Ok(all)
    }
}

impl Contender {
    /// Seconds a forward; nothing of a case that it has no means for.
    pub(crate) fn run(&mut self, case: &Case) -> anyhow::Result<Option<f64>> {
        match self {
            Self::Ours(model, _) => {
                let engine = model.engine_mut();
                let request = Request::new(case.prompt_ids(), case.config());
                // As the peers do: the first run compiles kernels.
                engine.generate(&request)?;
                let start = Instant::now();
                let answer = engine.generate(&request)?;
                Ok(Some(start.elapsed().as_secs_f64() / answer.nfe as f64))
            }
            Self::PyTorch { .. } if case.suffix_window.is_some() => Ok(None),
            Self::PyTorch { command, .. } => {
                let mut command = program(command);
                command.args(["--algorithm", case.algorithm(), "--warmup", "1"]);
                seconds(asked(&mut command, case)).map(Some)
            }
            Self::LlamaCpp { .. } if case.algorithm() != "llada" => Ok(None),
            Self::LlamaCpp { command, work, .. } => {
                let mut command = program(command);
                seconds(asked(command.env(LLAMACPP_WORK, work), case)).map(Some)
            }
        }
    }
}

impl fmt::Display for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ours(_, precision) => write!(f, "ours, {precision}"),
            Self::PyTorch { dtype, .. } => write!(f, "PyTorch, {dtype}"),
            Self::LlamaCpp { kind, .. } => write!(f, "llama.cpp, {kind}"),
        }
    }
}

fn program(words: &[String]) -> Command {
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]);
    command
}

fn asked<'a>(command: &'a mut Command, case: &Case) -> &'a mut Command {
    case.options().into_iter().fold(command, |command, (name, value)| command.arg(name).arg(value))
}

fn seconds(command: &mut Command) -> anyhow::Result<f64> {
    let text = output(command)?;
    let report: Value = serde_json::from_str(text.trim()).with_context(|| format!("not a report: {text}"))?;
    report["seconds_per_step"].as_f64().with_context(|| format!("no seconds_per_step in {text}"))
}

fn output(command: &mut Command) -> anyhow::Result<String> {
    let shown = command.get_program().display().to_string();
    let output = command.output().with_context(|| format!("cannot run {shown}"))?;
    if !output.status.success() {
        bail!("{shown} failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8(output.stdout)?)
}
