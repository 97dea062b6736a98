//! The sampler's options, under the names and with the defaults of the reference's `generate.py`.

use llada_core::{Hint, block::BlockPlan, confidence::Remasking};
use serde::Serialize;

use crate::{CacheConfig, Decoder, DecoderConfig, InferError, LengthConfig, SpecialTokens, error::check_non_negative};

/// How to sample an answer.
///
/// Options that belong to one decoder, cache or length are fields of that. Written down, as JSON or otherwise, all of them
/// lie side by side: `{"gen_length": 64, "decoder": "threshold", "threshold": 0.8}`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SamplerConfig {
    /// Steps over the whole answer, one a block at least; `gen_length` (a token a step) if absent.
    pub steps: Option<usize>,
    /// Tokens of the answer, or their largest number; 0 fills only the masks of the prompt.
    pub gen_length: usize,
    /// How long the answer becomes.
    #[serde(flatten)]
    pub length: LengthConfig,
    /// Tokens of a block; `gen_length` (pure diffusion) if absent.
    pub block_length: Option<usize>,
    /// Temperature of the Gumbel noise; 0 takes the most probable token.
    pub temperature: f64,
    /// Scale w of classifier-free guidance: logits = u + (w + 1)(c − u); 0 is none.
    pub cfg_scale: f32,
    /// Which predictions to keep: the surest first, by this measure.
    pub remasking: Remasking,
    /// Which of a step's predictions become tokens.
    #[serde(flatten)]
    pub decoder: DecoderConfig,
    /// What a step recomputes.
    #[serde(flatten)]
    pub cache: CacheConfig,
    /// Forwards that the answer may take at most: towards the end of what a block is allowed, more is committed a step.
    pub max_nfe: Option<usize>,
    /// Never emit the end-of-text token.
    pub logits_eos_inf: bool,
    /// Commit end-of-text and end-of-turn last: a position that predicts one of them has no confidence. Where no
    /// end-of-turn is known, [`SpecialTokens::eot`], it is end-of-text alone.
    pub confidence_eos_eot_inf: bool,
    /// Deviate from the intent where the reference does, for comparison with its numbers: above temperature 0
    /// `confidence_eos_eot_inf` acts on end-of-turn alone; masks in the prompt are not counted in the schedule, so that
    /// some may remain; and a cached block that its first forward fills takes a second one (Fast-dLLM). Refuse what the
    /// reference refuses: blocks of several lengths, or of several numbers of steps.
    pub reference_compat: bool,
    /// End at the first end-of-text token that has no mask before it.
    pub stop_at_eos: bool,
    /// Seed of the noise: the same seed gives the same tokens, alone or in any batch.
    pub seed: u64,
}

impl Default for SamplerConfig {
    fn default() -> Self {
        Self {
            steps: None,
            gen_length: 128,
            length: LengthConfig::default(),
            block_length: None,
            temperature: 0.0,
            cfg_scale: 0.0,
            remasking: Remasking::LowConfidence,
            decoder: DecoderConfig::default(),
            cache: CacheConfig::default(),
            max_nfe: None,
            logits_eos_inf: false,
            confidence_eos_eot_inf: false,
            reference_compat: false,
            stop_at_eos: false,
            seed: 0,
        }
    }
}

impl SamplerConfig {
    /// The ids whose predictions have no confidence. The reference bans end-of-text in the noised logits alone, which are
    /// the logits only at temperature 0.
    pub(crate) fn deferred(&self, special: SpecialTokens) -> impl Iterator<Item = u32> {
        let eos = (!self.reference_compat || self.temperature == 0.0).then_some(special.eos);
        let ids = eos.into_iter().chain(special.eot);
        ids.filter(|_| self.confidence_eos_eot_inf)
    }

    /// Checks the options by themselves, for a prompt with so many masks.
    ///
    /// # Errors
    /// Names the option and its value; the hint tells the nearest settings that would work.
    pub fn validate(&self, masked_in_prompt: usize) -> Result<BlockPlan, InferError> {
        if let Some(cache) = self.cache.build() {
            cache.validate()?;
        }
        self.validate_with(masked_in_prompt, self.decoder.build().as_ref())
    }

    /// The same for the decoder that the request brings.
    pub(crate) fn validate_with(
        &self,
        masked_in_prompt: usize,
        decoder: &dyn Decoder,
    ) -> Result<BlockPlan, InferError> {
        check_non_negative("temperature", self.temperature)?;
        check_non_negative("cfg_scale", self.cfg_scale)?;
        decoder.validate()?;
        self.length.build().validate()?;
        if matches!(self.length, LengthConfig::Daedal(_)) {
            self.check_daedal(decoder)?;
        }
        let plan = self.plan(masked_in_prompt)?;
        match self.max_nfe {
            Some(max_nfe) if max_nfe < plan.blocks() => Err(InferError::Budget { max_nfe, blocks: plan.blocks() }),
            _ => Ok(plan),
        }
    }

    /// What needs a known length, or an end, does not go with DAEDAL.
    fn check_daedal(&self, decoder: &dyn Decoder) -> Result<(), InferError> {
        if decoder.is_scheduled() || decoder.is_revocable() {
            let with = format!("decoder {}", self.decoder);
            return Err(InferError::Daedal { with, hint: Hint::set("decoder", ["threshold"]) });
        }
        if let Some(max_nfe) = self.max_nfe {
            let with = format!("max_nfe {max_nfe}");
            return Err(InferError::Daedal { with, hint: Hint::set("length", ["append"]) });
        }
        if self.logits_eos_inf {
            let with = "logits_eos_inf".to_owned();
            return Err(InferError::Daedal { with, hint: Hint::set("length", ["fixed"]) });
        }
        Ok(())
    }

    fn plan(&self, masked_in_prompt: usize) -> Result<BlockPlan, InferError> {
        if self.gen_length == 0 {
            // The masks of the prompt are one block.
            return match masked_in_prompt {
                0 => Err(InferError::NothingToDo),
                _ => Ok(BlockPlan::new(self.steps.unwrap_or(masked_in_prompt), masked_in_prompt, masked_in_prompt)?),
            };
        }
        let steps = self.steps.unwrap_or(self.gen_length);
        let block_length = self.block_length.unwrap_or(self.gen_length);
        // The reference knows blocks of one length and of equally many steps alone.
        let plan = if self.reference_compat { BlockPlan::even } else { BlockPlan::new };
        Ok(plan(steps, self.gen_length, block_length)?)
    }
}
