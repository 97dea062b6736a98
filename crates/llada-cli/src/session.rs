//! A model opened as the arguments say, and how its tokens are shown.

use std::{path::Path, time::Instant};

use anyhow::Context;
use llada::{Device, Llada, Model, OpenOptions, Precision, SamplerConfig, Tokenizer};

use crate::{args::ModelArgs, exit::usage};

/// A model, and what loading it took.
pub(crate) struct Session {
    pub(crate) model: Model,
    pub(crate) load_seconds: f64,
}

/// Loads the network alone, out of its folder.
pub(crate) fn open_network(args: &ModelArgs, folder: &Path) -> anyhow::Result<Llada> {
    let asked = args.precision(folder)?;
    let network = options(args, asked)?.load(folder)?;
    note_precision(args.device, asked, &network);
    Ok(network)
}

impl Session {
    /// Opens a model that predicts masks.
    pub(crate) fn open(args: &ModelArgs) -> anyhow::Result<Self> {
        let session = Self::open_any(args)?;
        if session.model.is_causal() {
            let model = args.model.display();
            let message =
                format!("{model} is autoregressive: it predicts no masks\nhint: llada eval tiny --model {model}");
            return Err(usage(message));
        }
        Ok(session)
    }

    /// Opens a model, the autoregressive baseline too.
    pub(crate) fn open_any(args: &ModelArgs) -> anyhow::Result<Self> {
        let start = Instant::now();
        let folder = args.folder()?;
        let asked = args.precision(&folder)?;
        let model = options(args, asked)?.open(&folder)?;
        let load_seconds = start.elapsed().as_secs_f64();
        note_precision(args.device, asked, model.engine().predictor());
        Ok(Self { model, load_seconds })
    }

    /// Says on standard error what `config` asks for and this model has no token for.
    pub(crate) fn warn_about(&self, config: &SamplerConfig) {
        if config.confidence_eos_eot_inf && self.model.special_tokens().eot.is_none() {
            let why = match self.model.tokenizer() {
                Ok(_) => "the tokenizer has none",
                Err(_) => "there is no tokenizer.json",
            };
            eprintln!("warning: end-of-text alone is committed last: no end-of-turn token is known, {why}");
        }
    }

    /// The text of `ids`, all of them; none without a tokenizer.
    pub(crate) fn text(&self, ids: &[u32]) -> anyhow::Result<Option<String>> {
        let tokenizer = self.model.tokenizer().ok();
        Ok(tokenizer.map(|tokenizer| tokenizer.decode(ids)).transpose()?)
    }

    /// The text of an answer that is continued past the ends of turns; none without a tokenizer.
    pub(crate) fn answer_text(&self, output: &[u32]) -> anyhow::Result<Option<String>> {
        self.text(self.model.ends().cut_at_end_of_text(output))
    }

    /// The text of an answer that is one turn, to be checked; empty without a tokenizer.
    pub(crate) fn turn_text(&self, output: &[u32]) -> anyhow::Result<String> {
        Ok(self.text(self.model.ends().cut(output))?.unwrap_or_default())
    }
}

/// How the arguments have a model opened. They settle the threads of the whole process.
fn options(args: &ModelArgs, asked: Precision) -> anyhow::Result<OpenOptions> {
    if let Some(threads) = args.threads {
        llada::set_threads(threads.into());
        rayon::ThreadPoolBuilder::new().num_threads(threads.into()).build_global().context("cannot start threads")?;
    }
    Ok(Model::options().device(args.device).precision(asked))
}

/// Says on standard error if the model computes in another precision than the one that was asked for.
fn note_precision(device: Device, asked: Precision, network: &Llada) {
    if network.precision() != asked {
        eprintln!("note: {device} has no kernel for {asked}: the model computes in {}", network.precision());
    }
}

/// How tokens are shown together: their text without control tokens, or their ids without a tokenizer.
pub(crate) fn text(tokenizer: Option<&Tokenizer>, ids: &[u32]) -> String {
    match tokenizer {
        Some(tokenizer) => tokenizer.decode(ids).unwrap_or_default(),
        None => ids.iter().map(|id| format!("{id} ")).collect(),
    }
}

/// How a token is shown alone: its text, or its id without a tokenizer.
pub(crate) fn piece(tokenizer: Option<&Tokenizer>, id: u32) -> String {
    tokenizer.map_or_else(|| format!("{id} "), |tokenizer| tokenizer.piece(id))
}
