//! The table `[rl]` of a run file.

use llada_core::policy::{Advantage, Method, espo::Espo, spg::Spg};
use llada_infer::SamplerConfig;
use serde::{Deserialize, Serialize};

use crate::TrainError;

/// The settings of reinforcement learning. Values in brackets are defaults; those of the sampler are d1's (arXiv
/// 2504.12216).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RlConfig {
    /// The method, by the name of its paper, with its settings beside \[espo\].
    #[serde(flatten)]
    pub method: Method,
    /// The names of what is asked. Who opens the run knows them.
    #[serde(default)]
    pub tasks: Vec<String>,
    /// The number of questions that are drawn, where they are \[1000\].
    #[serde(default = "thousand")]
    pub num_prompts: usize,
    /// What rewards are compared with: `centered`, `leave_one_out`, `standardized` or `z_score` \[the method's own\].
    pub advantage: Option<Advantage>,
    /// The number of answers to a prompt, which are compared with each other \[8\].
    #[serde(default = "eight")]
    pub num_generations: usize,
    /// The number of steps that are made on the same answers \[8\].
    #[serde(default = "eight")]
    pub num_iterations: usize,
    /// The number of tokens of an answer \[256\].
    #[serde(default = "gen_length")]
    pub gen_length: usize,
    /// The number of tokens of a block \[32, or `gen_length`\].
    pub block_length: Option<usize>,
    /// The number of steps that an answer is sampled in \[half of `gen_length`\].
    pub diffusion_steps: Option<usize>,
    /// The temperature of the sampler \[0.9\].
    #[serde(default = "temperature")]
    pub temperature: f64,
}

impl Default for RlConfig {
    fn default() -> Self {
        Self {
            method: Method::Espo(Espo::default()),
            tasks: Vec::new(),
            num_prompts: thousand(),
            advantage: None,
            num_generations: eight(),
            num_iterations: eight(),
            gen_length: gen_length(),
            block_length: None,
            diffusion_steps: None,
            temperature: temperature(),
        }
    }
}

impl RlConfig {
    /// The sampler's options for answers with this seed.
    pub(crate) fn sampler(&self, seed: u64) -> SamplerConfig {
        SamplerConfig {
            gen_length: self.gen_length,
            block_length: Some(self.block_length()),
            steps: Some(self.diffusion_steps.unwrap_or(self.gen_length.div_ceil(2))),
            temperature: self.temperature,
            seed,
            ..SamplerConfig::default()
        }
    }

    /// The method, with the blocks of the sampler.
    pub(crate) fn method(&self) -> Method {
        match self.method {
            Method::Spg(spg) => Method::Spg(Spg { block_length: self.block_length(), ..spg }),
            method => method,
        }
    }

    fn block_length(&self) -> usize {
        self.block_length.unwrap_or(32).min(self.gen_length)
    }

    pub(crate) fn check(&self, batch_size: usize) -> Result<(), TrainError> {
        self.method.check()?;
        for (key, value) in [("rl.num_iterations", self.num_iterations), ("rl.gen_length", self.gen_length)] {
            if value == 0 {
                return Err(TrainError::config(key, 0, "it has to be at least 1"));
            }
        }
        if self.num_generations < 2 {
            let hint = "answers are compared with each other: give at least 2";
            return Err(TrainError::config("rl.num_generations", self.num_generations, hint));
        }
        if !batch_size.is_multiple_of(self.num_generations) {
            let hint = format!("it counts answers: give a multiple of rl.num_generations, {}", self.num_generations);
            return Err(TrainError::config("batch_size", batch_size, hint));
        }
        if !(self.temperature > 0.0 && self.temperature.is_finite()) {
            let hint = "the answers to a prompt have to differ: give a positive number, such as 0.9";
            return Err(TrainError::config("rl.temperature", self.temperature, hint));
        }
        Ok(())
    }
}

fn thousand() -> usize {
    1000
}

fn eight() -> usize {
    8
}

fn gen_length() -> usize {
    256
}

fn temperature() -> f64 {
    0.9
}
