//! The sampler's options, under the names and with the defaults of the reference's `generate.py`.

use llada_core::{CoreError, Hint, block::BlockPlan, order::Remasking};
use serde::{Deserialize, Serialize};

use crate::{
    InferError, LengthKind,
    cache::CacheKind,
    decoder::{Decoder, DecoderKind},
    error::check_non_negative,
};

/// How to sample an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SamplerConfig {
    /// Steps over the whole answer, a multiple of the number of blocks; `gen_length` (a token a step) if absent.
    pub steps: Option<usize>,
    /// Tokens of the answer, or their largest number; 0 fills only the masks of the prompt.
    pub gen_length: usize,
    /// How long the answer becomes.
    pub length: LengthKind,
    /// Masks that DAEDAL begins with.
    pub initial_gen_length: usize,
    /// Tokens of a block, a divisor of `gen_length`; `gen_length` (pure diffusion) if absent.
    pub block_length: Option<usize>,
    /// Temperature of the Gumbel noise; 0 takes the most probable token.
    pub temperature: f64,
    /// Scale w of classifier-free guidance: logits = u + (w + 1)(c − u); 0 is none.
    pub cfg_scale: f32,
    /// Which predictions to keep: the surest first, by this measure.
    pub remasking: Remasking,
    /// Which of a step's predictions become tokens.
    pub decoder: DecoderKind,
    /// Confidence that suffices, for the decoders that have one; theirs of the papers if absent: 0.9, or 0.6 of wino.
    pub threshold: Option<f32>,
    /// Probability below which the wino decoder masks a token again.
    pub threshold_back: f32,
    /// Bound f of the factor decoder.
    pub factor: f32,
    /// Bound γ of the entropy-bounded decoder, in nats.
    pub gamma: f32,
    /// Temperature of the order in which the dream decoder commits; 0 takes the surest.
    pub alg_temp: f32,
    /// Probability η that a remdm decoder masks a token again in a step, where that is possible; of remdm_rescale, the
    /// share of what is possible.
    pub eta: f32,
    /// What a step recomputes.
    pub cache: CacheKind,
    /// Steps from one full forward of a block to the next, with a cache; only at the start of a block if absent. With
    /// the dllm cache: of the answer, and every 100 steps if absent.
    pub refresh_interval: Option<usize>,
    /// Steps from one forward over all of the answer to the next, with the dllm cache.
    pub gen_interval_steps: usize,
    /// The share of the answer's tokens that the dllm cache recomputes in between.
    pub transfer_ratio: f32,
    /// Forwards that the answer may take at most: towards the end of what a block is allowed, more is committed a step.
    pub max_nfe: Option<usize>,
    /// Never emit the end-of-text token.
    pub logits_eos_inf: bool,
    /// Commit end-of-text and end-of-turn, if there is such a token, last: a position that predicts one of them has no
    /// confidence.
    pub confidence_eos_eot_inf: bool,
    /// Deviate from the intent where the reference does, for comparison with its numbers: above temperature 0
    /// `confidence_eos_eot_inf` acts on end-of-turn alone; masks in the prompt are not counted in the schedule, so that
    /// some may remain; and a cached block that its first forward fills takes a second one (Fast-dLLM).
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
            length: LengthKind::Fixed,
            initial_gen_length: 64,
            block_length: None,
            temperature: 0.0,
            cfg_scale: 0.0,
            remasking: Remasking::LowConfidence,
            decoder: DecoderKind::Schedule,
            threshold: None,
            threshold_back: 0.9,
            factor: 1.0,
            gamma: 0.1,
            alg_temp: 0.0,
            eta: 0.02,
            cache: CacheKind::None,
            refresh_interval: None,
            gen_interval_steps: 7,
            transfer_ratio: 0.25,
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
    /// Checks the options by themselves, for a prompt with so many masks.
    ///
    /// # Errors
    /// Names the option and its value; the hint tells the nearest settings that would work.
    pub fn validate(&self, masked_in_prompt: usize) -> Result<BlockPlan, InferError> {
        self.validate_with(masked_in_prompt, self.decoder.build(self).as_ref())
    }

    /// The same for the decoder that the request brings.
    pub(crate) fn validate_with(
        &self,
        masked_in_prompt: usize,
        decoder: &dyn Decoder,
    ) -> Result<BlockPlan, InferError> {
        check_non_negative("temperature", self.temperature)?;
        check_non_negative("cfg_scale", self.cfg_scale)?;
        check_non_negative("threshold", self.threshold.unwrap_or_default())?;
        check_non_negative("threshold_back", self.threshold_back)?;
        check_non_negative("factor", self.factor)?;
        check_non_negative("gamma", self.gamma)?;
        check_non_negative("alg_temp", self.alg_temp)?;
        check_non_negative("eta", self.eta)?;
        check_non_negative("transfer_ratio", self.transfer_ratio)?;
        let positive = [
            ("refresh_interval", self.refresh_interval.unwrap_or(1)),
            ("gen_interval_steps", self.gen_interval_steps),
            ("initial_gen_length", self.initial_gen_length),
        ];
        if let Some(&(name, _)) = positive.iter().find(|(_, value)| *value == 0) {
            return Err(CoreError::Zero { name }.into());
        }
        if self.length == LengthKind::Daedal {
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
