//! The sampler's options as flags. `llada batch` reads the same names, with underscores, from each request.

use llada_core::order::Remasking;
use llada_infer::{CacheKind, DecoderKind, LengthKind, SamplerConfig};
use serde::Deserialize;

use super::named;

/// Published samplers by name: which decoder and cache they are, and their authors' ways of counting.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum, Deserialize)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub(crate) enum Algorithm {
    /// The official sampler, or whatever --decoder and --cache say
    #[default]
    Vanilla,
    /// Fast-dLLM without a cache: --decoder threshold if --threshold is given
    Fast,
    /// Fast-dLLM with --cache prefix
    FastPrefixCache,
    /// Fast-dLLM with --cache dual
    FastDualCache,
}

impl Algorithm {
    /// Sets what the name stands for.
    pub(crate) fn apply(self, config: &mut SamplerConfig) {
        config.cache = match self {
            Self::Vanilla => return,
            Self::Fast => CacheKind::None,
            Self::FastPrefixCache => CacheKind::Prefix,
            Self::FastDualCache => CacheKind::Dual,
        };
        config.decoder = match config.threshold {
            Some(_) => DecoderKind::Threshold,
            None => DecoderKind::Schedule,
        };
        config.reference_compat = true;
    }
}

/// What is done about end-of-text, by name. Allow leaves it to the two flags, which can also be combined.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Eos {
    /// It is a token like any other
    #[default]
    Allow,
    /// It is never emitted: --logits-eos-inf
    Ban,
    /// It is committed last: --confidence-eos-eot-inf
    Defer,
}

impl Eos {
    /// Sets what the name stands for.
    pub(crate) fn apply(self, config: &mut SamplerConfig) {
        config.logits_eos_inf |= self == Self::Ban;
        config.confidence_eos_eot_inf |= self == Self::Defer;
    }
}

#[derive(clap::Args)]
#[command(next_help_heading = "Sampling")]
pub(crate) struct SamplerArgs {
    /// A published sampler by name
    #[arg(long, value_enum, default_value = "vanilla")]
    algorithm: Algorithm,

    /// Which of a step's predictions become tokens: schedule, dream, remdm, remdm_rescale, remdm_conf, remdm_loop,
    /// threshold, factor, entropy_bounded, local_leap, hierarchical, klass, credit or wino. The first six take the steps
    /// they are given, the others as many as they need
    #[arg(long, value_name = "NAME", default_value_t = DecoderKind::Schedule, value_parser = named::<DecoderKind>)]
    decoder: DecoderKind,

    /// Confidence that suffices, for threshold, local_leap, hierarchical, klass, credit and wino [default: 0.9, wino 0.6]
    #[arg(long, value_name = "F")]
    threshold: Option<f32>,

    /// Probability below which the wino decoder masks a token again
    #[arg(long, value_name = "F", default_value_t = 0.9)]
    threshold_back: f32,

    /// Bound of the factor decoder: (n + 1)(1 - confidence) stays below it
    #[arg(long, value_name = "F", default_value_t = 1.0)]
    factor: f32,

    /// Bound of the entropy_bounded decoder, in nats
    #[arg(long, value_name = "F", default_value_t = 0.1)]
    gamma: f32,

    /// Temperature of the order in which the dream decoder commits; 0 takes the surest
    #[arg(long, value_name = "F", default_value_t = 0.0)]
    alg_temp: f32,

    /// Probability that remdm and remdm_loop mask a token again in a step, where that is possible; for remdm_rescale,
    /// the share of what is possible
    #[arg(long, value_name = "F", default_value_t = 0.02)]
    eta: f32,

    /// What a step recomputes: none (everything), prefix, dual, vicinity or dllm. The others are approximate and faster
    #[arg(long, value_name = "NAME", default_value_t = CacheKind::None, value_parser = named::<CacheKind>)]
    cache: CacheKind,

    /// Steps from one full forward of a block to the next, with a cache [default: one full forward a block; with
    /// --cache dllm: of the answer, 100]
    #[arg(long, value_name = "N")]
    refresh_interval: Option<usize>,

    /// Steps from one forward over all of the answer to the next, with --cache dllm
    #[arg(long, value_name = "N", default_value_t = SamplerConfig::default().gen_interval_steps)]
    gen_interval_steps: usize,

    /// The share of the answer's tokens that --cache dllm recomputes in between: those that have moved the most
    #[arg(long, value_name = "F", default_value_t = SamplerConfig::default().transfer_ratio)]
    transfer_ratio: f32,

    /// Forwards that the answer may take at most
    #[arg(long, value_name = "N")]
    max_nfe: Option<usize>,

    /// Denoising steps over the whole answer, one a block at least [default: one a token]
    #[arg(long, value_name = "N")]
    steps: Option<usize>,

    /// Tokens of the answer, with --length append and daedal at most; 0 fills only the masks of the prompt [default: 128]
    #[arg(long, value_name = "N")]
    gen_length: Option<usize>,

    /// How long the answer becomes: fixed (--gen-length), append (blocks until one has an end-of-text) or daedal (as
    /// many masks as the model asks for, before and while they are filled; needs a decoder that takes as many steps as it
    /// needs and takes nothing back, such as threshold)
    #[arg(long, value_name = "NAME", default_value_t = LengthKind::Fixed, value_parser = named::<LengthKind>)]
    length: LengthKind,

    /// Masks that --length daedal begins with
    #[arg(long, value_name = "N", default_value_t = 64)]
    initial_gen_length: usize,

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
    #[arg(long, value_name = "MEASURE", default_value_t = Remasking::LowConfidence, value_parser = named::<Remasking>)]
    remasking: Remasking,

    /// What is done about end-of-text [default: allow]
    #[arg(long, value_enum)]
    eos: Option<Eos>,

    /// Never emit the end-of-text token
    #[arg(long)]
    logits_eos_inf: bool,

    /// Commit end-of-text and end-of-turn tokens last
    #[arg(long)]
    confidence_eos_eot_inf: bool,

    /// Repeat the reference's deviations from its own intent: above temperature 0, --confidence-eos-eot-inf acts on
    /// end-of-turn alone; masks in the prompt are not counted, so some may remain; a cached block that its first
    /// forward fills takes a second
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
        self.config_over(&SamplerConfig::default())
    }

    /// The same, with the length of the answer and of its blocks, and what is done about its end, from `preset` where
    /// they were not typed.
    pub(crate) fn config_over(&self, preset: &SamplerConfig) -> SamplerConfig {
        let keeps_end = self.eos.is_none();
        let mut config = SamplerConfig {
            decoder: self.decoder,
            threshold: self.threshold,
            threshold_back: self.threshold_back,
            factor: self.factor,
            gamma: self.gamma,
            alg_temp: self.alg_temp,
            eta: self.eta,
            cache: self.cache,
            refresh_interval: self.refresh_interval,
            gen_interval_steps: self.gen_interval_steps,
            transfer_ratio: self.transfer_ratio,
            max_nfe: self.max_nfe,
            steps: self.steps,
            gen_length: self.gen_length.unwrap_or(preset.gen_length),
            length: self.length,
            initial_gen_length: self.initial_gen_length,
            block_length: self.block_length.or(preset.block_length),
            temperature: self.temperature,
            cfg_scale: self.cfg_scale,
            remasking: self.remasking,
            logits_eos_inf: self.logits_eos_inf || keeps_end && preset.logits_eos_inf,
            confidence_eos_eot_inf: self.confidence_eos_eot_inf || keeps_end && preset.confidence_eos_eot_inf,
            reference_compat: self.reference_compat,
            stop_at_eos: self.stop_at_eos,
            seed: self.seed,
        };
        self.algorithm.apply(&mut config);
        self.eos.unwrap_or_default().apply(&mut config);
        config
    }
}
