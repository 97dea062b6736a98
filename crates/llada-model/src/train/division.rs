//! A model in training that is divided among processes (ZeRO, Rajbhandari et al. 2020, arXiv 1910.02054): each keeps its
//! share of the gradient, and maybe of the weights. Groups of both are whole while a block is computed, and only then.

use std::{collections::VecDeque, mem};

use tch::{Kind, Tensor, no_grad};

use super::{
    TrainableTransformer,
    exchange::{Exchange, Numbers, Pending},
    layout::GroupLayout,
    slice::ParameterSlice,
};
use crate::{Dtype, ModelError, torch::gradient};

/// What a process keeps of a model.
#[derive(Debug)]
pub(super) struct Division {
    rank: usize,
    world_size: usize,
    pub(super) gradient: ParameterSlice,
    /// None if every process has all weights.
    pub(super) weights: Option<ParameterSlice>,
}

/// What is on its way while the gradient of a batch is computed.
pub(super) struct Pass<'a> {
    exchange: Option<&'a mut dyn Exchange>,
    /// Whether the gradient of the step is complete after this pass.
    is_last: bool,
    /// The dtype in which weights are gathered.
    dtype: Dtype,
    gathering: Option<Gathering>,
    sums: VecDeque<Sum>,
}

/// The weights of a group, which come from all processes.
struct Gathering {
    group: usize,
    flat: Tensor,
    pending: Box<dyn Pending>,
}

/// The sum of a group's gradient over all processes.
struct Sum {
    group: usize,
    /// What is summed, if it is not the model's gradient itself.
    buffer: Option<Tensor>,
    pending: Box<dyn Pending>,
}

impl<'a> Pass<'a> {
    /// The pass of a model that one process trains.
    pub(super) fn alone() -> Self {
        Self { exchange: None, is_last: false, dtype: Dtype::F32, gathering: None, sums: VecDeque::new() }
    }

    /// The pass of one process of several, which compute in `dtype`. Weights are gathered so too: each is cast before it is
    /// computed with, and the bits are the same before it is sent.
    pub(super) fn of(exchange: &'a mut dyn Exchange, dtype: Dtype, is_last: bool) -> Self {
        Self { exchange: Some(exchange), is_last, dtype, ..Self::alone() }
    }

    fn exchange(&mut self) -> Result<&mut dyn Exchange, ModelError> {
        match &mut self.exchange {
            Some(exchange) => Ok(&mut **exchange),
            None => Err(ModelError::Exchange("the model is divided, and nobody was named who has the rest".into())),
        }
    }
}

impl TrainableTransformer {
    /// Keeps of the gradient, and of the weights if `weights` is set, the share of process `rank` of `world_size` alone.
    /// From now on gradients are computed by [`accumulate_with`](Self::accumulate_with). The weights are whole until then.
    ///
    /// One process keeps all, and nothing changes.
    ///
    /// # Errors
    /// There is no memory for the share.
    pub fn divide(&mut self, rank: usize, world_size: usize, weights: bool) -> Result<(), ModelError> {
        if world_size <= 1 {
            return Ok(());
        }
        let own = self.weights.slice(rank, world_size)?;
        let gradient = own.zeros_like()?;
        let mut share = None;
        if weights {
            share.insert(own.zeros_like()?).copy_from(&own)?;
        }
        for group in 0..self.gradient.groups.len() {
            _ = self.take_gradient(group)?;
        }
        self.division = Some(Division { rank, world_size, gradient, weights: share });
        Ok(())
    }

    /// Returns whether this process has a share of the gradient alone.
    pub fn is_divided(&self) -> bool {
        self.division.is_some()
    }

    /// Makes the weights whole, which after [`accumulate_with`](Self::accumulate_with) they are not if they are divided.
    /// They stay so until the next gradient is computed.
    ///
    /// # Errors
    /// A process cannot be reached; there is no memory for the weights.
    pub fn gather_weights(&mut self, exchange: &mut dyn Exchange) -> Result<(), ModelError> {
        let mut pass = Pass::of(exchange, Dtype::F32, false);
        for group in 0..self.weights.groups.len() {
            self.open(group, &mut pass)?;
        }
        Ok(())
    }

    /// Gets the weights that the other processes of `world_size` have moved, each its share.
    ///
    /// # Errors
    /// A process cannot be reached.
    pub fn exchange_weights(&mut self, world_size: usize, exchange: &mut dyn Exchange) -> Result<(), ModelError> {
        let mut pending = Vec::with_capacity(self.weights.groups.len());
        for (group, layout) in self.weights.groups.iter().zip(&self.weights.layout.groups) {
            let bounds = layout.bounds(world_size);
            pending.push(exchange.start_all_gather(Numbers::of(group), &bounds).map_err(ModelError::Exchange)?);
        }
        pending.into_iter().try_for_each(|pending| pending.wait().map_err(ModelError::Exchange))
    }

    /// Returns the weights in the share that `own` is of, in their memory.
    ///
    /// # Errors
    /// libtorch's own.
    pub fn weights_of(&self, own: &ParameterSlice) -> Result<ParameterSlice, ModelError> {
        match self.division.as_ref().and_then(|division| division.weights.as_ref()) {
            Some(share) => Ok(share.share()),
            None => self.weights.slice_like(own),
        }
    }

    /// Returns the gradient in the share that `own` is of, in its memory.
    pub(super) fn gradient_of(&self, own: &ParameterSlice) -> Result<ParameterSlice, ModelError> {
        match &self.division {
            Some(division) => Ok(division.gradient.share()),
            None => self.gradient.slice_like(own),
        }
    }

    /// Returns the norms of the pieces of the gradient, whose own norm is that of the gradient. A piece is some rows of a
    /// tensor, the same ones however the gradient is divided; the norm is 0 of pieces that this process does not have.
    ///
    /// # Errors
    /// libtorch's own.
    pub fn gradient_norms(&self) -> Result<Vec<f64>, ModelError> {
        match &self.division {
            Some(division) => division.gradient.norms(),
            None => self.gradient.slice(0, 1)?.norms(),
        }
    }

    /// Whether weights are divided.
    pub(super) fn divides_weights(&self) -> bool {
        self.division.as_ref().is_some_and(|division| division.weights.is_some())
    }

    fn layout_of(&self, group: usize) -> &GroupLayout {
        &self.weights.layout.groups[group]
    }

    /// Makes leaves of the graph of a group's weights.
    pub(super) fn bind(&mut self, group: usize) -> Result<(), ModelError> {
        let Self { weights, gradient, variables, .. } = self;
        for (name, span) in weights.layout.of_group(group) {
            let mut variable = weights.view(span)?.f_detach()?.f_set_requires_grad(true)?;
            if gradient.has(group) {
                gradient::set_grad(&mut variable, &gradient.view(span)?)?;
            }
            variables.insert(name.clone(), variable);
        }
        Ok(())
    }

    /// Starts to gather a group's weights, if they are not here. One group is on its way at a time.
    pub(super) fn fetch(&mut self, group: usize, pass: &mut Pass<'_>) -> Result<(), ModelError> {
        if self.weights.has(group) || pass.gathering.as_ref().is_some_and(|gathering| gathering.group == group) {
            return Ok(());
        }
        let Some(Division { world_size, weights: Some(share), .. }) = &self.division else { return Ok(()) };
        let layout = self.layout_of(group);
        let flat = Tensor::f_empty([layout.total], (pass.dtype.kind(), self.device))?;
        let own = share.within(group, 0..layout.total);
        let mut place = flat.f_narrow(0, own.start, own.end - own.start)?;
        no_grad(|| place.f_copy_(&share.stretch(group, own)?).map_err(ModelError::from))?;
        let bounds = layout.bounds(*world_size);
        let pending = pass.exchange()?.start_all_gather(Numbers::of(&flat), &bounds).map_err(ModelError::Exchange)?;
        pass.gathering = Some(Gathering { group, flat, pending });
        Ok(())
    }

    /// Has a group's weights here.
    pub(super) fn open(&mut self, group: usize, pass: &mut Pass<'_>) -> Result<(), ModelError> {
        self.fetch(group, pass)?;
        if let Some(Gathering { flat, pending, .. }) = pass.gathering.take_if(|gathering| gathering.group == group) {
            pending.wait().map_err(ModelError::Exchange)?;
            // The leaves of the graph are f32 whatever is computed in, as the gradient is.
            self.weights.groups[group] = flat.f_to_kind(Kind::Float)?;
            self.bind(group)?;
        }
        Ok(())
    }

    /// Forgets a group's weights, if they are divided.
    pub(super) fn close(&mut self, group: usize) -> Result<(), ModelError> {
        if self.divides_weights() {
            for (name, _) in self.weights.layout.of_group(group) {
                self.variables.remove(name);
            }
            self.weights.groups[group] = Tensor::f_empty([0], (Kind::Float, self.device))?;
        }
        Ok(())
    }

    /// Has a group's gradient, which is 0, if the gradient is divided. Of sums that were started, one at most is still on
    /// its way, so that there are two buffers of blocks.
    pub(super) fn open_gradient(&mut self, group: usize, pass: &mut Pass<'_>) -> Result<(), ModelError> {
        if self.division.is_none() || self.layout_of(group).total == 0 {
            return Ok(());
        }
        self.land(pass, 1)?;
        self.gradient.groups[group] = Tensor::f_zeros([self.layout_of(group).total], (Kind::Float, self.device))?;
        for (name, span) in self.gradient.layout.of_group(group) {
            if let Some(variable) = self.variables.get_mut(name) {
                gradient::set_grad(variable, &self.gradient.view(span)?)?;
            }
        }
        Ok(())
    }

    /// Takes a group's gradient out of the graph.
    fn take_gradient(&mut self, group: usize) -> Result<Tensor, ModelError> {
        for (name, _) in self.gradient.layout.of_group(group) {
            if let Some(variable) = self.variables.get_mut(name) {
                gradient::set_grad(variable, &Tensor::new())?;
            }
        }
        let none = Tensor::f_empty([0], (Kind::Float, self.device))?;
        Ok(mem::replace(&mut self.gradient.groups[group], none))
    }

    /// Starts the sum of a group's gradient, which is complete in this pass; of the whole gradient, in the last one.
    pub(super) fn reduce(&mut self, group: usize, pass: &mut Pass<'_>) -> Result<(), ModelError> {
        let total = self.layout_of(group).total;
        if total == 0 {
            return Ok(());
        }
        let (pending, buffer) = match &self.division {
            Some(division) => {
                let bounds = self.layout_of(group).bounds(division.world_size);
                let buffer = self.take_gradient(group)?;
                (pass.exchange()?.start_reduce_scatter(Numbers::of(&buffer), &bounds), Some(buffer))
            }
            None if pass.is_last && pass.exchange.is_some() => {
                let whole = Numbers::of(&self.gradient.groups[group]);
                (pass.exchange()?.start_all_reduce(whole), None)
            }
            None => return Ok(()),
        };
        let pending = pending.map_err(ModelError::Exchange)?;
        pass.sums.push_back(Sum { group, buffer, pending });
        Ok(())
    }

    /// Waits for sums until so many are left.
    pub(super) fn land(&mut self, pass: &mut Pass<'_>, left: usize) -> Result<(), ModelError> {
        while pass.sums.len() > left
            && let Some(Sum { group, buffer, pending }) = pass.sums.pop_front()
        {
            pending.wait().map_err(ModelError::Exchange)?;
            if let (Some(buffer), Some(Division { gradient, .. })) = (buffer, &self.division) {
                let own = gradient.within(group, 0..self.layout_of(group).total);
                let part = buffer.f_narrow(0, own.start, own.end - own.start)?;
                _ = no_grad(|| gradient.stretch(group, own)?.f_add_(&part).map_err(ModelError::from))?;
            }
        }
        Ok(())
    }

    /// Takes over weights that were replaced as a whole.
    pub(super) fn keep_share(&mut self) -> Result<(), ModelError> {
        if let Some(Division { rank, world_size, weights: Some(share), .. }) = &mut self.division {
            share.copy_from(&self.weights.slice(*rank, *world_size)?)?;
        }
        Ok(())
    }
}

/// The norm of a gradient whose pieces have these norms.
pub fn norm_of(pieces: &[f64]) -> f64 {
    pieces.iter().map(|norm| norm * norm).sum::<f64>().sqrt()
}
