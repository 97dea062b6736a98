//! LLaDA-8B, from the paper ([arXiv 2502.09992](https://arxiv.org/abs/2502.09992)) and the repository's `EVAL.md`, and
//! LLaDA 1.5 ([arXiv 2505.19223](https://arxiv.org/abs/2505.19223)).

use super::{Published, Sampling, free, likelihood, result, shots};

const fn guided(cfg_scale: f32) -> Sampling {
    Sampling::Likelihood { mc_num: 128, cfg_scale }
}

/// End-of-text is never emitted.
const fn banned(gen_length: usize, block_length: usize) -> Sampling {
    Sampling::Llada { gen_length, block_length, logits_eos_inf: true, confidence_eos_eot_inf: false }
}

/// End-of-text and end-of-turn are committed last.
const fn deferred(gen_length: usize, block_length: usize) -> Sampling {
    Sampling::Llada { gen_length, block_length, logits_eos_inf: false, confidence_eos_eot_inf: true }
}

/// LLaDA-8B-Base. For GSM8K the paper's table states 4 shots, but the published command runs the harness's default, 5.
pub(super) const BASE: [Published; 22] = [
    result("arc_challenge", likelihood(128), "acc_norm", 45.9),
    result("arc_challenge", guided(0.5), "acc_norm", 47.9),
    result("hellaswag", likelihood(128), "acc_norm", 70.5),
    result("hellaswag", guided(0.5), "acc_norm", 72.5),
    result("truthfulqa_mc2", likelihood(128), "mc2", 46.1),
    result("truthfulqa_mc2", guided(2.0), "mc2", 46.4),
    shots(5, result("winogrande", likelihood(128), "acc", 74.8)),
    result("piqa", likelihood(128), "acc_norm", 73.6),
    result("piqa", guided(0.5), "acc_norm", 74.4),
    shots(5, result("mmlu", likelihood(1), "acc", 65.9)),
    shots(5, result("gsm8k", free(1024, 1024), "flexible_extract", 70.3)),
    shots(5, result("gsm8k", free(512, 512), "flexible_extract", 70.8)),
    shots(5, result("gsm8k", free(256, 256), "flexible_extract", 70.0)),
    shots(4, result("math", free(1024, 1024), "strict_match", 31.4)),
    shots(4, result("math", free(512, 512), "strict_match", 30.9)),
    shots(4, result("math", free(256, 256), "strict_match", 30.3)),
    result("humaneval", free(1024, 1024), "pass@1", 35.4),
    result("humaneval", free(512, 512), "pass@1", 32.9),
    result("humaneval", free(256, 256), "pass@1", 32.9),
    shots(3, result("mbpp", free(1024, 1024), "pass@1", 40.0)),
    shots(3, result("mbpp", free(512, 512), "pass@1", 39.2)),
    shots(3, result("mbpp", free(256, 256), "pass@1", 40.2)),
];

/// LLaDA-8B-Instruct.
pub(super) const INSTRUCT: [Published; 8] = [
    result("gsm8k", free(256, 8), "flexible_extract", 78.6),
    result("gsm8k", deferred(512, 512), "flexible_extract", 69.4),
    result("math", free(512, 64), "flexible_extract", 42.2),
    result("math", deferred(512, 512), "flexible_extract", 31.9),
    result("humaneval", banned(512, 512), "pass@1", 49.4),
    result("mbpp", deferred(256, 256), "pass@1", 41.0),
    result("poem_forward", banned(28, 28), "contains", 51.8),
    result("poem_reversal", banned(28, 28), "contains", 45.6),
];

/// LLaDA 1.5.
pub(super) const LLADA_15: [Published; 4] = [
    result("gsm8k", deferred(256, 16), "flexible_extract", 83.8),
    result("math", deferred(1024, 128), "flexible_extract", 42.6),
    result("humaneval", deferred(512, 32), "pass@1", 52.4),
    result("mbpp", deferred(512, 32), "pass@1", 42.8),
];
