//! Routers, whose choices no public function shows.

use std::path::PathBuf;

use safetensors::SafeTensors;
use tch::Tensor;

use crate::{
    Device, Dtype, ModelError, Transformer,
    layers::{
        attention::CacheView,
        packing::{Packing, Piece},
    },
};

/// The reference's choices in layer 1, best first, and the numbers that it multiplies the experts' outputs with.
#[test]
fn routers_choose_and_weigh_as_the_reference_does() -> Result<(), ModelError> {
    for (name, block_lengths) in [("tiny-llada-moe", [None; 4]), ("tiny-llada2", [32, 32, 8, 8].map(Some))] {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
        let bytes = std::fs::read(folder.join("golden_logits.safetensors")).map_err(ModelError::io(&folder))?;
        let golden = SafeTensors::deserialize(&bytes).map_err(|e| ModelError::file(&folder, e))?;
        let read = |key: &str| match golden.tensor(key) {
            Ok(tensor) => Ok(tensor.data().to_vec()),
            Err(error) => Err(ModelError::file(&folder, error)),
        };
        let model = Transformer::load(&folder, Device::Cpu, Dtype::F32)?;
        for (i, block_length) in block_lengths.into_iter().enumerate() {
            let integers = |bytes: &[u8]| -> Vec<i64> {
                bytes.chunks(8).map(|b| i64::from_le_bytes(b.try_into().unwrap_or_default())).collect()
            };
            let ids = integers(&read(&format!("input_ids.{i}"))?);
            let (experts, weights) = (read(&format!("router.{i}.ids"))?, read(&format!("router.{i}.weights"))?);
            let piece = Piece { block_length, ..Piece::whole(ids.len()) };
            let packing = Packing::new(&[piece], tch::Device::Cpu)?;
            let x = model.embedding.f_index_select(0, &Tensor::f_from_slice(&ids)?)?;
            let x = model.blocks[0].forward(&x, &packing, &model.rope, CacheView::none())?;
            let routing = model.blocks[1].routing(&x, &packing, &model.rope)?;
            let Some(routing) = routing else { panic!("{name}: layer 1 has no experts") };
            let found: Vec<i64> = Vec::try_from(routing.experts.f_reshape([-1])?)?;
            assert_eq!(found, integers(&experts), "{name} {i}");
            let found: Vec<f32> = Vec::try_from(routing.weights.f_reshape([-1])?)?;
            for (found, expected) in found.iter().zip(weights.chunks(4)) {
                let expected = f32::from_le_bytes(expected.try_into().unwrap_or_default());
                assert!((found - expected).abs() < 1e-5, "{name} {i}: {found} {expected}");
            }
        }
    }
    Ok(())
}
