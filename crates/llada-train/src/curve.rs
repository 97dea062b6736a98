//! The loss curve as a picture.

use std::path::Path;

use svg::{
    Document,
    node::element::{Circle, Line, Polyline, Text},
};

use crate::{TrainError, metrics::Metrics};

const WIDTH: f64 = 800.0;
const HEIGHT: f64 = 450.0;
const MARGIN: f64 = 55.0;
/// Points of the line: neighbouring steps are averaged into as many.
const POINTS: usize = 200;

/// Draws the loss by step, averaged, and the validations as circles, in bits per token like the loss.
pub(crate) fn write(path: &Path, metrics: &[Metrics]) -> Result<(), TrainError> {
    let Some(last) = metrics.last() else { return Ok(()) };
    let bits = |nats: f64| nats / std::f64::consts::LN_2;
    let mean = |part: &[Metrics]| {
        let loss = part.iter().map(|metrics| bits(metrics.loss)).sum::<f64>() / part.len() as f64;
        (part[part.len() / 2].step as f64, loss)
    };
    let line: Vec<(f64, f64)> = metrics.chunks(metrics.len().div_ceil(POINTS)).map(mean).collect();
    let validations: Vec<(f64, f64)> =
        metrics.iter().filter_map(|metrics| Some((metrics.step as f64, metrics.validation_bits_per_token?))).collect();
    let highest = line.iter().chain(&validations).map(|point| point.1).fold(0.0, f64::max).max(f64::MIN_POSITIVE);
    let x = |step: f64| MARGIN + (WIDTH - 2.0 * MARGIN) * step / last.step as f64;
    let y = |bits: f64| HEIGHT - MARGIN - (HEIGHT - 2.0 * MARGIN) * bits / highest;
    let text = |words: String, x: f64, y: f64, anchor: &str| {
        Text::new(words).set("x", x).set("y", y).set("text-anchor", anchor).set("font-size", 13)
    };
    let mut picture = Document::new()
        .set("viewBox", (0, 0, WIDTH, HEIGHT))
        .set("font-family", "sans-serif")
        .set("style", "background: white")
        .add(text(format!("bits per token, by step; {} tokens", last.tokens), WIDTH / 2.0, 24.0, "middle"));
    for quarter in 0..=4 {
        let part = f64::from(quarter) / 4.0;
        let (step, level) = (part * last.step as f64, part * highest);
        picture = picture
            .add(
                Line::new()
                    .set("x1", x(0.0))
                    .set("x2", WIDTH - MARGIN)
                    .set("y1", y(level))
                    .set("y2", y(level))
                    .set("stroke", "#ddd"),
            )
            .add(text(format!("{level:.2}"), MARGIN - 6.0, y(level) + 4.0, "end"))
            .add(text(format!("{step:.0}"), x(step), HEIGHT - MARGIN + 20.0, "middle"));
    }
    let points: Vec<String> = line.iter().map(|&(step, bits)| format!("{:.1},{:.1}", x(step), y(bits))).collect();
    picture = picture.add(Polyline::new().set("points", points.join(" ")).set("fill", "none").set("stroke", "#1f77b4"));
    for (step, bits) in validations {
        picture = picture.add(Circle::new().set("cx", x(step)).set("cy", y(bits)).set("r", 4).set("fill", "#d62728"));
    }
    svg::save(path, &picture).map_err(TrainError::write(path))
}
