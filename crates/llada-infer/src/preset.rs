//! Recommended options by what matters most: the tokens of the plain sampler, or speed.
//!
//! They come out of the measurement that `cargo bench --bench tradeoff -- --presets` repeats.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{InferError, option_map::Options};

/// Options that go well together. A request may set any of them otherwise.
#[derive(
    Debug,
    Clone,
    Copy,
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
pub enum Preset {
    /// The plain sampler: a token a step, everything computed in every step.
    Exact,
    /// Blocks, in which a step commits what the model is confident of, and recomputes the block alone.
    Balanced,
    /// The same with less confidence, until the text ends.
    Fast,
}

/// That of Fast-dLLM.
const BLOCK_LENGTH: u64 = 32;

impl Preset {
    /// All presets, the slowest first.
    pub const ALL: &'static [Self] = <Self as strum::VariantArray>::VARIANTS;

    /// Returns `options` with those that the preset stands for beside them.
    pub fn options(self, options: Map<String, Value>) -> Map<String, Value> {
        let mut options = Options(options);
        match self {
            Self::Exact => {
                options.default_to("decoder", "schedule");
                options.default_to("cache", "none");
            }
            Self::Balanced => in_parallel(&mut options, 0.95),
            Self::Fast => {
                in_parallel(&mut options, 0.9);
                options.default_to("stop_at_eos", true);
            }
        }
        options.0
    }
}

fn in_parallel(options: &mut Options, threshold: f64) {
    options.default_to("decoder", "threshold");
    if options.is("decoder", "threshold") {
        options.default_to("threshold", threshold);
    }
    options.default_to("cache", "dual");
    let gen_length = options.number("gen_length").unwrap_or(u64::MAX).max(1);
    options.default_to("block_length", BLOCK_LENGTH.min(gen_length));
}

fn unknown(name: &str) -> InferError {
    InferError::unknown::<Preset>("preset", name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{Algorithm, CacheConfig, DecoderConfig, SamplerConfig};

    fn read(options: Value) -> Result<SamplerConfig, InferError> {
        let Value::Object(options) = options else { panic!("options are an object") };
        SamplerConfig::from_request(options, Algorithm::Llada2)
    }

    #[test]
    fn presets_are_valid_for_every_length() {
        for preset in Preset::ALL {
            for gen_length in [1, 31, 32, 33, 128, 1000] {
                let config = read(json!({"preset": preset, "gen_length": gen_length})).unwrap();
                config.validate(0).unwrap_or_else(|error| panic!("{preset}, {gen_length}: {error}"));
            }
        }
        assert_eq!(read(json!({"preset": "exact"})).unwrap(), SamplerConfig::default());
    }

    #[test]
    fn what_is_asked_for_goes_before_the_preset() {
        let options = json!({"preset": "fast", "decoder": "factor", "cache": "none", "block_length": 8});
        let config = read(options).unwrap();
        assert!(matches!(config.decoder, DecoderConfig::Factor(_)));
        assert_eq!((config.cache, config.block_length), (CacheConfig::None, Some(8)));
        assert!(config.stop_at_eos);
    }

    /// A published sampler has settings of its own; no preset leaves the family's sampler as it is.
    #[test]
    fn a_preset_is_for_the_plain_sampler() {
        let error = read(json!({"preset": "fast", "algorithm": "dream"})).unwrap_err();
        assert_eq!(error.to_string(), "preset fast does not go with algorithm dream");
        let error = read(json!({"preset": "slow"})).unwrap_err();
        assert_eq!(error.hint().unwrap().to_string(), "exact, balanced or fast");
        assert!(read(json!({"preset": null})).unwrap().aligned_blocks);
        assert!(!read(json!({"preset": "balanced"})).unwrap().aligned_blocks);
    }
}
