//! The commands that train, each from a run file, whose keys flags override.

mod adapter_keys;
mod data_key;
pub(crate) mod distill;
mod dry_run;
mod environment;
mod keys;
pub(crate) mod prefer;
pub(crate) mod pretrain;
mod ranks;
pub(crate) mod rl;
pub(crate) mod sft;

use std::{path::PathBuf, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};
use llada_train::{
    config::{RunConfig, Training},
    run::{Event, Outcome, Run},
};
use serde::Serialize;
use toml::Table;

pub(crate) use self::ranks::LAUNCHED;
use self::{keys::RunKeys, ranks::Ranks};
use crate::{
    exit::{Interrupted, InterruptedTogether, usage},
    interrupt,
};

#[derive(clap::Args)]
struct RunFile {
    /// Run file: TOML with the keys below, underscores for dashes
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Seconds for which the processes of a run wait for each other (`llada launch`, torchrun)
    #[arg(long, value_name = "SECONDS", default_value_t = 1800, value_parser = clap::value_parser!(u64).range(1..))]
    collective_timeout: u64,
}

impl RunFile {
    /// The settings of the run: those of the file, and `keys` over them.
    fn load(&self, keys: &impl Serialize, training: Training) -> anyhow::Result<RunConfig> {
        let mut flags = Table::try_from(keys)?;
        // Sections without a typed key are empty tables here, which would count as given.
        flags.retain(|_, value| value.as_table().is_none_or(|section| !section.is_empty()));
        Ok(match &self.config {
            Some(path) => RunConfig::load(path, training, flags)?,
            None if flags.is_empty() => return Err(usage("nothing says what to train\nhint: --config run.toml")),
            None => RunConfig::from_tables(training, [flags])?,
        })
    }

    /// The processes of the run.
    fn ranks(&self) -> anyhow::Result<Ranks> {
        Ranks::from_env(Duration::from_secs(self.collective_timeout))
    }
}

fn run(file: &RunFile, keys: &impl Serialize, training: Training) -> anyhow::Result<()> {
    let ranks = file.ranks()?;
    let config = ranks.settle(file.load(keys, training)?);
    let collective = ranks.join(config.device)?;
    train(Run::open_with(config, training, collective)?, &ranks)
}

/// Trains until the last step or until Ctrl-C, and says where the result is.
fn train(mut run: Run, ranks: &Ranks) -> anyhow::Result<()> {
    if !ranks.is_first() {
        return match run.train(interrupt::asked(), |_| ())? {
            Outcome::Finished(_) => Ok(()),
            Outcome::Stopped(_) => Err(InterruptedTogether.into()),
        };
    }
    let steps = run.config().steps;
    let what = if run.config().adapter.is_some() { "adapter" } else { "model" };
    for skipped in run.skipped() {
        let (folder, error) = (skipped.folder.display(), &skipped.error);
        eprintln!("warning: checkpoint {folder} is damaged: {error}\nhint: the previous checkpoint is used instead");
    }
    if run.steps_made() > 0 {
        eprintln!("going on after step {}", run.steps_made());
    }
    let bar = ProgressBar::new(steps)
        .with_style(ProgressStyle::with_template("{wide_bar} {pos}/{len} {msg}, {eta} left")?)
        .with_position(run.steps_made());
    bar.reset_eta();
    let outcome = run.train(interrupt::asked(), |event| match event {
        Event::Prepared { done, total } => {
            bar.set_length(total);
            bar.set_position(done);
            bar.set_message("before the first step");
        }
        Event::Step(metrics) => {
            bar.set_length(steps);
            let reward = metrics.details.get("reward").map_or(String::new(), |reward| format!("reward {reward:.3}, "));
            bar.set_message(format!("loss {:.4}, {reward}{:.0} tokens/s", metrics.loss, metrics.tokens_per_second));
            bar.set_position(metrics.step);
        }
        _ => {}
    })?;
    bar.finish_and_clear();
    for (what, tally) in [("records", run.tally()), ("records to validate on", run.validation_tally().cloned())] {
        let Some(tally) = tally.filter(|tally| tally.left_out() > 0) else { continue };
        eprintln!("left out of {} {what}: {}", tally.records + tally.left_out(), tally.left_out());
        for reason in tally.reasons() {
            eprintln!("  {reason}");
        }
    }
    match outcome {
        Outcome::Finished(folder) => {
            eprintln!("{what} in {}", folder.display());
            Ok(())
        }
        Outcome::Stopped(checkpoint) => {
            eprintln!("saved {}\nhint: the same command goes on from there", checkpoint.display());
            Err(Interrupted.into())
        }
    }
}
