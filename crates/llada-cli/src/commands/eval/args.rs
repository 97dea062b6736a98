//! The arguments of the benchmarks.

use std::path::PathBuf;

use llada_core::likelihood::MC_NUM;
use llada_eval::{Benchmark, Published, PublishedModel, Sampling};
use llada_infer::{Algorithm, Estimator, SamplerConfig, ScoreConfig};

use super::published;
use crate::args::{GraphArgs, ModelArgs, SamplerArgs};

/// The arguments that all benchmarks share.
#[derive(clap::Args)]
pub(crate) struct JobArgs {
    /// Records as JSON (JSONL, objects, an array), parquet, or CSV in a file called so, also in gzip: files, or
    /// hf:OWNER/NAME/PATH for a file of a dataset that is in the Hugging Face cache
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    pub(super) data: Vec<String>,

    /// Model whose published settings to start from, and whose figures stand beside the results; those of a chat model
    /// ask for answers in words through the chat template
    #[arg(long, value_parser = published::named())]
    pub(super) settings_of: Option<PublishedModel>,

    /// Questions to ask at most, the first of the data
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) limit: Option<u32>,

    /// Worked examples before each question [default: as published, or none]
    #[arg(long, value_name = "K")]
    num_fewshot: Option<usize>,

    /// Records to take the examples from
    #[arg(long, value_name = "FILE")]
    pub(super) fewshot_data: Option<String>,

    /// What became of each question, one JSON object a line; an earlier run's finished lines are kept
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub(super) out: Option<PathBuf>,

    /// Print one JSON object: task, settings_of, questions, num_fewshot, settings, metrics (value and interval by name),
    /// published (value by name), nfe, seconds
    #[arg(long, help_heading = "Output")]
    pub(super) json: bool,
}

impl JobArgs {
    /// Returns the published settings of `task`.
    pub(super) fn published(&self, task: &Benchmark) -> Vec<&'static Published> {
        self.settings_of.into_iter().flat_map(|model| model.published_of(task.name)).collect()
    }

    pub(super) fn num_fewshot(&self, task: &Benchmark) -> usize {
        let published = self.published(task).first().map(|published| published.num_fewshot);
        self.num_fewshot.or(published).unwrap_or_default()
    }
}

/// The score of an option of a multiple-choice question.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum OptionScore {
    Likelihood,
    Confidence,
}

/// The arguments of a benchmark that compares likelihoods.
#[derive(clap::Args)]
pub(crate) struct ChoiceArgs {
    #[command(flatten)]
    pub(super) job: JobArgs,

    /// Samples of an option's likelihood [default: as published, or 128]; an option of one token needs, and gets, one
    #[arg(long, value_name = "N", help_heading = "Scoring")]
    mc_num: Option<usize>,

    /// How an option is scored: by the bound of its likelihood, or by revealing its tokens one by one, the most probable
    /// first [default: as published, or likelihood]
    #[arg(long, value_enum, help_heading = "Scoring")]
    score: Option<OptionScore>,

    /// Scale of classifier-free guidance; 0 is none
    #[arg(long, value_name = "F", default_value_t = 0.0, help_heading = "Scoring")]
    cfg_scale: f32,

    /// Seed of the masks, which the options of a question share, and of the choice of examples
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Scoring")]
    seed: u64,

    #[command(flatten)]
    pub(super) model: ModelArgs,
}

impl ChoiceArgs {
    pub(super) fn config(&self, task: &Benchmark) -> ScoreConfig {
        let published = self.job.published(task).first().map(|published| published.sampling);
        let (score, mc_num) = match published {
            Some(Sampling::Likelihood { mc_num, .. }) => (OptionScore::Likelihood, mc_num),
            Some(Sampling::Confidence) => (OptionScore::Confidence, MC_NUM),
            _ => (OptionScore::Likelihood, MC_NUM),
        };
        let mc_num = self.mc_num.unwrap_or(mc_num);
        let estimator = match self.score.unwrap_or(score) {
            OptionScore::Likelihood => Estimator::StratifiedCounts,
            OptionScore::Confidence => Estimator::Confidence,
        };
        ScoreConfig { mc_num, cfg_scale: self.cfg_scale, estimator, seed: self.seed, ..ScoreConfig::default() }
    }
}

/// The arguments of a benchmark that is answered in words.
#[derive(clap::Args)]
pub(crate) struct AnswerArgs {
    #[command(flatten)]
    pub(super) job: JobArgs,

    /// Questions that go through the model together: faster on a GPU. On a CPU the answers are the same for any number
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) batch_size: u16,

    #[command(flatten)]
    sampler: SamplerArgs,

    #[command(flatten)]
    pub(super) model: ModelArgs,

    #[command(flatten)]
    pub(super) graphs: GraphArgs,
}

impl AnswerArgs {
    pub(super) fn config(&self, task: &Benchmark) -> anyhow::Result<SamplerConfig> {
        let published = self.job.published(task);
        let options = published.first().and_then(|published| published::options(published.sampling));
        Ok(match options {
            Some(options) => self.sampler.config_over(options, Algorithm::Vanilla)?,
            None => self.sampler.config(self.model.algorithm()?)?,
        })
    }
}
