//! The curves as a table, as JSON, and as a picture.

use std::path::Path;

use clap::ValueEnum;
use llada_benches::chart::{Axis, COLOURS, Chart, Marker, Point, Scale, Series, Stroke};
use serde::Serialize;

use crate::{
    masking::RATIOS,
    train::{Curve, Measured},
    variant::Variant,
};

/// All runs of a folder.
#[derive(Serialize)]
pub(crate) struct Report {
    pub(crate) curves: Vec<Curve>,
}

impl Report {
    /// Reads what was measured in `out` up to `tokens`.
    pub(crate) fn read(out: &Path, tokens: u64) -> anyhow::Result<Self> {
        let curves = Variant::value_variants().iter().map(|&variant| Curve::read(variant, out, tokens));
        Ok(Self { curves: curves.filter_map(Result::transpose).collect::<anyhow::Result<_>>()? })
    }

    /// Where each variant began, and where it has come to.
    pub(crate) fn markdown(&self) -> String {
        let mut table = "| | tokens |".to_owned();
        for ratio in RATIOS {
            table += &format!(" {:.0} % masked |", ratio * 100.0);
        }
        table += &format!("\n|---|---|{}\n", "---|".repeat(RATIOS.len()));
        for curve in &self.curves {
            let ends = [curve.points.first(), curve.points.last()];
            for Measured { tokens, cross_entropies } in ends.into_iter().flatten() {
                table += &format!("| {} | {tokens} |", curve.variant.name());
                for found in cross_entropies {
                    table += &format!(" {found:.2} |");
                }
                table += "\n";
            }
        }
        table + "\nNats a masked token, on held-out definitions of WordNet.\n"
    }

    pub(crate) fn chart(&self) -> Chart {
        let strokes = [(Stroke::Solid, Marker::Disc), (Stroke::Dashed, Marker::HollowSquare)];
        // The middle ratio lies between the others in every curve; three of each variant would hide one another.
        let shown = [(0, strokes[0]), (2, strokes[1])];
        let mut series = Vec::new();
        for (curve, colour) in self.curves.iter().zip(COLOURS) {
            for (ratio, (stroke, marker)) in shown {
                let point = |found: &Measured| Point {
                    x: found.tokens as f64,
                    y: found.cross_entropies[ratio],
                    interval: None,
                };
                series.push(Series {
                    name: format!("{}, {:.0} % masked", curve.variant.name(), RATIOS[ratio] * 100.0),
                    colour,
                    marker,
                    stroke,
                    points: curve.points.iter().map(point).collect(),
                });
            }
        }
        let points = || self.curves.iter().flat_map(|curve| &curve.points);
        let values = points().flat_map(|found| shown.map(|(ratio, _)| found.cross_entropies[ratio]));
        Chart {
            title: "From an autoregressive model to a mask predictor".to_owned(),
            subtitle: "held-out WordNet; the same tokens are masked for all".to_owned(),
            x: Axis::around("tokens of training", Scale::Linear, points().map(|found| found.tokens as f64)),
            y: Axis::around("cross-entropy (nats)", Scale::Linear, values),
            series,
            notes: vec![],
        }
    }
}
