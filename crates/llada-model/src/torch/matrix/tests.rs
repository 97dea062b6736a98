//! Products with stored matrices and their gradients.

use super::*;
use crate::torch::gradient::backward;

const STORAGES: [Storage; 5] = [
    Storage::Float(Kind::BFloat16),
    Storage::Float(Kind::Float),
    Storage::Int8,
    Storage::Nf4 { double_quant: false },
    Storage::Nf4 { double_quant: true },
];

fn random(sizes: [i64; 2], kind: Kind) -> Tensor {
    Tensor::randn(sizes, tch::kind::FLOAT_CPU).to_kind(kind)
}

#[test]
fn products_and_their_gradients_are_those_of_f32_but_for_the_last_rounding() -> Result<(), ModelError> {
    tch::manual_seed(0);
    for (rows, out, columns) in [(1, 1, 1), (3, 5, 2), (40, 33, 48), (70, 67, 515)] {
        for storage in STORAGES {
            let matrix = Matrix::new(&random([out, columns], Kind::Float), storage)?;
            for kind in [Kind::Float, Kind::BFloat16] {
                let x = random([rows, columns], kind).set_requires_grad(true);
                let (y, slope) = (matrix.linear(&x)?, random([rows, out], kind));
                backward(&y, &slope)?;
                let [x32, slope32, weight32] =
                    [&x.detach(), &slope, &matrix.dequantize(kind)?].map(|tensor| tensor.to_kind(Kind::Float));
                for (found, expected) in [(y, x32.matmul(&weight32.tr())), (x.grad(), slope32.matmul(&weight32))] {
                    assert_eq!(found.kind(), kind);
                    let tolerance = if kind == Kind::Float { 1e-4 } else { 2e-2 };
                    let is_close = found.to_kind(Kind::Float).allclose(&expected, tolerance, tolerance, false);
                    assert!(is_close, "{storage:?} {kind:?} ({rows}, {columns}) to {out}");
                }
            }
        }
    }
    Ok(())
}
