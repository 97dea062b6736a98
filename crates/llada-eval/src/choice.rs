//! Metrics of multiple-choice questions, computed from the log-likelihoods of the options.

use llada_core::CoreError;

use crate::{
    Choice, EvalError, Marks,
    question::{AnswerOption, mark},
};

/// A metric of a multiple-choice question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChoiceMetric {
    /// Accuracy: 1 if the most probable option is right.
    Acc,
    /// Length-normalised accuracy: 1 if the option with the highest log-likelihood per character is right. (The harness's
    /// documentation says per byte, but its code counts characters. Both are the same in ASCII.)
    AccNorm,
    /// The probability of the right options, normalised over all options (TruthfulQA).
    Mc2,
}

impl ChoiceMetric {
    /// Returns the name of the metric in the harness.
    pub fn name(self) -> &'static str {
        match self {
            Self::Acc => "acc",
            Self::AccNorm => "acc_norm",
            Self::Mc2 => "mc2",
        }
    }

    fn value(self, options: &[AnswerOption], log_likelihoods: &[f64]) -> f64 {
        match self {
            Self::Acc => mark(options[first_highest(log_likelihoods)].right),
            Self::AccNorm => {
                // As in the harness, an option without characters gets minus infinity.
                let mut per_character = Vec::with_capacity(options.len());
                for (log_likelihood, option) in log_likelihoods.iter().zip(options) {
                    per_character.push(log_likelihood / option.length() as f64);
                }
                mark(options[first_highest(&per_character)].right)
            }
            Self::Mc2 => {
                // Probabilities are relative to the highest, because those of whole sentences underflow.
                let highest = log_likelihoods[first_highest(log_likelihoods)];
                let (mut right, mut all) = (0.0, 0.0);
                for (log_likelihood, option) in log_likelihoods.iter().zip(options) {
                    let probability = (log_likelihood - highest).exp();
                    all += probability;
                    if option.right {
                        right += probability;
                    }
                }
                right / all
            }
        }
    }
}

impl Choice {
    /// Computes the metrics from the log-likelihood of each option, in nats. Of equal options the first counts as the
    /// highest.
    ///
    /// # Errors
    /// If the number of log-likelihoods is not the number of options.
    pub fn score(&self, metrics: &[ChoiceMetric], log_likelihoods: &[f64]) -> Result<Marks, EvalError> {
        let (found, expected) = (log_likelihoods.len(), self.options.len());
        if found != expected {
            return Err(CoreError::Length { name: "log_likelihoods", found, expected }.into());
        }
        Ok(metrics.iter().map(|metric| (metric.name(), metric.value(&self.options, log_likelihoods))).collect())
    }
}

/// Returns the index of the highest value, the first of equals.
fn first_highest(values: &[f64]) -> usize {
    let mut best = 0;
    for (index, &value) in values.iter().enumerate() {
        if value > values[best] {
            best = index;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [ChoiceMetric; 3] = [ChoiceMetric::Acc, ChoiceMetric::AccNorm, ChoiceMetric::Mc2];

    fn marks(choices: &[&str], right: &[bool], log_likelihoods: &[f64]) -> Vec<f64> {
        let mut choice = Choice::new(String::new(), choices, 0);
        choice.options.iter_mut().zip(right).for_each(|(option, &right)| option.right = right);
        choice.score(&ALL, log_likelihoods).unwrap().into_iter().map(|(_, value)| value).collect()
    }

    #[test]
    fn the_space_before_an_option_is_not_counted() {
        // -6 / 2 against -4 / 1: with the space it would be -6 / 3 against -4 / 2, a tie.
        assert_eq!(marks(&["no", "a"], &[true, false], &[-6.0, -4.0])[..2], [0.0, 1.0]);
    }

    #[test]
    fn length_is_in_characters() {
        // Per byte, -5 / 4 would beat -4 / 3.
        assert_eq!(marks(&["éé", "abc"], &[true, false], &[-5.0, -4.0])[..2], [0.0, 0.0]);
    }

    #[test]
    fn the_first_of_equals_wins() {
        assert_eq!(marks(&["a", "b"], &[true, false], &[-1.0, -1.0]), [1.0, 1.0, 0.5]);
    }

    #[test]
    fn mc2_survives_likelihoods_that_a_float_cannot_hold() {
        let found = marks(&["a", "b", "c"], &[true, false, true], &[-1000.0, -1000.0, -1000.0 + 2.0_f64.ln()])[2];
        assert!((found - 0.75).abs() < 1e-12, "{found}");
    }
}
