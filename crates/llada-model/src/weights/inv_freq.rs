//! The buffer `rotary_emb.inv_freq`, which old versions of transformers stored: the frequencies of the rotary
//! embedding.
//!
//! The frequencies follow from the config, so the buffer is redundant. A buffer with other values means that the model
//! was trained with other rotations than the config describes.

use half::{bf16, f16};
use safetensors::Dtype;

use super::MappedTensor;
use crate::ModelConfig;

/// Returns true if a tensor of this name is such a buffer.
pub(super) fn is_name(name: &str) -> bool {
    name.ends_with("rotary_emb.inv_freq")
}

/// Returns true if the buffer holds theta^(-2i / rotary_dim) for every pair i, to within the precision of its dtype.
///
/// # Shapes
/// stored (rotary_dim / 2).
pub(super) fn is_of(config: &ModelConfig, stored: &MappedTensor) -> bool {
    let (rotary_dim, bytes) = (config.rotary_dim, stored.bytes());
    // The tolerance is relative. Subnormal numbers of f16 have fewer digits, so an absolute one is added for them
    // below.
    let (values, tolerance): (Vec<f64>, f64) = match stored.dtype {
        Dtype::F32 => {
            (bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]).into()).collect(), 1e-5)
        }
        Dtype::BF16 => (bytes.chunks_exact(2).map(|b| bf16::from_le_bytes([b[0], b[1]]).into()).collect(), 1.0 / 256.0),
        Dtype::F16 => (bytes.chunks_exact(2).map(|b| f16::from_le_bytes([b[0], b[1]]).into()).collect(), 1.0 / 2048.0),
        _ => return false,
    };
    let smallest = if stored.dtype == Dtype::F16 { f64::from(f16::MIN_POSITIVE_SUBNORMAL) } else { 0.0 };
    values.len() == rotary_dim / 2
        && values.iter().enumerate().all(|(pair, &value)| {
            let expected = config.rope_theta.powf(-2.0 * pair as f64 / rotary_dim as f64);
            (value - expected).abs() <= tolerance * expected + smallest
        })
}
