//! The part that a LoRA adapter adds to a linear layer: s B A x (Hu et al. 2021, arXiv 2106.09685).

use tch::{Kind, Tensor};

use super::dropout::Dropout;
use crate::ModelError;

/// An adapter of one linear layer, in the dtype of the layer's input.
#[derive(Debug)]
pub(crate) struct Lora {
    /// (r, in).
    pub(crate) a: Tensor,
    /// (out, r).
    pub(crate) b: Tensor,
    pub(crate) scale: f64,
    dropout: Option<Dropout>,
}

impl Lora {
    pub(crate) fn new(a: Tensor, b: Tensor, scale: f64) -> Self {
        Self { a, b, scale, dropout: None }
    }

    /// Sets the elements of inputs that are dropped.
    pub(crate) fn with_dropout(self, dropout: Option<Dropout>) -> Self {
        Self { dropout, ..self }
    }

    /// Returns true if the adapter is being trained.
    pub(crate) fn is_trainable(&self) -> bool {
        self.a.requires_grad()
    }

    /// Adds the adapter's part to the output `y` of its layer for the input `x`, in place: no gradient needs `y`.
    ///
    /// # Shapes
    /// x (rows, in), y (rows, out) -> (rows, out).
    pub(crate) fn add(&self, x: &Tensor, mut y: Tensor) -> Result<Tensor, ModelError> {
        let low = match &self.dropout {
            Some(dropout) => self.low(&dropout.apply(x)?)?,
            None => self.low(x)?,
        };
        Ok(y.f_addmm_(&low, &self.b.f_tr()?)?)
    }

    /// Computes s A x.
    ///
    /// # Shapes
    /// x (rows, in) -> (rows, r).
    pub(crate) fn low(&self, x: &Tensor) -> Result<Tensor, ModelError> {
        Ok(x.f_linear(&self.a, None::<&Tensor>)?.f_mul_scalar(self.scale)?)
    }

    /// Computes the weights that stand for layer and adapter together, W + s B A, in f32.
    ///
    /// # Shapes
    /// weight (out, in) f32 -> (out, in).
    pub(crate) fn merged(&self, weight: &Tensor) -> Result<Tensor, ModelError> {
        let [a, b] = [&self.a, &self.b].map(|matrix| matrix.f_to_kind(Kind::Float));
        Ok(weight.f_add(&b?.f_matmul(&a?)?.f_mul_scalar(self.scale)?)?)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::Value;

    use super::*;

    /// The reference's sum in f32, rounded to bf16 once. To round the adapter's part first gives other bits.
    #[test]
    fn golden_lora_merge_is_rounded_once() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/lora/lora.json");
        let golden: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let golden = &golden["merge_bf16"];
        let matrix = |key: &str| -> Tensor {
            let rows: Vec<Vec<f32>> = serde_json::from_value(golden[key].clone()).unwrap();
            Tensor::from_slice2(&rows)
        };
        let lora = Lora::new(matrix("A"), matrix("B"), golden["scaling"].as_f64().unwrap());
        let merged = lora.merged(&matrix("W")).unwrap().to_kind(Kind::BFloat16).to_kind(Kind::Float);
        assert!(merged == matrix("merged_rounded_once"));
        assert!(merged != matrix("merged_like_peft"));
    }
}
