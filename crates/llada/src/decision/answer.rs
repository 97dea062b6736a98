//! The answers to questions, with the keys of OpenAI's `/v1/decisions` and the standard errors besides.

use llada_infer::{Expectation, OptionDistribution};
use serde::Serialize;

use super::{Question, QuestionKind};

/// The answer to a question.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Decision {
    /// The name of the question.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What was decided.
    #[serde(flatten)]
    pub verdict: Verdict,
}

/// What was decided, by the kind of the question. Standard errors are `None` if there is only one sample, and 0 if the
/// probabilities are exact.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Verdict {
    /// Whether something is true.
    Predicate {
        /// The probability that it is.
        probability: f64,
        /// The standard error of `probability`.
        standard_error: Option<f64>,
    },
    /// Which of several choices holds.
    Choice {
        /// The most probable choice, the first of several.
        choice: String,
        /// How far its probability is from chance: 0 if all are equal, and 1 if it is certain.
        confidence: f64,
        /// All choices.
        probabilities: Vec<OptionProbability>,
    },
    /// Which of several levels holds.
    Score {
        /// The expected value of the level.
        score: f64,
        /// The standard error of `score`.
        standard_error: Option<f64>,
        /// How far the probability of the most probable level is from chance.
        confidence: f64,
        /// All levels.
        probabilities: Vec<ScoreLevel>,
    },
}

/// The probability of a choice.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OptionProbability {
    /// The choice.
    pub value: String,
    /// Its probability. Those of a question add up to 1.
    pub probability: f64,
    /// The standard error of `probability`.
    pub standard_error: Option<f64>,
}

/// The probability of a level.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ScoreLevel {
    /// The level, in words.
    pub label: String,
    /// The level as a number: the lowest is 0.
    pub value: usize,
    /// Its probability. Those of a question add up to 1.
    pub probability: f64,
    /// The standard error of `probability`.
    pub standard_error: Option<f64>,
}

impl Question {
    /// Returns the answer that a distribution over its options amounts to.
    pub fn decision(&self, distribution: &OptionDistribution) -> Decision {
        let probabilities = distribution.probabilities();
        let options = self.options().into_iter().map(str::to_owned).zip(&probabilities);
        let verdict = match &self.kind {
            QuestionKind::Predicate {} => {
                let truth = distribution.expectation(&[1.0, 0.0]);
                Verdict::Predicate { probability: truth.value, standard_error: truth.standard_error }
            }
            QuestionKind::Choice { .. } => {
                let mut choices = Vec::with_capacity(probabilities.len());
                for (value, &Expectation { value: probability, standard_error, .. }) in options {
                    choices.push(OptionProbability { value, probability, standard_error });
                }
                let best = most_probable(&probabilities);
                Verdict::Choice {
                    choice: choices.get(best).map(|choice| choice.value.clone()).unwrap_or_default(),
                    confidence: confidence(&probabilities),
                    probabilities: choices,
                }
            }
            QuestionKind::Score { .. } => {
                let mut levels = Vec::with_capacity(probabilities.len());
                for (value, (label, &Expectation { value: probability, standard_error, .. })) in options.enumerate() {
                    levels.push(ScoreLevel { label, value, probability, standard_error });
                }
                let values: Vec<f64> = (0..levels.len()).map(|value| value as f64).collect();
                let mean = distribution.expectation(&values);
                Verdict::Score {
                    score: mean.value,
                    standard_error: mean.standard_error,
                    confidence: confidence(&probabilities),
                    probabilities: levels,
                }
            }
        };
        Decision { name: self.name.clone(), verdict }
    }
}

/// Returns the index of the most probable option, the first of several.
fn most_probable(options: &[Expectation]) -> usize {
    let mut best = 0;
    for (index, option) in options.iter().enumerate() {
        if option.value > options[best].value {
            best = index;
        }
    }
    best
}

/// Returns how far the highest of `n` probabilities is from chance: (n max - 1) / (n - 1).
fn confidence(options: &[Expectation]) -> f64 {
    let n = options.len() as f64;
    let highest = options.iter().map(|option| option.value).fold(0.0, f64::max);
    ((n * highest - 1.0) / (n - 1.0)).clamp(0.0, 1.0)
}
