//! LLaDA2.0-mini, from [its card](https://huggingface.co/inclusionAI/LLaDA2.0-mini) and
//! [arXiv 2512.15745](https://arxiv.org/abs/2512.15745), which states temperature 0, blocks of 32 and threshold 0.95; the
//! length is the default of its `generate`, because the card's 32768 leave no room for a question.
//!
//! LLaDA2.1-mini, from [its card](https://huggingface.co/inclusionAI/LLaDA2.1-mini), which has the thresholds of both modes
//! and the length. The card and [arXiv 2602.08676](https://arxiv.org/abs/2602.08676) have results of other tests (GSM-Plus,
//! Omni-MATH, HumanEval+, MBPP+) and none of these tasks. How MMLU, ARC, HellaSwag and PIQA were measured is not stated;
//! chat models are asked for words, so they are left out.

use super::{Published, Sampling, result};

const fn mini(task: &'static str, metric: &'static str, percent: f64) -> Published {
    result(task, Sampling::Llada2 { gen_length: 2048, threshold: 0.95 }, metric, percent)
}

/// Settings without results.
const fn edited(threshold: f64, editing_threshold: f64) -> [Published; 4] {
    let sampling = Sampling::Llada2Edit { gen_length: 16_384, threshold, editing_threshold };
    let settings = Published { task: "gsm8k", num_fewshot: 0, sampling, result: None };
    [
        settings,
        Published { task: "math", ..settings },
        Published { task: "humaneval", ..settings },
        Published { task: "mbpp", ..settings },
    ]
}

/// LLaDA2.0-mini.
pub(super) const MINI: [Published; 4] = [
    mini("gsm8k", "flexible_extract", 94.24),
    mini("math", "flexible_extract", 93.22),
    mini("humaneval", "pass@1", 86.59),
    mini("mbpp", "pass@1", 81.50),
];

/// LLaDA2.1-mini in its quality mode.
pub(super) const MINI_21_QUALITY: [Published; 4] = edited(0.7, 0.5);

/// LLaDA2.1-mini in its speed mode.
pub(super) const MINI_21_SPEED: [Published; 4] = edited(0.5, 0.0);
