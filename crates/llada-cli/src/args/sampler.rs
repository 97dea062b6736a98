//! The sampler's options as flags. `llada batch` reads the same names, with underscores, from each request.

use clap::{ArgMatches, Command, FromArgMatches, error::ErrorKind, parser::ValueSource};
use llada_infer::{Algorithm, InferError, SamplerConfig};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::flags::{Eos, Flags};

/// The config of options under their names, `eos` among them, which stands for others.
///
/// # Errors
/// As of [`SamplerConfig::from_request`].
pub(crate) fn read_options(mut options: Map<String, Value>, default: Algorithm) -> Result<SamplerConfig, InferError> {
    let eos: Eos = take(&mut options, "eos")?;
    eos.apply(&mut options);
    SamplerConfig::from_request(options, default)
}

fn take<T: Default + DeserializeOwned>(options: &mut Map<String, Value>, option: &str) -> Result<T, InferError> {
    match options.remove(option).filter(|value| !value.is_null()) {
        Some(value) => {
            serde_json::from_value(value).map_err(|source| InferError::Option { option: option.to_owned(), source })
        }
        None => Ok(T::default()),
    }
}

/// The options that were typed, under their names, as a line of `llada batch` has them.
pub(crate) struct SamplerArgs {
    typed: Map<String, Value>,
}

impl clap::Args for SamplerArgs {
    fn augment_args(command: Command) -> Command {
        <Flags as clap::Args>::augment_args(command)
    }

    fn augment_args_for_update(command: Command) -> Command {
        <Flags as clap::Args>::augment_args_for_update(command)
    }
}

impl FromArgMatches for SamplerArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let refuse = |message: String| clap::Error::raw(ErrorKind::InvalidValue, message);
        // Through text, so that 0.9 stays 0.9 where single precision becomes double.
        let flags = serde_json::to_string(&Flags::from_arg_matches(matches)?);
        let typed = flags.and_then(|flags| serde_json::from_str(&flags));
        let mut typed: Map<String, Value> = typed.map_err(|error| refuse(error.to_string()))?;
        // Defaults are shown in the help, and are the library's: a method is not asked for options that nobody typed.
        typed.retain(|option, _| matches.value_source(option) == Some(ValueSource::CommandLine));
        if let Some((option, _)) = typed.iter().find(|(_, value)| value.is_null()) {
            return Err(refuse(format!("--{} is not a finite number\n", option.replace('_', "-"))));
        }
        Ok(Self { typed })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.typed.extend(Self::from_arg_matches(matches)?.typed);
        Ok(())
    }
}

impl SamplerArgs {
    /// The options that were typed, under their names.
    pub(crate) fn into_typed(self) -> Map<String, Value> {
        self.typed
    }

    /// The config of the options that were typed, for the sampler that was typed too, or else for the `default` one.
    pub(crate) fn config(&self, default: Algorithm) -> Result<SamplerConfig, InferError> {
        self.config_over(Map::new(), default)
    }

    /// The same, with options of `preset` where they were not typed. Of a published sampler that another one, or a method
    /// of one's own, replaces, the length of the answer remains.
    pub(crate) fn config_over(
        &self,
        preset: Map<String, Value>,
        default: Algorithm,
    ) -> Result<SamplerConfig, InferError> {
        let mut options = preset;
        if SamplerConfig::names_a_sampler(&self.typed) && options.contains_key("algorithm") {
            options.retain(|option, _| option == "gen_length");
        }
        if self.typed.contains_key("eos") {
            options.retain(|option, _| option != "logits_eos_inf" && option != "confidence_eos_eot_inf");
        }
        options.extend(self.typed.clone());
        read_options(options, default)
    }
}
