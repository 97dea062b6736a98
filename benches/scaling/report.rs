//! The curves as a table, as JSON, and as a picture.

use llada_benches::chart::{Axis, COLOURS, Chart, Marker, Point, Scale, Series, Stroke};
use llada_train::objective::Objective;
use serde::Serialize;

use crate::{
    size::SIZES,
    train::{Curve, Extent, Measured},
};

/// All runs.
#[derive(Serialize)]
pub(crate) struct Report {
    extent: Extent,
    pub(crate) curves: Vec<Curve>,
}

impl Report {
    pub(crate) fn new(extent: Extent) -> Self {
        Self { extent, curves: Vec::new() }
    }

    fn of(&self, objective: Objective) -> impl Iterator<Item = &Curve> {
        self.curves.iter().filter(move |curve| curve.objective == objective)
    }

    /// What each size has come to, and how the best of all sizes falls with compute.
    pub(crate) fn markdown(&self) -> String {
        let mut table = "| width | layers | non-embedding parameters | FLOPs | diffusion, bits a byte | \
                         autoregressive, bits a byte | ratio |\n|---|---|---|---|---|---|---|\n"
            .to_owned();
        for (diffusion, ar) in self.of(Objective::Diffusion).zip(self.of(Objective::Ar)) {
            let (Some(bound), Some(exact)) = (diffusion.points.last(), ar.points.last()) else { continue };
            table += &format!(
                "| {} | {} | {} | {:.2e} | ≤ {:.3} | {:.3} | {:.3} |\n",
                diffusion.size.d_model,
                diffusion.size.n_layers,
                diffusion.non_embedding_parameters,
                bound.flops,
                bound.bits_per_byte,
                exact.bits_per_byte,
                bound.bits_per_byte / exact.bits_per_byte,
            );
        }
        table += &format!(
            "\nAfter {} tokens of WordNet a model; FLOPs as PaLM counts them. Along the best of all sizes, bits a byte \
             fall with compute C as C^{:.3} (diffusion) and C^{:.3} (autoregressive).\n",
            self.extent.tokens(),
            self.exponent(Objective::Diffusion),
            self.exponent(Objective::Ar),
        );
        table
    }

    /// Of the power law through the validations that none of as little compute is better than, by least squares.
    fn exponent(&self, objective: Objective) -> f64 {
        let mut by_compute: Vec<Measured> = self.of(objective).flat_map(|curve| curve.points.clone()).collect();
        by_compute.sort_by(|a, b| a.flops.total_cmp(&b.flops));
        let mut best = f64::INFINITY;
        by_compute.retain(|found| {
            let better = found.bits_per_byte < best;
            best = best.min(found.bits_per_byte);
            better
        });
        let logs: Vec<[f64; 2]> =
            by_compute.iter().map(|found| [found.flops, found.bits_per_byte].map(f64::ln)).collect();
        let mean = |axis: usize| logs.iter().map(|log| log[axis]).sum::<f64>() / logs.len() as f64;
        let means = [mean(0), mean(1)];
        let moment = |axis: usize| logs.iter().map(|log| (log[0] - means[0]) * (log[axis] - means[axis])).sum::<f64>();
        moment(1) / moment(0)
    }

    pub(crate) fn chart(&self) -> Chart {
        let mut series = Vec::new();
        for (objective, name, stroke, marker) in [
            (Objective::Diffusion, "diffusion", Stroke::Solid, Marker::Disc),
            (Objective::Ar, "autoregressive", Stroke::Dashed, Marker::HollowSquare),
        ] {
            for (size, colour) in SIZES.into_iter().zip(COLOURS) {
                for curve in self.of(objective).filter(|curve| curve.size == size) {
                    let point = |found: &Measured| Point { x: found.flops, y: found.bits_per_byte, interval: None };
                    let name = format!("{name}, width {}", size.d_model);
                    series.push(Series {
                        name,
                        colour,
                        marker,
                        stroke,
                        points: curve.points.iter().map(point).collect(),
                    });
                }
            }
        }
        let points = || self.curves.iter().flat_map(|curve| &curve.points);
        Chart {
            title: "Bits per byte by training compute".to_owned(),
            subtitle: format!(
                "held-out WordNet; diffusion is an upper bound; at most {} tokens of training a model",
                self.extent.tokens()
            ),
            x: Axis::around("training compute (FLOPs)", Scale::Log10, points().map(|found| found.flops)),
            y: Axis::around("bits a byte", Scale::Linear, points().map(|found| found.bits_per_byte)),
            series,
            notes: vec![],
        }
    }
}
