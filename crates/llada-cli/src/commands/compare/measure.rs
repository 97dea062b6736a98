//! The measurements of a comparison.

use std::time::Instant;

use indicatif::ProgressBar;
use llada_infer::Generation;
use llada_tasks::Tally;
use serde::Serialize;

use super::sampler::{Sampler, requests};
use crate::{commands::questions::Question, interrupt, session::Session};

/// The number of prompts in a batch.
const BATCH: usize = 16;

/// The result of one of the two samplers.
#[derive(Serialize)]
pub(super) struct Side {
    nfe: usize,
    /// The number of states that the forwards computed.
    states: usize,
    tokens_per_forward: f64,
    /// The time of sampling, without loading.
    seconds: f64,
    /// The share of correct answers and its 95 % confidence interval, if answers can be checked.
    #[serde(skip_serializing_if = "Option::is_none")]
    accuracy: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    interval: Option<[f64; 2]>,
    /// The share of answers that satisfy the constraint, whether it was imposed or not, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    valid: Option<f64>,
    /// The number of tokens that the constraint left no choice in, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    forced: Option<usize>,
    #[serde(skip)]
    answers: Vec<Generation>,
}

impl Side {
    /// Answers `questions` with one of the samplers.
    pub(super) fn measure(
        session: &mut Session,
        questions: &[Question],
        sampler: &Sampler,
        bar: &ProgressBar,
    ) -> anyhow::Result<Self> {
        let requests = requests(questions, sampler);
        let start = Instant::now();
        let mut answers = Vec::new();
        for requests in requests.chunks(BATCH) {
            answers.extend(session.model.engine_mut().generate_batch(requests, |_| interrupt::check())?);
            bar.inc(requests.len() as u64);
        }
        let seconds = start.elapsed().as_secs_f64();
        let (mut right, mut valid) = (Tally::default(), Tally::default());
        for (question, answer) in questions.iter().zip(&answers) {
            if let Some(example) = &question.example {
                let text = session.turn_text(&answer.output)?;
                right.right += usize::from(example.check(&text));
                right.total += 1;
            }
            if let Some(constraint) = &question.constraint {
                valid.right += usize::from(constraint.accepts(session.model.ends().cut(&answer.output)));
                valid.total += 1;
            }
        }
        let nfe = answers.iter().map(|answer| answer.nfe).sum();
        let committed: usize = answers.iter().map(Generation::committed).sum();
        let [right, valid] = [right, valid].map(|tally| (tally.total > 0).then_some(tally));
        Ok(Self {
            nfe,
            states: answers.iter().map(Generation::states).sum(),
            tokens_per_forward: committed as f64 / nfe as f64,
            seconds,
            accuracy: right.map(|tally| tally.exact_match()),
            interval: right.map(|tally| tally.interval()),
            valid: valid.map(|tally| tally.exact_match()),
            forced: valid.map(|_| answers.iter().map(Generation::forced).sum()),
            answers,
        })
    }
}

/// Returns the mean divergence of the predictions with the cache and the suffix window of `sampler` from those without,
/// over all committed tokens, in nats.
pub(super) fn mean_kl(
    session: &mut Session,
    questions: &[Question],
    sampler: &Sampler,
    bar: &ProgressBar,
) -> anyhow::Result<f64> {
    let (mut total, mut tokens) = (0.0, 0);
    for request in requests(questions, sampler) {
        let (answer, divergence) = session.model.engine_mut().divergence(&request, |_| interrupt::check())?;
        total += divergence * answer.committed() as f64;
        tokens += answer.committed();
        bar.inc(1);
    }
    Ok(total / tokens.max(1) as f64)
}

/// The results of two samplers on the same prompts.
#[derive(Serialize)]
pub(super) struct Comparison {
    prompts: usize,
    vanilla: Side,
    compared: Side,
    /// The share of positions with the same token, over the masks of the prompts and the answers up to the end of the
    /// longer one.
    pub(super) token_agreement: f64,
    /// The number of answers with the same tokens, those of filled masks of the prompt included.
    pub(super) same_answers: usize,
    /// The divergence, from predictions without a cache and a suffix window, of those by which tokens were committed, in
    /// nats.
    pub(super) mean_kl: f64,
    /// The share of answers with the same token, at each position of the answer.
    pub(super) agreement_by_position: Vec<f64>,
}

impl Comparison {
    pub(super) fn new(vanilla: Side, compared: Side, mean_kl: f64, session: &Session) -> Self {
        let (mut same, mut all): (Vec<usize>, Vec<usize>) = (vec![], vec![]);
        let (mut same_holes, mut holes) = (0, 0);
        let mut same_answers = 0;
        let (mask_id, ends) = (session.model.mask_id(), session.model.ends());
        for (a, b) in vanilla.answers.iter().zip(&compared.answers) {
            same_answers += usize::from((&a.prompt, &a.output) == (&b.prompt, &b.output));
            for position in (0..a.prompt.len()).filter(|&position| a.trace.canvas[position] == mask_id) {
                same_holes += usize::from(a.prompt[position] == b.prompt[position]);
                holes += 1;
            }
            let end = ends.cut(&a.output).len().max(ends.cut(&b.output).len());
            same.resize(same.len().max(end), 0);
            all.resize(all.len().max(end), 0);
            for position in 0..end {
                same[position] += usize::from(a.output.get(position) == b.output.get(position));
                all[position] += 1;
            }
        }
        Self {
            prompts: vanilla.answers.len(),
            token_agreement: share(same_holes + same.iter().sum::<usize>(), holes + all.iter().sum::<usize>()),
            same_answers,
            mean_kl,
            agreement_by_position: same.iter().zip(&all).map(|(&same, &all)| share(same, all)).collect(),
            vanilla,
            compared,
        }
    }

    pub(super) fn print(&self) {
        let Self { vanilla, compared, .. } = self;
        println!("{:<20} {:>14} {:>14}", format!("{} prompts", self.prompts), "vanilla", "compared");
        if let (Some(a), Some(b)) = (vanilla.shown(), compared.shown()) {
            println!("{:<20} {a:>14} {b:>14}", "accuracy");
        }
        if let [Some(a), Some(b)] = [vanilla.valid, compared.valid].map(|share| share.map(|share| 100.0 * share)) {
            println!("{:<20} {a:>14.1} {b:>14.1}", "valid");
        }
        println!("{:<20} {:>14} {:>14}", "forwards", vanilla.nfe, compared.nfe);
        if [vanilla, compared].iter().any(|side| side.states > side.nfe) {
            println!("{:<20} {:>14} {:>14}", "states", vanilla.states, compared.states);
        }
        if let (Some(a), Some(b)) = (vanilla.forced, compared.forced) {
            println!("{:<20} {a:>14} {b:>14}", "forced tokens");
        }
        let [a, b] = [vanilla, compared].map(|side| side.tokens_per_forward);
        println!("{:<20} {a:>14.2} {b:>14.2}", "tokens a forward");
        println!("{:<20} {:>14.2} {:>14.2}", "seconds", vanilla.seconds, compared.seconds);
        println!("{:.1} % of tokens agree", 100.0 * self.token_agreement);
        println!("{} of {} answers are the same", self.same_answers, self.prompts);
        println!("cache and window move predictions by {:.3e} nats (mean KL)", self.mean_kl);
    }

    /// Returns the title of the picture.
    pub(super) fn title(&self) -> String {
        let times = self.vanilla.seconds / self.compared.seconds;
        format!("{:.1} % of tokens agree, {times:.1} times as fast", 100.0 * self.token_agreement)
    }
}

/// Returns the share of positions that agree. If there are no positions, all of them agree.
fn share(same: usize, all: usize) -> f64 {
    if all == 0 { 1.0 } else { same as f64 / all as f64 }
}

impl Side {
    fn shown(&self) -> Option<String> {
        let [low, high] = self.interval?.map(|bound| 100.0 * bound);
        Some(format!("{:.1} ({low:.0}-{high:.0})", 100.0 * self.accuracy?))
    }
}
