//! Calibration: whether the probabilities that a model gives to the options of questions are what they say.
//!
//! * **Accuracy**: how often the most probable option is right, with Wilson's interval.
//! * **Expected calibration error** ([Guo et al., 2017](https://arxiv.org/abs/1706.04599)): the questions are sorted into
//!   [`CALIBRATION_BINS`] bins of equal width by the probability of their most probable option, their confidence. It is
//!   $\sum_b \frac{n_b}{n} |\text{accuracy}_b - \text{confidence}_b|$.
//! * **Brier score** ([Brier, 1950](https://doi.org/10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2)), in its original form:
//!   the mean of $\sum_k (p_k - y_k)^2$ over all options, where $y_k$ is 1 for the right one and otherwise 0. It is 0 at
//!   best and 2 at worst.
//!
//! ```
//! use llada_eval::Calibration;
//!
//! let mut calibration = Calibration::default();
//! calibration.add(&[0.8, 0.2], 0);
//! calibration.add(&[0.6, 0.4], 1);
//! let figures = calibration.figures();
//! assert_eq!(figures.accuracy.value, 0.5);
//! // Confidence 0.8 and right, confidence 0.6 and wrong: (0.2 + 0.6) / 2.
//! assert!((figures.ece.value - 0.4).abs() < 1e-12);
//! assert!((figures.brier.value - (0.08 + 0.72) / 2.0).abs() < 1e-12);
//! ```

use llada_core::interval::{Z, wilson};
use serde::Serialize;

use crate::Figure;

/// The number of bins of the expected calibration error, as in the paper.
pub const CALIBRATION_BINS: usize = 15;

/// The questions so far whose right option is known.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Calibration {
    answers: Vec<Answer>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Answer {
    /// The probability of the most probable option.
    confidence: f64,
    is_right: bool,
    brier: f64,
}

/// How accurate and how well calibrated the answers are, with 95 % confidence intervals.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[non_exhaustive]
pub struct CalibrationFigures {
    /// The number of questions.
    pub questions: usize,
    /// The share of the questions whose most probable option is right; Wilson's interval.
    pub accuracy: Figure,
    /// The expected calibration error. Its interval is the normal approximation with the signs of the bins held fixed. Of
    /// few questions the error is overestimated: even a calibrated model is off in each bin.
    pub ece: Figure,
    /// The Brier score; normal approximation.
    pub brier: Figure,
}

impl Calibration {
    /// Adds a question with the probabilities of its options and the index of the right one. Of equally probable options
    /// the first counts as the most probable.
    pub fn add(&mut self, probabilities: &[f64], right: usize) {
        let (mut best, mut confidence, mut brier) = (0, 0.0, 0.0);
        for (index, &probability) in probabilities.iter().enumerate() {
            if probability > confidence {
                (best, confidence) = (index, probability);
            }
            let truth = if index == right { 1.0 } else { 0.0 };
            brier += (probability - truth) * (probability - truth);
        }
        self.answers.push(Answer { confidence, is_right: best == right, brier });
    }

    /// Computes the figures of the questions so far.
    pub fn figures(&self) -> CalibrationFigures {
        let questions = self.answers.len();
        let right = self.answers.iter().filter(|answer| answer.is_right).count();
        let mut gaps = [0.0; CALIBRATION_BINS];
        for answer in &self.answers {
            gaps[answer.bin()] += answer.gap();
        }
        // With the signs of the bins held fixed the error is a mean over the questions, whose variance is known.
        let signed: Vec<f64> = self.answers.iter().map(|answer| answer.gap() * gaps[answer.bin()].signum()).collect();
        let brier: Vec<f64> = self.answers.iter().map(|answer| answer.brier).collect();
        CalibrationFigures {
            questions,
            accuracy: Figure { value: right as f64 / questions.max(1) as f64, interval: wilson(right, questions) },
            ece: mean(&signed, 1.0),
            brier: mean(&brier, 2.0),
        }
    }
}

impl Answer {
    /// Returns the bin of the confidence. A bin includes its upper bound.
    fn bin(&self) -> usize {
        ((self.confidence * CALIBRATION_BINS as f64).ceil() as usize).clamp(1, CALIBRATION_BINS) - 1
    }

    /// Returns by how much the answer is better than its confidence.
    fn gap(&self) -> f64 {
        f64::from(u8::from(self.is_right)) - self.confidence
    }
}

/// Returns the mean with the interval of the normal approximation, within 0 and `highest`. Of fewer than two values
/// nothing is known of the variance, and the interval is all of it.
fn mean(values: &[f64], highest: f64) -> Figure {
    let n = values.len() as f64;
    let value = values.iter().sum::<f64>() / n.max(1.0);
    if values.len() < 2 {
        return Figure { value, interval: [0.0, highest] };
    }
    let squares: f64 = values.iter().map(|x| (x - value) * (x - value)).sum();
    let half = Z * (squares / (n - 1.0) / n).sqrt();
    Figure { value, interval: [value - half, value + half].map(|bound| bound.clamp(0.0, highest)) }
}

#[cfg(test)]
mod tests {
    use llada_core::rng::Noise;

    use super::*;

    /// The figures of `count` questions with two options, of which the first has the probability `stated` and is right with
    /// the probability `true_p`.
    fn drawn(count: u32, seed: u64, stated: &[f64], true_p: impl Fn(f64) -> f64) -> CalibrationFigures {
        let mut calibration = Calibration::default();
        for index in 0..count {
            let p = stated[index as usize % stated.len()];
            let noise = Noise::new(seed).stream(0, index, 0).uniform();
            calibration.add(&[p, 1.0 - p], usize::from(noise >= true_p(p)));
        }
        calibration.figures()
    }

    #[test]
    fn a_calibrated_model_has_no_error_and_the_brier_score_of_its_distributions() {
        let stated = [0.55, 0.7, 0.85, 0.97];
        let found = drawn(100_000, 1, &stated, |p| p);
        // Of each bin's 25 000 the standard deviation is at most 0.0032; this is five of them.
        assert!(found.ece.value < 0.016, "{found:?}");
        let accuracy = stated.iter().sum::<f64>() / 4.0;
        assert!((found.accuracy.value - accuracy).abs() < 0.007, "{found:?}");
        // Of two options it is 2 p (1 - p) where the probability is true.
        let brier = stated.iter().map(|p| 2.0 * p * (1.0 - p)).sum::<f64>() / 4.0;
        assert!(found.brier.interval[0] < brier && brier < found.brier.interval[1], "{found:?} {brier}");
    }

    /// 0.9 where it is 0.7: an error of 0.2, and a Brier score of 2 (0.7 * 0.01 + 0.3 * 0.81). Of 1000 draws the intervals
    /// hold the truth in 950 on average, and five standard deviations of that count are 34.
    #[test]
    fn intervals_hold_the_truth_of_a_model_that_is_too_sure() {
        let (mut ece, mut brier) = (0, 0);
        for seed in 0..1000 {
            let found = drawn(400, seed, &[0.9], |_| 0.7);
            let holds = |figure: Figure, truth: f64| figure.interval[0] <= truth && truth <= figure.interval[1];
            ece += usize::from(holds(found.ece, 0.2));
            brier += usize::from(holds(found.brier, 2.0 * (0.7 * 0.01 + 0.3 * 0.81)));
        }
        assert!((916..=984).contains(&ece) && (916..=984).contains(&brier), "{ece} {brier}");
    }

    #[test]
    fn bins_include_their_upper_bounds() {
        let bin = |confidence| Answer { confidence, is_right: true, brier: 0.0 }.bin();
        assert_eq!([0.0, 1.0 / 30.0, 0.2, 0.21, 0.95, 1.0].map(bin), [0, 0, 2, 3, 14, 14]);
    }

    /// Two questions of one bin make up for one another, two of different bins do not.
    #[test]
    fn errors_cancel_within_a_bin() {
        let mut calibration = Calibration::default();
        calibration.add(&[0.5, 0.5], 0);
        calibration.add(&[0.5, 0.5], 1);
        assert!(calibration.figures().ece.value < 1e-12);
        assert_eq!(calibration.figures().accuracy.value, 0.5);
        // Three options, the least probable of which is right.
        calibration.add(&[0.7, 0.2, 0.1], 2);
        let figures = calibration.figures();
        assert!((figures.ece.value - 0.7 / 3.0).abs() < 1e-12);
        assert!((figures.brier.value - (0.5 + 0.5 + 0.49 + 0.04 + 0.81) / 3.0).abs() < 1e-12);
    }

    #[test]
    fn of_one_question_nothing_is_known() {
        let mut calibration = Calibration::default();
        assert_eq!(calibration.figures().questions, 0);
        calibration.add(&[1.0, 0.0], 0);
        let figures = calibration.figures();
        assert_eq!((figures.ece.value, figures.ece.interval), (0.0, [0.0, 1.0]));
        assert_eq!((figures.brier.value, figures.brier.interval), (0.0, [0.0, 2.0]));
    }
}
