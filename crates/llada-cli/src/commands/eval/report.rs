//! The result of a benchmark, as a table or a JSON object.

use std::collections::BTreeMap;

use llada_eval::{Benchmark, Figure, PublishedModel, Sampling};
use serde::Serialize;

use super::{args::JobArgs, job::Progress};

#[derive(Serialize)]
pub(super) struct Report<C> {
    task: &'static str,
    settings_of: Option<PublishedModel>,
    questions: usize,
    num_fewshot: usize,
    /// The options of the sampler, or those of the likelihood estimates.
    settings: C,
    metrics: BTreeMap<String, Figure>,
    /// The figures that were published under these settings, by metric, as shares of 1.
    published: BTreeMap<&'static str, f64>,
    /// The number of forward evaluations, including those of earlier runs.
    nfe: usize,
    /// The time of this run, without loading.
    seconds: f64,
}

impl<C: Serialize + Clone> Report<C> {
    /// Creates the report. It includes the published figures whose settings `is_of` accepts.
    pub(super) fn new(
        task: &Benchmark,
        args: &JobArgs,
        progress: Progress,
        settings: &C,
        is_of: impl Fn(Sampling) -> bool,
    ) -> Self {
        let num_fewshot = args.num_fewshot(task);
        let published = args.published(task).into_iter();
        let published = published.filter(|published| published.num_fewshot == num_fewshot && is_of(published.sampling));
        let results = published.filter_map(|published| published.result);
        Self {
            task: task.name,
            settings_of: args.settings_of,
            questions: progress.finished(),
            num_fewshot,
            settings: settings.clone(),
            metrics: progress.summary.figures(),
            published: results.map(|result| (result.metric, result.share())).collect(),
            nfe: progress.nfe,
            seconds: progress.start.elapsed().as_secs_f64(),
        }
    }

    pub(super) fn print(&self, json: bool) -> anyhow::Result<()> {
        if json {
            println!("{}", serde_json::to_string(self)?);
            return Ok(());
        }
        let published = |metric: &str| match self.published.get(metric) {
            Some(share) => format!("{:.1} %", 100.0 * share),
            None => "-".to_owned(),
        };
        println!("{:<17} {:>7}  {:<17} {}", "metric", "value", "95 % interval", self.heading());
        for (metric, Figure { value, interval, .. }) in &self.metrics {
            let [low, high] = interval.map(|bound| 100.0 * bound);
            let interval = format!("{low:.1} to {high:.1} %");
            println!("{metric:<17} {:>5.1} %  {interval:<17} {}", 100.0 * value, published(metric));
        }
        for metric in self.published.keys().filter(|metric| !self.metrics.contains_key(**metric)) {
            println!("{metric:<17} {:>7}  {:<17} {}", "not run", "", published(metric));
        }
        if self.metrics.is_empty() {
            println!("nothing was executed: the completions are for a sandbox");
        }
        println!("{} questions, {} forwards, {:.1} s", self.questions, self.nfe, self.seconds);
        Ok(())
    }

    fn heading(&self) -> String {
        self.settings_of.map(|model| format!("published ({})", model.name())).unwrap_or_default()
    }
}
