//! Published settings of models, and the results that they had, a file for each family. The heads of the files name the
//! sources.
//!
//! Base models were measured with lm-evaluation-harness, whose prompts and rules the benchmarks follow, unless the head of
//! their file says otherwise. The figures of chat models come from OpenCompass and from the authors' own harnesses, whose
//! prompts differ from those here, so they indicate what to expect but cannot be reproduced exactly. A figure that was
//! measured by having the answer written is not in a task that compares likelihoods.
//!
//! Papers rarely name their metric of multiple choice. It is assumed to be the one that yields the figures of LLaDA's table
//! for LLaMA 3. Of the two rules for extracting numbers, the lenient one is compared unless the source has its own.

mod dream;
mod illada;
mod llada;
mod llada2;
mod llada_moe;
mod smdm;

use serde::{Serialize, Serializer};

use crate::Style;

/// A model whose published settings can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PublishedModel {
    /// LLaDA-8B-Base.
    Base,
    /// LLaDA-8B-Instruct.
    Instruct,
    /// LLaDA 1.5.
    Llada15,
    /// iLLaDA-8B-Base.
    IlladaBase,
    /// iLLaDA-8B-Instruct.
    IlladaInstruct,
    /// LLaDA-MoE-7B-A1B-Base.
    LladaMoeBase,
    /// LLaDA-MoE-7B-A1B-Instruct.
    LladaMoe,
    /// LLaDA2.0-mini.
    Llada2Mini,
    /// LLaDA2.1-mini in its quality mode.
    Llada21MiniQuality,
    /// LLaDA2.1-mini in its speed mode.
    Llada21MiniSpeed,
    /// Dream-v0-Base-7B.
    Dream7bBase,
    /// Dream-v0-Instruct-7B.
    Dream7b,
    /// SMDM of 1.1 billion parameters, fine-tuned on GSM8K.
    Smdm,
}

impl PublishedModel {
    /// All of them, family by family.
    pub const ALL: [Self; 13] = [
        Self::Base,
        Self::Instruct,
        Self::Llada15,
        Self::IlladaBase,
        Self::IlladaInstruct,
        Self::LladaMoeBase,
        Self::LladaMoe,
        Self::Llada2Mini,
        Self::Llada21MiniQuality,
        Self::Llada21MiniSpeed,
        Self::Dream7bBase,
        Self::Dream7b,
        Self::Smdm,
    ];

    /// Returns the model with this name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|model| model.name() == name)
    }

    /// Returns the name, under which reports have its settings.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::Instruct => "instruct",
            Self::Llada15 => "1.5",
            Self::IlladaBase => "illada-base",
            Self::IlladaInstruct => "illada-instruct",
            Self::LladaMoeBase => "llada-moe-base",
            Self::LladaMoe => "llada-moe",
            Self::Llada2Mini => "llada2-mini",
            Self::Llada21MiniQuality => "llada2.1-mini-q",
            Self::Llada21MiniSpeed => "llada2.1-mini-s",
            Self::Dream7bBase => "dream-7b-base",
            Self::Dream7b => "dream-7b",
            Self::Smdm => "smdm",
        }
    }

    /// Returns the full name, as its authors write it, with its mode if it has several.
    pub const fn full_name(self) -> &'static str {
        match self {
            Self::Base => "LLaDA-8B-Base",
            Self::Instruct => "LLaDA-8B-Instruct",
            Self::Llada15 => "LLaDA 1.5",
            Self::IlladaBase => "iLLaDA-8B-Base",
            Self::IlladaInstruct => "iLLaDA-8B-Instruct",
            Self::LladaMoeBase => "LLaDA-MoE-7B-A1B-Base",
            Self::LladaMoe => "LLaDA-MoE-7B-A1B-Instruct",
            Self::Llada2Mini => "LLaDA2.0-mini",
            Self::Llada21MiniQuality => "LLaDA2.1-mini, quality mode",
            Self::Llada21MiniSpeed => "LLaDA2.1-mini, speed mode",
            Self::Dream7bBase => "Dream-v0-Base-7B",
            Self::Dream7b => "Dream-v0-Instruct-7B",
            Self::Smdm => "SMDM-1.1B, fine-tuned on GSM8K",
        }
    }

    /// Returns the style of the prompts: plain text for models that continue it, and messages for chat models.
    pub const fn style(self) -> Style {
        match self {
            Self::Base | Self::IlladaBase | Self::LladaMoeBase | Self::Dream7bBase | Self::Smdm => Style::Plain,
            Self::Instruct
            | Self::Llada15
            | Self::IlladaInstruct
            | Self::LladaMoe
            | Self::Llada2Mini
            | Self::Llada21MiniQuality
            | Self::Llada21MiniSpeed
            | Self::Dream7b => Style::Chat,
        }
    }

    /// Returns the published settings, each with its task. The first entry of a task has the defaults.
    pub const fn published(self) -> &'static [Published] {
        match self {
            Self::Base => &llada::BASE,
            Self::Instruct => &llada::INSTRUCT,
            Self::Llada15 => &llada::LLADA_15,
            Self::IlladaBase => &illada::BASE,
            Self::IlladaInstruct => &illada::INSTRUCT,
            Self::LladaMoeBase => &llada_moe::BASE,
            Self::LladaMoe => &llada_moe::INSTRUCT,
            Self::Llada2Mini => &llada2::MINI,
            Self::Llada21MiniQuality => &llada2::MINI_21_QUALITY,
            Self::Llada21MiniSpeed => &llada2::MINI_21_SPEED,
            Self::Dream7bBase => &dream::BASE,
            Self::Dream7b => &dream::INSTRUCT,
            Self::Smdm => &smdm::GSM8K,
        }
    }

    /// Returns the published settings of `task`.
    pub fn published_of(self, task: &str) -> impl Iterator<Item = &'static Published> {
        self.published().iter().filter(move |published| published.task == task)
    }
}

impl Serialize for PublishedModel {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// Published settings of one task, and the result that they had.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Published {
    /// The name of the task.
    pub task: &'static str,
    /// The number of few-shot examples.
    pub num_fewshot: usize,
    /// The settings of the sampler or of the scorer.
    pub sampling: Sampling,
    /// The result, or `None` if the authors published none for this task.
    pub result: Option<PublishedResult>,
}

/// A published value of a metric.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct PublishedResult {
    /// The name of the metric.
    pub metric: &'static str,
    /// The value in per cent, with at most two decimals.
    pub percent: f64,
}

impl PublishedResult {
    /// Returns the value as a fraction of 1: the float nearest to the published decimals.
    pub fn share(&self) -> f64 {
        (100.0 * self.percent).round() / 10_000.0
    }
}

/// Published settings of a scorer or of a family's sampler.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Sampling {
    /// The likelihoods of options, estimated with stratified counts.
    Likelihood {
        /// The number of samples per option.
        mc_num: usize,
        /// The scale of classifier-free guidance.
        cfg_scale: f32,
    },
    /// Options scored by revealing their tokens, the most probable first.
    Confidence,
    /// An answer by LLaDA's sampler, with one step per token.
    Llada {
        /// The number of answer tokens.
        gen_length: usize,
        /// The number of tokens in a block.
        block_length: usize,
        /// True if end-of-text is never emitted.
        logits_eos_inf: bool,
        /// True if end-of-text and end-of-turn are committed last.
        confidence_eos_eot_inf: bool,
    },
    /// An answer by iLLaDA's sampler, which appends blocks, with one step per token.
    Illada {
        /// The largest number of answer tokens.
        gen_length: usize,
        /// The number of tokens in a block.
        block_length: usize,
    },
    /// An answer by LLaDA2.0's sampler, in blocks of 32 tokens that take at most 32 steps.
    Llada2 {
        /// The largest number of answer tokens.
        gen_length: usize,
        /// The confidence that suffices for a token.
        threshold: f64,
    },
    /// An answer by LLaDA2.1's sampler, in blocks of 32 tokens that may be edited until they end.
    Llada2Edit {
        /// The largest number of answer tokens.
        gen_length: usize,
        /// The confidence that suffices for a token in the place of a mask.
        threshold: f64,
        /// The confidence above which another token is replaced.
        editing_threshold: f64,
    },
    /// An answer by Dream's sampler, with one step per token, in which the order is that of the entropies.
    Dream {
        /// The number of answer tokens.
        gen_length: usize,
        /// The temperature.
        temperature: f64,
        /// The probability of the most probable tokens to pick from.
        top_p: f64,
    },
    /// An answer by SMDM's sampler, with one step per token, the most confident first.
    Smdm {
        /// The number of answer tokens.
        gen_length: usize,
        /// The temperature.
        temperature: f64,
        /// The scale of classifier-free guidance.
        cfg_scale: f64,
    },
}

/// Settings with a result. Without a word on examples there are none.
const fn result(task: &'static str, sampling: Sampling, metric: &'static str, percent: f64) -> Published {
    Published { task, num_fewshot: 0, sampling, result: Some(PublishedResult { metric, percent }) }
}

/// The same settings after `num_fewshot` worked examples.
const fn shots(num_fewshot: usize, published: Published) -> Published {
    Published { num_fewshot, ..published }
}

/// LLaDA's sampler, which may emit any token at any time.
const fn free(gen_length: usize, block_length: usize) -> Sampling {
    Sampling::Llada { gen_length, block_length, logits_eos_inf: false, confidence_eos_eot_inf: false }
}

/// Multiple choice by likelihoods, without guidance.
const fn likelihood(mc_num: usize) -> Sampling {
    Sampling::Likelihood { mc_num, cfg_scale: 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Benchmark, TaskKind};

    /// Every entry belongs to an existing benchmark of the right kind, and every result to one of its metrics.
    #[test]
    fn entries_are_of_tasks() {
        for (model, published) in
            PublishedModel::ALL.into_iter().flat_map(|p| p.published().iter().map(move |e| (p, e)))
        {
            let case = format!("{model:?} {published:?}");
            let task = Benchmark::by_name(published.task).unwrap();
            let metrics: Vec<&str> = match (&task.kind, published.sampling) {
                (TaskKind::Choice { metrics, .. }, Sampling::Likelihood { .. } | Sampling::Confidence) => {
                    metrics.iter().map(|metric| metric.name()).collect()
                }
                (TaskKind::Choice { .. }, _) | (_, Sampling::Likelihood { .. } | Sampling::Confidence) => {
                    panic!("{case}")
                }
                (TaskKind::FreeForm { .. }, Sampling::Llada { gen_length, block_length, .. })
                | (TaskKind::FreeForm { .. }, Sampling::Illada { gen_length, block_length }) => {
                    assert_eq!(gen_length % block_length, 0, "{case}");
                    free_form_metrics(task.name)
                }
                (TaskKind::FreeForm { .. }, _) => free_form_metrics(task.name),
            };
            if let Some(result) = published.result {
                assert!(metrics.contains(&result.metric), "{case}");
                assert_eq!(format!("{:.2}", 100.0 * result.share()), format!("{:.2}", result.percent), "{case}");
            }
        }
    }

    fn free_form_metrics(task: &str) -> Vec<&'static str> {
        match task {
            "gsm8k" | "math" => vec!["strict_match", "flexible_extract"],
            "humaneval" | "mbpp" => vec!["pass@1"],
            "poem_forward" | "poem_reversal" => vec!["contains"],
            other => panic!("{other}"),
        }
    }

    #[test]
    fn names_are_unique() {
        for model in PublishedModel::ALL {
            assert_eq!(PublishedModel::by_name(model.name()), Some(model));
            assert!(!model.published().is_empty(), "{model:?}");
        }
        assert_eq!(PublishedModel::by_name("large"), None);
    }
}
