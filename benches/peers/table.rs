//! Medians and ratios as Markdown.

use crate::contender::Contender;

/// This workspace's contenders with their medians.
pub(crate) type Ours = Vec<(String, f64)>;

pub(crate) fn ours(contenders: &[Contender], seconds: &[Vec<f64>]) -> Ours {
    let of_ours = |(contender, seconds): (&Contender, &Vec<f64>)| {
        matches!(contender, Contender::Ours(..)).then_some((contender.to_string(), median(seconds)?))
    };
    contenders.iter().zip(seconds).filter_map(of_ours).collect()
}

/// A row for each that has seconds; the ratios are how many times its forward takes of `ours`.
pub(crate) fn markdown(title: &str, contenders: &[Contender], seconds: &[Vec<f64>], ours: &Ours) -> String {
    let heads: String = ours.iter().map(|(name, _)| format!(" of {name} |")).collect();
    let mut table =
        format!("{title}\n\n| | s a forward | least to most |{heads}\n|---|---|---|{}\n", "---|".repeat(ours.len()));
    for (contender, seconds) in contenders.iter().zip(seconds) {
        let Some(median) = median(seconds) else { continue };
        let [least, most] =
            [f64::min as fn(f64, f64) -> f64, f64::max].map(|of| seconds.iter().copied().reduce(of).unwrap_or(median));
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
