//! A checkpoint opened for work, and the tasks that it does on text.

use std::{
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::Arc,
};

use llada_core::predictor::MaskPredictor;
use llada_infer::{Algorithm, Engine, Generation, Request, SamplerConfig, Score, ScoreConfig, SpecialTokens};
use llada_model::{Message, Tokenizer, Transformer};

use crate::{
    Answer, Ends, Error, OpenOptions, Steps, Stops,
    checkpoint::{Checkpoint, algorithm_of},
    grammars::CompiledPatterns,
};

/// A checkpoint ready for work: the engine over its network, its tokenizer and chat template, and the ids that are
/// special.
///
/// Ids that no token has are never emitted. One thread owns a model: it can be sent to another thread, not shared.
#[derive(Debug)]
pub struct Model {
    pub(crate) engine: Engine<Transformer>,
    pub(crate) checkpoint: Checkpoint,
    pub(crate) patterns: CompiledPatterns,
}

impl Model {
    /// Opens a model with the default [`options`](Self::options): a folder, or the name of a model in the Hugging Face
    /// cache.
    ///
    /// # Errors
    /// As [`OpenOptions::open`].
    pub fn open(model: impl AsRef<Path>) -> Result<Self, Error> {
        Self::options().open(model)
    }

    /// The options of opening a model.
    pub fn options() -> OpenOptions {
        OpenOptions::default()
    }

    pub(crate) fn new(folder: PathBuf, mut network: Transformer) -> Result<Self, Error> {
        let checkpoint = Checkpoint::read(folder, &mut network)?;
        let engine = Engine::new(network, checkpoint.special);
        Ok(Self { engine, checkpoint, patterns: CompiledPatterns::default() })
    }

    /// Answers a conversation, in the model's chat template: the assistant's next message.
    ///
    /// # Errors
    /// The model cannot chat, a setting is impossible, or prompt and answer are too long.
    pub fn chat(&mut self, messages: &[Message], config: &SamplerConfig) -> Result<Answer, Error> {
        let prompt = self.tokenizer()?.encode_chat(messages)?;
        self.generate(&Request::new(prompt, config.clone()))
    }

    /// Continues a text. Masks in it are filled too.
    ///
    /// # Errors
    /// There is no tokenizer, a setting is impossible, or prompt and answer are too long.
    pub fn complete(&mut self, prompt: &str, config: &SamplerConfig) -> Result<Answer, Error> {
        let prompt = self.tokenizer()?.encode(prompt)?;
        self.generate(&Request::new(prompt, config.clone()))
    }

    /// Fills the masks of a text, `<|mdm_mask|>` in LLaDA's vocabulary, and appends nothing: `config.gen_length` does
    /// not count.
    ///
    /// # Errors
    /// There is no tokenizer, a setting is impossible, or the text has no masks or is too long.
    pub fn infill(&mut self, text: &str, config: &SamplerConfig) -> Result<Answer, Error> {
        let prompt = self.tokenizer()?.encode(text)?;
        self.generate(&Request::new(prompt, SamplerConfig { gen_length: 0, ..config.clone() }))
    }

    /// Estimates the log-likelihood of `answer` given `prompt`.
    ///
    /// # Errors
    /// There is no tokenizer, the answer has no tokens, a setting is impossible, or both together are too long.
    pub fn score(&mut self, prompt: &str, answer: &str, config: &ScoreConfig) -> Result<Score, Error> {
        let (prompt, answer) = self.tokenizer()?.encode_pair(prompt, answer)?;
        self.check_predicts_masks()?;
        Ok(self.engine.score(&prompt, &answer, config, |_, _| ControlFlow::Continue(()))?)
    }

    /// Answers a request, whose prompt is token ids.
    ///
    /// # Errors
    /// There is no tokenizer for the answer's text, a setting is impossible, or prompt and answer are too long.
    pub fn generate(&mut self, request: &Request) -> Result<Answer, Error> {
        self.tokenizer()?;
        self.check_predicts_masks()?;
        let generation = self.engine.generate(request)?;
        self.answer(generation)
    }

    /// Begins to answer a request, step by step.
    ///
    /// ```
    /// use llada::{Message, Model, Request, SamplerConfig, Update};
    ///
    /// let mut model = Model::open("models/llada-tiny")?;
    /// let prompt = model.tokenizer()?.encode_chat(&[Message::new("user", "What is 345 + 78?")])?;
    /// let config = SamplerConfig { gen_length: 32, ..Default::default() };
    /// for update in model.steps(Request::new(prompt, config))? {
    ///     match update? {
    ///         Update::Step(step) => println!("{}", step.text),
    ///         Update::Finished(answer) => assert_eq!(answer.text, "423"),
    ///     }
    /// }
    /// # Ok::<(), llada::Error>(())
    /// ```
    ///
    /// # Errors
    /// There is no tokenizer for the answer's text, a setting is impossible, or prompt and answer are too long.
    pub fn steps(&mut self, request: Request) -> Result<Steps<'_>, Error> {
        self.tokenizer()?;
        self.check_predicts_masks()?;
        Steps::begin(self, request)
    }

    /// The answer, in words too, that a generation of the [`engine`](Self::engine_mut) amounts to.
    ///
    /// # Errors
    /// There is no tokenizer, or it cannot decode the ids.
    pub fn answer(&self, generation: Generation) -> Result<Answer, Error> {
        self.checkpoint.answer(generation)
    }

    /// The tokenizer. It can be shared with other threads, and outlives a borrow of the model.
    ///
    /// # Errors
    /// The model's folder has no `tokenizer.json`.
    pub fn tokenizer(&self) -> Result<&Arc<Tokenizer>, Error> {
        self.checkpoint.tokenizer()
    }

    /// The folder of the checkpoint, whatever name it was opened by.
    pub fn folder(&self) -> &Path {
        &self.checkpoint.folder
    }

    /// The ids that the sampler treats apart.
    pub fn special_tokens(&self) -> SpecialTokens {
        self.checkpoint.special
    }

    /// The ids that end an answer.
    pub fn ends(&self) -> &Ends {
        &self.checkpoint.ends
    }

    /// The id of the mask.
    pub fn mask_id(&self) -> u32 {
        self.engine.predictor().mask_id()
    }

    /// Whether it is the autoregressive baseline, which predicts no masks;
    /// [`Engine::continue_greedily`] is all that it can do.
    pub fn is_causal(&self) -> bool {
        self.checkpoint.is_causal
    }

    /// The published sampler of the model's family: what it was made for, where nothing else is asked for.
    pub fn algorithm(&self) -> Algorithm {
        algorithm_of(self.engine.predictor().config().family)
    }

    /// The same request, ended at the first block whose text holds one of `texts`, special tokens spelled out.
    ///
    /// # Errors
    /// There are such texts and no tokenizer.
    pub fn with_stop_texts(&self, request: Request, texts: &[String]) -> Result<Request, Error> {
        if texts.is_empty() {
            return Ok(request);
        }
        Ok(request.with_stop(Stops::default().at_texts(self.tokenizer()?.clone(), texts.to_vec())))
    }

    /// The engine over the network, which works on token ids.
    pub fn engine(&self) -> &Engine<Transformer> {
        &self.engine
    }

    /// The engine over the network, which works on token ids: whole batches, and requests that join and leave between
    /// steps.
    pub fn engine_mut(&mut self) -> &mut Engine<Transformer> {
        &mut self.engine
    }

    pub(crate) fn check_predicts_masks(&self) -> Result<(), Error> {
        if self.is_causal() { Err(Error::Autoregressive { folder: self.folder().to_owned() }) } else { Ok(()) }
    }
}
