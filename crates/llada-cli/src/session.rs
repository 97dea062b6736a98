//! A checkpoint opened for work: the engine over its model, its tokenizer, and what loading took.

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::Context;
use llada_infer::{Engine, SamplerConfig, SpecialTokens};
use llada_model::{Llada, Message, ModelConfig, Tokenizer};

use crate::{args::ModelArgs, exit::usage};

pub(crate) struct Session {
    /// Where the checkpoint lies, whatever name it was asked for by.
    pub(crate) folder: PathBuf,
    pub(crate) engine: Engine<Llada>,
    pub(crate) tokenizer: Option<Tokenizer>,
    pub(crate) special: SpecialTokens,
    /// Ids beside `special.eos` that an answer's text ends at.
    other_eos: Vec<u32>,
    pub(crate) mask_id: u32,
    /// Whether it is the autoregressive baseline, which continues text and fills no masks.
    pub(crate) is_causal: bool,
    pub(crate) load_seconds: f64,
}

/// Loads the model alone, out of its folder.
pub(crate) fn open_model(args: &ModelArgs, folder: &Path) -> anyhow::Result<Llada> {
    if let Some(threads) = args.threads {
        llada_model::set_threads(threads.into());
        rayon::ThreadPoolBuilder::new().num_threads(threads.into()).build_global().context("cannot start threads")?;
    }
    let config = ModelConfig::load(folder)?;
    let asked = args.dtype.resolve(&config, args.device);
    let model = Llada::load(folder, args.device, asked)?;
    if model.precision() != asked {
        eprintln!("note: {} has no kernel for {asked}: the model computes in {}", args.device, model.precision());
    }
    Ok(model)
}

impl Session {
    /// Opens a model that predicts masks.
    pub(crate) fn open(args: &ModelArgs) -> anyhow::Result<Self> {
        let session = Self::open_any(args)?;
        if session.is_causal {
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
        let mut model = open_model(args, &folder)?;
        let config = model.config().clone();
        let tokenizer = Tokenizer::load(&folder, &config)?;
        if let Some(tokenizer) = &tokenizer {
            model.ban(tokenizer.unknown_ids(config.vocab_size));
        }
        let special = SpecialTokens { eos: config.eos_token_id, eot: tokenizer.as_ref().and_then(Tokenizer::eot_id) };
        let engine = Engine::new(model, special);
        let load_seconds = start.elapsed().as_secs_f64();
        let (mask_id, is_causal) = (config.mask_token_id, config.is_causal());
        let other_eos = config.other_eos_token_ids;
        Ok(Self { folder, engine, tokenizer, special, other_eos, mask_id, is_causal, load_seconds })
    }

    /// Says on standard error what `config` asks for and this model has no token for.
    pub(crate) fn warn_about(&self, config: &SamplerConfig) {
        if config.confidence_eos_eot_inf && self.special.eot.is_none() {
            let why = if self.tokenizer.is_some() { "the tokenizer has none" } else { "there is no tokenizer.json" };
            eprintln!("warning: end-of-text alone is committed last: no end-of-turn token is known, {why}");
        }
    }

    fn text_side(&self) -> anyhow::Result<&Tokenizer> {
        self.tokenizer
            .as_ref()
            .ok_or_else(|| usage("the model's folder has no tokenizer.json\nhint: without one it takes ids alone: llada generate --prompt-ids 1,2,3"))
    }

    pub(crate) fn encode(&self, prompt: &str) -> anyhow::Result<Vec<u32>> {
        Ok(self.text_side()?.encode(prompt)?)
    }

    pub(crate) fn encode_pair(&self, prompt: &str, answer: &str) -> anyhow::Result<(Vec<u32>, Vec<u32>)> {
        Ok(self.text_side()?.encode_pair(prompt, answer)?)
    }

    pub(crate) fn encode_chat(&self, messages: &[Message]) -> anyhow::Result<Vec<u32>> {
        Ok(self.text_side()?.encode_chat(messages)?)
    }

    /// The text of `ids`, all of them; none without a tokenizer.
    pub(crate) fn text(&self, ids: &[u32]) -> anyhow::Result<Option<String>> {
        Ok(self.tokenizer.as_ref().map(|tokenizer| tokenizer.decode(ids)).transpose()?)
    }

    /// The text of an answer: it ends at its first end-of-text token. No other text does.
    pub(crate) fn answer_text(&self, output: &[u32]) -> anyhow::Result<Option<String>> {
        let is_end = |id: &u32| *id == self.special.eos || self.other_eos.contains(id);
        let end = output.iter().position(is_end).unwrap_or(output.len());
        self.text(&output[..end])
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
