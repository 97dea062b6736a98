//! SMDM: GSM8K of the fine-tuned model of 1.1 billion parameters, from
//! [arXiv 2410.18514](https://arxiv.org/abs/2410.18514), with the settings of the repository's `evaluate_gsm8k.py`.
//!
//! There 256 tokens hold the question and the answer, which is written in two passes: the derivation, and the number after
//! it. Here 256 tokens of answer are written in one. The number is looked for after `####`.

use super::{Published, Sampling, result};

/// The model that is fine-tuned on GSM8K.
pub(super) const GSM8K: [Published; 1] =
    [result("gsm8k", Sampling::Smdm { gen_length: 256, temperature: 0.1, cfg_scale: 0.1 }, "strict_match", 58.5)];
