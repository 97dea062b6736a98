//! The reduction of a position's logits to a few numbers per class of tokens.
//!
//! Tokens of a class are alike to the constraint, so the choice among them is made first: the best of each class, and the
//! weight of the class as a whole. What follows runs over classes, and the logits are not kept.

use llada_core::{
    confidence::Remasking,
    rng::Stream,
    sampling::{argmax, gumbel_max_among, log_sum_exp},
};

use super::language::Language;

/// The least logit that counts. A token may be the only valid one, so no token is impossible.
const LOWEST: f32 = -1e5;
/// How tokens are picked and what is measured of them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Measures {
    /// The temperature of the picks; 0 picks the most probable completion.
    pub(crate) temperature: f64,
    /// The temperature of the distribution that confidences are probabilities of.
    pub(crate) confidence_temperature: f64,
    pub(crate) remasking: Remasking,
    pub(crate) needs_entropy: bool,
}

/// What is kept of the logits of one position.
#[derive(Debug, Default)]
pub(crate) struct Reduced {
    /// By class; [`ClassStats::IMPOSSIBLE`] for classes that the position cannot have.
    pub(super) classes: Vec<ClassStats>,
    /// The logarithm of the sum over all tokens, valid or not, at the temperature of confidences.
    pub(super) log_sum: f64,
}

/// The numbers of one class. All but `score` are divided by the temperature that they belong to.
#[derive(Debug, Clone, Copy)]
pub(super) struct ClassStats {
    /// The largest logit with noise, and its token.
    pub(super) score: f64,
    pub(super) token: u32,
    /// The log-weight for picks: the largest logit at temperature 0, otherwise the logarithm of the sum.
    pub(super) pick_weight: f64,
    /// The log-weight for confidences.
    pub(super) weight: f64,
    /// The logit of the token.
    pub(super) logit: f64,
    /// The two largest logits; computed for margins only.
    pub(super) largest: [f64; 2],
    /// The entropy within the class; computed if it is needed.
    pub(super) entropy: f64,
}

impl ClassStats {
    const IMPOSSIBLE: Self = Self {
        score: f64::NEG_INFINITY,
        token: u32::MAX,
        pick_weight: f64::NEG_INFINITY,
        weight: f64::NEG_INFINITY,
        logit: f64::NEG_INFINITY,
        largest: [f64::NEG_INFINITY; 2],
        entropy: 0.0,
    };
}

impl Measures {
    /// Returns true if more is measured of a distribution than the probability of one token.
    pub(super) fn needs_all_classes(self) -> bool {
        self.needs_entropy || self.remasking == Remasking::Margin
    }
}

/// The logits of a position.
#[derive(Clone, Copy)]
pub(crate) struct Logits<'a> {
    /// Those that confidences are measured on.
    pub(crate) measured: &'a [f32],
    /// Those that tokens are picked by, if they differ.
    pub(crate) picked: Option<&'a [f32]>,
}

impl Reduced {
    /// Reduces logits to the given classes.
    pub(super) fn new(
        language: &Language,
        live: &[u32],
        logits: Logits<'_>,
        measures: Measures,
        noise: &Stream,
    ) -> Self {
        let Measures { temperature, confidence_temperature, remasking, needs_entropy } = measures;
        let scale = confidence_temperature.recip();
        let is_shared = logits.picked.is_none() && temperature == confidence_temperature;
        let mut classes = vec![ClassStats::IMPOSSIBLE; language.classes()];
        let (mut measured, mut picked) = (Vec::new(), Vec::new());
        for &class in live {
            let ids = language.members(class);
            gather(logits.measured, ids, &mut measured);
            gather(logits.picked.unwrap_or(&[]), ids, &mut picked);
            let candidates = if logits.picked.is_some() { &picked } else { &measured };
            let (score, index) = gumbel_max_among(candidates, ids, temperature, noise);
            let weight = log_sum_exp(&measured, confidence_temperature);
            classes[class as usize] = ClassStats {
                score,
                token: ids[index],
                pick_weight: match temperature > 0.0 {
                    false => score,
                    true if is_shared => weight,
                    true => log_sum_exp(candidates, temperature),
                },
                weight,
                logit: f64::from(measured[index]) * scale,
                largest: if remasking == Remasking::Margin { two_largest(&measured, scale) } else { [0.0; 2] },
                entropy: if needs_entropy { entropy(&measured, scale) } else { 0.0 },
            };
        }
        Self { classes, log_sum: log_sum_exp(logits.measured, confidence_temperature) }
    }

    /// Returns true if the logits are neither infinite nor NaN, but for such as ban a token.
    pub(crate) fn is_finite(&self) -> bool {
        self.log_sum.is_finite()
    }
}

/// Writes the logits of some ids into `out`.
fn gather(logits: &[f32], ids: &[u32], out: &mut Vec<f32>) {
    out.clear();
    if !logits.is_empty() {
        out.extend(ids.iter().map(|&id| logits[id as usize].max(LOWEST)));
    }
}

/// Returns the two largest logits; the second is −∞ if there is one only.
fn two_largest(logits: &[f32], scale: f64) -> [f64; 2] {
    let top = argmax(logits) as usize;
    let mut second = f32::NEG_INFINITY;
    for (index, &logit) in logits.iter().enumerate() {
        if index != top {
            second = second.max(logit);
        }
    }
    [logits[top], second].map(|logit| f64::from(logit) * scale)
}

/// Returns the entropy of the softmax of scaled logits, in nats.
fn entropy(logits: &[f32], scale: f64) -> f64 {
    let log_sum = log_sum_exp(logits, scale.recip());
    let mut entropy = 0.0;
    for &logit in logits {
        let log_p = f64::from(logit) * scale - log_sum;
        entropy -= log_p.exp() * log_p;
    }
    entropy
}
