//! `llada logits`: the logits of every position of a sequence, for inspection or comparison.

use std::path::PathBuf;

use anyhow::Context;
use llada_core::predictor::{Hidden, MaskPredictor, Row};
use llada_model::AttentionPattern;
use safetensors::{Dtype, tensor::TensorView};

use crate::{
    args::{Ids, ModelArgs},
    file::write_whole,
    session::open_network,
};

/// Write the logits of every position of a sequence to a safetensors file
///
/// One f32 tensor `logits` of shape (length, vocabulary). The vocabulary has all rows of the head, dead ones too. They are
/// as the model computes them: those of Dream at a position predict the token after it.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  llada logits --model DIR --ids 1,2,3 --dtype f32 --out logits.safetensors")]
pub(crate) struct Args {
    /// Token ids of the sequence
    #[arg(long, value_name = "1,2,3")]
    ids: Ids,

    /// Tokens of a block, for a model whose attention is causal from block to block [default: the model's]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    block_length: Option<u32>,

    /// Attend to what is before alone: a model of `llada convert` is then the autoregressive one that it was made of
    #[arg(long, conflicts_with = "block_length")]
    causal: bool,

    /// Where to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,

    #[command(flatten)]
    model: ModelArgs,
}

pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    let Ids(ids) = args.ids;
    let mut model = open_network(&args.model, &args.model.folder()?)?.without_logit_shift();
    if args.causal {
        model = model.with_attention(AttentionPattern::Causal);
    }
    let wanted: Vec<usize> = (0..ids.len()).collect();
    let mut logits = Vec::new();
    let block_length = args.block_length.map(|length| length as usize);
    let row = Row { block_length, ..Row::new(&ids, &wanted) };
    model.forward(&[row])?.logits(0, 0..ids.len(), &mut logits)?;
    let bytes: Vec<u8> = logits.iter().flat_map(|logit| logit.to_le_bytes()).collect();
    let shape = vec![ids.len(), model.padded_vocab_size()];
    let view = TensorView::new(Dtype::F32, shape, &bytes).context("logits")?;
    write_whole(&args.out, |file| {
        let bytes = safetensors::serialize([("logits", view)], None)?;
        Ok(std::io::Write::write_all(file, &bytes)?)
    })
}
