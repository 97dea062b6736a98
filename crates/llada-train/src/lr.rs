//! Learning-rate schedules: warm-up-stable-decay, LLaDA's (appendix B of the paper), and the cosine of SMDM.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

use crate::TrainError;

/// How the learning rate falls after the warm-up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Decay {
    /// It stays, and falls linearly in the last part of the steps.
    #[default]
    Wsd,
    /// Half a cosine from the end of the warm-up on.
    Cosine,
}

/// A learning rate for every step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ScheduleConfig {
    /// `wsd` or `cosine` \[wsd\].
    pub decay: Decay,
    /// The highest learning rate \[4e-4, that of LLaDA-8B's pre-training\].
    pub lr: f64,
    /// The learning rate of the last step \[1e-5\].
    pub min_lr: f64,
    /// The number of steps of the linear rise from 0 \[2000\].
    pub warmup_steps: u64,
    /// With `wsd`, the share of all steps in which it falls \[0.1\].
    pub decay_ratio: f64,
}

impl Default for ScheduleConfig {
    fn default() -> Self {
        Self { decay: Decay::Wsd, lr: 4e-4, min_lr: 1e-5, warmup_steps: 2000, decay_ratio: 0.1 }
    }
}

impl ScheduleConfig {
    /// LLaDA's schedule of fine-tuning: up to 2.5e-5 in 50 steps, down to a tenth of that in the last tenth of the
    /// steps.
    pub fn sft() -> Self {
        Self { lr: 2.5e-5, min_lr: 2.5e-6, warmup_steps: 50, ..Self::default() }
    }

    /// LLaDA 1.5's schedule of preference optimisation: up to 5e-7.
    pub fn preference() -> Self {
        Self { lr: 5e-7, min_lr: 5e-7, warmup_steps: 10, ..Self::default() }
    }

    /// d1's and ESPO's schedule of reinforcement learning: up to 3e-6.
    pub fn rl() -> Self {
        Self { lr: 3e-6, min_lr: 3e-6, warmup_steps: 1, ..Self::default() }
    }

    /// dParallel's schedule of distillation: 2e-5 throughout.
    pub fn distillation() -> Self {
        Self { lr: 2e-5, min_lr: 2e-5, warmup_steps: 0, ..Self::default() }
    }

    /// The learning rate of step `step`, counted from 1, of `steps`.
    pub fn lr(&self, step: u64, steps: u64) -> f64 {
        if step < self.warmup_steps {
            return self.lr * step as f64 / self.warmup_steps as f64;
        }
        let (step, steps) = (step as f64, steps as f64);
        let rest = self.lr - self.min_lr;
        match self.decay {
            Decay::Wsd => {
                let falling = (steps * self.decay_ratio).max(1.0);
                self.min_lr + rest * ((steps - step) / falling).clamp(0.0, 1.0)
            }
            Decay::Cosine => {
                let warmup = self.warmup_steps as f64;
                let done = ((step - warmup) / (steps - warmup).max(1.0)).clamp(0.0, 1.0);
                self.min_lr + rest * 0.5 * (1.0 + (PI * done).cos())
            }
        }
    }

    pub(crate) fn check(&self) -> Result<(), TrainError> {
        for (key, value) in [("schedule.lr", self.lr), ("schedule.min_lr", self.min_lr)] {
            if !(value.is_finite() && value >= 0.0) {
                return Err(TrainError::config(key, value, "give a number from 0 on, such as 4e-4"));
            }
        }
        if !(0.0..=1.0).contains(&self.decay_ratio) {
            return Err(TrainError::config("schedule.decay_ratio", self.decay_ratio, "give a part of 1, such as 0.1"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wsd_rises_stays_and_falls() {
        let schedule = ScheduleConfig { lr: 1.0, min_lr: 0.1, warmup_steps: 4, decay_ratio: 0.1, decay: Decay::Wsd };
        let rates: Vec<f64> = [1, 4, 50, 90, 95, 100].map(|step| schedule.lr(step, 100)).to_vec();
        let expected = [0.25, 1.0, 1.0, 1.0, 0.55, 0.1];
        assert!(rates.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-12), "{rates:?}");
    }

    #[test]
    fn the_cosine_ends_at_the_least() {
        let schedule =
            ScheduleConfig { lr: 2e-4, min_lr: 2e-5, warmup_steps: 10, decay_ratio: 0.0, decay: Decay::Cosine };
        assert_eq!(schedule.lr(10, 110), 2e-4);
        assert!((schedule.lr(60, 110) - 1.1e-4).abs() < 1e-12);
        assert!((schedule.lr(110, 110) - 2e-5).abs() < 1e-12);
    }
}
