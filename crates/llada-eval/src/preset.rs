//! The published results of LLaDA models and the settings under which they were measured, from the paper
//! ([arXiv 2502.09992](https://arxiv.org/abs/2502.09992)) and the repository's `EVAL.md`; those of iLLaDA are from
//! [arXiv 2606.25331](https://arxiv.org/abs/2606.25331), which states no numbers of shots: those of LLaDA are assumed.
//!
//! Base models were measured with lm-evaluation-harness, whose prompts and rules the benchmarks follow. The paper does not
//! name its metric of multiple choice. It is assumed to be the one that yields the figures of the same table for LLaMA 3.
//! Of the two rules for extracting numbers, the lenient one is compared. The figures of LLaDA-8B-Instruct and LLaDA 1.5
//! come from OpenCompass and from the authors' own harness, whose prompts differ from those here, so they indicate what to
//! expect but cannot be reproduced exactly.

use serde::Serialize;

/// A model whose published settings can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Preset {
    /// LLaDA-8B-Base, with plain prompts.
    #[serde(rename = "base")]
    Base,
    /// LLaDA-8B-Instruct, with chat prompts.
    #[serde(rename = "instruct")]
    Instruct,
    /// LLaDA 1.5, with chat prompts.
    #[serde(rename = "1.5")]
    Llada15,
    /// iLLaDA-8B-Base, with plain prompts.
    #[serde(rename = "illada-base")]
    IlladaBase,
    /// iLLaDA-8B-Instruct, with chat prompts.
    #[serde(rename = "illada-instruct")]
    IlladaInstruct,
}

/// A published result of one task with its settings. The first entry of a preset and a task has the preset's defaults.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Figures {
    /// The model.
    pub preset: Preset,
    /// The name of the task.
    pub task: &'static str,
    /// The number of few-shot examples.
    pub num_fewshot: usize,
    /// The settings of the sampler or of the scorer.
    pub sampling: Sampling,
    /// The name of the metric.
    pub metric: &'static str,
    /// The value of the metric in per cent, with one decimal.
    pub percent: f64,
}

impl Figures {
    /// Returns the value of the metric as a fraction of 1: the float nearest to the published decimals.
    pub fn share(&self) -> f64 {
        (10.0 * self.percent).round() / 1000.0
    }
}

/// The settings of a published result.
#[derive(Debug, Clone, Copy, PartialEq)]
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
    /// A free-form answer, with one step per token.
    Words {
        /// The number of answer tokens.
        gen_length: usize,
        /// The number of tokens in a block.
        block_length: usize,
        /// True if end-of-text is never emitted.
        logits_eos_inf: bool,
        /// True if end-of-text and end-of-turn are committed last.
        confidence_eos_eot_inf: bool,
    },
}

/// Returns the published results of `task` under `preset`.
pub fn published(preset: Preset, task: &str) -> impl Iterator<Item = &'static Figures> {
    PUBLISHED.iter().filter(move |figures| figures.preset == preset && figures.task == task)
}

const fn likelihood(
    task: &'static str,
    num_fewshot: usize,
    mc_num: usize,
    cfg_scale: f32,
    metric: &'static str,
    percent: f64,
) -> Figures {
    Figures {
        preset: Preset::Base,
        task,
        num_fewshot,
        sampling: Sampling::Likelihood { mc_num, cfg_scale },
        metric,
        percent,
    }
}

/// A result of LLaDA-8B-Base with pure diffusion. For GSM8K the paper's table states 4 shots, but the published command
/// runs the harness's default, 5.
const fn base(
    task: &'static str,
    num_fewshot: usize,
    gen_length: usize,
    metric: &'static str,
    percent: f64,
) -> Figures {
    let figures = words(Preset::Base, task, [gen_length, gen_length], [false, false], metric, percent);
    Figures { num_fewshot, ..figures }
}

const fn words(
    preset: Preset,
    task: &'static str,
    [gen_length, block_length]: [usize; 2],
    [logits_eos_inf, confidence_eos_eot_inf]: [bool; 2],
    metric: &'static str,
    percent: f64,
) -> Figures {
    let sampling = Sampling::Words { gen_length, block_length, logits_eos_inf, confidence_eos_eot_inf };
    Figures { preset, task, num_fewshot: 0, sampling, metric, percent }
}

/// A result of iLLaDA-8B-Base on multiple choice.
const fn confidence(task: &'static str, num_fewshot: usize, metric: &'static str, percent: f64) -> Figures {
    Figures { preset: Preset::IlladaBase, task, num_fewshot, sampling: Sampling::Confidence, metric, percent }
}

/// A result of an iLLaDA model, which appends blocks.
const fn illada(
    preset: Preset,
    task: &'static str,
    num_fewshot: usize,
    lengths: [usize; 2],
    metric: &'static str,
    percent: f64,
) -> Figures {
    Figures { num_fewshot, ..words(preset, task, lengths, [false, false], metric, percent) }
}

const PUBLISHED: [Figures; 46] = {
    use Preset::{IlladaBase, IlladaInstruct, Instruct, Llada15};
    [
        likelihood("arc_challenge", 0, 128, 0.0, "acc_norm", 45.9),
        likelihood("arc_challenge", 0, 128, 0.5, "acc_norm", 47.9),
        likelihood("hellaswag", 0, 128, 0.0, "acc_norm", 70.5),
        likelihood("hellaswag", 0, 128, 0.5, "acc_norm", 72.5),
        likelihood("truthfulqa_mc2", 0, 128, 0.0, "mc2", 46.1),
        likelihood("truthfulqa_mc2", 0, 128, 2.0, "mc2", 46.4),
        likelihood("winogrande", 5, 128, 0.0, "acc", 74.8),
        likelihood("piqa", 0, 128, 0.0, "acc_norm", 73.6),
        likelihood("piqa", 0, 128, 0.5, "acc_norm", 74.4),
        likelihood("mmlu", 5, 1, 0.0, "acc", 65.9),
        base("gsm8k", 5, 1024, "flexible_extract", 70.3),
        base("gsm8k", 5, 512, "flexible_extract", 70.8),
        base("gsm8k", 5, 256, "flexible_extract", 70.0),
        base("math", 4, 1024, "strict_match", 31.4),
        base("math", 4, 512, "strict_match", 30.9),
        base("math", 4, 256, "strict_match", 30.3),
        base("humaneval", 0, 1024, "pass@1", 35.4),
        base("humaneval", 0, 512, "pass@1", 32.9),
        base("humaneval", 0, 256, "pass@1", 32.9),
        base("mbpp", 3, 1024, "pass@1", 40.0),
        base("mbpp", 3, 512, "pass@1", 39.2),
        base("mbpp", 3, 256, "pass@1", 40.2),
        words(Instruct, "gsm8k", [256, 8], [false, false], "flexible_extract", 78.6),
        words(Instruct, "gsm8k", [512, 512], [false, true], "flexible_extract", 69.4),
        words(Instruct, "math", [512, 64], [false, false], "flexible_extract", 42.2),
        words(Instruct, "math", [512, 512], [false, true], "flexible_extract", 31.9),
        words(Instruct, "humaneval", [512, 512], [true, false], "pass@1", 49.4),
        words(Instruct, "mbpp", [256, 256], [false, true], "pass@1", 41.0),
        words(Instruct, "poem_forward", [28, 28], [true, false], "contains", 51.8),
        words(Instruct, "poem_reversal", [28, 28], [true, false], "contains", 45.6),
        words(Llada15, "gsm8k", [256, 16], [false, true], "flexible_extract", 83.8),
        words(Llada15, "math", [1024, 128], [false, true], "flexible_extract", 42.6),
        words(Llada15, "humaneval", [512, 32], [false, true], "pass@1", 52.4),
        words(Llada15, "mbpp", [512, 32], [false, true], "pass@1", 42.8),
        confidence("arc_challenge", 0, "acc_norm", 60.8),
        confidence("hellaswag", 0, "acc_norm", 76.6),
        confidence("piqa", 0, "acc_norm", 78.5),
        confidence("mmlu", 5, "acc", 74.8),
        illada(IlladaBase, "gsm8k", 5, [1024, 32], "flexible_extract", 81.9),
        illada(IlladaBase, "math", 4, [1024, 32], "strict_match", 38.4),
        illada(IlladaBase, "humaneval", 0, [512, 512], "pass@1", 50.0),
        illada(IlladaBase, "mbpp", 3, [1024, 32], "pass@1", 57.8),
        illada(IlladaInstruct, "gsm8k", 0, [2048, 32], "flexible_extract", 89.0),
        illada(IlladaInstruct, "math", 0, [4096, 32], "flexible_extract", 56.7),
        illada(IlladaInstruct, "humaneval", 0, [2048, 32], "pass@1", 65.9),
        illada(IlladaInstruct, "mbpp", 0, [2048, 16], "pass@1", 58.0),
    ]
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BENCHMARKS, TaskKind};

    /// Every figure belongs to an existing benchmark of the right kind and to one of its metrics.
    #[test]
    fn figures_are_of_tasks() {
        for figures in &PUBLISHED {
            assert_eq!(format!("{:.1}", 100.0 * figures.share()), format!("{:.1}", figures.percent));
            let task = BENCHMARKS.iter().find(|task| task.name == figures.task).unwrap();
            match (&task.kind, figures.sampling) {
                (TaskKind::Choice { metrics, .. }, Sampling::Likelihood { .. } | Sampling::Confidence) => {
                    assert!(metrics.iter().any(|metric| metric.name() == figures.metric), "{figures:?}");
                }
                (TaskKind::FreeForm { .. }, Sampling::Words { gen_length, block_length, .. }) => {
                    assert_eq!(gen_length % block_length, 0, "{figures:?}");
                }
                _ => panic!("{figures:?}"),
            }
        }
    }
}
