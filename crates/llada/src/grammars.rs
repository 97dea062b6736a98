//! Patterns compiled for a model's vocabulary.

use std::{
    fs,
    sync::{Arc, OnceLock},
};

use llada_core::automaton::TokenDfa;
use llada_grammar::{Grammars, Limits, Pattern, Vocabulary};

use crate::{Error, Model};

/// The compiled patterns of a model. The vocabulary is read when the first pattern is.
#[derive(Debug, Default)]
pub(crate) struct CompiledPatterns(OnceLock<Arc<Grammars>>);

impl Model {
    /// Compiles a pattern for the model's vocabulary, to constrain answers to it. A pattern is compiled once: it is kept for
    /// the next request that has it.
    ///
    /// ```
    /// use llada::{Message, Model, Pattern, Request, SamplerConfig};
    ///
    /// let mut model = Model::open("models/llada-tiny")?;
    /// let prompt = model.tokenizer()?.encode_chat(&[Message::new("user", "What is 345 + 78?")])?;
    /// let config = SamplerConfig { gen_length: 32, steps: Some(1), ..Default::default() };
    /// let three_digits = model.compile(&Pattern::regex("[1-9][0-9]{2}"))?;
    /// let answer = model.generate(&Request::new(prompt, config).with_constraint(three_digits))?;
    /// assert_eq!((answer.text.len(), answer.nfe), (3, 1));
    /// # Ok::<(), llada::Error>(())
    /// ```
    ///
    /// # Errors
    /// There is no tokenizer or it is of an unknown kind, the pattern is invalid or has parts that are not supported, no text
    /// matches it, or it is too complex.
    pub fn compile(&self, pattern: &Pattern) -> Result<Arc<TokenDfa>, Error> {
        Ok(self.grammars()?.get(pattern)?)
    }

    /// Returns the compiler of patterns for the model's vocabulary, which other threads can share.
    ///
    /// # Errors
    /// There is no tokenizer, or it is of an unknown kind.
    pub fn grammars(&self) -> Result<Arc<Grammars>, Error> {
        let compiled = &self.patterns.0;
        if let Some(grammars) = compiled.get() {
            return Ok(Arc::clone(grammars));
        }
        let grammars = Arc::new(Grammars::new(Arc::new(self.vocabulary()?), Limits::default()));
        Ok(Arc::clone(compiled.get_or_init(|| grammars)))
    }

    /// Returns the bytes of the tokens that a text may have.
    fn vocabulary(&self) -> Result<Vocabulary, Error> {
        self.tokenizer()?;
        let path = self.folder().join("tokenizer.json");
        let text = fs::read_to_string(&path).map_err(|source| Error::Read { path, source })?;
        let all = Vocabulary::from_tokenizer_json(&text)?;
        let ids = 0..all.tokens() as u32;
        if ids.clone().all(|id| all.bytes(id).is_none() || self.engine.is_text(id)) {
            return Ok(all);
        }
        let own = |id: u32| all.bytes(id).filter(|_| self.engine.is_text(id)).map(<[u8]>::to_vec);
        Ok(Vocabulary::new(ids.map(own).collect())?)
    }
}
