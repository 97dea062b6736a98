//! The loss curve as a picture.

use std::{f64::consts::LN_2, path::Path};

use svg::{
    Document,
    node::element::{Circle, Line, Polyline, Text},
};

use crate::{TrainError, metrics::Metrics};

const WIDTH: f64 = 800.0;
const HEIGHT: f64 = 450.0;
const MARGIN: f64 = 55.0;
/// The number of points of the line: neighbouring steps are averaged into as many.
const POINTS: usize = 200;

/// A point of the curve.
#[derive(Debug, Clone, Copy)]
struct Point {
    step: f64,
    /// Bits per token.
    bits: f64,
}

/// The places of points in the picture.
struct Axes {
    last_step: f64,
    highest: f64,
}

impl Axes {
    fn x(&self, step: f64) -> f64 {
        MARGIN + (WIDTH - 2.0 * MARGIN) * step / self.last_step
    }

    fn y(&self, bits: f64) -> f64 {
        HEIGHT - MARGIN - (HEIGHT - 2.0 * MARGIN) * bits / self.highest
    }
}

/// Draws the loss by step, averaged, and the validations as circles, in bits per token like the loss.
pub(crate) fn write(path: &Path, metrics: &[Metrics]) -> Result<(), TrainError> {
    let Some(last) = metrics.last() else { return Ok(()) };
    let (losses, validations) = (losses(metrics), validations(metrics));
    let highest = losses.iter().chain(&validations).map(|point| point.bits).fold(0.0, f64::max);
    let axes = Axes { last_step: last.step as f64, highest: highest.max(f64::MIN_POSITIVE) };
    let title = format!("bits per token, by step; {} tokens", last.tokens);
    let mut picture = Document::new()
        .set("viewBox", (0, 0, WIDTH, HEIGHT))
        .set("font-family", "sans-serif")
        .set("style", "background: white")
        .add(text(title, WIDTH / 2.0, 24.0, "middle"));
    for quarter in 0..=4 {
        let part = f64::from(quarter) / 4.0;
        let (step, level) = (part * axes.last_step, part * axes.highest);
        let grid = Line::new()
            .set("x1", axes.x(0.0))
            .set("x2", WIDTH - MARGIN)
            .set("y1", axes.y(level))
            .set("y2", axes.y(level))
            .set("stroke", "#ddd");
        picture = picture
            .add(grid)
            .add(text(format!("{level:.2}"), MARGIN - 6.0, axes.y(level) + 4.0, "end"))
            .add(text(format!("{step:.0}"), axes.x(step), HEIGHT - MARGIN + 20.0, "middle"));
    }
    let mut line = Vec::with_capacity(losses.len());
    for Point { step, bits } in losses {
        line.push(format!("{:.1},{:.1}", axes.x(step), axes.y(bits)));
    }
    picture = picture.add(Polyline::new().set("points", line.join(" ")).set("fill", "none").set("stroke", "#1f77b4"));
    for Point { step, bits } in validations {
        let circle = Circle::new().set("cx", axes.x(step)).set("cy", axes.y(bits)).set("r", 4).set("fill", "#d62728");
        picture = picture.add(circle);
    }
    svg::save(path, &picture).map_err(TrainError::write(path))
}

/// The losses, averaged over neighbouring steps; each mean stands at the step in the middle.
fn losses(metrics: &[Metrics]) -> Vec<Point> {
    let mut points = Vec::with_capacity(POINTS);
    for part in metrics.chunks(metrics.len().div_ceil(POINTS)) {
        let sum: f64 = part.iter().map(|metrics| metrics.loss / LN_2).sum();
        points.push(Point { step: part[part.len() / 2].step as f64, bits: sum / part.len() as f64 });
    }
    points
}

fn validations(metrics: &[Metrics]) -> Vec<Point> {
    let mut points = Vec::new();
    for metrics in metrics {
        if let Some(bits) = metrics.validation_bits_per_token {
            points.push(Point { step: metrics.step as f64, bits });
        }
    }
    points
}

fn text(words: String, x: f64, y: f64, anchor: &str) -> Text {
    Text::new(words).set("x", x).set("y", y).set("text-anchor", anchor).set("font-size", 13)
}
