//! Draws the forward process as SVG: one sentence at increasing t, with masked words in grey, as training sees it.
//!
//! `cargo run -p llada-core --example draw_forward_process > docs/pictures/forward-process.svg`
#![allow(clippy::print_stdout, reason = "an example prints")]

use llada_core::{
    CoreError,
    masking::{forward_process, mask_uniforms},
    rng::Noise,
    schedule::EPS,
};

const WORDS: [&str; 12] =
    ["The", "keeper", "of", "the", "old", "lamp", "slept", "until", "a", "dragon", "woke", "him."];
const T: [f32; 7] = [0.0, 0.15, 0.3, 0.5, 0.7, 0.85, 1.0];

const MASK: u32 = WORDS.len() as u32;
const CHARACTER: usize = 8;
const BAND: usize = 30;
const MARGIN: usize = 80;
const STYLE: &str = "text { font: 13px ui-monospace, monospace; fill: #1f2328 } .label { fill: #656d76 } \
    .mask { fill: #d0d7de } .seen { fill: #f0f3f6 }";

fn main() -> Result<(), CoreError> {
    let ids: Vec<u32> = (0..MASK).collect();
    // All rows share their noise, so that a word that is masked at some t is masked at every larger t.
    let uniform = mask_uniforms(Noise::new(4), 0, &[WORDS.len()]);
    let width = MARGIN + WORDS.iter().map(|word| word.len() * CHARACTER + 18).sum::<usize>();
    let height = T.len() * BAND;
    println!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\">"
    );
    println!("<style>{STYLE}</style>\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>");
    for (row, t) in T.into_iter().enumerate() {
        let noisy = forward_process(&ids, &[ids.len()], &[t], &uniform, MASK, EPS)?;
        let top = row * BAND + 4;
        println!("<text class=\"label\" x=\"4\" y=\"{}\">t = {t}</text>", top + 15);
        let mut x = MARGIN;
        for (word, masked) in WORDS.iter().zip(&noisy.masked_indices) {
            let cell = word.len() * CHARACTER + 16;
            let class = if *masked { "mask" } else { "seen" };
            println!("<rect class=\"{class}\" x=\"{x}\" y=\"{top}\" width=\"{cell}\" height=\"22\" rx=\"4\"/>");
            if !masked {
                println!("<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{word}</text>", x + cell / 2, top + 15);
            }
            x += cell + 2;
        }
    }
    println!("</svg>");
    Ok(())
}
