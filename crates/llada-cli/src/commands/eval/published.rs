//! Published settings as options of the sampler, under the names that the flags have too.

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use llada_eval::{PublishedModel, Sampling};
use llada_infer::{Algorithm, SamplerConfig};
use serde_json::{Map, Value, json};

use crate::args::read_options;

/// Parses the name of a model. The help has the full names.
pub(super) fn named() -> impl TypedValueParser<Value = PublishedModel> {
    let names = PublishedModel::ALL.map(|model| PossibleValue::new(model.name()).help(model.full_name()));
    PossibleValuesParser::new(names)
        .try_map(|name| PublishedModel::by_name(&name).ok_or_else(|| format!("no model has the name {name}")))
}

/// Returns the options of a sampler, or `None` for settings of a scorer.
pub(super) fn options(sampling: Sampling) -> Option<Map<String, Value>> {
    let options = match sampling {
        Sampling::Llada { gen_length, block_length, logits_eos_inf, confidence_eos_eot_inf } => json!({
            "gen_length": gen_length,
            // A block that is the whole answer stays so if another length is typed.
            "block_length": (block_length < gen_length).then_some(block_length),
            "logits_eos_inf": logits_eos_inf,
            "confidence_eos_eot_inf": confidence_eos_eot_inf,
        }),
        Sampling::Illada { gen_length, block_length } => json!({
            "algorithm": Algorithm::IlladaVar,
            "gen_length": gen_length,
            "block_length": block_length,
            // One step per token: these are the steps of a block.
            "steps": block_length,
        }),
        Sampling::Llada2 { gen_length, threshold } => json!({
            "algorithm": Algorithm::Llada2,
            "gen_length": gen_length,
            "threshold": threshold,
            "stop_at_eos": true,
        }),
        Sampling::Llada2Edit { gen_length, threshold, editing_threshold } => json!({
            "algorithm": Algorithm::Llada2Edit,
            "gen_length": gen_length,
            "threshold": threshold,
            "editing_threshold": editing_threshold,
            "stop_at_eos": true,
        }),
        Sampling::Dream { gen_length, temperature, top_p } => json!({
            "algorithm": Algorithm::Dream,
            "alg": "entropy",
            "gen_length": gen_length,
            "steps": gen_length,
            "temperature": temperature,
            "top_p": top_p,
        }),
        Sampling::Smdm { gen_length, temperature, cfg_scale } => json!({
            "algorithm": Algorithm::Smdm,
            "alg": "greddy",
            "gen_length": gen_length,
            "steps": gen_length,
            "temperature": temperature,
            "cfg_scale": cfg_scale,
        }),
        _ => return None,
    };
    options.as_object().cloned()
}

/// Returns true if `config` is what the published settings alone give, whatever its seed.
pub(super) fn is_of(sampling: Sampling, config: &SamplerConfig) -> bool {
    let published = options(sampling).and_then(|options| read_options(options, Algorithm::Vanilla).ok());
    published.is_some_and(|published| spelled_out(published) == spelled_out(config.clone()))
}

/// The config with the defaults of its steps and blocks in words, and without its seed.
fn spelled_out(config: SamplerConfig) -> SamplerConfig {
    let steps = config.steps.or(Some(config.gen_length));
    let block_length = config.block_length.or(Some(config.gen_length));
    SamplerConfig { steps, block_length, seed: 0, ..config }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sampler of its family takes the settings of every model, and knows them again.
    #[test]
    fn samplers_take_the_settings_of_their_family() {
        for model in PublishedModel::ALL {
            for published in model.published() {
                let Some(options) = options(published.sampling) else { continue };
                let config = read_options(options.clone(), Algorithm::Vanilla).unwrap();
                config.validate(0).unwrap_or_else(|error| panic!("{model:?} {published:?}: {error}"));
                assert!(is_of(published.sampling, &config), "{model:?} {published:?}");
                let other = SamplerConfig { temperature: config.temperature + 0.5, ..config.clone() };
                assert!(!is_of(published.sampling, &other), "{model:?} {published:?}");
                assert!(is_of(published.sampling, &SamplerConfig { seed: 1, ..config }), "{model:?} {published:?}");
            }
        }
    }
}
