//! Attention between queries and keys, and which of libtorch's kernels computes it.

use tch::{Device, Kind, Tensor};

use super::Attention;
use crate::{ModelError, layers::visibility::Visibility};

/// The length up to which rows are trained with whole matrices of scores, in tokens.
///
/// On the CPU, the backward pass of libtorch's fused attention multiplies head by head, in products that are too small
/// for bf16 to be fast. It is five times slower than whole matrices at 64 tokens, and equally fast at about 300.
const SHORT: i64 = 256;

impl Attention {
    /// Computes attention within each of `rows` rows of as many queries and of as many keys.
    ///
    /// # Shapes
    /// q (rows x queries, d), k and v (rows x keys, kv) or (rows, keys, kv) -> (rows x queries, d).
    pub(in crate::layers) fn attend(
        &self,
        [q, k, v]: [&Tensor; 3],
        seen: &Visibility,
        rows: i64,
    ) -> Result<Tensor, ModelError> {
        let width = q.size2()?.1;
        let heads =
            |x: &Tensor, width: i64| x.f_view([rows, -1, width / self.head_dim, self.head_dim])?.f_transpose(1, 2);
        let kv_width = k.size().last().copied().unwrap_or_default();
        let (q, k, v) = (heads(q, width)?, heads(k, kv_width)?, heads(v, kv_width)?);
        let grouped = width != kv_width;
        let fused = |q: &Tensor, mask: Option<&Tensor>, causal, grouped| {
            Tensor::f_scaled_dot_product_attention(q, &k, &v, mask, 0.0, causal, None, grouped)
        };
        let mixed = match seen {
            Visibility::All | Visibility::Causal if is_short(&q, &k) && !grouped => {
                attend_short([&q, &k, &v], matches!(seen, Visibility::Causal))?
            }
            Visibility::All => fused(&q, None, false, grouped)?,
            Visibility::Causal => fused(&q, None, true, grouped)?,
            Visibility::Masked(mask) => fused(&q, Some(mask), false, grouped)?,
            Visibility::Ends(mask) => {
                // On a GPU, no fused kernel has both a mask and grouped heads. The mask is the same for all queries of a row,
                // so those of a group of heads can follow one another as if they were of one.
                let merged = q.f_reshape([rows, k.size()[1], -1, self.head_dim])?;
                fused(&merged, Some(mask), false, false)?.f_reshape(q.size())?
            }
        };
        Ok(mixed.f_transpose(1, 2)?.f_reshape([-1, width])?)
    }
}

/// Returns true in training on rows that are short enough for whole matrices of scores.
fn is_short(q: &Tensor, k: &Tensor) -> bool {
    let on_cpu = q.device() == Device::Cpu && q.kind() == Kind::BFloat16;
    q.requires_grad() && on_cpu && q.size()[2] == k.size()[2] && k.size()[2] <= SHORT
}

/// Computes attention among all tokens of rows of equal length, with whole matrices of scores in memory.
///
/// # Shapes
/// q, k, v (rows, heads, tokens, head_dim) -> the same.
fn attend_short([q, k, v]: [&Tensor; 3], causal: bool) -> Result<Tensor, ModelError> {
    let (rows, heads, tokens, width) = q.size4()?;
    let scale = (width as f64).sqrt().recip();
    let options = (q.kind(), q.device());
    let (mask, weight) = if causal {
        (Tensor::f_full([1, tokens, tokens], f64::NEG_INFINITY, options)?.f_triu(1)?, 1.0)
    } else {
        (Tensor::f_zeros([1, 1, 1], options)?, 0.0)
    };
    let flat = |x: &Tensor| x.f_reshape([rows * heads, tokens, width]);
    let scores = mask.f_baddbmm(&flat(q)?, &flat(k)?.f_transpose(1, 2)?, weight, scale)?;
    Ok(scores.f_softmax(-1, q.kind())?.f_bmm(&flat(v)?)?.f_view([rows, heads, tokens, width])?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_in_memory_are_the_fused_attention() -> Result<(), ModelError> {
        tch::manual_seed(0);
        let input = || Tensor::randn([2, 3, 7, 4], tch::kind::FLOAT_CPU).set_requires_grad(true);
        let [q, k, v] = [input(), input(), input()];
        for causal in [false, true] {
            let fused = Tensor::f_scaled_dot_product_attention(&q, &k, &v, None::<&Tensor>, 0.0, causal, None, false)?;
            let short = attend_short([&q, &k, &v], causal)?;
            assert!(short.allclose(&fused, 1e-5, 1e-6, false), "causal: {causal}");
            let slopes = |y: &Tensor| Tensor::f_run_backward(&[y.sin().sum(Kind::Float)], &[&q, &k, &v], true, false);
            for (short, fused) in slopes(&short)?.iter().zip(&slopes(&fused)?) {
                assert!(short.allclose(fused, 1e-5, 1e-6, false), "gradient, causal: {causal}");
            }
        }
        Ok(())
    }
}
