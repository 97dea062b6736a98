//! Options as they are written: one flat map, in which a method's options stand beside its name.
//!
//! ```
//! use llada_infer::{DecoderConfig, SamplerConfig, decoder::Threshold};
//! # let options = |text: &str| serde_json::from_str(text).unwrap();
//! let config = SamplerConfig::from_options(options(r#"{"decoder": "threshold", "threshold": 0.8}"#))?;
//! assert_eq!(config.decoder, DecoderConfig::Threshold(Threshold { threshold: 0.8 }));
//!
//! let error = SamplerConfig::from_options(options(r#"{"decoder": "threshold", "factor": 1}"#)).unwrap_err();
//! assert_eq!(error.to_string(), "decoder threshold has no option factor");
//! assert_eq!(error.hint().unwrap().to_string(), "decoder factor");
//! # Ok::<(), llada_infer::InferError>(())
//! ```

use std::fmt::Display;

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{DeserializeOwned, Error as _},
};
use serde_json::{Map, Value};
use strum::IntoEnumIterator;

use crate::{InferError, SamplerConfig};

/// A choice among methods, each of which has options of its own.
pub(crate) trait Method: Default + Display + IntoEnumIterator + Serialize + DeserializeOwned {
    /// The option that names the method.
    const KEY: &'static str;

    /// The method of this name with the defaults of its options.
    fn from_name(name: &str) -> Result<Self, InferError>;
}

/// The names of a method's options.
fn options_of<M: Method>(method: &M) -> Result<Vec<String>, InferError> {
    let written = serde_json::to_value(method);
    match written.map_err(|source| InferError::Option { option: M::KEY.to_owned(), source })? {
        Value::Object(options) => {
            Ok(options.into_iter().map(|(option, _)| option).filter(|option| option != M::KEY).collect())
        }
        _ => Ok(Vec::new()),
    }
}

/// Takes a method and its options out of `options`, and refuses those of its kind's other methods.
fn take_method<M: Method>(options: &mut Map<String, Value>) -> Result<M, InferError> {
    let method = match options.remove(M::KEY) {
        None | Some(Value::Null) => M::default(),
        Some(Value::String(name)) => M::from_name(&name)?,
        Some(other) => M::from_name(&other.to_string())?,
    };
    let name = method.to_string();
    let mut own = Map::from_iter([(M::KEY.to_owned(), Value::from(name.as_str()))]);
    for option in options_of(&method)? {
        // What is null is not given.
        if let Some(value) = options.remove(&option).filter(|value| !value.is_null()) {
            own.insert(option.clone(), value);
            // One after the other, so that a fault has a name.
            read::<M>(&option, Value::Object(own.clone()))?;
        }
    }
    for other in M::iter() {
        for option in options_of(&other)? {
            if options.remove(&option).is_some_and(|value| !value.is_null()) {
                let methods = having::<M>(&option)?;
                return Err(InferError::NotAnOption { kind: M::KEY, method: name, option, methods });
            }
        }
    }
    read(M::KEY, Value::Object(own))
}

/// The value of an option.
fn read<T: DeserializeOwned>(option: &str, value: Value) -> Result<T, InferError> {
    serde_json::from_value(value).map_err(|source| InferError::Option { option: option.to_owned(), source })
}

/// The names of the methods that have `option`.
fn having<M: Method>(option: &str) -> Result<Vec<String>, InferError> {
    let mut names = Vec::new();
    for method in M::iter() {
        if options_of(&method)?.iter().any(|other| other == option) {
            names.push(method.to_string());
        }
    }
    Ok(names)
}

impl SamplerConfig {
    /// The config of options that were written down; what is not there has its default.
    ///
    /// # Errors
    /// An option has no such value, there is no such option, or the chosen decoder, cache or length does not have it.
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

    /// Sets an option that belongs to no method.
    fn set(&mut self, option: &str, value: Value) -> Result<(), InferError> {
        match option {
            "steps" => self.steps = read(option, value)?,
            "gen_length" => self.gen_length = read(option, value)?,
            "block_length" => self.block_length = read(option, value)?,
            "temperature" => self.temperature = read(option, value)?,
            "cfg_scale" => self.cfg_scale = read(option, value)?,
            "remasking" => self.remasking = read(option, value)?,
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
    use crate::{CacheConfig, DecoderConfig, LengthConfig};

    fn read(options: Value) -> Result<SamplerConfig, InferError> {
        let Value::Object(options) = options else { panic!("options are an object") };
        SamplerConfig::from_options(options)
    }

    /// Every method with its defaults, and each of its options at another value, there and back.
    #[test]
    fn options_lie_flat_beside_their_method() {
        fn check<M: Method>(of: fn(&SamplerConfig) -> String) {
            for method in M::iter() {
                let mut options = Map::from_iter([(M::KEY.to_owned(), Value::from(method.to_string()))]);
                for option in options_of(&method).unwrap() {
                    options.insert(option, 3.into());
                }
                let config = SamplerConfig::from_options(options.clone()).unwrap();
                assert_eq!(of(&config), method.to_string());
                let written = serde_json::to_value(&config).unwrap();
                for (option, value) in &options {
                    let number = |value: &Value| value.as_f64();
                    assert!(&written[option] == value || number(&written[option]) == number(value), "{option}");
                }
                assert_eq!(serde_json::from_value::<SamplerConfig>(written).unwrap(), config);
            }
        }
        check::<DecoderConfig>(|config| config.decoder.to_string());
        check::<CacheConfig>(|config| config.cache.to_string());
        check::<LengthConfig>(|config| config.length.to_string());
    }

    /// An option of one method is refused by every other of its kind that does not have it, and the hint leads to it.
    #[test]
    fn options_of_other_methods_are_refused() {
        fn check<M: Method>() {
            for owner in M::iter() {
                for option in &options_of(&owner).unwrap() {
                    for other in M::iter() {
                        let name = other.to_string();
                        let has = options_of(&other).unwrap().contains(option);
                        let found = read(json!({M::KEY: name, option.as_str(): 3}));
                        assert_eq!(found.is_ok(), has, "{name} {option}");
                        if let Err(error) = found {
                            assert_eq!(error.to_string(), format!("{} {name} has no option {option}", M::KEY));
                            let hint = error.hint().unwrap().to_string();
                            assert!(hint.contains(&format!("{} {owner}", M::KEY)), "{hint}");
                        }
                        // What is null is not given.
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
