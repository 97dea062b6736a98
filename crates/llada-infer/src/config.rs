//! The options of the sampler, with the names and the defaults of the reference's `generate.py`.

use llada_core::{CoreError, Hint, block::BlockPlan, confidence::Remasking, suffix::SuffixWindow};
use serde::Serialize;

use crate::{
    Cache, CacheConfig, Decoder, DecoderConfig, InferError, LengthConfig, SpecialTokens,
    cache::Dual,
    error::{check_non_negative, check_positive, check_range},
};

/// The options of a request.
///
/// Options that belong to one decoder, cache or length policy are fields of that method. In JSON all options lie in one
/// flat object: `{"gen_length": 64, "decoder": "threshold", "threshold": 0.8}`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SamplerConfig {
    /// The number of steps for the whole answer, at least one per block; if absent, `gen_length` (one token per step).
    pub steps: Option<usize>,
    /// The number of answer tokens, or its upper bound; 0 fills in only the masks of the prompt.
    pub gen_length: usize,
    /// The policy of the answer's length.
    #[serde(flatten)]
    pub length: LengthConfig,
    /// The number of tokens in a block; if absent, `gen_length` (pure diffusion).
    pub block_length: Option<usize>,
    /// If true, blocks are counted from position 0, so that the first one may hold the end of the prompt; otherwise from
    /// the start of the answer. Models whose attention is causal from block to block need it.
    pub aligned_blocks: bool,
    /// The temperature of the Gumbel noise; 0 picks the most probable token.
    pub temperature: f64,
    /// The number of most probable tokens to pick from; if absent, all.
    pub top_k: Option<usize>,
    /// The probability of the most probable tokens to pick from, at most 1; if absent, 1.
    pub top_p: Option<f32>,
    /// The scale w of classifier-free guidance: logits = u + (w + 1)(c − u); 0 means none.
    pub cfg_scale: f32,
    /// The measure of confidence. The most confident predictions are kept.
    pub remasking: Remasking,
    /// The decoder, which chooses the predictions of a step that become tokens.
    #[serde(flatten)]
    pub decoder: DecoderConfig,
    /// The cache, which chooses the positions that a step recomputes.
    #[serde(flatten)]
    pub cache: CacheConfig,
    /// The number of masks after the block that a forward sees (Streaming-dLLM, DPad); if absent, all. The masks that it does
    /// not see are not computed either.
    pub suffix_window: Option<usize>,
    /// The number of masks at the end of the sequence that a forward sees besides those of the window.
    pub suffix_trailing: usize,
    /// How fast masks of the window thin out with their distance from the block (DPad's distance-decay dropout): the number
    /// of standard deviations of a Gaussian at the end of the window; 0 keeps all.
    pub suffix_dropout: f32,
    /// The largest number of states that a forward computes beside the present one (self-speculative decoding,
    /// arXiv 2510.04147): those that the sequence is likely to be in after the next steps. It changes no token. If absent,
    /// 0; at most 16, because a forward may take that many times as long, and nothing else can take its turn.
    pub draft_length: Option<usize>,
    /// The largest number of forwards for the answer. If a block would exceed its share, its last steps commit more
    /// tokens than the decoder would.
    pub max_nfe: Option<usize>,
    /// If true, the end-of-text token is never emitted.
    pub logits_eos_inf: bool,
    /// If true, end-of-text and end-of-turn are committed last: positions that predict one of them have the lowest
    /// confidence. It is end-of-text only if [`SpecialTokens::eot`] is `None`.
    pub confidence_eos_eot_inf: bool,
    /// If true, deviations of the reference code from its intent are reproduced, for comparisons with its numbers: at
    /// temperatures above 0 `confidence_eos_eot_inf` applies to end-of-turn only; masks in the prompt do not count in the
    /// schedule, so some may remain; and a cached block that is full after its first forward takes a second one
    /// (Fast-dLLM). Settings that the reference refuses are refused: blocks of different lengths or numbers of steps.
    pub reference_compat: bool,
    /// The token ids that end the model's reasoning, whose logits are boosted; none without a boost.
    pub end_think_token_ids: Vec<u32>,
    /// The boost of their logits at the end of the answer (iLLaDA); it grows with the place of the first mask.
    pub end_think_logit_boost: f32,
    /// The power of the place, as a share of `gen_length`, that the boost grows with.
    pub end_think_boost_power: f32,
    /// If true, the answer ends at the first end-of-text token without a mask before it.
    pub stop_at_eos: bool,
    /// The seed of the noise. The same seed gives the same tokens, alone or in any batch.
    pub seed: u64,
}

/// The largest [`draft_length`](SamplerConfig::draft_length).
const MAX_DRAFT_LENGTH: f32 = 16.0;

impl Default for SamplerConfig {
    fn default() -> Self {
        Self {
            steps: None,
            gen_length: 128,
            length: LengthConfig::default(),
            block_length: None,
            aligned_blocks: false,
            temperature: 0.0,
            top_k: None,
            top_p: None,
            cfg_scale: 0.0,
            remasking: Remasking::LowConfidence,
            decoder: DecoderConfig::default(),
            cache: CacheConfig::default(),
            suffix_window: None,
            // As in Streaming-dLLM's code.
            suffix_trailing: 1,
            suffix_dropout: 0.0,
            draft_length: None,
            max_nfe: None,
            logits_eos_inf: false,
            confidence_eos_eot_inf: false,
            reference_compat: false,
            end_think_token_ids: Vec::new(),
            end_think_logit_boost: 0.0,
            end_think_boost_power: 2.0,
            stop_at_eos: false,
            seed: 0,
        }
    }
}

impl SamplerConfig {
    /// Returns the ids whose predictions have the lowest confidence, so that they are committed last.
    pub(crate) fn deferred(&self, special: SpecialTokens) -> impl Iterator<Item = u32> {
        let (mut eos, mut eot) = (None, None);
        if self.confidence_eos_eot_inf {
            eot = special.eot;
            // The reference bans end-of-text in the noised logits, which at temperature 0 are the logits themselves.
            // At other temperatures the confidence does not see the ban.
            if !self.reference_compat || self.temperature == 0.0 {
                eos = Some(special.eos);
            }
        }
        eos.into_iter().chain(eot)
    }

    /// Returns what a forward sees of the masks after the block, if that may be less than all of them.
    pub(crate) fn suffix(&self) -> Option<SuffixWindow> {
        let Self { suffix_trailing: trailing, suffix_dropout: dropout, .. } = *self;
        self.suffix_window.map(|window| SuffixWindow { window, trailing, dropout })
    }

    /// Checks the options for a prompt with `masked_in_prompt` masks, and returns the plan of blocks and steps.
    ///
    /// # Errors
    /// If an option is invalid. The error names the option and its value; its hint has the nearest values that would work.
    pub fn validate(&self, masked_in_prompt: usize) -> Result<BlockPlan, InferError> {
        self.validate_with(masked_in_prompt, self.decoder.build().as_ref(), self.cache.build().as_deref())
    }

    /// Checks the options as [`validate`](Self::validate) does, with `decoder` and `cache` in place of the config's.
    ///
    /// # Errors
    /// As for [`validate`](Self::validate).
    pub(crate) fn validate_with(
        &self,
        masked_in_prompt: usize,
        decoder: &dyn Decoder,
        cache: Option<&dyn Cache>,
    ) -> Result<BlockPlan, InferError> {
        if let Some(cache) = cache {
            cache.validate()?;
        }
        check_non_negative("temperature", self.temperature)?;
        check_non_negative("cfg_scale", self.cfg_scale)?;
        check_non_negative("end_think_logit_boost", self.end_think_logit_boost)?;
        check_non_negative("end_think_boost_power", self.end_think_boost_power)?;
        check_positive("top_k", self.top_k.unwrap_or(1))?;
        if let Some(top_p) = self.top_p.filter(|top_p| !(*top_p > 0.0 && *top_p <= 1.0)) {
            return Err(CoreError::OutOfRange { name: "top_p", found: top_p.into(), lowest: 0.0, highest: 1.0 }.into());
        }
        self.check_suffix()?;
        decoder.validate()?;
        self.length.build().validate()?;
        if matches!(self.length, LengthConfig::Daedal(_)) {
            self.check_daedal(decoder)?;
        }
        if let Some(draft_length) = self.draft_length {
            check_range("draft_length", draft_length as f32, [1.0, MAX_DRAFT_LENGTH])?;
            self.check_speculation(decoder, cache)?;
        }
        let plan = self.plan(masked_in_prompt)?;
        self.check_drift(plan.blocks())?;
        if let Some(max_nfe) = self.max_nfe
            && max_nfe < plan.blocks()
        {
            return Err(InferError::Budget { max_nfe, blocks: plan.blocks() });
        }
        Ok(plan)
    }

    fn check_suffix(&self) -> Result<(), InferError> {
        check_non_negative("suffix_dropout", self.suffix_dropout)?;
        let Some(suffix_window) = self.suffix_window else {
            let default = Self::default();
            let option = if self.suffix_dropout != default.suffix_dropout {
                "suffix_dropout"
            } else if self.suffix_trailing != default.suffix_trailing {
                "suffix_trailing"
            } else {
                return Ok(());
            };
            return Err(InferError::NoSuffixWindow { option });
        };
        // A finished block is exact in this cache because it sees nothing of the suffix, so there is nothing to hide.
        if self.cache == CacheConfig::Block {
            return Err(InferError::SuffixWindow { suffix_window, with: "cache block".to_owned() });
        }
        Ok(())
    }

    /// Refuses a limit of drift where blocks start with full forwards whatever has moved.
    fn check_drift(&self, blocks: usize) -> Result<(), InferError> {
        let CacheConfig::Dual(Dual { refresh_drift: Some(refresh_drift), refresh_interval }) = self.cache else {
            return Ok(());
        };
        let with = match (self.suffix_window, self.length, refresh_interval) {
            (Some(suffix_window), ..) => format!("suffix_window {suffix_window}"),
            (None, LengthConfig::Fixed, Some(1)) => "refresh_interval 1".to_owned(),
            (None, LengthConfig::Fixed, _) if blocks == 1 => "a single block".to_owned(),
            (None, LengthConfig::Fixed, _) => return Ok(()),
            (None, length, _) => format!("length {length}"),
        };
        Err(InferError::Drift { refresh_drift, with })
    }

    /// Refuses options that DAEDAL does not support, because they need a known length or prevent the answer from ending.
    fn check_daedal(&self, decoder: &dyn Decoder) -> Result<(), InferError> {
        if decoder.is_scheduled() || decoder.is_revocable() || decoder.editing().is_some() {
            let with = format!("decoder {}", self.decoder);
            return Err(InferError::Daedal { with, hint: Hint::set("decoder", ["threshold"]) });
        }
        if let Some(max_nfe) = self.max_nfe {
            let with = format!("max_nfe {max_nfe}");
            return Err(InferError::Daedal { with, hint: Hint::set("length", ["append"]) });
        }
        // How confident the model is that the answer ends is read from the masks at its end.
        if let Some(suffix_window) = self.suffix_window {
            let with = format!("suffix_window {suffix_window}");
            return Err(InferError::Daedal { with, hint: Hint::set("length", ["fixed", "append"]) });
        }
        if self.logits_eos_inf {
            let with = "logits_eos_inf".to_owned();
            return Err(InferError::Daedal { with, hint: Hint::set("length", ["fixed"]) });
        }
        Ok(())
    }

    /// Refuses methods with which the next states cannot be drafted or cannot share a slot.
    fn check_speculation(&self, decoder: &dyn Decoder, cache: Option<&dyn Cache>) -> Result<(), InferError> {
        if decoder.is_revocable() || decoder.editing().is_some() {
            let with = format!("decoder {}", self.decoder);
            return Err(InferError::Speculation { with, hint: Hint::set("decoder", ["schedule"]) });
        }
        if cache.is_some_and(|cache| !cache.keeps_span()) {
            let with = format!("cache {}", self.cache);
            return Err(InferError::Speculation { with, hint: Hint::set("cache", ["dual"]) });
        }
        Ok(())
    }

    fn plan(&self, masked_in_prompt: usize) -> Result<BlockPlan, InferError> {
        if self.gen_length == 0 {
            if masked_in_prompt == 0 {
                return Err(InferError::NothingToDo);
            }
            // The masks of the prompt are one block.
            let steps = self.steps.unwrap_or(masked_in_prompt);
            return Ok(BlockPlan::new(steps, masked_in_prompt, masked_in_prompt)?);
        }
        let steps = self.steps.unwrap_or(self.gen_length);
        let block_length = self.block_length.unwrap_or(self.gen_length);
        if self.reference_compat {
            return Ok(BlockPlan::even(steps, self.gen_length, block_length)?);
        }
        Ok(BlockPlan::new(steps, self.gen_length, block_length)?)
    }
}
