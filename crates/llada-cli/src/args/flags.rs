//! The flags of the sampler: one for each option, whose help is all that a user reads of it.

use clap::Args;
use llada_core::{confidence::Remasking, schedule::NoiseSchedule};
use llada_infer::{
    Algorithm, CacheKind, DecoderKind, LengthKind, Preset, SamplerConfig,
    cache::Dllm,
    decoder::{Dream, EntropyBounded, Factor, Llada2, Llada2Edit, RemdmOptions, ThetaTrapezoidal, Threshold, Wino},
    length::Daedal,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::named;

/// What is done about end-of-text, by name. Allow leaves it to the two flags, which can also be combined.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Eos {
    /// It is a token like any other
    #[default]
    Allow,
    /// It is never emitted: --logits-eos-inf
    Ban,
    /// It is committed last: --confidence-eos-eot-inf
    Defer,
}

impl Eos {
    /// Puts what the name stands for into `options`.
    pub(super) fn apply(self, options: &mut Map<String, Value>) {
        let option = match self {
            Self::Allow => return,
            Self::Ban => "logits_eos_inf",
            Self::Defer => "confidence_eos_eot_inf",
        };
        options.insert(option.to_owned(), true.into());
    }
}

/// The flags, by the names of the options.
#[derive(Args, Serialize)]
#[command(next_help_heading = "Sampling")]
pub(super) struct Flags {
    /// Options that go well together; those that are given too come first. exact: the plain sampler, a token a step;
    /// balanced: in blocks, a step commits what the model is confident of, and recomputes the block alone; fast: with less
    /// confidence, until the text ends
    #[arg(long, value_name = "NAME", value_parser = named::<Preset>, conflicts_with = "algorithm")]
    preset: Option<Preset>,

    /// A published sampler by name, which sets other options: vanilla (LLaDA's, or whatever the options say), fast,
    /// fast_prefix_cache and fast_dual_cache (Fast-dLLM), illada_var (steps are those of a block), llada2, llada2_edit (LLaDA2.0
    /// and 2.1), dream or smdm [default: that of the model's family, unless --preset, --decoder, --cache or --length is given]
    #[arg(long, value_name = "NAME", value_parser = named::<Algorithm>)]
    algorithm: Option<Algorithm>,

    /// Order of --algorithm dream and smdm: origin (at random, the default), and maskgit_plus, topk_margin or entropy for
    /// dream, greddy for smdm
    #[arg(long, value_name = "NAME")]
    alg: Option<String>,

    /// Which of a step's predictions become tokens: schedule, dream, smdm, origin, euler, tau_leaping,
    /// theta_trapezoidal, first_hitting, remdm, remdm_rescale, remdm_conf, remdm_loop, threshold, factor, entropy_bounded,
    /// local_leap, hierarchical, klass, credit, wino, llada2 or llada2_edit. The first twelve take the steps they are given,
    /// the others as many as they need
    #[arg(long, value_name = "NAME", default_value_t = DecoderKind::Schedule, value_parser = named::<DecoderKind>)]
    decoder: DecoderKind,

    /// Confidence that suffices, for threshold, local_leap, hierarchical, klass, credit, wino and llada2 [default: 0.9,
    /// wino 0.6, llada2 0.95]
    #[arg(long, value_name = "F")]
    threshold: Option<f32>,

    /// Share of the threshold decoder's confidence that is gone when a block is nearly full (Streaming-dLLM: 0.3 to 0.6)
    #[arg(long, value_name = "F", default_value_t = Threshold::default().confidence_alpha)]
    confidence_alpha: f32,

    /// Probability below which the wino decoder masks a token again
    #[arg(long, value_name = "F", default_value_t = Wino::default().threshold_back)]
    threshold_back: f32,

    /// Bound of the factor decoder: (n + 1)(1 - confidence) stays below it
    #[arg(long, value_name = "F", default_value_t = Factor::default().factor)]
    factor: f32,

    /// Bound of the entropy_bounded decoder, in nats
    #[arg(long, value_name = "F", default_value_t = EntropyBounded::default().gamma)]
    gamma: f32,

    /// Confidence above which the llada2_edit decoder replaces a token of the block
    #[arg(long, value_name = "F", default_value_t = Llada2Edit::default().editing_threshold)]
    editing_threshold: f32,

    /// Steps that a full block has at most for the llada2_edit decoder
    #[arg(long, value_name = "N", default_value_t = Llada2Edit::default().max_post_steps)]
    max_post_steps: usize,

    /// Masks that a step of the llada2_edit decoder commits at least
    #[arg(long, value_name = "N", default_value_t = Llada2Edit::default().num_to_transfer)]
    num_to_transfer: usize,

    /// Steps in which a block is full in any case, for the llada2 decoder
    #[arg(long, value_name = "N", default_value_t = Llada2::default().block_steps)]
    block_steps: usize,

    /// Tokens that the llada2 decoder commits at least in a step, on average
    #[arg(long, value_name = "N", default_value_t = Llada2::default().minimal_topk)]
    minimal_topk: usize,

    /// Diffusion time after the last step of the dream, smdm and origin decoders [default: 0.001, smdm 0.00001]
    #[arg(long, value_name = "F")]
    eps: Option<f32>,

    /// Noise schedule of the euler, tau_leaping and theta_trapezoidal decoders: linear, cosine or log_linear, which is like
    /// linear
    #[arg(long, value_name = "NAME", default_value_t = NoiseSchedule::Linear, value_parser = named::<NoiseSchedule>)]
    noise_schedule: NoiseSchedule,

    /// Exponent of the times of the euler, tau_leaping and theta_trapezoidal decoders: 1 spaces them evenly, a larger one
    /// more densely towards the end [default: 1, theta_trapezoidal 2]
    #[arg(long, value_name = "F")]
    rho: Option<f32>,

    /// Part of a step that the first of its two forwards takes, for the theta_trapezoidal decoder
    #[arg(long, value_name = "F", default_value_t = ThetaTrapezoidal::default().theta)]
    theta: f32,

    /// Temperature of the order in which the dream decoder commits; 0 takes the most confident
    #[arg(long, value_name = "F", default_value_t = Dream::default().alg_temp)]
    alg_temp: f32,

    /// Probability that remdm and remdm_loop mask a token again in a step, where that is possible; for remdm_rescale,
    /// the share of what is possible
    #[arg(long, value_name = "F", default_value_t = RemdmOptions::default().eta)]
    eta: f32,

    /// What a step recomputes: none (everything), block, prefix, dual, vicinity or dllm. The others are faster and, but for
    /// block with LLaDA2, approximate
    #[arg(long, value_name = "NAME", default_value_t = CacheKind::None, value_parser = named::<CacheKind>)]
    cache: CacheKind,

    /// Steps from one full forward of a block to the next, with a cache [default: one full forward a block; with
    /// --cache dllm: of the answer, 100]
    #[arg(long, value_name = "N")]
    refresh_interval: Option<usize>,

    /// How far the values of a block's masks may have moved, from 0 to 2, before everything is computed again, with
    /// --cache dual [default: every block starts with a full forward]
    #[arg(long, value_name = "F")]
    refresh_drift: Option<f32>,

    /// Steps from one forward over all of the answer to the next, with --cache dllm
    #[arg(long, value_name = "N", default_value_t = Dllm::default().gen_interval_steps)]
    gen_interval_steps: usize,

    /// The share of the answer's tokens that --cache dllm recomputes in between: those that have moved the most
    #[arg(long, value_name = "F", default_value_t = Dllm::default().transfer_ratio)]
    transfer_ratio: f32,

    /// Masks after the block that a forward sees and computes, besides the last ones; faster for long answers [default: all]
    #[arg(long, value_name = "N")]
    suffix_window: Option<usize>,

    /// Masks at the end of the answer that it sees too, with --suffix-window
    #[arg(long, value_name = "N", default_value_t = SamplerConfig::default().suffix_trailing)]
    suffix_trailing: usize,

    /// How fast the masks of --suffix-window thin out with their distance: the standard deviations of a Gaussian at its
    /// end, DPad's sigma; 0 keeps all
    #[arg(long, value_name = "F", default_value_t = 0.0)]
    suffix_dropout: f32,

    /// States that a forward computes beside the present one, at most: those that the next steps are likely to lead to.
    /// On a CPU the tokens are the same without, in more forwards; it helps at temperature 0 [default: none]
    #[arg(long, value_name = "N")]
    draft_length: Option<usize>,

    /// Forwards that the answer may take at most; with --draft-length, steps
    #[arg(long, value_name = "N")]
    max_nfe: Option<usize>,

    /// Denoising steps over the whole answer, one a block at least [default: one a token]
    #[arg(long, value_name = "N")]
    steps: Option<usize>,

    /// Tokens of the answer, with --length append and daedal at most; 0 fills only the masks of the prompt [default: 128]
    #[arg(long, value_name = "N", alias = "max-new-tokens")]
    gen_length: Option<usize>,

    /// How long the answer becomes: fixed (--gen-length), append (blocks until one has an end-of-text) or daedal (as
    /// many masks as the model asks for, before and while they are filled; needs a decoder that takes as many steps as it
    /// needs and takes nothing back, such as threshold)
    #[arg(long, value_name = "NAME", default_value_t = LengthKind::Fixed, value_parser = named::<LengthKind>)]
    length: LengthKind,

    /// Masks that --length daedal begins with
    #[arg(long, value_name = "N", default_value_t = Daedal::default().initial_gen_length)]
    initial_gen_length: usize,

    /// Tokens of a block: blocks are decoded from left to right, each by diffusion [default: the whole answer]
    #[arg(long, value_name = "N")]
    block_length: Option<usize>,

    /// Count blocks from the first token on, not from the answer's, as models with block-causal attention need it
    #[arg(long)]
    aligned_blocks: bool,

    /// With --length append, go on after an end-of-text
    #[arg(long)]
    ignore_eos: bool,

    /// Pick from the N most probable tokens
    #[arg(long, value_name = "N")]
    top_k: Option<usize>,

    /// Pick from the most probable tokens that have this probability together
    #[arg(long, value_name = "F")]
    top_p: Option<f32>,

    /// Token ids that end the model's reasoning, such as those of </think>: they become more probable towards the end
    #[arg(long, value_name = "IDS", value_delimiter = ',')]
    end_think_token_ids: Vec<u32>,

    /// How much is added to their logits at the end of the answer
    #[arg(long, value_name = "F", default_value_t = 0.0)]
    end_think_logit_boost: f32,

    /// Power of the place in the answer that this grows with
    #[arg(long, value_name = "F", default_value_t = 2.0)]
    end_think_boost_power: f32,

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

    /// Commit end-of-text and end-of-turn tokens last; end-of-text alone, with a warning, where no end-of-turn token is known
    #[arg(long)]
    confidence_eos_eot_inf: bool,

    /// Repeat the reference's deviations from its own intent: above temperature 0, --confidence-eos-eot-inf acts on
    /// end-of-turn alone; masks in the prompt are not counted, so some may remain; a cached block that its first
    /// forward fills takes a second; blocks that are not equally long are refused
    #[arg(long)]
    reference_compat: bool,

    /// Stop at the first end-of-text token that has no mask before it. Without, the whole answer is filled; the text
    /// shown ends there either way
    #[arg(long, alias = "eos-early-stop")]
    stop_at_eos: bool,

    /// Seed of the sampling noise
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
}
