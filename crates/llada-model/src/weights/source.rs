//! The trait through which layers obtain their weights, from the files of a checkpoint or from a model in training.

use crate::{
    ModelConfig, ModelError,
    layers::{linear::Linear, norm::RmsNorm},
    weights::role::{BlockRole, Role},
};

/// A source of weights, which are requested by role.
pub(crate) trait WeightSource {
    /// Returns the config of the model.
    fn config(&self) -> &ModelConfig;

    /// Returns the tensor of a role that is not a linear layer: the embedding, the weight of a norm, or the bias of a
    /// router.
    fn tensor(&mut self, role: Role, shape: &[usize]) -> Result<tch::Tensor, ModelError>;

    /// Returns the linear layer of a role. The `shape` of its weight is (out, in).
    fn linear(&mut self, role: Role, shape: [usize; 2], has_bias: bool) -> Result<Linear, ModelError>;

    /// Returns the norm of a role over vectors of `width` elements.
    fn norm(&mut self, role: Role, width: usize) -> Result<RmsNorm, ModelError> {
        let eps = self.config().rms_norm_eps;
        Ok(RmsNorm::new(self.tensor(role, &[width])?, eps))
    }

    /// Returns the norm of this role in block `layer`, over the residual stream.
    fn block_norm(&mut self, layer: usize, role: BlockRole) -> Result<RmsNorm, ModelError> {
        let width = self.config().hidden_size;
        self.norm(Role::Block(layer, role), width)
    }
}
