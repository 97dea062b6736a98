//! The gated MLP: ff_out( silu(ff_proj h) ⊙ up_proj h ).

use tch::Tensor;

use super::linear::{Input, Linear};
use crate::{
    ModelError,
    torch::{gradient, shim::Epilogue},
};

/// Projections of one block's MLP.
#[derive(Debug)]
pub(crate) struct Mlp {
    pub(crate) ff_proj: Linear,
    pub(crate) up_proj: Linear,
    pub(crate) ff_out: Linear,
}

impl Mlp {
    /// What the MLP makes of `hidden`, with what follows it.
    ///
    /// # Shapes
    /// hidden (tokens, d), the epilogue's operand (tokens, d) -> (tokens, d).
    pub(crate) fn forward(&self, hidden: &Tensor, epilogue: Epilogue<'_>) -> Result<Tensor, ModelError> {
        let hidden = Input::new(hidden);
        let gated = if self.ff_proj.is_trainable() {
            let gate = self.ff_proj.forward(&hidden, Epilogue::None)?;
            gradient::silu_mul(&gate, &self.up_proj.forward(&hidden, Epilogue::None)?)?
        } else {
            let gate = self.ff_proj.forward(&hidden, Epilogue::Silu)?;
            self.up_proj.forward(&hidden, Epilogue::Mul(&gate))?
        };
        self.ff_out.forward(&Input::new(&gated), epilogue)
    }
}
