//! LLaDA-MoE-7B-A1B: results from [arXiv 2509.24389](https://arxiv.org/abs/2509.24389), those of the Instruct model also in
//! [the card of LLaDA2.0-mini-preview](https://huggingface.co/inclusionAI/LLaDA2.0-mini-preview).
//!
//! All were measured with the authors' own harness, and the settings are not published with them. Those of the Base model
//! are assumed to be LLaDA-8B-Base's. Those of the Instruct model are the lengths with which the authors evaluate it in
//! dInfer ([arXiv 2510.08666](https://arxiv.org/abs/2510.08666), `evaluations/eval_gsm8k.sh`), with one step per token. How
//! MMLU was measured is not known, so it is left out.

use super::{Published, free, result, shots};

/// LLaDA-MoE-7B-A1B-Base.
pub(super) const BASE: [Published; 4] = [
    shots(5, result("gsm8k", free(1024, 1024), "flexible_extract", 66.41)),
    shots(4, result("math", free(1024, 1024), "strict_match", 36.10)),
    result("humaneval", free(1024, 1024), "pass@1", 45.73),
    shots(3, result("mbpp", free(1024, 1024), "pass@1", 52.40)),
];

/// LLaDA-MoE-7B-A1B-Instruct.
pub(super) const INSTRUCT: [Published; 4] = [
    result("gsm8k", free(1024, 64), "flexible_extract", 82.41),
    result("math", free(1024, 64), "flexible_extract", 58.68),
    result("humaneval", free(1024, 64), "pass@1", 61.59),
    result("mbpp", free(1024, 64), "pass@1", 70.02),
];
