//! NF4 against what bitsandbytes makes of the same numbers, bit for bit.

use std::path::Path;

use serde::Deserialize;

use super::{super::Matrix, *};

#[derive(Deserialize)]
struct Golden {
    levels: Vec<f32>,
    weight: Vec<Vec<f32>>,
    absmax: Vec<f32>,
    packed: Vec<u8>,
    dequantized: Vec<Vec<f32>>,
    double: Double,
}

#[derive(Deserialize)]
struct Double {
    offset_mean_of_absmax: f64,
    absmax_code: Vec<u8>,
    scale: Vec<f32>,
    code8: Vec<f32>,
    absmax_dequantized: Vec<f32>,
}

fn golden() -> Golden {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/quant/nf4.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn floats(tensor: &Tensor) -> Vec<f32> {
    Vec::try_from(tensor.reshape([-1])).unwrap()
}

fn bytes(tensor: &Tensor) -> Vec<u8> {
    Vec::try_from(tensor.reshape([-1])).unwrap()
}

#[test]
fn golden_nf4_codes_scales_and_numbers() {
    let golden = golden();
    let weight = Tensor::from_slice2(&golden.weight);
    let matrix = Nf4::new(&weight, false).unwrap();
    assert_eq!(bytes(&matrix.codes), golden.packed);
    assert_eq!(floats(&matrix.scale), golden.absmax);
    let exact = Matrix::Nf4(matrix).dequantize(Kind::Float).unwrap();
    assert_eq!(floats(&exact), golden.dequantized.concat());
}

#[test]
fn golden_nf4_scales_in_eight_bits() {
    let Golden { levels: golden_levels, weight, packed, double, .. } = golden();
    assert_eq!(levels(), double.code8);
    let matrix = Nf4::new(&Tensor::from_slice2(&weight), true).unwrap();
    assert_eq!(bytes(&matrix.codes), packed);
    assert_eq!(bytes(&matrix.scale), double.absmax_code);
    let (scale, _, offset) = matrix.second();
    assert_eq!((floats(scale.unwrap()), offset), (double.scale, double.offset_mean_of_absmax));
    let found = floats(&Matrix::Nf4(matrix).dequantize(Kind::Float).unwrap());
    for (index, found) in found.into_iter().enumerate() {
        let code = if index % 2 == 0 { packed[index / 2] >> 4 } else { packed[index / 2] & 15 };
        assert_eq!(found, golden_levels[usize::from(code)] * double.absmax_dequantized[index / 64], "{index}");
    }
}

#[test]
fn blocks_cross_rows_and_may_be_incomplete() {
    tch::manual_seed(1);
    for shape in [[3, 50], [1, 1], [5, 13], [2, 64]] {
        let weight = Tensor::randn(shape, tch::kind::FLOAT_CPU);
        let matrix = Matrix::Nf4(Nf4::new(&weight, false).unwrap());
        let found = matrix.dequantize(Kind::Float).unwrap();
        for (found, weight) in floats(&found).chunks(64).zip(floats(&weight).chunks(64)) {
            let largest = weight.iter().fold(0.0_f32, |largest, w| largest.max(w.abs()));
            for (found, weight) in found.iter().zip(weight) {
                // Half of the widest gap between two levels.
                assert!((found - weight).abs() <= 0.153 * largest, "{found} {weight}");
            }
        }
    }
    let zeros = Matrix::Nf4(Nf4::new(&Tensor::zeros([4, 32], tch::kind::FLOAT_CPU), true).unwrap());
    assert_eq!(floats(&zeros.dequantize(Kind::Float).unwrap()), vec![0.0; 128]);
}
