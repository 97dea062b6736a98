//! The picture of a comparison: a bar for the agreement at each position.

use std::io::Write;

use svg::{
    Document,
    node::element::{Rectangle, Text},
};

use super::measure::Comparison;

const WIDTH: f64 = 800.0;
const HEIGHT: f64 = 320.0;
const MARGIN: f64 = 50.0;

pub(super) fn draw(comparison: &Comparison, out: impl Write) -> anyhow::Result<()> {
    let bars = &comparison.agreement_by_position;
    let width = (WIDTH - 2.0 * MARGIN) / bars.len().max(1) as f64;
    let y = |share: f64| HEIGHT - MARGIN - (HEIGHT - 2.0 * MARGIN) * share;
    let text = |words: String, x: f64, y: f64, anchor: &str| {
        Text::new(words).set("x", x).set("y", y).set("text-anchor", anchor).set("font-size", 13)
    };
    let mut document = Document::new()
        .set("viewBox", (0, 0, WIDTH, HEIGHT))
        .set("font-family", "sans-serif")
        .set("style", "background: white")
        .add(text(comparison.title(), WIDTH / 2.0, 24.0, "middle"))
        .add(text("position in the answer".to_owned(), WIDTH / 2.0, HEIGHT - 10.0, "middle"));
    for quarter in 0..=4 {
        let share = f64::from(quarter) / 4.0;
        document = document.add(text(format!("{:.0} %", 100.0 * share), MARGIN - 6.0, y(share) + 4.0, "end"));
    }
    for (position, &share) in bars.iter().enumerate() {
        let bar = Rectangle::new()
            .set("x", MARGIN + position as f64 * width)
            .set("y", y(share))
            .set("width", (width - 1.0).max(0.5))
            .set("height", y(0.0) - y(share))
            .set("fill", "#1f77b4");
        document = document.add(bar);
        if position % bars.len().div_ceil(16) == 0 {
            let middle = MARGIN + (position as f64 + 0.5) * width;
            document = document.add(text(position.to_string(), middle, HEIGHT - MARGIN + 18.0, "middle"));
        }
    }
    Ok(svg::write(out, &document)?)
}
