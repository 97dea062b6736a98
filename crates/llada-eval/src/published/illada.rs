//! iLLaDA-8B, from [arXiv 2606.25331](https://arxiv.org/abs/2606.25331), which states no numbers of shots: those of LLaDA
//! are assumed.

use super::{Published, Sampling, result, shots};

/// Blocks are appended.
const fn appended(gen_length: usize, block_length: usize) -> Sampling {
    Sampling::Illada { gen_length, block_length }
}

/// iLLaDA-8B-Base.
pub(super) const BASE: [Published; 8] = [
    result("arc_challenge", Sampling::Confidence, "acc_norm", 60.8),
    result("hellaswag", Sampling::Confidence, "acc_norm", 76.6),
    result("piqa", Sampling::Confidence, "acc_norm", 78.5),
    shots(5, result("mmlu", Sampling::Confidence, "acc", 74.8)),
    shots(5, result("gsm8k", appended(1024, 32), "flexible_extract", 81.9)),
    shots(4, result("math", appended(1024, 32), "strict_match", 38.4)),
    result("humaneval", appended(512, 512), "pass@1", 50.0),
    shots(3, result("mbpp", appended(1024, 32), "pass@1", 57.8)),
];

/// iLLaDA-8B-Instruct.
pub(super) const INSTRUCT: [Published; 4] = [
    result("gsm8k", appended(2048, 32), "flexible_extract", 89.0),
    result("math", appended(4096, 32), "flexible_extract", 56.7),
    result("humaneval", appended(2048, 32), "pass@1", 65.9),
    result("mbpp", appended(2048, 16), "pass@1", 58.0),
];
