//! The five most probable tokens at every mask of a text.
//!
//! ```text
//! cargo run -p llada-model --example top_tokens -- [FOLDER] [TEXT]
//! ```
//!
//! FOLDER is a checkpoint; without it the repository's own is loaded, seen from the root of the repository.
#![allow(clippy::print_stdout, reason = "an example's output")]

use std::{env, error::Error, path::PathBuf};

use llada_core::{
    predictor::{Hidden, MaskPredictor, Row},
    sampling::softmax_at,
};
use llada_model::{Device, Dtype, Tokenizer, Transformer};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let folder = PathBuf::from(arguments.next().unwrap_or_else(|| "models/llada-tiny".to_owned()));
    let text = arguments
        .next()
        .unwrap_or_else(|| "In this land the king of the copper <|mdm_mask|> is Carl of Seoul.".to_owned());

    let mut model = Transformer::load(&folder, Device::Cpu, Dtype::F32)?;
    let tokenizer = Tokenizer::load(&folder, model.config())?.ok_or("no tokenizer.json; hint: name another folder")?;
    let ids = tokenizer.encode(&text)?;
    let masks: Vec<usize> = (0..ids.len()).filter(|&position| ids[position] == model.mask_id()).collect();
    let mut logits = Vec::new();
    model.forward(&[Row::new(&ids, &masks)])?.logits(0, 0..masks.len(), &mut logits)?;

    println!("{text}");
    for (row, position) in logits.chunks(model.padded_vocab_size()).zip(&masks) {
        let mut candidates: Vec<u32> = (0..tokenizer.vocab_size() as u32).collect();
        candidates.sort_by(|&a, &b| row[b as usize].total_cmp(&row[a as usize]));
        println!("token {position}:");
        for &id in &candidates[..candidates.len().min(5)] {
            println!("  {:5.1} %  {:?}", 100.0 * softmax_at(row, id), tokenizer.piece(id));
        }
    }
    Ok(())
}
