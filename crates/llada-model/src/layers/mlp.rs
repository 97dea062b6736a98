//! The gated MLP: down( silu(gate h) ⊙ up h ).

use tch::Tensor;

use super::linear::{Input, Linear};
use crate::{
    ModelError,
    torch::{
        gradient,
        shim::{Epilogue, Part},
    },
    weights::{
        role::{BlockRole, Projection, Role},
        source::WeightSource,
    },
};

/// A gated MLP.
#[derive(Debug)]
pub(crate) struct Mlp {
    gate: Linear,
    up: Linear,
    down: Linear,
}

impl Mlp {
    /// Creates an MLP of block `layer` with `hidden` units. `role` maps its projections to their roles.
    pub(crate) fn new(
        source: &mut impl WeightSource,
        layer: usize,
        role: impl Fn(Projection) -> BlockRole,
        hidden: usize,
        has_bias: bool,
    ) -> Result<Self, ModelError> {
        let hidden_size = source.config().hidden_size;
        let mut linear = |projection: Projection| {
            source.linear(Role::Block(layer, role(projection)), projection.shape(hidden_size, hidden), has_bias)
        };
        Ok(Self { gate: linear(Projection::Gate)?, up: linear(Projection::Up)?, down: linear(Projection::Down)? })
    }

    /// Computes the MLP and its epilogue.
    ///
    /// # Shapes
    /// hidden (tokens, d), the epilogue's operand (tokens, d) -> (tokens, d).
    pub(crate) fn forward(&self, hidden: &Tensor, epilogue: Epilogue<'_>) -> Result<Tensor, ModelError> {
        // The fused epilogues overwrite their input. In training the backward pass needs it, and another kernel is
        // used.
        let is_training = hidden.requires_grad() || self.gate.is_trainable() || self.up.is_trainable();
        let hidden = Input::new(hidden);
        let gated = if is_training {
            let gate = self.gate.forward(&hidden, Epilogue::None)?;
            gradient::silu_mul(&gate, &self.up.forward(&hidden, Epilogue::None)?)?
        } else {
            let gate = self.gate.forward(&hidden, Epilogue::Silu)?;
            self.up.forward(&hidden, Epilogue::Mul(&gate))?
        };
        self.down.forward(&Input::new(&gated), epilogue)
    }

    /// Computes several MLPs of one shape, without biases, in three products, each part of the tokens through its own.
    /// Returns `None` if the kernel of their weights takes one layer at a time.
    ///
    /// # Shapes
    /// hidden (tokens, d) -> (tokens, d).
    pub(crate) fn forward_parts(parts: &[Part<'_, Self>], hidden: &Tensor) -> Result<Option<Tensor>, ModelError> {
        let layers =
            |projection: fn(&Self) -> &Linear| parts.iter().map(|part| part.map(projection)).collect::<Vec<_>>();
        let hidden = Input::new(hidden);
        let Some(gate) = Linear::forward_parts(&layers(|mlp| &mlp.gate), &hidden, Epilogue::Silu)? else {
            return Ok(None);
        };
        let Some(gated) = Linear::forward_parts(&layers(|mlp| &mlp.up), &hidden, Epilogue::Mul(&gate))? else {
            return Ok(None);
        };
        Linear::forward_parts(&layers(|mlp| &mlp.down), &Input::new(&gated), Epilogue::None)
    }
}
