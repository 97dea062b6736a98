//! Blocks to f32, by the rules of ggml's `dequantize_row_*`: a product in f32, to which Q4_1 adds its minimum.

use half::{bf16, f16};

use crate::GgmlType;

/// Appends the values of whole blocks of `dtype` to `out`.
///
/// # Shapes
/// bytes (blocks x block_bytes) -> out + (blocks x block_length).
pub(crate) fn dequantize(dtype: GgmlType, bytes: &[u8], out: &mut Vec<f32>) {
    for block in bytes.chunks_exact(dtype.block_bytes()) {
        match dtype {
            GgmlType::F32 => out.push(f32::from_le_bytes([block[0], block[1], block[2], block[3]])),
            GgmlType::F16 => out.push(half_at(block, 0)),
            GgmlType::Bf16 => out.push(bf16::from_le_bytes([block[0], block[1]]).to_f32()),
            GgmlType::Q4_0 => {
                let scale = half_at(block, 0);
                out.extend(nibbles(&block[2..]).map(|value| f32::from(value as i8 - 8) * scale));
            }
            GgmlType::Q4_1 => {
                let (scale, minimum) = (half_at(block, 0), half_at(block, 2));
                out.extend(nibbles(&block[4..]).map(|value| f32::from(value) * scale + minimum));
            }
            GgmlType::Q8_0 => {
                let scale = half_at(block, 0);
                out.extend(block[2..].iter().map(|&value| f32::from(value as i8) * scale));
            }
            GgmlType::Q6K => q6_k(block, out),
        }
    }
}

fn half_at(block: &[u8], start: usize) -> f32 {
    f16::from_le_bytes([block[start], block[start + 1]]).to_f32()
}

/// The lower halves of all bytes, then the upper halves: byte i has values i and i + 16.
fn nibbles(bytes: &[u8]) -> impl Iterator<Item = u8> {
    bytes.iter().map(|byte| byte & 15).chain(bytes.iter().map(|byte| byte >> 4))
}

/// Each half of a block has 64 bytes of lower bits and 32 of upper ones. Quarter k of its 128 values has the lower four
/// bits in the lower or upper halves of 32 bytes, and the upper two bits in bits 2k and 2k + 1 of the other 32.
fn q6_k(block: &[u8], out: &mut Vec<f32>) {
    let (lower, rest) = block.split_at(128);
    let (upper, rest) = rest.split_at(64);
    let (scales, scale) = rest.split_at(16);
    let scale = half_at(scale, 0);
    for half in 0..2 {
        let (lower, upper) = (&lower[64 * half..], &upper[32 * half..]);
        for quarter in 0..4 {
            for i in 0..32 {
                let low = lower[32 * (quarter % 2) + i] >> (4 * (quarter / 2)) & 15;
                let high = upper[i] >> (2 * quarter) & 3;
                let value = (low | high << 4) as i8 - 32;
                let of_sub_block = scales[8 * half + 2 * quarter + i / 16] as i8;
                out.push(scale * f32::from(of_sub_block) * f32::from(value));
            }
        }
    }
}
