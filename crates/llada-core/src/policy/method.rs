//! The methods behind one interface, as a training run chooses among them.

use super::coupled_grpo::CoupledGrpo;
use super::diffu_grpo::DiffuGrpo;
use super::espo::Espo;
use super::spg::Spg;
use super::trace_rl::TraceRl;
use super::wd1::Wd1;
use super::{Advantage, Completion, Scored, Surrogate, View};
use crate::CoreError;
use crate::likelihood::random_subset;
use crate::rng::{Domain, Noise};
use serde::{Deserialize, Serialize};

/// A method with its settings. In a file, `objective` names it and its settings lie beside.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "objective", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Method {
    /// ESPO.
    Espo(Espo),
    /// diffu-GRPO.
    DiffuGrpo(DiffuGrpo),
    /// wd1.
    Wd1(Wd1),
    /// SPG.
    Spg(Spg),
    /// Coupled GRPO.
    CoupledGrpo(CoupledGrpo),
    /// TraceRL.
    TraceRl(TraceRl),
}

/// A rollout: a completion and how it came about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rollout {
    /// The completion.
    pub completion: Completion,
    /// The step at which each token of the completion was committed, one per token of the canvas.
    pub step_map: Vec<usize>,
}

/// The views of a batch of completions, and what its method drew for all of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Draw {
    /// The views, by completion.
    pub views: Vec<Vec<View>>,
    /// The share of the first mask (coupled GRPO).
    ratio: f64,
    /// The number of masked tokens of each first view (ESPO).
    counts: Vec<usize>,
}

/// The place of a draw among all of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrawKey {
    /// The number of the first completion of the batch among all of the run.
    pub sample: u64,
    /// The number of the update of these completions, from 0: each sees other masks.
    pub iteration: u32,
}

impl Method {
    /// Returns what the method compares a group's rewards with.
    pub fn advantage(&self) -> Advantage {
        match self {
            Self::DiffuGrpo(_) | Self::Wd1(_) | Self::Spg(_) => Advantage::Centered,
            Self::CoupledGrpo(_) | Self::Espo(_) => Advantage::LeaveOneOut,
            Self::TraceRl(_) => Advantage::ZScore,
        }
    }

    /// Refuses settings that a method cannot have.
    ///
    /// # Errors
    /// The error names the setting.
    pub fn check(&self) -> Result<(), CoreError> {
        let (epsilon, beta) = match self {
            Self::Espo(method) => (method.epsilon, method.beta),
            Self::DiffuGrpo(method) => (method.epsilon, method.beta),
            Self::CoupledGrpo(method) => (method.epsilon, method.beta),
            Self::TraceRl(method) => (method.epsilon, method.beta),
            Self::Wd1(_) | Self::Spg(_) => (0.0, 0.0),
        };
        CoreError::check_within("epsilon", epsilon, 0.0, f64::MAX)?;
        CoreError::check_within("beta", beta, 0.0, f64::MAX)?;
        match self {
            Self::Espo(_) => Ok(()),
            Self::DiffuGrpo(method) => CoreError::check_within("p_mask_prompt", method.p_mask_prompt, 0.0, 1.0),
            Self::Wd1(method) => {
                CoreError::check_within("p_mask_prompt", method.p_mask_prompt, 0.0, 1.0)?;
                CoreError::check_within("psi", method.psi, 0.0, f64::MAX)
            }
            Self::CoupledGrpo(method) => {
                let [least, most] = method.mask_ratio;
                CoreError::check_within("mask_ratio", most, f64::MIN_POSITIVE, 1.0 - f64::EPSILON)?;
                CoreError::check_within("mask_ratio", least, f64::MIN_POSITIVE, most)
            }
            Self::Spg(method) => {
                CoreError::check_positive("num_t", method.num_t)?;
                CoreError::check_within("p_mask_earlier", method.p_mask_earlier, 0.0, 1.0)?;
                CoreError::check_within("eubo_beta", method.eubo_beta, f64::MIN_POSITIVE, f64::MAX)?;
                CoreError::check_within("mix_weight", method.mix_weight, 0.0, 1.0)
            }
            Self::TraceRl(method) => CoreError::check_positive("shrink", method.shrink),
        }
    }

    /// Returns true if the loss depends on the probabilities under the policy that generated the completions.
    pub fn has_ratio(&self) -> bool {
        !matches!(self, Self::Wd1(_) | Self::Spg(_))
    }

    /// Returns true if the loss has a penalty for leaving a reference.
    pub fn has_reference(&self) -> bool {
        match self {
            Self::Espo(method) => method.beta > 0.0,
            Self::DiffuGrpo(method) => method.beta > 0.0,
            Self::CoupledGrpo(method) => method.beta > 0.0,
            Self::Wd1(_) | Self::Spg(_) | Self::TraceRl(_) => false,
        }
    }

    /// Draws the views of a batch of completions.
    ///
    /// # Errors
    /// If a setting is impossible, or a completion is empty.
    pub fn draw(&self, batch: &[Rollout], noise: Noise, key: DrawKey, mask_id: u32) -> Result<Draw, CoreError> {
        let DrawKey { sample: first, iteration } = key;
        let mut draw = Draw { views: Vec::with_capacity(batch.len()), ratio: 0.0, counts: Vec::new() };
        let uniform = |domain, sample| noise.domain(domain).stream(sample, iteration, 0);
        match self {
            Self::CoupledGrpo(method) => draw.ratio = method.ratio(uniform(Domain::Time, first).uniform()),
            Self::Espo(_) => {
                let canvas = batch.iter().map(|rollout| rollout.completion.canvas()).min().unwrap_or(0);
                let start = uniform(Domain::Time, first).below(canvas as u64 + 1) as usize;
                draw.counts = Espo::counts(start, batch.len(), canvas);
            }
            _ => {}
        }
        for (i, Rollout { completion, step_map }) in batch.iter().enumerate() {
            let sample = first + i as u64;
            let mask = uniform(Domain::Mask, sample);
            draw.views.push(match self {
                Self::DiffuGrpo(method) => vec![method.view(completion, &mask, mask_id)],
                Self::Wd1(method) => {
                    let view = DiffuGrpo { p_mask_prompt: method.p_mask_prompt, ..DiffuGrpo::default() };
                    vec![view.view(completion, &mask, mask_id)]
                }
                Self::CoupledGrpo(method) => method.views(completion, draw.ratio, &mask, mask_id).to_vec(),
                Self::Spg(method) => method.views(completion, noise, sample, iteration, mask_id)?,
                Self::TraceRl(method) => method.views(completion, step_map, mask_id)?,
                Self::Espo(method) => {
                    let stream = uniform(Domain::Shuffle, sample);
                    let masked = random_subset(draw.counts[i], completion.canvas(), stream);
                    method.views(completion, &masked, mask_id).to_vec()
                }
            });
        }
        Ok(draw)
    }

    /// Returns the loss of a batch with the views of `draw`. Groups of `group` completions follow one another; a loss
    /// over groups is their mean.
    ///
    /// # Errors
    /// If log-probabilities do not fit the views.
    pub fn surrogate(&self, batch: &[Scored<'_>], draw: &Draw, group: usize) -> Result<Surrogate, CoreError> {
        match self {
            Self::Espo(method) => method.surrogate(batch, &draw.counts),
            Self::DiffuGrpo(method) => method.surrogate(batch),
            Self::CoupledGrpo(method) => method.surrogate(batch, draw.ratio),
            Self::Spg(method) => method.surrogate(batch),
            Self::TraceRl(method) => method.surrogate(batch),
            Self::Wd1(method) => {
                let mut mean = Surrogate { loss: 0.0, weights: Vec::with_capacity(batch.len()) };
                let share = group as f64 / batch.len() as f64;
                for group in batch.chunks(group) {
                    let of_group = method.surrogate(group)?;
                    mean.loss += share * of_group.loss;
                    mean.weights.extend(of_group.weights);
                }
                mean.weights.iter_mut().flatten().flatten().for_each(|weight| *weight *= share);
                Ok(mean)
            }
        }
    }
}
