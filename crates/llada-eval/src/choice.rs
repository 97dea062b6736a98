//! Metrics of multiple choice, from the options' log-likelihoods.

use llada_core::CoreError;

use crate::{
    Choice, EvalError, Marks,
    question::{Answer, mark},
};

/// What is measured of a choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChoiceMetric {
    /// Whether the likeliest option is right.
    Acc,
    /// Whether the option that is likeliest per character is right. (The harness's documentation says per byte; its
    /// code counts characters, which are the same in ASCII.)
    AccNorm,
    /// The share of probability that the right options have among all (TruthfulQA).
    Mc2,
}

impl ChoiceMetric {
    /// Its name, as the harness has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Acc => "acc",
            Self::AccNorm => "acc_norm",
            Self::Mc2 => "mc2",
        }
    }

    fn value(self, options: &[Answer], log_likelihoods: &[f64]) -> f64 {
        match self {
            Self::Acc => mark(options[first_highest(log_likelihoods)].right),
            Self::AccNorm => {
                // Minus infinity for an option without characters, as in the harness.
                let per_character = |(sum, option): (&f64, &Answer)| sum / option.length() as f64;
                let normed: Vec<f64> = log_likelihoods.iter().zip(options).map(per_character).collect();
                mark(options[first_highest(&normed)].right)
            }
            Self::Mc2 => {
                // Relative to the highest: likelihoods of sentences are too small for a float.
                let highest = log_likelihoods[first_highest(log_likelihoods)];
                let mass = |counts: fn(&Answer) -> bool| -> f64 {
                    let counted = log_likelihoods.iter().zip(options).filter(|(_, option)| counts(option));
                    counted.map(|(sum, _)| (sum - highest).exp()).sum()
                };
                mass(|option| option.right) / mass(|_| true)
            }
        }
    }
}

impl Choice {
    /// The marks of these log-likelihoods, one for each option, in nats. The first of equals counts as the highest.
    ///
    /// # Errors
    /// There are not as many as options.
    pub fn score(&self, metrics: &[ChoiceMetric], log_likelihoods: &[f64]) -> Result<Marks, EvalError> {
        let (found, expected) = (log_likelihoods.len(), self.options.len());
        if found != expected {
            return Err(CoreError::Length { name: "log_likelihoods", found, expected }.into());
        }
        let mark = |metric: &ChoiceMetric| (metric.name(), metric.value(&self.options, log_likelihoods));
        Ok(metrics.iter().map(mark).collect())
    }
}

fn first_highest(values: &[f64]) -> usize {
    (1..values.len()).fold(0, |best, index| if values[index] > values[best] { index } else { best })
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
