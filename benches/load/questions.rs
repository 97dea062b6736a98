//! Questions with the answers that the library gives to them.

use std::path::Path;

use llada::{DecoderConfig, Message, Model, Request, SamplerConfig};
use serde_json::{Value, json};

/// The seeds that are asked with.
const SEEDS: u64 = 16;

const TEXTS: [&str; 3] = ["What is 345 + 78?", "Tell a story with a dragon, a bell and a castle.", "What is 12 + 13?"];

/// Bodies of requests, and the answers that they must get.
pub(crate) struct Questions(Vec<(Value, String)>);

impl Questions {
    /// Answers all questions with the library.
    pub(crate) fn new(model: &Path) -> anyhow::Result<Self> {
        let mut model = Model::open(model)?;
        let mut questions = Vec::new();
        for text in TEXTS {
            let prompt = model.tokenizer()?.encode_chat(&[Message::new("user", text)])?;
            for seed in 0..SEEDS {
                let config = SamplerConfig {
                    gen_length: 32,
                    steps: Some(8),
                    temperature: 1.0,
                    decoder: DecoderConfig::default(),
                    seed,
                    ..SamplerConfig::default()
                };
                let answer = model.generate(&Request::new(prompt.as_slice(), config))?.text;
                let body = json!({
                    "messages": [{"role": "user", "content": text}], "max_tokens": 32, "temperature": 1.0, "seed": seed,
                    "diffusion": {"steps": 8},
                });
                questions.push((body, answer));
            }
        }
        Ok(Self(questions))
    }

    pub(crate) fn get(&self, number: usize) -> (&Value, &str) {
        let (body, answer) = &self.0[number % self.0.len()];
        (body, answer)
    }
}
