//! Medians and ratios as Markdown.

use crate::{case::Case, contender::Contender};

/// A row for each that ran the case; the ratios are how many times its forward takes of ours.
pub(crate) fn markdown(case: &Case, contenders: &[Contender], seconds: &[Vec<f64>]) -> String {
    let medians: Vec<Option<f64>> = seconds.iter().map(|seconds| median(seconds)).collect();
    let ours: Vec<(String, f64)> = contenders
        .iter()
        .zip(&medians)
        .filter_map(|(contender, median)| {
            matches!(contender, Contender::Ours(..)).then_some((contender.to_string(), (*median)?))
        })
        .collect();
    let Case { name, prompt, gen_length, steps, .. } = case;
    let heads: String = ours.iter().map(|(name, _)| format!(" of {name} |")).collect();
    let mut table = format!(
        "{name}: prompt {prompt}, answer {gen_length}, {steps} steps\n\n| | s a forward | least to most |{heads}\n|---|---|---|{}\n",
        "---|".repeat(ours.len())
    );
    for ((contender, seconds), median) in contenders.iter().zip(seconds).zip(&medians) {
        let Some(median) = median else { continue };
        let [least, most] =
            [f64::min as fn(f64, f64) -> f64, f64::max].map(|of| seconds.iter().copied().reduce(of).unwrap_or(*median));
        let ratios: String = ours.iter().map(|(_, ours)| format!(" {:.2}x |", median / ours)).collect();
        table += &format!("| {contender} | {median:.4} | {least:.4} to {most:.4} |{ratios}\n");
    }
    table
}

fn median(seconds: &[f64]) -> Option<f64> {
    let mut sorted = seconds.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied()
}
