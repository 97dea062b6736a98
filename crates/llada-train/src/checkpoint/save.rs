//! The writing of a checkpoint by all processes of a run.
//!
//! Rank 0 makes the folder under its temporary name; each process writes into it what it alone has, and rank 0 what all
//! have. Once all have told the digests of their files, rank 0 writes them in `state.json` and gives the folder its name.
//! If one fails on the way, all end with its error, and if one dies, with that of the collective. Rank 0 then removes the
//! folder, or, if it is rank 0 that has died, whoever writes the next one.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use llada_model::{Dtype, atomic::PendingFolder, is_slice};

use super::{
    EMA, EXP_AVG, EXP_AVG_SQ, Manifest, copy_tokenizer,
    digest::{digest_of, digests},
    find::steps,
    folder,
};
use crate::{
    TrainError,
    collective::{Collective, gather, succeeded},
    config::RunConfig,
    loss::Loss,
    optimizer::Shard,
    state::TrainState,
};

/// The SHA-256 of files, by their path in the folder of the checkpoint.
type Digests = BTreeMap<PathBuf, String>;

/// What of a checkpoint each process has a share of.
#[derive(Debug, Clone, Copy)]
struct Divided {
    /// The moments, and the moving average.
    moments: bool,
    weights: bool,
}

impl Divided {
    fn new(config: &RunConfig, world_size: usize) -> Self {
        let moments = config.shard != Shard::None && world_size > 1;
        // An adapter is small, and peft reads it as a whole.
        Self { moments, weights: moments && config.shard == Shard::Weights && config.adapter.is_none() }
    }
}

/// Writes a checkpoint, as every process of the run does at the same time, removes the oldest ones beyond those that are
/// kept, and returns the folder.
pub(crate) fn save(
    config: &RunConfig,
    state: &mut TrainState,
    loss: &dyn Loss,
    collective: &mut dyn Collective,
) -> Result<PathBuf, TrainError> {
    let rank = collective.rank();
    let target = folder(&config.checkpoints(), state.step);
    let path = PendingFolder::temporary(&target);
    let divided = Divided::new(config, collective.world_size());
    if !divided.weights {
        state.model.gather_weights(collective)?;
    }
    // Dropped, and so removed, if anything fails from here on.
    let made = if rank == 0 { make_folder(&target, state).map(Some) } else { Ok(None) };
    let pending = succeeded(collective, made)??;
    let written = write(&path, config, state, loss, rank, divided);
    let own = succeeded(collective, written)??;
    let digests = gather(collective, vec![own])?;
    let finished = match pending {
        Some(pending) => finish(pending, config, state, loss.digest(), digests),
        None => Ok(()),
    };
    succeeded(collective, finished)??;
    Ok(target)
}

/// Makes the folder that all write into, and the folders in it.
fn make_folder(target: &Path, state: &TrainState) -> Result<PendingFolder, TrainError> {
    let pending = PendingFolder::create(target)?;
    let ema = state.ema.as_ref().map(|_| EMA);
    for name in [EXP_AVG, EXP_AVG_SQ].into_iter().chain(ema) {
        let folder = pending.path().join(name);
        fs::create_dir(&folder).map_err(TrainError::write(&folder))?;
    }
    Ok(pending)
}

/// Writes what this process has to write, and returns the digests.
fn write(
    path: &Path,
    config: &RunConfig,
    state: &TrainState,
    loss: &dyn Loss,
    rank: usize,
    divided: Divided,
) -> Result<Digests, TrainError> {
    if !path.is_dir() {
        return Err(TrainError::NotShared { path: path.to_owned(), rank });
    }
    let TrainState { model, optimizer, ema, .. } = state;
    let mut parts = vec![(EXP_AVG, &optimizer.exp_avg), (EXP_AVG_SQ, &optimizer.exp_avg_sq)];
    parts.extend(ema.as_ref().map(|ema| (EMA, ema)));
    let mut digests = Digests::new();
    if rank == 0 {
        match divided.weights {
            true => model.save_config(path, Dtype::F32)?,
            false => model.save(path, Dtype::F32)?,
        }
        copy_tokenizer(config.tokenizer_folder(), path)?;
        if !divided.moments {
            for (name, own) in &parts {
                own.whole().map_or(Ok(()), |whole| whole.write(&path.join(name), Dtype::F32))?;
            }
        }
        loss.save(path)?;
        // The others are writing their slices.
        digests = self::digests(path, |name| !is_slice(name.trim_end_matches(".tmp")))?;
    }
    let weights = if divided.weights { Some(model.weights_of(&optimizer.exp_avg)?) } else { None };
    let slices = if divided.moments { parts } else { Vec::new() };
    for (name, own) in slices.into_iter().chain(weights.as_ref().map(|weights| ("", weights))) {
        if let Some(file) = own.write(&path.join(name), rank)? {
            digests.insert(Path::new(name).join(&file), digest_of(&path.join(name).join(&file))?);
        }
    }
    Ok(digests)
}

/// Makes a checkpoint of the folder, once all of its files are there: `written` has the digests of each process.
fn finish(
    pending: PendingFolder,
    config: &RunConfig,
    state: &TrainState,
    data: &str,
    written: Vec<Digests>,
) -> Result<(), TrainError> {
    let digests: Digests = written.into_iter().flatten().collect();
    if let Some(file) = digests.keys().find(|file| !pending.path().join(file).exists()) {
        return Err(TrainError::NotShared { path: pending.path().join(file), rank: 0 });
    }
    let (step, tokens, data, config) = (state.step, state.tokens, data.to_owned(), config.clone());
    let (checkpoints, keep) = (config.checkpoints(), config.keep);
    Manifest { step, tokens, data, config, digests }.write(pending.path())?;
    pending.finish()?;
    for old in steps(&checkpoints)?.into_iter().skip(keep) {
        let old = folder(&checkpoints, old);
        fs::remove_dir_all(&old).map_err(TrainError::write(&old))?;
    }
    Ok(())
}
