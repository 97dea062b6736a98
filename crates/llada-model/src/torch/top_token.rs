//! The most probable token of each row of logits, computed on the device of the logits.

use llada_core::predictor::TopToken;
use tch::{Kind, Tensor};

use crate::ModelError;

/// Computes for each row of logits the id of the largest one that is not `banned`, and its probability in the softmax
/// over all ids.
///
/// # Shapes
/// logits (rows, width), banned (ids) i64 -> (rows, 2) f64.
pub(crate) fn find(logits: &Tensor, banned: &Tensor) -> Result<Tensor, ModelError> {
    let logits = logits.f_to_kind(Kind::Float)?;
    let total = logits.f_logsumexp([1_i64], true)?;
    // Banned ids keep their share of the total, so that probabilities are those that the host would compute.
    let (best, id) = logits.f_index_fill(1, banned, f64::NEG_INFINITY)?.f_max_dim(1, true)?;
    let probability = best.f_sub(&total)?.f_exp()?;
    Ok(Tensor::f_cat(&[id.f_to_kind(Kind::Double)?, probability.f_to_kind(Kind::Double)?], 1)?)
}

/// Copies the results of [`find`] to the host.
///
/// # Shapes
/// found (rows, 2) f64.
pub(crate) fn read(found: &Tensor) -> Result<Vec<TopToken>, ModelError> {
    let numbers = Vec::<f64>::try_from(found.f_to_device(tch::Device::Cpu)?.f_reshape([-1])?)?;
    let (pairs, _) = numbers.as_chunks::<2>();
    let top_token = |&[id, probability]: &[f64; 2]| TopToken { token: id as u32, probability: probability as f32 };
    Ok(pairs.iter().map(top_token).collect())
}

#[cfg(test)]
mod tests {
    use llada_core::sampling::softmax_at;

    use super::*;

    #[test]
    fn top_tokens_are_those_of_the_logits() -> Result<(), ModelError> {
        tch::manual_seed(0);
        let logits = Tensor::f_randn([50, 37], tch::kind::FLOAT_CPU)? * 3.0;
        let banned = [0_i64, 5, 36];
        let found = read(&find(&logits, &Tensor::f_from_slice(&banned)?)?)?;
        assert_eq!(found.len(), 50);
        for (row, top) in (0..).zip(found) {
            let logits = Vec::<f32>::try_from(logits.get(row))?;
            let allowed = (0..37).filter(|id| !banned.contains(id)).map(|id| id as usize);
            let best = allowed.max_by(|&a, &b| logits[a].total_cmp(&logits[b]));
            assert_eq!(Some(top.token as usize), best);
            assert!((top.probability - softmax_at(&logits, top.token)).abs() < 1e-6);
        }
        Ok(())
    }
}
