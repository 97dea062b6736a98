//! Published samplers by name: each stands for options of this crate, and takes the arguments of the sampler it names.
//!
//! ```
//! use llada_infer::{Algorithm, CacheConfig, SamplerConfig};
//! # let map = |text: &str| serde_json::from_str(text).unwrap();
//! let options = Algorithm::Llada2.options(map(r#"{"gen_length": 64, "steps": 16, "eos_early_stop": true}"#))?;
//! let config = SamplerConfig::from_options(options)?;
//! assert!(config.aligned_blocks && config.stop_at_eos && config.block_length == Some(32));
//! assert_eq!(config.cache, CacheConfig::Block);
//! # Ok::<(), llada_infer::InferError>(())
//! ```

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use strum::VariantArray;

use crate::{InferError, option_map::Options};

/// A published sampler.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    strum::Display,
    strum::EnumString,
    strum::VariantNames,
    strum::VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case", parse_err_ty = InferError, parse_err_fn = unknown)]
#[non_exhaustive]
pub enum Algorithm {
    /// LLaDA's official sampler, or any decoder, cache and length that the options name.
    #[default]
    #[serde(alias = "llada")]
    #[strum(to_string = "vanilla", serialize = "llada")]
    Vanilla,
    /// Fast-dLLM without a cache: the threshold decoder if there is a threshold.
    Fast,
    /// Fast-dLLM with the prefix cache.
    FastPrefixCache,
    /// Fast-dLLM with the dual cache.
    FastDualCache,
    /// iLLaDA's `var_generate`: blocks are appended, each in as many steps as `steps` says.
    IlladaVar,
    /// LLaDA2.0's `generate`.
    Llada2,
    /// LLaDA2.1's `generate`, with token editing.
    Llada2Edit,
    /// Dream's `diffusion_generate`.
    Dream,
    /// SMDM's `diff_sample`.
    Smdm,
}

impl Algorithm {
    /// All samplers.
    pub const ALL: &'static [Self] = <Self as VariantArray>::VARIANTS;

    /// Returns the options that the sampler stands for, with the arguments in `options`. Defaults are the published ones.
    ///
    /// # Errors
    /// If an argument has a value that the published sampler does not know.
    pub fn options(self, options: Map<String, Value>) -> Result<Map<String, Value>, InferError> {
        let mut options = Options(options);
        match self {
            Self::Vanilla => {}
            Self::Fast => fast_dllm(&mut options, "none"),
            Self::FastPrefixCache => fast_dllm(&mut options, "prefix"),
            Self::FastDualCache => fast_dllm(&mut options, "dual"),
            Self::IlladaVar => illada(&mut options),
            Self::Llada2 => llada2(&mut options),
            Self::Llada2Edit => llada2_edit(&mut options),
            Self::Dream => dream(&mut options)?,
            Self::Smdm => smdm(&mut options)?,
        }
        Ok(options.0)
    }
}

fn fast_dllm(options: &mut Options, cache: &str) {
    let has_threshold = options.0.get("threshold").is_some_and(|threshold| !threshold.is_null());
    options.set("decoder", if has_threshold { "threshold" } else { "schedule" });
    options.set("cache", cache);
    options.set("reference_compat", true);
    // An argument that the published sampler does not use without its factor decoder.
    options.take("factor");
}

/// `steps` counts those of a block, and whole blocks alone are appended.
fn illada(options: &mut Options) {
    options.default_to("block_length", 32);
    options.default_to("gen_length", 512);
    options.default_to("steps", 32);
    options.set("length", "append");
    if let (Some(gen_length), Some(block_length @ 1..), Some(steps)) =
        (options.number("gen_length"), options.number("block_length"), options.number("steps"))
    {
        let blocks = (gen_length / block_length).max(1);
        options.set("gen_length", blocks.saturating_mul(block_length));
        options.set("steps", blocks.saturating_mul(steps));
    }
}

fn llada2(options: &mut Options) {
    options.rename("steps", "block_steps");
    options.set("decoder", "llada2");
    options.set("length", "append");
    blocks_of_llada2(options);
}

fn llada2_edit(options: &mut Options) {
    // The published sampler accepts these and does not use them.
    options.take("steps");
    options.take("minimal_topk");
    options.set("decoder", "llada2_edit");
    options.set("length", "append");
    options.set("ignore_eos", true);
    blocks_of_llada2(options);
}

fn blocks_of_llada2(options: &mut Options) {
    options.rename("eos_early_stop", "stop_at_eos");
    options.default_to("block_length", 32);
    options.default_to("gen_length", 2048);
    options.default_to("cache", "block");
    options.set("aligned_blocks", true);
}

fn dream(options: &mut Options) -> Result<(), InferError> {
    options.rename("max_new_tokens", "gen_length");
    options.default_to("steps", 512);
    let remasking = match options.take("alg").as_ref().map(|alg| alg.as_str().unwrap_or_default()) {
        None | Some("origin") => None,
        Some("maskgit_plus") => Some("low_confidence"),
        Some("topk_margin") => Some("margin"),
        Some("entropy") => Some("entropy"),
        Some(other) => return Err(unknown_alg(other, &["origin", "maskgit_plus", "topk_margin", "entropy"])),
    };
    match remasking {
        None => {
            // The order is left to chance in any case.
            options.take("alg_temp");
            options.set("decoder", "origin");
        }
        Some(remasking) => {
            options.set("decoder", "dream");
            options.set("remasking", remasking);
        }
    }
    options.default_to("eps", 1e-3);
    Ok(())
}

fn smdm(options: &mut Options) -> Result<(), InferError> {
    options.default_to("steps", 512);
    options.default_to("cfg_scale", 2.0);
    let decoder = match options.take("alg").as_ref().map(|alg| alg.as_str().unwrap_or_default()) {
        None | Some("origin") => "origin",
        // The published spelling, and the correct one.
        Some("greddy" | "greedy") => "smdm",
        Some(other) => return Err(unknown_alg(other, &["origin", "greddy"])),
    };
    options.set("decoder", decoder);
    options.default_to("eps", 1e-5);
    Ok(())
}

fn unknown_alg(name: &str, known: &'static [&'static str]) -> InferError {
    InferError::Unknown { what: "alg", name: name.to_owned(), known }
}

fn unknown(name: &str) -> InferError {
    InferError::unknown::<Algorithm>("algorithm", name)
}
