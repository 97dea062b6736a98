//! The options of the sampler as a flat map, in which the options of a method lie beside its name.
//!
//! ```
//! use llada_infer::{DecoderConfig, SamplerConfig, decoder::Threshold};
//! # let options = |text: &str| serde_json::from_str(text).unwrap();
//! let config = SamplerConfig::from_options(options(r#"{"decoder": "threshold", "threshold": 0.8}"#))?;
//! assert_eq!(config.decoder, DecoderConfig::Threshold(Threshold { threshold: 0.8, ..Default::default() }));
//!
//! let error = SamplerConfig::from_options(options(r#"{"decoder": "threshold", "factor": 1}"#)).unwrap_err();
//! assert_eq!(error.to_string(), "decoder threshold has no option factor");
//! assert_eq!(error.hint().unwrap().to_string(), "decoder factor");
//! # Ok::<(), llada_infer::InferError>(())
//! ```

use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::{Map, Value};

use crate::{
    Algorithm, InferError, Preset, SamplerConfig,
    method::{read, take_method},
    option_map::Options,
};

impl SamplerConfig {
    /// Reads a config from a map of options. Absent options have their defaults.
    ///
    /// # Errors
    /// If there is no such option, if the chosen decoder, cache or length policy does not have it, or if its value is
    /// invalid.
    pub fn from_options(mut options: Map<String, Value>) -> Result<Self, InferError> {
        let mut config = Self {
            decoder: take_method(&mut options)?,
            cache: take_method(&mut options)?,
            length: take_method(&mut options)?,
            ..Self::default()
        };
        for (option, value) in options {
            config.set(&option, value)?;
        }
        Ok(config)
    }

    /// Reads a config from the options of a request, which may name a published sampler (`algorithm`) or a [`Preset`]
    /// (`preset`) to start from. One that names neither, and no decoder, cache or policy of the length, is for the sampler
    /// `default`, that of the model's family.
    ///
    /// # Errors
    /// As of [`from_options`](Self::from_options); if both are named, or one that does not exist.
    pub fn from_request(options: Map<String, Value>, default: Algorithm) -> Result<Self, InferError> {
        let mut options = Options(options);
        let preset: Option<Preset> = options.take_named("preset")?;
        let algorithm: Option<Algorithm> = options.take_named("algorithm")?;
        if let Some(preset) = preset {
            if let Some(algorithm) = algorithm {
                let (preset, algorithm) = (preset.to_string(), algorithm.to_string());
                return Err(InferError::PresetOfAlgorithm { preset, algorithm });
            }
            options = Options(preset.options(options.0));
        }
        let default = if Self::names_a_sampler(&options.0) { Algorithm::Vanilla } else { default };
        Self::from_options(algorithm.unwrap_or(default).options(options.0)?)
    }

    /// Whether the options of a request choose a sampler other than the family's: by its name, by a preset, or by a decoder,
    /// a cache or a policy of the length.
    pub fn names_a_sampler(options: &Map<String, Value>) -> bool {
        let names = ["algorithm", "preset", "decoder", "cache", "length"];
        names.iter().any(|option| options.get(*option).is_some_and(|name| !name.is_null()))
    }

    /// Sets an option that all methods share.
    fn set(&mut self, option: &str, value: Value) -> Result<(), InferError> {
        match option {
            "steps" => self.steps = read(option, value)?,
            "gen_length" => self.gen_length = read(option, value)?,
            "block_length" => self.block_length = read(option, value)?,
            "aligned_blocks" => self.aligned_blocks = read(option, value)?,
            "top_k" => self.top_k = read(option, value)?,
            "top_p" => self.top_p = read(option, value)?,
            "end_think_token_ids" => self.end_think_token_ids = read(option, value)?,
            "end_think_logit_boost" => self.end_think_logit_boost = read(option, value)?,
            "end_think_boost_power" => self.end_think_boost_power = read(option, value)?,
            "temperature" => self.temperature = read(option, value)?,
            "cfg_scale" => self.cfg_scale = read(option, value)?,
            "remasking" => self.remasking = read(option, value)?,
            "suffix_window" => self.suffix_window = read(option, value)?,
            "suffix_trailing" => self.suffix_trailing = read(option, value)?,
            "suffix_dropout" => self.suffix_dropout = read(option, value)?,
            "draft_length" => self.draft_length = read(option, value)?,
            "max_nfe" => self.max_nfe = read(option, value)?,
            "logits_eos_inf" => self.logits_eos_inf = read(option, value)?,
            "confidence_eos_eot_inf" => self.confidence_eos_eot_inf = read(option, value)?,
            "reference_compat" => self.reference_compat = read(option, value)?,
            "stop_at_eos" => self.stop_at_eos = read(option, value)?,
            "seed" => self.seed = read(option, value)?,
            _ => return Err(InferError::UnknownOption { option: option.to_owned() }),
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for SamplerConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let options = Map::deserialize(deserializer)?;
        Self::from_options(options).map_err(|error| match error.hint() {
            Some(hint) => D::Error::custom(format_args!("{error}; hint: {hint}")),
            None => D::Error::custom(error),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        CacheConfig, DecoderConfig, LengthConfig,
        method::{Method, options_of},
    };

    fn read(options: Value) -> Result<SamplerConfig, InferError> {
        let Value::Object(options) = options else { panic!("options are an object") };
        SamplerConfig::from_options(options)
    }

    /// A value of the option other than its default.
    fn another<M: Method>(method: &M, option: &str) -> Value {
        let default = serde_json::to_value(method).unwrap()[option].clone();
        match default {
            Value::Bool(_) => true.into(),
            Value::String(_) => "cosine".into(),
            _ => 3.into(),
        }
    }

    /// Every method survives a round trip, with each of its options at another value than the default.
    #[test]
    fn options_lie_flat_beside_their_method() {
        fn check<M: Method>(of: fn(&SamplerConfig) -> String) {
            for method in M::iter() {
                let mut options = Map::from_iter([(M::KEY.to_owned(), Value::from(method.to_string()))]);
                for option in options_of(&method).unwrap() {
                    let value = another(&method, &option);
                    options.insert(option, value);
                }
                let config = SamplerConfig::from_options(options.clone()).unwrap();
                assert_eq!(of(&config), method.to_string());
                let written = serde_json::to_value(&config).unwrap();
                for (option, value) in &options {
                    // 3 may be written as 3.0.
                    assert!(&written[option] == value || written[option].as_f64() == value.as_f64(), "{option}");
                }
                assert_eq!(serde_json::from_value::<SamplerConfig>(written).unwrap(), config);
            }
        }
        check::<DecoderConfig>(|config| config.decoder.to_string());
        check::<CacheConfig>(|config| config.cache.to_string());
        check::<LengthConfig>(|config| config.length.to_string());
    }

    /// An option is refused by every method of its kind that does not have it, and the hint names the methods that do.
    #[test]
    fn options_of_other_methods_are_refused() {
        fn check<M: Method>() {
            for owner in M::iter() {
                for option in &options_of(&owner).unwrap() {
                    for other in M::iter() {
                        let name = other.to_string();
                        let has = options_of(&other).unwrap().contains(option);
                        let found = read(json!({M::KEY: name, option.as_str(): another(&owner, option)}));
                        assert_eq!(found.is_ok(), has, "{name} {option}");
                        if let Err(error) = found {
                            assert_eq!(error.to_string(), format!("{} {name} has no option {option}", M::KEY));
                            let hint = error.hint().unwrap().to_string();
                            assert!(hint.contains(&format!("{} {owner}", M::KEY)), "{hint}");
                        }
                        // An option that is null counts as absent.
                        assert!(read(json!({M::KEY: name, option.as_str(): null})).is_ok());
                    }
                }
            }
        }
        check::<DecoderConfig>();
        check::<CacheConfig>();
        check::<LengthConfig>();
    }

    #[test]
    fn options_without_effect_are_no_fault() {
        let written = json!({"steps": 4, "temperature": 0.0, "remasking": "random", "cfg_scale": 0.0,
                             "decoder": "threshold", "cache": "none", "length": "append"});
        assert!(read(written).is_ok());
        assert_eq!(read(json!({})).unwrap(), SamplerConfig::default());
    }

    #[test]
    fn faults_are_named() {
        for (options, message) in [
            (json!({"decoder": "luck"}), "unknown decoder \"luck\""),
            (json!({"cache": 3}), "unknown cache \"3\""),
            (json!({"stepps": 3}), "unknown field `stepps`"),
            (json!({"steps": "many"}), "steps: invalid type"),
            (json!({"decoder": "factor", "factor": "many"}), "factor: invalid type"),
            (json!({"threshold": 0.5}), "decoder schedule has no option threshold"),
        ] {
            let error = read(options).unwrap_err().to_string();
            assert!(error.contains(message), "{error:?} lacks {message:?}");
        }
        let error = serde_json::from_str::<SamplerConfig>(r#"{"transfer_ratio": 0.5}"#).unwrap_err().to_string();
        assert_eq!(error, "cache none has no option transfer_ratio; hint: cache dllm");
    }
}
