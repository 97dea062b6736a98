//! The sampler's options as flags. `llada batch` reads the same names, with underscores, from each request.

use llada_core::order::Remasking;
use llada_infer::SamplerConfig;
use serde::Deserialize;

/// Which algorithm decodes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Algorithm {
    /// The official sampler: a fixed number of tokens a step, every forward in full
    #[default]
    Vanilla,
}

#[derive(clap::Args)]
#[command(next_help_heading = "Sampling")]
pub(crate) struct SamplerArgs {
    /// Decoding algorithm
    #[arg(long, value_enum, default_value = "vanilla")]
    algorithm: Algorithm,

    /// Denoising steps over the whole answer, a multiple of the number of blocks [default: one a token]
    #[arg(long, value_name = "N")]
    steps: Option<usize>,

    /// Tokens of the answer; 0 fills only the masks of the prompt
    #[arg(long, value_name = "N", default_value_t = 128)]
    gen_length: usize,

    /// Tokens of a block: blocks are decoded from left to right, each by diffusion [default: the whole answer]
    #[arg(long, value_name = "N")]
    block_length: Option<usize>,

    /// Temperature of the sampling noise; 0 takes the most probable tokens
    #[arg(long, value_name = "F", default_value_t = 0.0, allow_negative_numbers = true)]
    temperature: f64,

    /// Scale of classifier-free guidance; 0 is none
    #[arg(long, value_name = "F", default_value_t = 0.0, allow_negative_numbers = true)]
    cfg_scale: f32,

    /// Which predictions to keep at each step: low_confidence, random, margin or entropy
    #[arg(long, value_name = "MEASURE", default_value_t = Remasking::LowConfidence)]
    remasking: Remasking,

    /// Never emit the end-of-text token
    #[arg(long)]
    logits_eos_inf: bool,

    /// Commit end-of-text and end-of-turn tokens last
    #[arg(long)]
    confidence_eos_eot_inf: bool,

    /// Repeat the reference's deviations from its own intent: above temperature 0, --confidence-eos-eot-inf acts on
    /// end-of-turn alone; masks in the prompt are not counted, so some may remain
    #[arg(long)]
    reference_compat: bool,

    /// Stop at the first end-of-text token that has no mask before it. Without, the whole answer is filled; the text
    /// shown ends there either way
    #[arg(long)]
    stop_at_eos: bool,

    /// Seed of the sampling noise
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
}

impl SamplerArgs {
    pub(crate) fn config(&self) -> SamplerConfig {
        let Algorithm::Vanilla = self.algorithm;
        SamplerConfig {
            steps: self.steps,
            gen_length: self.gen_length,
            block_length: self.block_length,
            temperature: self.temperature,
            cfg_scale: self.cfg_scale,
            remasking: self.remasking,
            logits_eos_inf: self.logits_eos_inf,
            confidence_eos_eot_inf: self.confidence_eos_eot_inf,
            reference_compat: self.reference_compat,
            stop_at_eos: self.stop_at_eos,
            seed: self.seed,
        }
    }
}
