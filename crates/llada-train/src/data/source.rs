//! Where a step's rows come from: datasets that were prepared, files as they are, or a mixture of such.

use std::{ops::ControlFlow, path::Path};

use llada_core::rng::Noise;
use llada_model::{ModelConfig, Tokenizer};

use super::{
    BatchOrder, Dataset, DatasetKind, Record, Stream, Tally, files,
    mixture::{Mixture, noise_of},
    rows,
};
use crate::{
    TrainError,
    checkpoint::sha256,
    config::{RunConfig, SftConfig},
    loss::Observe,
    objective::Rows,
    start,
};

/// The rows of a run.
#[derive(Debug)]
pub(crate) struct Source {
    parts: Vec<Part>,
    mixture: Mixture,
    digest: String,
    kind: DatasetKind,
    row_length: usize,
    sft: SftConfig,
    /// The end of the text, which pads conversations.
    eos: u32,
}

/// A dataset in the order of a run.
#[derive(Debug)]
enum Part {
    /// One that was prepared. Its order is of `at_once` rows, those of a step if it is alone, else of one.
    Prepared { dataset: Box<Dataset>, order: BatchOrder, at_once: u64 },
    /// Conversations that are read while the run lasts.
    Streamed(Box<Stream>),
}

impl Source {
    /// Opens the data of a run, which is for `kind`. Conversations of fine-tuning need no preparation.
    ///
    /// # Errors
    /// A file is missing or damaged; there are fewer rows than a batch, or ids or lengths that the model does not have; a
    /// setting has no meaning for such data; datasets do not go together.
    pub(crate) fn open(config: &RunConfig, kind: DatasetKind, model: &ModelConfig) -> Result<Self, TrainError> {
        let paths = config.data()?.parts();
        let is_mixed = paths.len() > 1;
        if is_mixed && config.group_by_length {
            let hint = "rows of several datasets are not grouped: leave it out";
            return Err(TrainError::config("group_by_length", true, hint));
        }
        let row_length = config.row_length.unwrap_or(model.max_sequence_length);
        let (mut parts, mut ends) = (Vec::with_capacity(paths.len()), Vec::with_capacity(paths.len()));
        for (index, (data, _)) in paths.iter().enumerate() {
            let noise = noise_of(index, Noise::new(config.seed));
            let (part, eos) = if is_streamed(data, kind) {
                let tokenizer = start::tokenizer(config)?;
                let eos = end_of_text(&tokenizer)?;
                let files = files::find(data, &config.sft)?;
                (Part::Streamed(Box::new(Stream::open(data, &files, config, model, tokenizer, noise)?)), eos)
            } else {
                let dataset = start::dataset(data, kind)?;
                config.sft.check_prepared(data)?;
                check_dataset(&dataset, model, row_length)?;
                let is_grouped = config.group_by_length && kind == DatasetKind::Sft;
                let lengths = if is_grouped { Some(dataset.record_lengths()) } else { None };
                let at_once = if is_mixed { 1 } else { config.batch_size };
                let order = BatchOrder::new(dataset.rows(row_length), at_once, noise, lengths)?;
                let eos = dataset.eos_token_id();
                (Part::Prepared { dataset: Box::new(dataset), order, at_once: at_once as u64 }, eos)
            };
            parts.push(part);
            ends.push(eos);
        }
        let eos = ends.first().copied().unwrap_or(model.eos_token_id);
        if let Some((index, other)) = ends.iter().enumerate().find(|(_, other)| **other != eos) {
            let [first, other_path] = [0, index].map(|index| paths[index].0.to_owned());
            return Err(TrainError::OtherEnd { path: other_path, found: *other, first, expected: eos });
        }
        let weights: Vec<f64> = paths.iter().map(|(_, weight)| *weight).collect();
        let mixture = Mixture::new(&weights, config.batch_size, Noise::new(config.seed));
        let digest = digest(&parts, &weights);
        Ok(Self { parts, mixture, digest, kind, row_length, sft: config.sft.clone(), eos })
    }

    /// The rows of step `step`, counted from 0; of streamed data, those after the last.
    ///
    /// # Errors
    /// A file cannot be read.
    pub(crate) fn rows(&mut self, step: u64) -> Result<Rows, TrainError> {
        let (mut records, mut stretches) = (Vec::<Record>::new(), Vec::<Vec<u32>>::new());
        for (part, share) in self.parts.iter_mut().zip(self.mixture.step(step)) {
            match part {
                Part::Streamed(stream) => records.extend(stream.batch((share.end - share.start) as usize)?),
                Part::Prepared { dataset, order, at_once } => {
                    for batch in share.start / *at_once..share.end / *at_once {
                        let batch = order.batch(batch);
                        match self.kind {
                            DatasetKind::Sft => records.extend(batch.iter().map(|&row| dataset.record(row))),
                            DatasetKind::Pretrain => {
                                stretches.extend(batch.iter().map(|&row| dataset.stretch(row, self.row_length)));
                            }
                        }
                    }
                }
            }
        }
        self.mixture.shuffle(&mut records, step);
        self.mixture.shuffle(&mut stretches, step);
        Ok(match self.kind {
            DatasetKind::Sft => rows(&records, &self.sft, self.eos),
            DatasetKind::Pretrain => Rows { ids: stretches.concat(), row_length: self.row_length, answers: None },
        })
    }

    /// The digest that tells data apart.
    pub(crate) fn digest(&self) -> &str {
        &self.digest
    }

    /// What was read and left out, if this run reads conversations.
    pub(crate) fn tally(&self) -> Option<Tally> {
        self.streams().map(|(_, stream)| stream.tally().clone()).reduce(Tally::add)
    }

    /// Reads all conversations once and counts, if this run reads such; `observe` hears how many rows of how many.
    ///
    /// # Errors
    /// A file cannot be read.
    pub(crate) fn survey(&self, observe: &mut Observe<'_>) -> Result<ControlFlow<(), Option<Tally>>, TrainError> {
        let total = self.streams().map(|(_, stream)| stream.count()).sum();
        let (mut before, mut tally) = (0, None);
        for (_, stream) in self.streams() {
            match stream.survey(&mut |done, _| observe(before + done, total))? {
                ControlFlow::Break(()) => return Ok(ControlFlow::Break(())),
                ControlFlow::Continue(found) => {
                    tally = Some(tally.map_or(found.clone(), |tally: Tally| tally.add(found)));
                }
            }
            before += stream.count();
        }
        Ok(ControlFlow::Continue(tally))
    }

    /// Writes the places in streams into a checkpoint; the step tells those in other data.
    ///
    /// # Errors
    /// A file cannot be written.
    pub(crate) fn save(&self, checkpoint: &Path) -> Result<(), TrainError> {
        self.streams().try_for_each(|(index, stream)| stream.save(&checkpoint.join(cursor(index))))
    }

    /// Goes on where a checkpoint was written.
    ///
    /// # Errors
    /// A file cannot be read.
    pub(crate) fn restore(&mut self, checkpoint: &Path) -> Result<(), TrainError> {
        for (index, part) in self.parts.iter_mut().enumerate() {
            if let Part::Streamed(stream) = part {
                stream.restore(&checkpoint.join(cursor(index)))?;
            }
        }
        Ok(())
    }

    /// The streams, each with the number of its dataset.
    fn streams(&self) -> impl Iterator<Item = (usize, &Stream)> {
        self.parts.iter().enumerate().filter_map(|(index, part)| match part {
            Part::Streamed(stream) => Some((index, stream.as_ref())),
            Part::Prepared { .. } => None,
        })
    }
}

/// Whether `data` are files of conversations, and no dataset that was prepared.
pub(super) fn is_streamed(data: &Path, kind: DatasetKind) -> bool {
    kind == DatasetKind::Sft && !data.join("dataset.json").exists() && data.exists()
}

/// The token that ends texts.
pub(super) fn end_of_text(tokenizer: &Tokenizer) -> Result<u32, TrainError> {
    let missing = || TrainError::config("tokenizer", "without an end-of-text token", "give that of the model");
    tokenizer.eos_id().ok_or_else(missing)
}

/// The file of a checkpoint that holds the place in a stream.
fn cursor(index: usize) -> String {
    if index == 0 { "data.json".to_owned() } else { format!("data-{index}.json") }
}

/// The digest of data: that of the dataset, or of all of them and their weights.
fn digest(parts: &[Part], weights: &[f64]) -> String {
    let of = |part: &Part| match part {
        Part::Prepared { dataset, .. } => dataset.digest().to_owned(),
        Part::Streamed(stream) => stream.digest().to_owned(),
    };
    match parts {
        [part] => of(part),
        parts => {
            let lines = parts.iter().zip(weights).map(|(part, weight)| format!("{} {weight}\n", of(part)));
            sha256(lines.collect::<String>().as_bytes())
        }
    }
}

/// Refuses ids and lengths that the model does not have.
pub(super) fn check_dataset(dataset: &Dataset, model: &ModelConfig, row_length: usize) -> Result<(), TrainError> {
    let (vocab_size, max_sequence_length) = (model.vocab_size, model.max_sequence_length);
    if dataset.vocab_size() > vocab_size {
        let hint = format!("the model's vocab_size is {vocab_size}: prepare the data with the model's tokenizer");
        return Err(TrainError::config("data", format!("of {} ids", dataset.vocab_size()), hint));
    }
    let longest = dataset.record_lengths().into_iter().max().unwrap_or(row_length);
    if longest > max_sequence_length {
        let hint = format!("the model's max_sequence_length is {max_sequence_length}");
        return Err(TrainError::config("row_length", longest, hint));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use toml::Table;

    use super::*;
    use crate::{config::Training, data::DatasetWriter};

    const ROW_LENGTH: usize = 4;

    /// The rows of a step of pre-training, as the first id of each.
    fn firsts(source: &mut Source, step: u64) -> Vec<u32> {
        source.rows(step).unwrap().ids.chunks(ROW_LENGTH).map(|row| row[0]).collect()
    }

    /// The rows of a run on datasets of so many rows, of which the i-th has the ids from 1000 i on.
    fn source(folder: &Path, parts: &[(&str, usize, f64)]) -> Source {
        let mut list = String::new();
        for (index, (name, rows, weight)) in parts.iter().enumerate() {
            let path = folder.join(name);
            let mut writer = DatasetWriter::create(&path, DatasetKind::Pretrain, 2000, 1999).unwrap();
            let first = 1000 * index as u32;
            let ids: Vec<u32> = (first..first + (rows * ROW_LENGTH) as u32).collect();
            writer.part(&ids, ids.len()).unwrap();
            writer.finish().unwrap();
            list += &format!("{{ path = {path:?}, weight = {weight:?} }}, ");
        }
        let text =
            format!("out = \"o\"\nsteps = 1\nbatch_size = 4\nrow_length = {ROW_LENGTH}\nseed = 3\ndata = [{list}]");
        let config = RunConfig::from_tables(Training::Pretrain, [text.parse::<Table>().unwrap()]).unwrap();
        let keys = serde_json::json!({
            "d_model": 8, "n_layers": 1, "n_heads": 1, "n_kv_heads": 1, "mlp_hidden_size": 8, "vocab_size": 2000,
            "max_sequence_length": 8, "mask_token_id": 1998, "eos_token_id": 1999,
        });
        let model = ModelConfig::from_keys(keys.as_object().unwrap().clone()).unwrap();
        Source::open(&config, DatasetKind::Pretrain, &model).unwrap()
    }

    #[test]
    fn datasets_of_one_size_have_orders_of_their_own() {
        let folder = tempfile::tempdir().unwrap();
        let mut source = source(folder.path(), &[("first", 20, 1.0), ("second", 20, 1.0)]);
        let mut pairs: Vec<[BTreeSet<u32>; 2]> = Vec::new();
        for step in 0..10 {
            let (first, second): (Vec<u32>, Vec<u32>) =
                firsts(&mut source, step).into_iter().partition(|&id| id < 1000);
            pairs.push([first.into_iter().collect(), second.into_iter().map(|id| id - 1000).collect()]);
        }
        assert!(pairs.iter().filter(|[first, second]| first == second).count() < 3, "{pairs:?}");
    }

    #[test]
    fn weights_are_shares_of_rows_and_every_dataset_has_epochs_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let mut source = source(folder.path(), &[("large", 90, 0.75), ("small", 7, 0.25)]);
        let steps: Vec<Vec<u32>> = (0..140).map(|step| firsts(&mut source, step)).collect();
        let (large, small): (Vec<u32>, Vec<u32>) = steps.concat().into_iter().partition(|&id| id < 1000);
        assert!((419..=421).contains(&large.len()), "{}", large.len());
        for (seen, rows) in [(&large, 90), (&small, 7)] {
            for epoch in seen.chunks_exact(rows) {
                // Rows of a batch are in another order than that of their dataset, so an epoch may end among them.
                assert!(epoch.iter().collect::<BTreeSet<_>>().len() + 3 >= rows, "{epoch:?}");
            }
        }
        let places: BTreeSet<usize> = steps.iter().filter_map(|step| step.iter().position(|&id| id >= 1000)).collect();
        assert_eq!(places.len(), 4, "a row of either may be at any place of a batch");
        for step in [139, 0, 77, 3] {
            assert_eq!(firsts(&mut source, step), steps[step as usize]);
        }
    }
}
