//! The gradient of a batch, block by block in both directions.
//!
//! Each block has a graph of its own, from its input to its output. The gradient of a group is complete as soon as its
//! block is done, and leaves for the other processes while the next one is computed. Where blocks are computed twice, the
//! forward pass keeps only their inputs (Chen et al. 2016, arXiv 1604.06174).

use tch::{Kind, Tensor};

use super::{TrainableTransformer, balance::Balance, batch::PreparedBatch, division::Pass, exchange::Exchange};
use crate::{
    ModelError, TrainingBatch,
    layers::{dropout::DropoutStep, moe::Load},
    torch::gradient,
};

/// A block in the forward pass.
struct Stretch {
    input: Tensor,
    /// None if the block is computed again.
    output: Option<Output>,
}

/// What a block has computed, with its graph.
struct Output {
    y: Tensor,
    loads: Vec<Load>,
}

impl TrainableTransformer {
    /// Returns the cross-entropy of each wanted token, in nats, and adds the gradient of their weighted sum to the
    /// accumulated one, with that of weighted entropies if the batch has such. So is the gradient of
    /// [`router_aux_loss`](Self::router_aux_loss), where the config has that loss.
    ///
    /// # Errors
    /// Those of [`cross_entropy`](Self::cross_entropy).
    pub fn accumulate(&mut self, batch: &TrainingBatch<'_>) -> Result<Vec<f32>, ModelError> {
        self.pass(Some(batch), Pass::alone())
    }

    /// Does what [`accumulate`](Self::accumulate) does, as one of the processes of `exchange`, each of which has a batch of
    /// its own or none. If the gradient is divided, the sum over all batches is added to this process's share. If it is
    /// not, it becomes the sum over all processes when `is_last` is set. Either is under way while blocks are computed.
    ///
    /// # Errors
    /// Those of [`cross_entropy`](Self::cross_entropy); a process cannot be reached.
    pub fn accumulate_with(
        &mut self,
        batch: Option<&TrainingBatch<'_>>,
        is_last: bool,
        exchange: &mut dyn Exchange,
    ) -> Result<Vec<f32>, ModelError> {
        self.pass(batch, Pass::of(exchange, self.dtype, is_last))
    }

    /// Every process makes the same calls, whether it has a batch or not.
    fn pass(&mut self, batch: Option<&TrainingBatch<'_>>, mut pass: Pass<'_>) -> Result<Vec<f32>, ModelError> {
        let (wanted, share) = batch.map_or((0, 0.0), |batch| (batch.wanted.len(), batch.share));
        let batch = batch.map(|batch| self.prepare(batch)).transpose()?.flatten();
        let layers = self.config.num_hidden_layers;
        let (embedding, end) = (0, layers + 1);
        let mut balance = Balance::new(&self.config, share);
        self.open(embedding, &mut pass)?;
        let embedded = batch.as_ref().map(|batch| self.embed(&batch.ids)).transpose()?;
        let mut x = embedded.as_ref().map(Tensor::f_detach).transpose()?;
        let mut stretches = Vec::with_capacity(layers);
        for layer in 0..layers {
            let is_last = layer + 1 == layers;
            self.open(layer + 1, &mut pass)?;
            self.fetch(layer + 2, &mut pass)?;
            if is_last {
                self.open(end, &mut pass)?;
            }
            if let (Some(batch), Some(input)) = (&batch, x.take()) {
                let is_kept = is_last || !(self.activation_checkpointing || self.divides_weights());
                let (stretch, y) = self.forward_block(layer, input, batch, is_kept, &mut balance)?;
                stretches.push(stretch);
                x = Some(y);
            }
            if !is_last {
                self.close(layer + 1)?;
            }
        }
        let mut out = Vec::new();
        // The gradient of the output of a block, which is that of the input of the block after it.
        let mut slope = None;
        let is_tied = self.config.tie_word_embeddings;
        self.open_gradient(end, &mut pass)?;
        if is_tied {
            self.open_gradient(embedding, &mut pass)?;
        }
        if let (Some(batch), Some(hidden)) = (&batch, x.take()) {
            slope = Some(self.head_gradient(&hidden, batch, &mut out)?);
        }
        for layer in (0..layers).rev() {
            self.open(layer + 1, &mut pass)?;
            if layer > 0 {
                self.fetch(layer, &mut pass)?;
            }
            self.open_gradient(layer + 1, &mut pass)?;
            if let (Some(batch), Some(stretch), Some(of_y)) = (&batch, stretches.pop(), slope.take()) {
                slope = Some(self.backward_block(layer, stretch, of_y, batch, &balance)?);
            }
            if layer + 1 == layers {
                self.reduce(end, &mut pass)?;
            }
            self.reduce(layer + 1, &mut pass)?;
            self.close(layer + 1)?;
        }
        if !is_tied {
            self.open_gradient(embedding, &mut pass)?;
        }
        // A frozen embedding has no gradient.
        if let (Some(embedded), Some(slope)) = (embedded.filter(Tensor::requires_grad), slope) {
            gradient::backward(&embedded, &slope)?;
        }
        self.reduce(embedding, &mut pass)?;
        self.land(&mut pass, 0)?;
        self.close(embedding)?;
        self.close(end)?;
        self.router_aux_loss += balance.loss()?;
        out.truncate(wanted);
        Ok(out)
    }

    /// The dropout of adapters.
    fn dropout(&self) -> Option<DropoutStep> {
        self.adapted.as_ref().and_then(|adapted| adapted.dropout)
    }

    /// Computes a block, and returns its output without its graph too.
    fn forward_block(
        &self,
        layer: usize,
        input: Tensor,
        batch: &PreparedBatch,
        is_kept: bool,
        balance: &mut Balance,
    ) -> Result<(Stretch, Tensor), ModelError> {
        let input = input.f_set_requires_grad(true)?;
        // With a graph even if it is not kept: which kernels compute a block depends on that.
        let output = self.output(layer, &input, batch)?;
        balance.add(&output.loads)?;
        let y = output.y.f_detach()?;
        Ok((Stretch { input, output: is_kept.then_some(output) }, y))
    }

    fn output(&self, layer: usize, input: &Tensor, batch: &PreparedBatch) -> Result<Output, ModelError> {
        let mut loads = Vec::new();
        let x = input.shallow_clone();
        let y = self.run(layer..layer + 1, x, batch, self.dropout(), Some(&mut loads))?;
        Ok(Output { y, loads })
    }

    /// Computes the gradient of a block, and returns that of its input.
    fn backward_block(
        &self,
        layer: usize,
        Stretch { input, output }: Stretch,
        of_y: Tensor,
        batch: &PreparedBatch,
        balance: &Balance,
    ) -> Result<Tensor, ModelError> {
        let Output { y, loads } = match output {
            Some(output) => output,
            None => self.output(layer, &input, batch)?,
        };
        match balance.term(&loads)? {
            None => gradient::backward(&y, &of_y)?,
            // One backward pass for both: they share the layers below.
            Some(term) => {
                let sum = y.f_mul(&of_y)?.f_sum(Kind::Float)?.f_add(&term)?;
                gradient::backward(&sum, &sum.f_ones_like()?)?;
            }
        }
        Ok(input.f_grad()?)
    }
}
