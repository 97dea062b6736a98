//! Unsupervised classifier-free guidance
//! ([Scaling up Masked Diffusion Models on Text](https://arxiv.org/abs/2410.18514)), as in LLaDA's
//! `generate.py`.
//!
//! The unconditional prediction comes from the same model, with every prompt token masked.
//!
//! ```
//! use llada_core::guidance::{guide, unconditional_ids};
//!
//! let (mask_id, mut ids) = (9, Vec::new());
//! unconditional_ids(&[4, 5, 9], &[true, true, false], mask_id, &mut ids);
//! assert_eq!(ids, [9, 9, 9]);
//!
//! let mut logits = [2.0, 0.0];
//! guide(&mut logits, &[1.0, 1.0], 0.5);
//! assert_eq!(logits, [2.5, -0.5]);
//! ```

/// Moves conditional logits $c$ away from the unconditional ones $u$:
/// $c \leftarrow u + (w + 1)(c - u)$ with $w$ = `cfg_scale`.
///
/// An id whose conditional logit is −∞ stays banned. A `cfg_scale` of 0 changes nothing.
///
/// # Shapes
/// `conditional` and `unconditional` have the same shape, with any number of rows.
pub fn guide(conditional: &mut [f32], unconditional: &[f32], cfg_scale: f32) {
    // In floating point u + (c - u) is not always c, and no guidance must be no change.
    if cfg_scale == 0.0 {
        return;
    }
    for (c, &u) in conditional.iter_mut().zip(unconditional) {
        // A banned id is -inf on both sides, and the difference of two infinities is NaN.
        let guided = u + (cfg_scale + 1.0) * (*c - u);
        *c = if *c == f32::NEG_INFINITY { *c } else { guided };
    }
}

/// Writes `ids` into `out`, with `mask_id` in place of every token that belongs to the prompt
/// according to `prompt_index`. `out` is cleared first; its allocation is reused.
pub fn unconditional_ids(ids: &[u32], prompt_index: &[bool], mask_id: u32, out: &mut Vec<u32>) {
    out.clear();
    out.extend(ids.iter().zip(prompt_index).map(|(&id, &prompt)| if prompt { mask_id } else { id }));
}
