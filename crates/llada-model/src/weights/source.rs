//! Where layers get their weights from: a checkpoint's files, or the variables of a model in training.

use crate::{
    ModelConfig, ModelError,
    layers::{linear::Linear, norm::RmsNorm},
    weights::role::{BlockRole, Role},
};

/// A source of weights, asked by role.
pub(crate) trait WeightSource {
    /// The config that calls for them.
    fn config(&self) -> &ModelConfig;

    /// The tensor of a role that is no linear layer: a norm's weight, the embedding, a router's bias; of `shape`.
    fn tensor(&mut self, role: Role, shape: &[usize]) -> Result<tch::Tensor, ModelError>;

    /// The linear layer of a role, whose weight is of `shape` (out, in).
    fn linear(&mut self, role: Role, shape: [usize; 2], has_bias: bool) -> Result<Linear, ModelError>;

    /// The norm of a role over `width` numbers.
    fn norm(&mut self, role: Role, width: usize) -> Result<RmsNorm, ModelError> {
        let eps = self.config().rms_norm_eps;
        Ok(RmsNorm::new(self.tensor(role, &[width])?, eps))
    }

    /// The norm of block `layer` in this role, over the residual stream.
    fn block_norm(&mut self, layer: usize, role: BlockRole) -> Result<RmsNorm, ModelError> {
        let width = self.config().hidden_size;
        self.norm(Role::Block(layer, role), width)
    }
}
