//! Questions whose possible answers are given, decided by the probabilities of their options.
//!
//! An option is scored as the whole of the assistant's answer, up to its end. Shorter options are padded with end-of-text to
//! the length of the longest, as answers are in training, so the options are different contents of the same positions and
//! their probabilities comparable. What all of them begin and end with is given and not scored: it cancels. If one token is
//! left, the probabilities are exact.

mod answer;
mod question;

use std::ops::ControlFlow;

pub use answer::{Decision, OptionProbability, ScoreLevel, Verdict};
use llada_infer::{OptionDistribution, ScoreConfig};
pub use question::{Question, QuestionKind, QuestionOption};

use crate::{Error, Model};

impl Model {
    /// Decides a question about `input`, which may be empty: the probabilities of its options.
    ///
    /// ```
    /// use llada::{Model, Question, QuestionKind, ScoreConfig, Verdict};
    ///
    /// let mut model = Model::open("models/llada-tiny")?;
    /// let choices = ["423", "413"].map(Into::into).to_vec();
    /// let question = Question::new("What is 345 + 78?", QuestionKind::Choice { choices });
    /// let decision = model.decide("", &question, &ScoreConfig::default())?;
    /// assert!(matches!(decision.verdict, Verdict::Choice { choice, .. } if choice == "423"));
    /// # Ok::<(), llada::Error>(())
    /// ```
    ///
    /// # Errors
    /// If the model cannot chat, there are not two different options, a setting is invalid, or the question is too long.
    pub fn decide(&mut self, input: &str, question: &Question, config: &ScoreConfig) -> Result<Decision, Error> {
        self.check_predicts_masks()?;
        let options = question.encode(input, self.tokenizer()?, self.special_tokens().eos)?;
        let scores = self.engine.score_options(&options, config, |_, _| ControlFlow::Continue(()))?;
        Ok(question.decision(&OptionDistribution::from_scores(&scores)))
    }
}
