//! Settings under which LLaDA's figures were published, and the figures: the paper
//! ([arXiv 2502.09992](https://arxiv.org/abs/2502.09992)) and the repository's `EVAL.md`.
//!
//! Base models were measured with lm-evaluation-harness, whose prompts and rules the tasks follow. The paper does not
//! name the metric of multiple choice: it is taken to be the one that gives the same table's figures for LLaMA 3. Of
//! the two rules for numbers, the lenient one is compared. The figures of LLaDA-8B-Instruct and LLaDA 1.5 come from
//! OpenCompass and from the authors' own harness, whose prompts differ from these; they say what to expect, not what to
//! reproduce.

use serde::Serialize;

/// Whose published settings to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Preset {
    /// LLaDA-8B-Base: plain text.
    #[serde(rename = "base")]
    Base,
    /// LLaDA-8B-Instruct: chat.
    #[serde(rename = "instruct")]
    Instruct,
    /// LLaDA 1.5: chat.
    #[serde(rename = "1.5")]
    Llada15,
}

/// Published settings of one task, and what came out. The first of a preset and a task are its defaults.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Figures {
    /// Whose they are.
    pub preset: Preset,
    /// The task's name.
    pub task: &'static str,
    /// Examples before a question.
    pub num_fewshot: usize,
    /// How the answer was sampled, or scored.
    pub sampling: Sampling,
    /// Which metric was published.
    pub metric: &'static str,
    /// Its value, in per cent, with one decimal.
    pub percent: f64,
}

impl Figures {
    /// Its value, 0 to 1; the float nearest to the decimals that were published.
    pub fn share(&self) -> f64 {
        (10.0 * self.percent).round() / 1000.0
    }
}

/// The settings that differ from figure to figure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Sampling {
    /// Likelihoods, by form B.
    Likelihood {
        /// Samples of an option.
        mc_num: usize,
        /// Scale of classifier-free guidance.
        cfg_scale: f32,
    },
    /// Words, a token a step.
    Words {
        /// Tokens of the answer.
        gen_length: usize,
        /// Tokens of a block.
        block_length: usize,
        /// Whether end-of-text is never emitted.
        logits_eos_inf: bool,
        /// Whether end-of-text and end-of-turn are committed last.
        confidence_eos_eot_inf: bool,
    },
}

/// What was published of `task` under `preset`.
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

/// Pure diffusion over the whole answer. The paper's table names 4 shots of GSM8K; the published command runs the
/// harness's default, 5.
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

const PUBLISHED: [Figures; 34] = {
    use Preset::{Instruct, Llada15};
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
    ]
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Kind, TASKS};

    /// Every figure is of a task that there is, asked as it was, and of a metric that it has.
    #[test]
    fn figures_are_of_tasks() {
        for figures in &PUBLISHED {
            assert_eq!(format!("{:.1}", 100.0 * figures.share()), format!("{:.1}", figures.percent));
            let task = TASKS.iter().find(|task| task.name == figures.task).unwrap();
            match (&task.kind, figures.sampling) {
                (Kind::Choice { metrics, .. }, Sampling::Likelihood { .. }) => {
                    assert!(metrics.iter().any(|metric| metric.name() == figures.metric), "{figures:?}");
                }
                (Kind::Generation { .. }, Sampling::Words { gen_length, block_length, .. }) => {
                    assert_eq!(gen_length % block_length, 0, "{figures:?}");
                }
                _ => panic!("{figures:?}"),
            }
        }
    }
}
