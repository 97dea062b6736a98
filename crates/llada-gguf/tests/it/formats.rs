//! Blocks against a second reading of ggml's formats: one value at a time, by its index.

use half::{bf16, f16};
use llada_gguf::GgmlType;
use proptest::{prelude::*, test_runner::TestRng};

use crate::{open, writer::Writer};

/// The value at `index` of a tensor.
fn value(dtype: GgmlType, bytes: &[u8], index: usize) -> f32 {
    let block = &bytes[index / dtype.block_length() * dtype.block_bytes()..][..dtype.block_bytes()];
    let i = index % dtype.block_length();
    let half = |at: usize| f32::from(f16::from_bits(u16::from(block[at]) | u16::from(block[at + 1]) << 8));
    // The `bits` bits at bit `at` of the bytes from `start` on.
    let bits = |start: usize, at: usize, bits: usize| block[start + at / 8] >> (at % 8) & ((1 << bits) - 1);
    match dtype {
        GgmlType::F32 => f32::from_bits(u32::from_le_bytes(block.try_into().unwrap())),
        GgmlType::F16 => half(0),
        GgmlType::Bf16 => f32::from(bf16::from_bits(u16::from_le_bytes(block.try_into().unwrap()))),
        GgmlType::Q4_0 => half(0) * (f32::from(bits(2, i % 16 * 8 + i / 16 * 4, 4)) - 8.0),
        GgmlType::Q4_1 => half(0) * f32::from(bits(4, i % 16 * 8 + i / 16 * 4, 4)) + half(2),
        GgmlType::Q8_0 => half(0) * f32::from(block[2 + i] as i8),
        GgmlType::Q6K => {
            let (part, within) = (i / 128, i % 128);
            let low = bits(64 * part, within % 64 * 8 + within / 64 * 4, 4);
            let high = bits(128 + 32 * part, within % 32 * 8 + within / 32 * 2, 2);
            let scale = half(208) * f32::from(block[192 + i / 16] as i8);
            scale * (f32::from(high) * 16.0 + f32::from(low) - 32.0)
        }
        other => panic!("{other}"),
    }
}

/// Bytes at random, in which every scale is a number.
fn random_blocks(dtype: GgmlType, blocks: usize, rng: &mut TestRng) -> Vec<u8> {
    let mut bytes = vec![0; blocks * dtype.block_bytes()];
    rng.fill_bytes(&mut bytes);
    for block in bytes.chunks_mut(dtype.block_bytes()) {
        let scales: &[usize] = match dtype {
            GgmlType::Q4_1 => &[0, 2],
            GgmlType::Q6K => &[208],
            GgmlType::F32 => &[2],
            _ => &[0],
        };
        // An exponent whose bits are all set would be no number.
        scales.iter().for_each(|&at| block[at + 1] &= 0b1011_1111);
    }
    bytes
}

#[test]
fn every_format_gives_the_values_of_its_definition() {
    let mut rng = TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha);
    for dtype in GgmlType::ALL {
        let row = dtype.block_length() * 3;
        let bytes = random_blocks(dtype, 15, &mut rng);
        let mut file = Writer::default();
        file.tensor("w", &[5, row], dtype, bytes.clone());
        let values = open(&file.bytes()).unwrap().read("w").unwrap();
        assert_eq!(values.len(), 5 * row);
        for (index, found) in values.iter().enumerate() {
            let expected = value(dtype, &bytes, index);
            assert!(expected.is_finite());
            assert_eq!(found.to_bits(), expected.to_bits(), "{dtype} {index}: {found} {expected}");
        }
    }
}

/// Blocks that are easily worked out by hand.
#[test]
fn small_blocks_are_as_worked_out_by_hand() {
    let half = |value: f32| f16::from_f32(value).to_le_bytes().to_vec();
    let nibbles: Vec<u8> = (0..16).map(|i| i | (15 - i) << 4).collect();
    let q4_0 = [half(0.5), nibbles.clone()].concat();
    let q4_1 = [half(0.5), half(-1.0), nibbles].concat();
    let q8_0 = [half(0.25), (0..32).map(|i| (i as i8 - 16) as u8).collect()].concat();
    let mut file = Writer::default();
    file.tensor("q4_0", &[32], GgmlType::Q4_0, q4_0);
    file.tensor("q4_1", &[32], GgmlType::Q4_1, q4_1);
    file.tensor("q8_0", &[32], GgmlType::Q8_0, q8_0);
    let file = open(&file.bytes()).unwrap();
    let up = (0..16).map(|i| i as f32);
    let nibbles: Vec<f32> = up.clone().chain(up.rev()).collect();
    let expected = |of: &dyn Fn(f32) -> f32| nibbles.iter().map(|&value| of(value)).collect::<Vec<f32>>();
    assert_eq!(file.read("q4_0").unwrap(), expected(&|value| 0.5 * (value - 8.0)));
    assert_eq!(file.read("q4_1").unwrap(), expected(&|value| 0.5 * value - 1.0));
    assert_eq!(file.read("q8_0").unwrap(), (0..32).map(|i| 0.25 * (i as f32 - 16.0)).collect::<Vec<f32>>());
}
