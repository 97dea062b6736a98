//! Samples the same text with two decoders, and shows which tokens each step commits.
//!
//! ```text
//! cargo run -p llada-infer --example decoders -- [TEMPERATURE] [SEED]
//! ```
#![allow(clippy::print_stdout, reason = "an example's output")]

use std::{env, error::Error};

use llada_core::{predictor::MaskPredictor, tabular::TabularPredictor};
use llada_infer::{DecoderConfig, Engine, Request, SamplerConfig, SpecialTokens, decoder::Threshold};

const LETTERS: [char; 4] = ['a', 'b', 'c', '_'];
const LENGTH: usize = 8;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let temperature = arguments.next().map_or(Ok(0.5), |value| value.parse())?;
    let seed = arguments.next().map_or(Ok(0), |value| value.parse())?;
    // Texts of a, b and c in which the next letter of the alphabet mostly follows a letter, and a follows c.
    let size = 3_usize.pow(LENGTH as u32);
    let letter = |text: usize, place: u32| text / 3_usize.pow(place) % 3;
    let follows = |text, place| if letter(text, place) == (letter(text, place + 1) + 1) % 3 { 0.9 } else { 0.05 };
    let joint = (0..size).map(|text| (0..LENGTH as u32 - 1).map(|place| follows(text, place)).product());
    let predictor = TabularPredictor::new(3, LENGTH, joint.collect())?;

    let prompt = vec![0, predictor.mask_id(), predictor.mask_id()];
    // A token that the predictor does not have: no text of its ends early.
    let mut engine = Engine::new(predictor, SpecialTokens { eos: u32::MAX, eot: None });
    for decoder in
        [DecoderConfig::Schedule, DecoderConfig::Threshold(Threshold { threshold: 0.7, ..Default::default() })]
    {
        let config =
            SamplerConfig { gen_length: LENGTH - prompt.len(), decoder, temperature, seed, ..Default::default() };
        let answer = engine.generate(&Request::new(prompt.as_slice(), config))?;
        println!("{decoder}: {} forwards", answer.nfe);
        println!("         {}", letters(&answer.trace.canvas));
        for step in &answer.trace.steps {
            let confidences =
                step.commits.iter().map(|commit| format!("{}: {:.2}", commit.position, commit.confidence));
            let canvas = letters(&answer.trace.canvas_at(step.step));
            println!("step {:2}  {canvas}  confidence of {}", step.step, confidences.collect::<Vec<_>>().join(", "));
        }
    }
    Ok(())
}

fn letters(ids: &[u32]) -> String {
    ids.iter().map(|&id| LETTERS[id as usize]).collect()
}
