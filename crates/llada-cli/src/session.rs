//! A model that was opened according to the arguments, and the text of its tokens.

use std::{path::Path, time::Instant};

use anyhow::Context;
use llada::{Device, Model, OpenOptions, Precision, SamplerConfig, Tokenizer, Transformer};

use crate::{
    args::{GraphArgs, ModelArgs},
    exit::usage,
};

/// An open model with the time it took to load.
pub(crate) struct Session {
    pub(crate) model: Model,
    pub(crate) load_seconds: f64,
}

/// Loads the network from its folder, without a tokenizer.
pub(crate) fn open_network(args: &ModelArgs, folder: &Path) -> anyhow::Result<Transformer> {
    let asked = args.precision(folder)?;
    let network = options(args, asked)?.load(folder)?;
    note_precision(args.device, asked, &network);
    Ok(network)
}

impl Session {
    /// Opens a model that predicts masks, to be asked for single forwards.
    pub(crate) fn open(args: &ModelArgs) -> anyhow::Result<Self> {
        Self::open_with(args, |options| options)?.predicting(args)
    }

    /// Opens a model that predicts masks, to be asked for answers.
    pub(crate) fn open_for_answers(args: &ModelArgs, graphs: &GraphArgs) -> anyhow::Result<Self> {
        Self::open_any(args, graphs)?.predicting(args)
    }

    /// Opens a model, which may be the autoregressive baseline, to be asked for answers.
    pub(crate) fn open_any(args: &ModelArgs, graphs: &GraphArgs) -> anyhow::Result<Self> {
        let without_graphs = graphs.are_refused(args.device)?;
        Self::open_with(args, |options| if without_graphs { options.without_cuda_graphs() } else { options })
    }

    fn open_with(args: &ModelArgs, with: impl FnOnce(OpenOptions) -> OpenOptions) -> anyhow::Result<Self> {
        let start = Instant::now();
        let folder = args.folder()?;
        let asked = args.precision(&folder)?;
        let model = with(options(args, asked)?).open(&folder)?;
        let load_seconds = start.elapsed().as_secs_f64();
        note_precision(args.device, asked, model.engine().predictor());
        Ok(Self { model, load_seconds })
    }

    /// Refuses the autoregressive baseline.
    fn predicting(self, args: &ModelArgs) -> anyhow::Result<Self> {
        if self.model.is_causal() {
            let model = args.model.display();
            let message =
                format!("{model} is autoregressive: it predicts no masks\nhint: llada eval tiny --model {model}");
            return Err(usage(message));
        }
        Ok(self)
    }

    /// Prints a warning if `config` defers end-of-turn tokens but the model has none.
    pub(crate) fn warn_about(&self, config: &SamplerConfig) {
        if config.confidence_eos_eot_inf && self.model.special_tokens().eot.is_none() {
            let why = match self.model.tokenizer() {
                Ok(_) => "the tokenizer has none",
                Err(_) => "there is no tokenizer.json",
            };
            eprintln!("warning: end-of-text alone is committed last: no end-of-turn token is known, {why}");
        }
    }

    /// Prints a note if the model has had to do without CUDA graphs.
    pub(crate) fn note_graphs(&self) {
        if let Some(error) = self.model.engine().predictor().graph_failure() {
            eprintln!("note: no CUDA graph could be recorded, kernels were launched one by one: {error}");
        }
    }

    /// Returns the text of all `ids`, or `None` without a tokenizer.
    pub(crate) fn text(&self, ids: &[u32]) -> anyhow::Result<Option<String>> {
        let tokenizer = self.model.tokenizer().ok();
        Ok(tokenizer.map(|tokenizer| tokenizer.decode(ids)).transpose()?)
    }

    /// Returns the text of an answer up to the end of the text, or `None` without a tokenizer. Ends of turns do not end
    /// it.
    pub(crate) fn answer_text(&self, output: &[u32]) -> anyhow::Result<Option<String>> {
        self.text(self.model.ends().cut_at_end_of_text(output))
    }

    /// Returns the text of the first turn of an answer, which is empty without a tokenizer.
    pub(crate) fn turn_text(&self, output: &[u32]) -> anyhow::Result<String> {
        Ok(self.text(self.model.ends().cut(output))?.unwrap_or_default())
    }
}

/// Returns the options for opening a model, and sets the number of threads of the process.
fn options(args: &ModelArgs, asked: Precision) -> anyhow::Result<OpenOptions> {
    if let Some(threads) = args.threads {
        llada::set_threads(threads.into());
        rayon::ThreadPoolBuilder::new().num_threads(threads.into()).build_global().context("cannot start threads")?;
    }
    let options = Model::options().device(args.device).precision(asked);
    Ok(match &args.adapter {
        None => options,
        Some(adapter) => options.adapter(adapter),
    })
}

/// Prints a note if the model computes in another precision than the requested one.
fn note_precision(device: Device, asked: Precision, network: &Transformer) {
    if network.precision() != asked {
        eprintln!("note: {device} has no kernel for {asked}: the model computes in {}", network.precision());
    }
}

/// Returns the text of tokens without control tokens, or their ids if there is no tokenizer.
pub(crate) fn text(tokenizer: Option<&Tokenizer>, ids: &[u32]) -> String {
    match tokenizer {
        Some(tokenizer) => tokenizer.decode(ids).unwrap_or_default(),
        None => ids.iter().map(|id| format!("{id} ")).collect(),
    }
}

/// Returns the text of a single token, or its id if there is no tokenizer.
pub(crate) fn piece(tokenizer: Option<&Tokenizer>, id: u32) -> String {
    tokenizer.map_or_else(|| format!("{id} "), |tokenizer| tokenizer.piece(id))
}
